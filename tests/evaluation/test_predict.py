"""What is seen in files: all of them, in order, whatever some of them are."""

import csv
import io
import itertools
import json
import os
import signal
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
from untrained import random_run
from untrained import write_photos

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.data import imagenet
from keras_alexnet.data.folders import find_images
from keras_alexnet.evaluation.predict import true_class

CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return random_run(tmp_path_factory.mktemp("run"), CLASSES)


@pytest.fixture
def mixed(tmp_path):
    """Eleven photos, and among them four that are none."""
    photos = write_photos(tmp_path / "photos", {"blue": 6, "red": 5})
    (photos / "blue" / "00a.jpg").write_bytes(b"")
    (photos / "blue" / "03a.png").write_text("text")
    whole = (photos / "red" / "00.png").read_bytes()
    (photos / "red" / "00a.png").write_bytes(whole[: len(whole) // 2])
    (photos / "red" / "zz.png").symlink_to("/nowhere/x.png")
    (photos / "notes.txt").write_text("no image")
    (photos / ".hidden.png").write_bytes(whole)
    (photos / ".thumbnails").mkdir()
    (photos / ".thumbnails" / "a.png").write_bytes(whole)
    return photos


REASONS = {
    "00a.jpg": "is empty",
    "03a.png": "is not an image",
    "00a.png": "cannot be decoded",
    "zz.png": "no such file",
}


def images_in(folder):
    """What is to be found in it, by the endings."""
    names = [
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.endswith((".png", ".jpg")) and "/." not in f"{parent}/{name}"
    ]
    return sorted(names)


def test_files_folders_and_patterns(tmp_path):
    photos = write_photos(tmp_path / "photos", {"blue": 2, "red/dark": 2})
    (photos / "red" / "B.JPEG").touch()
    (photos / ".hidden").mkdir()
    (photos / ".hidden" / "x.png").touch()
    (photos / "text.txt").touch()
    below = images_in(photos) + [f"{photos}/red/B.JPEG"]
    assert find_images(photos) == sorted(below)
    assert find_images(f"{photos}/**/*") == sorted(below)
    assert find_images(f"{photos}/*") == sorted(below)
    assert find_images(f"{photos}/*/0*.png") == [
        f"{photos}/blue/00.png",
        f"{photos}/blue/01.png",
    ]
    # In the order in which they are named, and as often.
    words = [f"{photos}/text.txt", f"{photos}/red", f"{photos}/red/B.JPEG"]
    found = find_images(words)
    assert found[0] == words[0]
    assert found[1:-1] == sorted(p for p in below if "/red/" in p)
    assert found[-1] == words[2]
    # A file whose name looks like a pattern is that file.
    (photos / "a[1].png").touch()
    assert find_images(photos / "a[1].png") == [f"{photos}/a[1].png"]
    # What is not there is told about, unless there is nothing at all.
    (tmp_path / "empty").mkdir()
    nothing = [f"{tmp_path}/empty", f"{tmp_path}/*.gif"]
    assert find_images([*nothing, "missing"]) == [*nothing, "missing"]
    for words in (nothing, []):
        with pytest.raises(ValueError, match="There are no images in"):
            find_images(words)


def test_good_and_bad_files_come_in_order(run, mixed):
    predictions = list(ka.iter_predictions(run, mixed))
    assert [p.file for p in predictions] == images_in(mixed)
    good = [p for p in predictions if not p.error]
    bad = {os.path.basename(p.file): p.error for p in predictions if p.error}
    assert bad.keys() == REASONS.keys()
    assert all(REASONS[name] in error for name, error in bad.items())
    assert all(p.top == [] for p in predictions if p.error)
    # As they are predicted one by one.
    for other in good[::5]:
        (one,) = ka.predict(run, other.file)
        assert [name for name, _ in one] == [name for name, _ in other.top]
        np.testing.assert_allclose(
            [p for _, p in one], [p for _, p in other.top], atol=1e-5
        )
    names = {tuple(name for name, _ in p.top) for p in good}
    assert len(names) > 1  # they do depend on the image
    assert len(good[0].top) == 3
    with pytest.raises(ValueError, match=r"00a.jpg': is empty\."):
        ka.predict(run, mixed)


def test_a_file_without_its_softmax_gives_probabilities(run, mixed, tmp_path):
    logits = run.build_model(classifier_activation=None)
    logits.set_weights(run.load_model().get_weights())
    # A bare file does not know the resizing.
    logits.resize_pixels = run.recipe.resize_pixels
    logits.save(tmp_path / "logits.keras")
    photos = find_images(mixed / "blue" / "0?.png")
    expected = [dict(top) for top in ka.predict(run, photos)]
    trained = ka.open_trained(tmp_path / "logits.keras")
    assert trained.sizes == run.sizes
    found = [dict(top) for top in ka.predict(trained, photos)]
    for one, other in zip(found, expected, strict=True):
        ours = [one[f"class {i}"] for i in range(3)]
        theirs = [other[name] for name in CLASSES]
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_first_are_there_before_the_last_are_read(run, mixed):
    """Of a thousand files one is asked for."""
    files = [str(mixed / "red" / "01.png")] * 1000
    files += [str(mixed / "missing.png")]
    predictions = ka.iter_predictions(run, files, top=1)
    first = list(itertools.islice(predictions, 3))
    assert [p.file for p in first] == files[:3]
    predictions.close()


def test_the_command_in_text(run, mixed, capsys):
    words = ["predict", str(run.folder), str(mixed), "--top", "2"]
    assert main(words) == 1
    output, errors = capsys.readouterr()
    lines = output.splitlines()
    good = [f for f in images_in(mixed) if os.path.basename(f) not in REASONS]
    assert lines[::3] == good
    assert all(line.split()[1] == "%" for line in lines[1::3])
    *reasons, last = errors.splitlines()
    assert len(reasons) == 4
    for line in reasons:
        file, _, reason = line.partition(": ")
        assert REASONS[os.path.basename(file)] in reason
    assert last == "keras-alexnet: 4 of 15 files cannot be used."
    assert main([*words[:2], good[0]]) == 0
    assert capsys.readouterr().err == ""


def test_the_command_in_json_and_csv(run, mixed, capsys):
    missing = str(mixed / "gone.png")
    words = ["predict", str(run.folder), str(mixed), missing]
    files = [*images_in(mixed), missing]
    expected = list(ka.iter_predictions(run, files))
    assert main([*words, "--format", "json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == files
    for row, prediction in zip(rows, expected, strict=True):
        assert row["error"] == prediction.error
        assert [tuple(pair) for pair in row["top"]] == prediction.top
    assert main([*words, "--format", "csv", "--top", "9"]) == 1
    text = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["file"] for row in rows] == files
    for row, prediction in zip(rows, expected, strict=True):
        assert row["error"] == (prediction.error or "")
        names = [row[f"class_{i}"] for i in (1, 2, 3)]
        assert [n for n in names if n] == [n for n, _ in prediction.top]
        if not prediction.error:
            assert float(row["probability_1"]) == prediction.top[0][1]


def test_nothing_to_predict_is_a_sentence(run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(run.folder), str(tmp_path / "empty")]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert "There are no images in" in errors
    assert errors.count("\n") == 1
    # Two words, of which one finds something: the other is bad.
    photos = write_photos(tmp_path / "photos", {"red": 1})
    words = [str(tmp_path / "empty"), str(photos)]
    assert main(["predict", str(run.folder), *words]) == 1
    assert f"{tmp_path}/empty: holds no images" in capsys.readouterr().err


def test_the_picture(run, mixed, tmp_path, capsys):
    words = ["predict", str(run.folder), str(mixed)]
    picture = tmp_path / "sheet.png"
    assert main([*words, "--to-file", str(picture)]) == 1
    assert f"{picture}: 11 images" in capsys.readouterr().err
    pixels = matplotlib.image.imread(picture)[..., :3]
    assert pixels.shape[1] > 1500
    orange = np.array([0xE6, 0x9F, 0x00]) / 255  # the right class's bars
    blue = np.array([0x56, 0xB4, 0xE9]) / 255
    for color in (orange, blue):
        assert (np.abs(pixels - color).max(axis=-1) < 0.01).sum() > 1000
    with pytest.raises(SystemExit):
        main([*words, "--to-file", "picture.doc"])


def test_true_classes_are_read_from_places_and_names():
    assert true_class("photos/red/1.png", CLASSES) == "red"
    assert true_class("photos/pink/1.png", CLASSES) is None
    names = imagenet.class_names()
    assert true_class("val/n02124075/1.jpg", names) == "Egyptian cat"
    assert true_class("x/n02124075_10.JPEG", names) == "Egyptian cat"
    assert true_class("x/n02124075_10.JPEG", CLASSES) is None


def test_names_of_files_need_not_be_utf_8(run, tmp_path, capfdbinary):
    photos = write_photos(tmp_path / "photos", {"red": 1})
    strange = os.fsencode(photos / "red") + b"/\xff\n\x1b[31m.png"
    os.rename(photos / "red" / "00.png", strange)
    for form in ("text", "csv", "json"):
        words = ["predict", str(run.folder), str(photos), "--format", form]
        assert main(words) == 0
        output = capfdbinary.readouterr().out
        if form == "json":
            (row,) = json.loads(output)
            assert os.fsencode(row["file"]) == strange
        elif form == "csv":  # for programs: the name itself
            assert b'"%b"' % strange in output
        else:
            assert rb"red/\udcff\n\x1b[31m.png" in output.splitlines()[0]
        assert form == "csv" or b"\x1b" not in output
    with open(strange, "wb"):
        assert main([*words[:3]]) == 1
    errors = capfdbinary.readouterr().err.splitlines()
    assert errors[0].endswith(rb"red/\udcff\n\x1b[31m.png: is empty")


def test_classes_may_have_any_name(tmp_path, capfd, monkeypatch):
    names = [
        "[red]",
        "[/]",
        "\x1b[2J",
        "a\nb",
        "\u732b \xe4",
        "\udcff",
        "a|<b>",
    ]
    run = random_run(tmp_path / "run", names)
    photos = write_photos(tmp_path / "photos", {"x": 20})
    words = ["predict", str(run.folder), str(photos), "--top", "7"]
    shown = {
        "[red]",
        "[/]",
        r"\x1b[2J",
        r"a\nb",
        "\u732b \xe4",
        r"\udcff",
        "a|<b>",
    }
    assert main(words) == 0
    output = capfd.readouterr().out
    lines = output.splitlines()
    assert {line[11:] for line in lines if " %  " in line} == shown
    assert len(lines) == 20 * 8
    # CSV, too, on a terminal.
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert main([*words, "--format", "csv"]) == 0
    rows = list(csv.reader(io.StringIO(capfd.readouterr().out)))
    assert {*rows[1][1:-1:2]} == shown


def test_after_an_interruption_what_was_printed_is_whole(run, tmp_path):
    photos = write_photos(tmp_path / "photos", {"red": 8})
    # A shell's background jobs ignore Ctrl-C, and so would their children.
    script = (
        "import signal, sys\nfrom keras_alexnet.cli.main import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ["predict", str(run.folder), *[str(photos)] * 5000]
    with subprocess.Popen(
        [sys.executable, "-c", script, *words, "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            lines = [process.stdout.readline() for _ in range(10)]
            process.send_signal(signal.SIGINT)
            lines += process.stdout.readlines()
            errors = process.stderr.read()
            process.wait(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors == "keras-alexnet: interrupted\n"
    rows = json.loads("".join(lines))
    assert 9 <= len(rows) < 40000
    assert all(row["error"] is None for row in rows)
