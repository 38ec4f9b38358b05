"""`check-data` finds whatever a training would stumble over."""

import json
import os
import random
import re
import shutil

import bad_files
import pytest

from keras_alexnet import check_data
from keras_alexnet import load_examples
from keras_alexnet import prepare_data
from keras_alexnet.cli.main import main
from keras_alexnet.data import check_data as inspection


@pytest.fixture
def mixed(class_folders):
    """Two classes with good files, the one with bad, the other with odd ones.

    Returns the folder, the names of the bad and those of the odd files.
    """
    folder = class_folders({"daisy": 5, "rose": 4})
    bad = bad_files.write_bad_files(folder / "daisy")
    odd = bad_files.write_odd_files(folder / "rose")
    return folder, [f"daisy/{n}" for n in bad], [f"rose/{n}" for n in odd]


def named(found, kind):
    """The files of one kind of finding, sorted."""
    return sorted(file for k, file, _ in found.findings if k == kind)


def check(folder):
    """`main` as the command line calls it."""
    return main(["check-data", str(folder)])


def test_every_bad_file_is_named_and_no_other(mixed):
    folder, bad, odd = mixed
    found = check_data(folder)
    assert named(found, "unreadable") == sorted(bad)
    assert sorted(file for _, file, _ in found.bad) == sorted(bad)
    assert all(reason for _, _, reason in found.findings)
    assert found.classes == {"daisy": 5 + len(bad), "rose": 4 + len(odd)}
    assert found.images == 9 + len(bad) + len(odd)
    # Of what is read, format and mode are counted.
    assert sum(found.modes.values()) == 9 + len(odd)
    assert found.modes["PNG I;16"] == 1
    assert found.modes["JPEG CMYK"] == 1
    assert found.modes["MPO RGB"] == 1
    # one-pixel.jpg, and the two good classes of 40x48.
    assert (found.sizes[0], found.sizes[-1]) == (1, 60)


def test_odd_files_are_noted(mixed):
    folder, _, _ = mixed
    found = check_data(folder)
    assert named(found, "disguised") == ["rose/a-gif.JPEG", "rose/a-png.jpg"]
    assert named(found, "rotated") == ["rose/rotated.jpg"]
    assert named(found, "animated") == [
        "rose/film.gif",
        "rose/film.png",
        "rose/film.webp",
    ]
    # a-gif.JPEG sorts before its double.
    assert named(found, "duplicate") == ["rose/still.gif"]
    # What a training never looks at does not end the inspection.
    assert {"rose/bad-exif-late.jpg", "rose/cut-film.gif"} <= set(
        named(found, "damaged")
    )


def test_what_is_named_is_what_preparing_skips(mixed, tmp_path):
    folder, bad, odd = mixed
    train, test = load_examples(folder)
    assert len(train) + len(test) == check_data(folder).images
    facts = prepare_data(
        folder,
        tmp_path / "out",
        resize_pixels=32,
        max_bad_ratio=1,
        verbose=False,
    )
    skipped = [name.removeprefix(f"{folder}/") for name in facts["skipped"]]
    assert sorted(skipped) == sorted(bad)
    assert sum(facts["images"].values()) == 9 + len(odd)


def test_mutated_files_do_not_end_the_inspection(class_folders):
    folder = class_folders({"daisy": 1, "rose": 1})
    generator = random.Random(1)
    seeds = bad_files.fuzz_seeds()
    for number in range(1_500):
        name = f"{number:04}{generator.choice(['.jpg', '.png', '.gif'])}"
        data = bad_files.mutated(generator, seeds)
        (folder / "daisy" / name).write_bytes(data)
    found = check_data(folder)
    unreadable = set(named(found, "unreadable"))
    assert 100 < len(unreadable) < 1_400
    assert sum(found.modes.values()) == 1_502 - len(unreadable)


def test_good_folder_is_safe(class_folders):
    found = check_data(class_folders({"daisy": 2, "rose": 3}))
    assert found.findings == []
    assert found.classes == {"daisy": 2, "rose": 3}
    assert found.modes == {"PNG RGB": 5}
    assert found.sizes == (40, 40, 40)
    assert found.is_safe(0)
    assert "Found: nothing." in str(found)


def test_a_class_of_train_and_val_is_one(class_folders):
    folder = class_folders({"train/daisy": 2, "train/rose": 2, "val/daisy": 1})
    found = check_data(folder)
    assert set(found.classes) == {"train/daisy", "train/rose", "val/daisy"}
    assert str(found).startswith("5 images in 2 classes")


def test_empty_class_is_never_safe(class_folders):
    folder = class_folders({"daisy": 2, "rose": 2, "tulip": 0})
    (folder / "tulip" / "notes.txt").write_text("no image")
    found = check_data(folder)
    assert named(found, "empty class") == ["tulip"]
    assert not found.is_safe(1)


def test_ignored_files_are_no_images(class_folders):
    folder = class_folders({"daisy": 2, "rose": 2})
    (folder / "daisy" / "notes.txt").write_text("no image")
    tiff = bad_files.encoded(bad_files.picture(), "TIFF")
    (folder / "rose" / "scan.tiff").write_bytes(tiff)
    (folder / "rose" / ".hidden.jpg").write_text("no image")
    os.mkfifo(folder / "rose" / "pipe.jpg")
    found = check_data(folder)
    assert named(found, "ignored") == ["daisy/notes.txt"]
    # Their names say that they are images: they are told about, not passed
    # over, as a training does.
    assert named(found, "unreadable") == ["rose/pipe.jpg", "rose/scan.tiff"]
    assert len(found.findings) == 3
    assert found.images == 6
    assert not found.is_safe(0)


def test_duplicates_in_other_folders_are_found(class_folders):
    class_folders({"daisy": 2, "rose": 2}, "photos/train")
    folder = class_folders({"daisy": 0, "rose": 1}, "photos/test").parent
    shutil.copy(
        folder / "train" / "daisy" / "001.png",
        folder / "test" / "daisy" / "copy.png",
    )
    (folder / "test" / "rose" / "000.png").write_bytes(
        bad_files.encoded(bad_files.picture(seed=9), "PNG")
    )
    found = check_data(folder)
    # An image of the test that was trained on; which is named as the double
    # depends on the order of their paths only.
    ((kind, file, reason),) = found.findings
    assert kind == "duplicate"
    assert file == "train/daisy/001.png"
    assert reason == "is the same as test/daisy/copy.png"
    assert found.images == 6


def test_damage_that_libjpeg_continues_behind_is_noted(class_folders):
    folder = class_folders({"daisy": 2, "rose": 2})
    jpeg = bad_files.encoded(bad_files.picture(), "JPEG")
    scan = jpeg.find(b"\xff\xda")
    strewn = jpeg[:scan] + bytes(7) + jpeg[scan:]
    (folder / "rose" / "strewn.jpg").write_bytes(strewn)
    found = check_data(folder)
    ((kind, file, reason),) = found.findings
    assert (kind, file) == ("damaged", "rose/strewn.jpg")
    assert "7 extraneous bytes" in reason
    assert found.is_safe(0)


def test_is_safe_on_both_sides_of_the_ratio(class_folders):
    folder = class_folders({"daisy": 49, "rose": 50}, size=(4, 4))
    (folder / "daisy" / "bad.jpg").write_text("no image")
    found = check_data(folder)
    assert found.images == 100
    assert found.is_safe(0.01)  # exactly one of 100
    assert not found.is_safe(0.0099)
    assert not found.is_safe(0)
    (folder / "rose" / "bad.jpg").write_text("no image either")
    found = check_data(folder)
    assert not found.is_safe()  # 2 of 101, with the usual 0.01
    assert not found.is_safe(0.0198)
    assert found.is_safe(0.0199)


def test_nothing_is_not_safe(tmp_path):
    assert not check_data(tmp_path).is_safe(1)


def test_exit_codes(class_folders, capsys):
    folder = class_folders({"daisy": 3, "rose": 3})
    assert check(folder) == 0
    assert "6 images in 2 classes" in capsys.readouterr().out
    (folder / "rose" / "bad.jpg").write_text("no image")
    assert check(folder) == 1
    output = capsys.readouterr().out
    assert "rose/bad.jpg: is not an image" in output
    assert "would stop" in output
    assert main(["check-data", str(folder), "--max-bad-ratio", "0.2"]) == 0
    assert "would go through" in capsys.readouterr().out
    assert main(["check-data", str(folder), "--strict"]) == 1
    capsys.readouterr()
    assert check(folder / "nowhere") == 2
    captured = capsys.readouterr()
    assert "There is no folder" in captured.err
    assert not captured.out
    assert check(folder / "rose" / "bad.jpg") == 2


def test_json_lists_everything(mixed, capsys):
    folder, bad, odd = mixed
    assert main(["check-data", str(folder), "--format", "json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["root"] == str(folder)
    assert facts["images"] == 9 + len(bad) + len(odd)
    assert facts["bad"] == len(bad)
    assert facts["safe"] is False
    listed = [f["file"] for f in facts["findings"] if f["kind"] == "unreadable"]
    assert sorted(listed) == sorted(bad)
    assert facts["classes"]["rose"] == 4 + len(odd)
    again = json.loads(inspection.to_json(check_data(folder)))
    assert again == {k: v for k, v in facts.items() if k != "safe"}


def test_names_that_are_no_text_can_be_printed(class_folders, capsys):
    folder = class_folders({"daisy": 3, "rose": 3})
    # Latin-1 from an old archive; macOS refuses to write such a name.
    try:
        with open(os.fsencode(folder / "rose") + b"/g\xe4nse.jpg", "w"):
            pass
    except OSError:
        pytest.skip("the file system wants UTF-8")
    assert check(folder) == 1
    assert "nse.jpg: is empty" in capsys.readouterr().out
    assert main(["check-data", str(folder), "--format", "json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert os.fsencode(facts["findings"][0]["file"]) == b"rose/g\xe4nse.jpg"
    # Standard output that refuses what cannot be encoded, as it usually does.
    str(check_data(folder)).encode("utf-8")


def test_names_do_nothing_to_a_terminal(class_folders, capsys):
    folder = class_folders({"daisy": 3, "rose": 3})
    names = {
        "a\nb.jpg": r"a\nb.jpg",
        "\x1b]0;title\x07\x1b[2J.png": r"\x1b]0;title\x07\x1b[2J.png",
        "\x9b31m.png": r"\x9b31m.png",
        "gpj.\u202e.gif": r"gpj.\u202e.gif",
        "\r\t\x7f.txt": r"\r\t\x7f.txt",
        "\u732b \xe4\u3000\U0001f431.gif": "\u732b \xe4\u3000\U0001f431.gif",
        "[red][-].gif": "[red][-].gif",
    }
    for name in names:
        (folder / "rose" / name).touch()
    (folder / "empty\x1b[1m\n").mkdir()
    assert check(folder) == 1
    output = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", output)
    for shown in names.values():
        assert f"rose/{shown}: is " in output
    assert r"empty class  empty\x1b[1m\n: holds no image files" in output
    assert len(output.splitlines()) == 6 + len(names) + 1
    assert main(["check-data", str(folder), "--format", "json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    files = {found["file"] for found in facts["findings"]}
    assert files == {f"rose/{name}" for name in names} | {"empty\x1b[1m\n"}
    # The other commands that name files.
    (folder / "empty\x1b[1m\n").rmdir()
    words = ["prepare-data", str(folder), str(folder.parent / "out")]
    assert main([*words, "--max-bad-ratio", "0.9"]) == 0
    errors = capsys.readouterr().err
    assert errors.count("skipped rose/") == 6
    assert r"skipped rose/a\nb.jpg: is empty" in errors.splitlines()


def test_prepared_folder_is_verified(class_folders, tmp_path, capsys):
    folder = class_folders({"daisy": 5, "rose": 10})
    out = tmp_path / "prepared"
    prepare_data(folder, out, resize_pixels=32, verbose=False)
    found = check_data(out)
    assert found.findings == []
    assert found.classes == {"daisy": 5, "rose": 10}
    assert found.is_safe(0)
    assert check(out) == 0
    for shard in sorted(out.glob("t*-*.npy")):
        whole = shard.read_bytes()
        # A byte of the pixels, in the middle and at the end.
        for place in (len(whole) // 2, len(whole) - 1):
            data = bytearray(whole)
            data[place] ^= 1
            shard.write_bytes(data)
            found = check_data(out)
            assert named(found, "damaged shard") == [shard.name]
            assert not found.is_safe(1)
            capsys.readouterr()
            assert check(out) == 1
            assert shard.name in capsys.readouterr().out
        shard.unlink()
        assert named(check_data(out), "damaged shard") == [shard.name]
        shard.write_bytes(whole)
    assert check(out) == 0


def test_the_command_ends_with_the_verdict(tmp_path, class_folders, capsys):
    good = class_folders({"a": 3, "b": 2}, "good")
    assert main(["check-data", str(good)]) in (0, None)
    assert "would go through" in capsys.readouterr().out
    bad = class_folders({"a": 3, "b": 2}, "bad")
    for path in (bad / "b").iterdir():
        path.unlink()
    assert main(["check-data", str(bad)]) == 1
    assert "would stop" in capsys.readouterr().out
