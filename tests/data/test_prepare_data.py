"""Photos resized once: what is written is what Pillow and NumPy compute."""

import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
import tensorflow as tf
from movement import apart
from PIL import Image

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.data import prepare_data as preparation
from keras_alexnet.data.datasets import load_examples
from keras_alexnet.data.shards import read_colors
from keras_alexnet.data.skipped_files import SkippedFiles
from keras_alexnet.files import LOCK
from keras_alexnet.files import locked
from keras_alexnet.runs.recipes import get_recipe

FLOWERS = (
    pathlib.Path(__file__).parents[3]
    / "shared"
    / "data"
    / "flower_photos_256.tar"
)
PIXELS = 24
QUIET = {"resize_pixels": PIXELS, "verbose": False}
# Upright, broad, square, odd, tiny (enlarged), and of the size asked for.
SIZES = [(40, 30), (33, 71), (35, 35), (51, 38), (9, 14), (24, 31), (24, 24)]


def picture(generator, height, width):
    """A smooth image, which JPEG keeps, of random colors."""
    small = generator.integers(0, 256, (4, 5, 3), "uint8")
    return Image.fromarray(small).resize((width, height), Image.BICUBIC)


def write_photos(folder, counts, sizes=SIZES, seed=0):
    """JPEG files, some gray, and PNG files: {class name: count} -> folder."""
    generator = np.random.default_rng(seed)
    sizes = itertools.cycle(sizes)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            photo = picture(generator, *next(sizes))
            if number % 5 == 4:
                photo = photo.convert("L")
            ending = "png" if number % 4 == 3 else "jpg"
            photo.save(folder / name / f"{number:03}.{ending}", quality=90)
    return folder


@pytest.fixture
def photos(tmp_path):
    """A folder with `train` and `val`."""
    folder = tmp_path / "photos"
    write_photos(folder / "train", {"daisy": 12, "rose": 9, "tulip": 7})
    write_photos(folder / "val", {"daisy": 4, "rose": 5, "tulip": 3}, seed=1)
    return folder


@pytest.fixture
def small_shards(monkeypatch):
    """Several shards of a few images."""
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 8)


def resized(image, pixels, square):
    """What is expected, by Pillow alone."""
    if not isinstance(image, Image.Image):
        with Image.open(image) as file:
            image = file.convert("RGB")
    width, height = image.size
    if width <= height:
        size = (pixels, int(pixels * height / width))
    else:
        size = (int(pixels * width / height), pixels)
    image = image.resize(size, Image.BILINEAR)
    if square:
        left, top = (round((side - pixels) / 2) for side in size)
        image = image.crop((left, top, left + pixels, top + pixels))
    return np.asarray(image.convert("RGB"))


def contents(folder):
    """Name -> bytes of all files, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stored(out, split):
    """The images, labels and paths of a split, without our own reader."""
    facts = json.loads((out / "dataset.json").read_text())
    images, labels, paths = [], [], []
    for name in facts["shards"][split]:
        index = json.loads((out / f"{name}.json").read_text())
        pixels = np.load(out / f"{name}.npy")
        assert pixels.dtype == np.uint8
        data = (out / f"{name}.npy").read_bytes()
        assert index["sha256"] == hashlib.sha256(data).hexdigest()
        shapes = zip(index["heights"], index["widths"], strict=True)
        row, start = pixels.reshape(-1), 0
        for height, width in shapes:
            end = start + 3 * height * width
            images.append(row[start:end].reshape(height, width, 3))
            start = end
        assert start == len(row)
        labels += index["labels"]
        paths += index["paths"]
    return images, labels, paths


def flowers(folder, per_class):
    """Some photos of each class, of `train` and of `val`."""
    if not FLOWERS.exists():
        pytest.skip(f"{FLOWERS} is not there")
    counts = {}
    with tarfile.open(FLOWERS) as archive:
        for member in archive:
            place = os.path.dirname(member.name)
            if member.isfile() and counts.get(place, 0) < per_class:
                counts[place] = counts.get(place, 0) + 1
                archive.extract(member, folder, filter="data")
    (train,) = folder.rglob("train")
    return train.parent


def assert_same_batches(batches, expected, tolerance=0):
    for one, two in zip(batches, expected, strict=True):
        (images, *rest), labels, weights = one
        (expected_images, *expected_rest), *others = two
        difference = images.numpy().astype(int) - expected_images.numpy()
        assert np.abs(difference).max() <= tolerance
        for a, b in zip(
            (*rest, labels, weights), (*expected_rest, *others), strict=True
        ):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("square", [True, False])
def test_shards_are_what_pillow_computes(
    photos, tmp_path, small_shards, square
):
    out = tmp_path / "out"
    facts = ka.prepare_data(photos, out, square=square, **QUIET)
    assert json.dumps(facts) == json.dumps(
        json.loads((out / "dataset.json").read_text())
    )
    assert facts["class_names"] == ["daisy", "rose", "tulip"]
    assert facts["images"] == {"train": 28, "test": 12}
    assert facts["skipped"] == {}
    assert [len(facts["shards"][s]) for s in ("train", "test")] == [4, 2]
    for split, folder in (("train", "train"), ("test", "val")):
        files = sorted((photos / folder).rglob("*.*"))
        images, labels, paths = stored(out, split)
        assert paths == [os.path.relpath(file, photos) for file in files]
        names = [facts["class_names"][label] for label in labels]
        assert names == [file.parent.name for file in files]
        for image, file in zip(images, files, strict=True):
            expected = resized(file, PIXELS, square)
            np.testing.assert_array_equal(image, expected)
    if square:  # images of one size are stacked
        shape = np.load(out / "train-00000.npy").shape
        assert shape == (8, PIXELS, PIXELS, 3)


def assert_trained_and_tested_alike(source, out, square, **sizes):
    train, test = load_examples(source)
    examples = load_examples(out)
    assert all(e.are_prepared for e in examples)
    for ours, theirs in zip(examples, (train, test), strict=True):
        assert ours.class_names == theirs.class_names
        assert_same_batches(
            ka.evaluation_batches(ours, batch_size=5, **sizes),
            ka.evaluation_batches(theirs, batch_size=5, **sizes),
        )
    both = [
        ka.training_batches(
            e, batch_size=5, seed=3, square=square, color_noise=0.1, **sizes
        ).take(2 * -(-len(train) // 5))
        for e in (examples[0], train)
    ]
    assert_same_batches(*both, tolerance=1)


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize("crop_pixels", [17, 24])
def test_training_sees_the_same_images(
    photos, tmp_path, small_shards, square, crop_pixels
):
    out = tmp_path / "out"
    ka.prepare_data(photos, out, square=square, **QUIET)
    assert_trained_and_tested_alike(
        photos, out, square, resize_pixels=PIXELS, crop_pixels=crop_pixels
    )


@pytest.mark.parametrize("square", [True, False])
def test_real_photos(tmp_path, square):
    source = flowers(tmp_path / "photos", 6)
    out = tmp_path / "out"
    facts = ka.prepare_data(
        source, out, resize_pixels=64, square=square, verbose=False
    )
    assert facts["images"] == {"train": 30, "test": 30}
    images, _, paths = stored(out, "train")
    for image, path in zip(images, paths, strict=True):
        expected = resized(source / path, 64, square)
        np.testing.assert_array_equal(image, expected)
    assert_trained_and_tested_alike(
        source, out, square, resize_pixels=64, crop_pixels=57
    )


def test_the_same_part_is_held_out_as_of_the_folder(tmp_path):
    source = write_photos(tmp_path / "photos", {"daisy": 10, "rose": 15})
    out = tmp_path / "out"
    options = {"validation_fraction": 0.4, "seed": 5}
    facts = ka.prepare_data(source, out, **options, **QUIET)
    assert facts["images"] == {"train": 15, "test": 10}
    for split, examples in zip(
        ("train", "test"), load_examples(source, **options), strict=True
    ):
        paths = [str(source / path) for path in stored(out, split)[2]]
        assert paths == examples.images.tolist()


@pytest.mark.parametrize("square", [True, False])
def test_colors(photos, tmp_path, small_shards, square):
    """Of the central squares of the training images, whatever is kept."""
    out = tmp_path / "out"
    facts = ka.prepare_data(photos, out, square=square, **QUIET)
    files = sorted((photos / "train").rglob("*.*"))
    squares = np.stack([resized(f, PIXELS, True) for f in files])
    mean_image = np.load(out / "mean_image.npy")
    assert mean_image.dtype == np.float32
    np.testing.assert_allclose(
        mean_image, squares.mean(axis=0, dtype="float64"), rtol=1e-6
    )
    flat = squares.reshape(-1, 3).astype("float64")
    color = facts["color"]
    np.testing.assert_allclose(color["mean"], flat.mean(axis=0), rtol=1e-9)
    covariance = np.cov(flat.T, bias=True)
    components = np.array(color["components"])
    variances = np.square(color["deviations"])
    np.testing.assert_allclose(components @ components.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(
        components.T @ np.diag(variances) @ components, covariance, rtol=1e-6
    )
    statistics, image = read_colors(out)
    assert statistics.mean == tuple(color["mean"])
    np.testing.assert_array_equal(image, mean_image)


@pytest.mark.parametrize("square", [True, False])
def test_a_second_time_changes_nothing(photos, tmp_path, small_shards, square):
    out = tmp_path / "out"
    facts = ka.prepare_data(photos, out, square=square, **QUIET)
    before = contents(out)
    assert [name for name in before if name.startswith(".")] == [LOCK]
    times = {path: path.stat().st_mtime_ns for path in out.glob("*-0*")}
    assert len(times) == 12  # six shards, two files each
    again = ka.prepare_data(photos, out, square=square, **QUIET)
    assert again == facts
    assert contents(out) == before
    assert {p: p.stat().st_mtime_ns for p in times} == times


def flip_bit(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def drop_reason(path):
    index = json.loads(path.read_text())
    del index["skipped"]
    path.write_text(json.dumps(index))


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize(
    "damage",
    [
        lambda out: (out / "train-00001.npy").unlink(),
        lambda out: (out / "train-00001.json").unlink(),
        lambda out: (out / "dataset.json").unlink(),
        lambda out: (out / "mean_image.npy").unlink(),
        lambda out: os.truncate(out / "train-00001.npy", 0),
        lambda out: os.truncate(out / "train-00001.npy", 999),
        lambda out: os.truncate(out / "train-00001.json", 0),
        lambda out: os.truncate(out / "train-00001.json", 40),
        lambda out: flip_bit(out / "train-00001.npy", -1),
        lambda out: flip_bit(out / "train-00001.npy", 9),
        # Of the checksum itself.
        lambda out: flip_bit(out / "train-00001.json", -5),
        lambda out: drop_reason(out / "train-00001.json"),
    ],
)
def test_what_is_damaged_is_written_again(
    photos, tmp_path, small_shards, square, damage
):
    out = tmp_path / "out"
    ka.prepare_data(photos, out, square=square, **QUIET)
    before = contents(out)
    untouched = out / "train-00000.npy"
    written = untouched.stat().st_mtime_ns
    damage(out)
    assert contents(out) != before
    ka.prepare_data(photos, out, square=square, **QUIET)
    assert contents(out) == before
    assert untouched.stat().st_mtime_ns == written


@pytest.mark.parametrize("key", ["labels", "heights", "paths"])
def test_a_wrong_number_in_an_index_is_found(
    photos, tmp_path, small_shards, key
):
    """An index has no checksum of its own."""
    out = tmp_path / "out"
    ka.prepare_data(photos, out, square=False, **QUIET)
    before = contents(out)
    path = out / "test-00001.json"
    index = json.loads(path.read_text())
    index[key][1] = index[key][0] if key == "paths" else index[key][1] + 1
    path.write_text(json.dumps(index))
    ka.prepare_data(photos, out, square=False, **QUIET)
    assert contents(out) == before


COMMAND = """
import sys
from keras_alexnet.cli.main import main
from keras_alexnet.data import prepare_data
prepare_data.SHARD_IMAGES = 16
sys.exit(main(["prepare-data", sys.argv[1], sys.argv[2]]))
"""


def start(source, out):
    """The command, when it has been through Python's own start."""
    claim = out / "prepared_from.json"
    before = claim.stat().st_ino if claim.exists() else None
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, source, out],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        if claim.exists() and claim.stat().st_ino != before:
            break
        time.sleep(0.001)
    return process


def test_ten_kills_leave_no_trace(tmp_path):
    """As of a machine that goes down again and again."""
    source = tmp_path / "photos"
    write_photos(source, {"daisy": 200, "rose": 200}, [(300, 400)])
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    process = start(source, undisturbed)
    began = time.monotonic()
    assert process.wait() == 0
    work = time.monotonic() - began
    expected = contents(undisturbed)
    assert sum(name.endswith(".npy") for name in expected) == 26
    chance, killed, unfinished = random.Random(0), 0, 0
    for _ in range(10):
        process = start(source, out)
        # A part each: what was done is not done again.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, work / 4))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        unfinished += not (out / "dataset.json").exists()
        for path in out.glob("[!.]*"):  # whatever has its name is whole
            assert path.read_bytes() == expected[path.name]
    assert killed >= 3
    assert unfinished >= 2
    assert start(source, out).wait() == 0
    assert contents(out) == expected


def test_what_a_kill_left_is_removed(photos, tmp_path):
    out = tmp_path / "out"
    ka.prepare_data(photos, out, **QUIET)
    before = contents(out)
    for name in before:
        temporary = f".keras_alexnet-{2**22 + 1}-0123abcd.{name}"
        (out / temporary).write_bytes(b"half of i")
    ka.prepare_data(photos, out, **QUIET)
    assert contents(out) == before
    # Of the first moments, too, when nothing else is there yet.
    first = tmp_path / "first"
    first.mkdir()
    (first / f".keras_alexnet-{2**22 + 1}-0123abcd.prepared_from.json").touch()
    ka.prepare_data(photos, first, **QUIET)
    assert contents(first) == before


def refused(capsys, source, out, *options, **kwargs):
    """The sentence of the ValueError, which the command says too."""
    with pytest.raises(ValueError) as caught:
        ka.prepare_data(source, out, **{**QUIET, **kwargs})
    sentence = str(caught.value)
    assert "\n" not in sentence
    arguments = ["--resize-pixels", str(kwargs.get("resize_pixels", PIXELS))]
    capsys.readouterr()
    words = ["prepare-data", str(source), str(out), *arguments, *options]
    assert main(words) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert f"keras-alexnet: {sentence}" in output.err.splitlines()
    assert "Traceback" not in output.err
    return sentence


def test_a_folder_of_something_else_is_refused(photos, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("irreplaceable")
    sentence = refused(capsys, photos, out)
    assert "out' is not empty, and holds no shards" in sentence
    assert contents(out) == {"thesis.tex": b"irreplaceable"}
    sentence = refused(capsys, photos, out / "thesis.tex")
    assert "thesis.tex' is not a folder" in sentence
    sentence = refused(capsys, photos, photos)
    assert "photos' is not empty" in sentence


def test_an_empty_folder_is_taken(photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "link").symlink_to(out)
    ka.prepare_data(photos, tmp_path / "link", **QUIET)
    assert load_examples(out)[0].are_prepared


def state(folder):
    """Everything in a folder, with the times, its own too."""
    return {
        path.relative_to(folder): (
            path.lstat().st_mtime_ns,
            path.lstat().st_ino,
            path.read_bytes() if path.is_file() else None,
        )
        for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".notes.json", "{}"),
        (".thesis.npy", "irreplaceable"),
        (".abcd1234.train-00000.npy", "irreplaceable"),
        (".DS_Store", ""),
        (".git", None),
        ("link", "/nowhere"),
        (".keras_alexnet-1-0123abcd.dataset.json", "/nowhere"),
        ("dataset.json", '{"format": "mine"}'),
        ("dataset.json", "[" * 100_000),
        ("mean_image.npy", "mine"),
        ("train-00000.npy", "mine"),
        ("train-00000.json", "mine"),
        ("prepared_from.json", "mine"),
        ("prepared_from.json", '{"sha256": "mine"}'),
        ("prepared_from.json", "[]"),
        ("prepared_from.json", "/nowhere"),
    ],
)
def test_nothing_is_written_beside_what_is_not_ours(
    photos, tmp_path, capsys, name, content
):
    out = tmp_path / "out"
    out.mkdir()
    if content is None:
        (out / name).mkdir()
    elif content.startswith("/"):
        (out / name).symlink_to(content)
    else:
        (out / name).write_text(content)
    before = state(out)
    sentence = refused(capsys, photos, out)
    assert "out' is not empty, and holds no shards" in sentence
    assert state(out) == before


def test_files_beside_a_set_stay(photos, tmp_path, small_shards):
    out = tmp_path / "out"
    ka.prepare_data(photos, out, **QUIET)
    expected = contents(out)
    own = {
        ".notes.json": b"{}",
        ".original.train-00000.npy": b"mine",
        "train-00099.npy": b"mine",
        "train-00098.json": b"[1, 2]",
        "train-00001.jpg": b"mine",
    }
    for name, content in own.items():
        (out / name).write_bytes(content)
    for damaged in ("train-00001.npy", "dataset.json"):
        (out / damaged).unlink()
        ka.prepare_data(photos, out, **QUIET)
        assert contents(out) == {**expected, **own}


def test_what_a_newer_version_wrote_is_refused(photos, tmp_path, capsys):
    out = tmp_path / "out"
    ka.prepare_data(photos, out, **QUIET)
    recipe = get_recipe("smoke", data=str(out))
    for name in ("dataset.json", "prepared_from.json"):
        facts = {"format": "keras_alexnet shards, version 2", "new": [1]}
        (out / name).write_text(json.dumps(facts))
        before = state(out)
        sentence = refused(capsys, photos, out)
        assert f"{name}' was written by a newer keras_alexnet" in sentence
        assert state(out) == before
        assert main(["check-data", str(out)]) == 2
        assert "by a newer keras_alexnet" in capsys.readouterr().err
        with pytest.raises(ValueError, match="by a newer keras_alexnet"):
            ka.train(recipe, tmp_path / "run", verbose=0)
        (out / "dataset.json").write_text(json.dumps(facts))


def test_two_at_once_are_refused(photos, tmp_path, capsys):
    out = tmp_path / "out"
    with locked(out):
        sentence = refused(capsys, photos, out)
        assert "Another preparation is writing into" in sentence
        assert os.listdir(out) == [LOCK]
    ka.prepare_data(photos, out, **QUIET)


def test_a_place_among_the_images_is_refused(photos, tmp_path, capsys):
    before = state(photos)
    for out in (
        photos / "train" / "prepared",
        photos / "train" / "rose" / "a" / "b",
        photos / "test",
        photos / "val" / ".prepared",
        photos / "val" / ".." / "train" / "prepared",
    ):
        assert "lies in" in refused(capsys, photos, out)
    (tmp_path / "link").symlink_to(photos / "train")
    sentence = refused(capsys, photos / "train", tmp_path / "link" / "out")
    assert "link/out' lies in" in sentence
    assert "is not empty" in refused(capsys, photos, tmp_path)
    assert state(photos) == before
    # Beside `train` and `val` it is none of the folders that are read.
    for _ in range(2):
        ka.prepare_data(photos, photos / "prepared", **QUIET)


def test_other_options_and_images_are_refused(photos, tmp_path, capsys):
    out = tmp_path / "out"
    ka.prepare_data(photos, out, **QUIET)
    before = contents(out)
    text = "out' holds the shards of other images or options"
    assert text in refused(capsys, photos, out, resize_pixels=25)
    assert text in refused(capsys, photos, out, "--whole", square=False)
    extra = photos / "train" / "rose" / "999.png"
    Image.new("RGB", (30, 30)).save(extra)
    assert text in refused(capsys, photos, out)
    extra.unlink()
    changed = photos / "val" / "rose" / "000.jpg"
    data = changed.read_bytes()
    changed.write_bytes(data + b"\0")  # another size
    assert text in refused(capsys, photos, out)
    changed.write_bytes(data)
    moved = changed.rename(photos / "val" / "tulip" / "777.jpg")
    assert text in refused(capsys, photos, out)
    moved.rename(changed)
    assert contents(out) == before
    ka.prepare_data(photos, out, **QUIET)
    # What it was made from can no longer be told.
    for damaged in ("", "{}", "[]", '{"sha'):
        (out / "prepared_from.json").write_text(damaged)
        assert text in refused(capsys, photos, out)


def swap(photos):
    names = [photos / "train" / "rose" / f"00{i}.jpg" for i in (0, 1)]
    one, two = (path.read_bytes() for path in names)
    names[0].write_bytes(two)
    names[1].write_bytes(one)


def replace_by_one_of_the_same_size(photos):
    path = photos / "val" / "tulip" / "000.jpg"
    times = path.stat()
    flip_bit(path, -20)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def make_unreadable(photos):
    path = photos / "train" / "daisy" / "002.jpg"
    path.write_bytes(b"x" * path.stat().st_size)


def rename(photos):
    path = photos / "train" / "tulip" / "000.jpg"
    path.rename(path.with_name("999.jpg"))


@pytest.mark.parametrize(
    "change", [swap, replace_by_one_of_the_same_size, make_unreadable, rename]
)
def test_photos_that_changed(photos, tmp_path, capsys, small_shards, change):
    out = tmp_path / "out"
    options = {"max_bad_ratio": 0.1, **QUIET}
    ka.prepare_data(photos, out, **options)
    original = shutil.copytree(photos, tmp_path / "original")
    change(photos)
    before = state(out)
    text = "out' holds the shards of other images or options"
    assert text in refused(capsys, photos, out)
    assert {p: s[2] for p, s in state(out).items()} == {
        p: s[2] for p, s in before.items()
    }
    assert ka.prepare_data(original, out, **options)
    # What was unfinished is that of the photos as they are now, or refused.
    (out / "dataset.json").unlink()
    if change is rename:
        assert text in refused(capsys, photos, out)
        return
    ka.prepare_data(photos, out, **options)
    ka.prepare_data(photos, tmp_path / "straight", **options)
    assert contents(out) == contents(tmp_path / "straight")


def test_a_file_that_was_bad_and_is_mended_is_other(photos, tmp_path, capsys):
    path = photos / "train" / "daisy" / "002.jpg"
    good = path.read_bytes()
    path.write_bytes(b"x" * len(good))
    out = tmp_path / "out"
    options = {"max_bad_ratio": 0.1, **QUIET}
    assert len(ka.prepare_data(photos, out, **options)["skipped"]) == 1
    path.write_bytes(b"y" * len(good))
    assert "of other images" in refused(capsys, photos, out, max_bad_ratio=1)
    path.write_bytes(good)
    assert "of other images" in refused(capsys, photos, out, max_bad_ratio=1)


def test_digests_are_those_of_the_files(bad_photos, tmp_path, small_shards):
    source, bad = bad_photos
    out = tmp_path / "out"
    ka.prepare_data(source, out, max_bad_ratio=0.1, **QUIET)
    told = {}
    for examples in load_examples(out):
        shards = examples.images
        told.update(zip(shards.paths, shards.digests, strict=True))
    assert len(told) == 40
    for index in out.glob("*-0*.json"):
        told |= json.loads(index.read_text())["skipped_digests"]
    assert set(bad) < set(told)
    for path, digest in told.items():
        if path == "train/daisy/b.jpg":  # there is no such file
            assert digest == ""
            continue
        data = (source / path).read_bytes()
        assert digest == hashlib.sha256(data).hexdigest()


def test_another_split_is_refused(tmp_path, capsys):
    source = write_photos(tmp_path / "photos", {"daisy": 10, "rose": 10})
    out = tmp_path / "out"
    ka.prepare_data(source, out, **QUIET)
    text = "holds the shards of other images or options"
    assert text in refused(capsys, source, out, "--seed", "1", seed=1)
    options = ("--validation-fraction", "0.5")
    assert text in refused(
        capsys, source, out, *options, validation_fraction=0.5
    )


def test_unusable_sources_are_refused(photos, tmp_path, capsys):
    out = tmp_path / "out"
    sentence = refused(capsys, "/nowhere", out)
    assert "There is no folder '/nowhere'" in sentence
    (tmp_path / "empty").mkdir()
    assert "holds 0 folders" in refused(capsys, tmp_path / "empty", out)
    assert not out.exists()
    ka.prepare_data(photos, out, **QUIET)
    assert "out' is prepared already" in refused(capsys, out, tmp_path / "two")
    assert not (tmp_path / "two").exists()


def test_a_place_that_cannot_be_written_is_refused(photos, tmp_path, capsys):
    (tmp_path / "file").touch()
    sentence = refused(capsys, photos, tmp_path / "file" / "out")
    assert "cannot be written" in sentence
    if os.getuid():  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        sentence = refused(capsys, photos, tmp_path / "locked" / "out")
        assert "cannot be written: Permission denied" in sentence


@pytest.fixture
def bad_photos(photos):
    """Four of 44 are bad -> the folder, and what is wrong with each."""
    (photos / "train" / "daisy" / "a.jpg").write_bytes(b"")
    (photos / "train" / "daisy" / "b.jpg").symlink_to("/nowhere.jpg")
    (photos / "train" / "tulip" / "z.png").write_bytes(b"not an image")
    png = (photos / "train" / "daisy" / "003.png").read_bytes()
    (photos / "val" / "rose" / "c.png").write_bytes(png[: len(png) // 2])
    return photos, {
        "train/daisy/a.jpg": "is empty",
        "train/daisy/b.jpg": "there is no such file",
        "train/tulip/z.png": "is not an image",
        "val/rose/c.png": "cannot be decoded",
    }


def test_bad_files_are_skipped_and_listed(bad_photos, tmp_path, small_shards):
    source, bad = bad_photos
    out = tmp_path / "out"
    facts = ka.prepare_data(source, out, max_bad_ratio=4 / 44, **QUIET)
    assert facts["images"] == {"train": 28, "test": 12}
    assert facts["skipped"].keys() == bad.keys()
    for file, reason in bad.items():
        assert facts["skipped"][file].startswith(reason)
    for split in ("train", "test"):
        images, labels, paths = stored(out, split)
        assert not set(paths) & set(bad)
        for image, label, path in zip(images, labels, paths, strict=True):
            expected = resized(source / path, PIXELS, True)
            np.testing.assert_array_equal(image, expected)
            name = pathlib.PurePath(path).parent.name
            assert facts["class_names"][label] == name
    # Also after a second time, which finds them in the shards.
    before = contents(out)
    assert ka.prepare_data(source, out, max_bad_ratio=0.5, **QUIET) == facts
    assert contents(out) == before
    # A test from the folder leaves out the same.
    _, test = load_examples(source)
    skipped = SkippedFiles(len(test), 0.5)
    sizes = {"resize_pixels": PIXELS, "crop_pixels": PIXELS}
    read = []
    for (images, *_), _, weights in ka.evaluation_batches(
        test, batch_size=8, skipped=skipped, **sizes
    ):
        read += list(images.numpy()[weights.numpy() > 0])
    np.testing.assert_array_equal(read, stored(out, "test")[0])


def test_too_many_bad_files_are_refused(
    bad_photos, tmp_path, small_shards, capsys
):
    source, bad = bad_photos
    out = tmp_path / "out"
    sentence = refused(capsys, source, out)
    assert "of 44 images cannot be used, more than the 1 %" in sentence
    assert "train/daisy/a.jpg is empty" in sentence
    sentence = refused(capsys, source, out, "--strict", max_bad_ratio=0)
    assert "more than the 0 %" in sentence
    ratio = 3 / 44  # one less than there are
    options = ("--max-bad-ratio", str(ratio))
    sentence = refused(capsys, source, out, *options, max_bad_ratio=ratio)
    assert "4 of 44 images cannot be used" in sentence
    assert not (out / "dataset.json").exists()
    # The shards that are there are good, and are used.
    words = ["prepare-data", str(source), str(out), "--resize-pixels", "24"]
    assert main([*words, "--max-bad-ratio", "0.2"]) == 0
    output = capsys.readouterr()
    assert "28 training and 12 test images of 3 classes" in output.out
    assert "4 were skipped" in output.out
    assert "skipped train/daisy/a.jpg: is empty" in output.err
    straight = tmp_path / "straight"
    ka.prepare_data(source, straight, max_bad_ratio=0.2, **QUIET)
    assert contents(out) == contents(straight)


def test_file_names_need_not_be_utf8(photos, tmp_path):
    (photos / "val" / "rose" / "\udce4.jpg").touch()
    good = photos / "val" / "tulip" / "000.jpg"
    good.rename(good.with_name("\udcf6.jpg"))
    out = tmp_path / "out"
    for _ in range(2):
        facts = ka.prepare_data(photos, out, max_bad_ratio=0.1, **QUIET)
        assert facts["skipped"] == {"val/rose/\udce4.jpg": "is empty"}
        assert "val/tulip/\udcf6.jpg" in stored(out, "test")[2]


def test_a_shard_of_bad_files_only(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 4)
    source = write_photos(tmp_path / "photos" / "train", {"a": 8, "b": 8})
    write_photos(tmp_path / "photos" / "test", {"a": 2, "b": 2})
    for number in range(4, 8):
        for path in (source / "a").glob(f"{number:03}.*"):
            path.write_bytes(b"")
    out = tmp_path / "out"
    options = {"max_bad_ratio": 0.5, **QUIET}
    facts = ka.prepare_data(source.parent, out, **options)
    assert facts["images"] == {"train": 12, "test": 4}
    assert len(facts["skipped"]) == 4
    before = contents(out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("*-0*")}
    ka.prepare_data(source.parent, out, **options)
    assert contents(out) == before
    assert {p: p.stat().st_mtime_ns for p in times} == times
    train, _ = load_examples(out)
    assert [image.shape for image in train.images] == [(24, 24, 3)] * 12


def test_bad_files_alone_are_refused(tmp_path):
    for name in "abcd":
        path = tmp_path / "photos" / name[0] / "1.jpg"
        path.parent.mkdir(parents=True)
        path.touch()
        path.with_name("2.jpg").touch()
    with pytest.raises(ValueError, match="no images to train on"):
        ka.prepare_data(
            tmp_path / "photos", tmp_path / "out", max_bad_ratio=1, **QUIET
        )


def noise(count, *shape):
    generator = np.random.default_rng(count)
    return generator.integers(0, 256, (count, *shape), "uint8")


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1), (24, 27, 3)])
def test_examples_in_memory(tmp_path, small_shards, shape):
    images, labels = noise(20, *shape), np.arange(20) % 2
    examples = ka.Examples(images, labels, ("a", "b"))
    out = tmp_path / "out"
    facts = ka.prepare_data(examples, out, **QUIET)
    assert facts["class_names"] == ["a", "b"]
    assert facts["images"] == {"train": 20, "test": 0}
    written, again, paths = stored(out, "train")
    assert again == labels.tolist()
    assert paths == [str(number) for number in range(20)]
    for image, source in zip(written, images, strict=True):
        photo = Image.fromarray(source.squeeze()).convert("RGB")
        np.testing.assert_array_equal(image, resized(photo, PIXELS, True))
    before = contents(out)
    ka.prepare_data(examples, out, **QUIET)
    assert contents(out) == before
    other = ka.Examples(images[::-1], labels, ("a", "b"))
    with pytest.raises(ValueError, match="shards of other images"):
        ka.prepare_data(other, out, **QUIET)


def test_a_pair_of_examples(tmp_path):
    train = ka.Examples(noise(6, 24, 24, 3), np.arange(6) % 2, ("a", "b"))
    test = ka.Examples(noise(4, 24, 24), [1, 1, 0, 0], ("a", "b"))
    out = tmp_path / "out"
    facts = ka.prepare_data({"train": train, "test": test}, out, **QUIET)
    assert facts["images"] == {"train": 6, "test": 4}
    ours = load_examples(out)
    np.testing.assert_array_equal(np.stack(list(ours[0].images)), train.images)
    gray = np.stack(list(ours[1].images))
    expected = np.repeat(test.images[..., None], 3, axis=-1)
    np.testing.assert_array_equal(gray, expected)
    assert ours[1].labels.tolist() == [1, 1, 0, 0]
    for wrong in (
        {"train": train},
        {"train": train, "validation": test},
        {"train": train, "test": ka.Examples(test.images, [0] * 4, ("a",))},
    ):
        with pytest.raises(ValueError, match="keys 'train' and 'test', and"):
            ka.prepare_data(wrong, tmp_path / "wrong", **QUIET)


def test_examples_of_a_prepared_folder(photos, tmp_path):
    """Smaller ones from larger ones, without the photos."""
    ka.prepare_data(photos, tmp_path / "out", **QUIET)
    train, test = load_examples(tmp_path / "out")
    smaller = tmp_path / "smaller"
    for source in (train, {"train": train, "test": test}):
        out = smaller / type(source).__name__
        ka.prepare_data(source, out, resize_pixels=16, verbose=False)
        images, labels, _ = stored(out, "train")
        assert labels == train.labels.tolist()
        for image, larger in zip(images, train.images, strict=True):
            expected = resized(Image.fromarray(larger), 16, True)
            np.testing.assert_array_equal(image, expected)


def pairs():
    """Images of many sizes, gray and RGB, and labels."""
    generator = np.random.default_rng(0)
    for number, (height, width) in enumerate(SIZES * 3):
        image = np.asarray(picture(generator, height, width))
        yield (image[..., 0] if number % 3 == 1 else image), number % 2


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize("kind", ["generator", "list", "tf.data"])
def test_what_yields_pairs(tmp_path, small_shards, kind, square):
    def source():
        if kind == "generator":
            return pairs()
        if kind == "list":
            return list(pairs())
        return tf.data.Dataset.from_generator(
            pairs,
            output_signature=(
                tf.TensorSpec(None, tf.uint8),
                tf.TensorSpec((), tf.int64),
            ),
        )

    out = tmp_path / "out"
    options = {"class_names": "ab", "square": square, **QUIET}
    facts = ka.prepare_data(source(), out, **options)
    assert facts["images"] == {"train": 21, "test": 0}
    assert facts["class_names"] == ["a", "b"]
    images, labels, _ = stored(out, "train")
    assert labels == [label for _, label in pairs()]
    for image, (pixels, _) in zip(images, pairs(), strict=True):
        photo = Image.fromarray(pixels).convert("RGB")
        np.testing.assert_array_equal(image, resized(photo, PIXELS, square))
    before = contents(out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("*-0*")}
    ka.prepare_data(source(), out, **options)
    assert contents(out) == before
    assert {p: p.stat().st_mtime_ns for p in times} == times
    train, test = load_examples(out)
    assert (len(train), len(test)) == (17, 4)


def test_a_source_that_has_grown_is_written_as_it_is(tmp_path, small_shards):
    """The last shard was not full; the first ones are left alone."""
    options = {"class_names": "ab", **QUIET}
    out, straight = tmp_path / "out", tmp_path / "straight"
    ka.prepare_data(itertools.islice(pairs(), 13), out, **options)
    first = (out / "train-00000.npy").stat().st_mtime_ns
    ka.prepare_data(pairs(), out, **options)
    assert (out / "train-00000.npy").stat().st_mtime_ns == first
    ka.prepare_data(pairs(), straight, **options)
    assert contents(out) == contents(straight)


def other_pairs(count=21, seed=7):
    """Other images; the first ones have the labels of `pairs`."""
    for number, image in enumerate(noise(count, 30, 26 + seed, 3)):
        yield image, number % 2


@pytest.mark.parametrize("count", [21, 5, 8, 30, 0])
def test_a_finished_set_keeps_its_images(tmp_path, small_shards, count):
    options = {"class_names": "ab", **QUIET}
    out = tmp_path / "out"
    ka.prepare_data(pairs(), out, **options)
    before = contents(out)
    changed = [
        (image ^ (number == 20), label)
        for number, (image, label) in enumerate(pairs())
    ]
    for source in (
        other_pairs(count),
        itertools.islice(pairs(), 20),
        itertools.islice(pairs(), 16),
        ((image, 1 - label) for image, label in pairs()),
        iter(changed),
    ):
        with pytest.raises(ValueError, match="holds the shards of other"):
            ka.prepare_data(source, out, **options)
        assert contents(out) == before
    with pytest.raises(ValueError, match="holds the shards of other"):
        ka.prepare_data(changed, out, **options)  # a list: not asked before
    assert contents(out) == before


@pytest.mark.parametrize("count", [21, 5, 8, 30])
def test_an_unfinished_set_becomes_that_of_the_source(
    tmp_path, small_shards, count
):
    """Nothing of earlier sources is kept, and no shard is left over."""
    options = {"class_names": "ab", **QUIET}
    out, straight = tmp_path / "out", tmp_path / "straight"

    def breaks_off():
        yield from pairs()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ka.prepare_data(breaks_off(), out, **options)
    assert (out / "train-00001.npy").exists()
    ka.prepare_data(other_pairs(count), out, **options)
    ka.prepare_data(other_pairs(count), straight, **options)
    assert contents(out) == contents(straight)
    # The index of a shard is gone: of what it was, nobody can tell.
    (out / "train-00000.json").unlink()
    ka.prepare_data(other_pairs(seed=8), out, **options)
    ka.prepare_data(other_pairs(seed=8), tmp_path / "8", **options)
    assert contents(out) == contents(tmp_path / "8")


IMAGE = np.zeros((30, 30, 3), "uint8")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ([], "There are no images"),
        ([IMAGE], "must yield pairs .* number 0: ndarray"),
        ([(IMAGE, 0), {"image": IMAGE, "label": 0}], "number 1: dict"),
        ([(IMAGE, 0, 1)], "must yield pairs"),
        ([(IMAGE / 255, 0)], "must be uint8 .* number 0: float64"),
        ([(IMAGE[..., :2], 0)], r"must be uint8 .*\(30, 30, 2\)"),
        ([(IMAGE[None], 0)], r"must be uint8 .*\(1, 30, 30, 3\)"),
        ([(IMAGE, 0), (IMAGE, 2)], "from 0 to 1, .* number 1: 2"),
        ([(IMAGE, -1)], "number 0: -1"),
        ([(IMAGE, 0.5)], "number 0: 0.5"),
        ([(IMAGE, [0, 1])], "number 0: "),
    ],
)
def test_what_yields_something_else_is_refused(tmp_path, source, sentence):
    with pytest.raises(ValueError, match=sentence):
        ka.prepare_data(
            iter(source), tmp_path / "out", class_names="ab", **QUIET
        )


def test_class_names_are_needed(tmp_path):
    with pytest.raises(ValueError, match="`class_names` must be given"):
        ka.prepare_data(pairs(), tmp_path / "out", **QUIET)
    assert not (tmp_path / "out").exists()


def test_the_bundled_set(tmp_path):
    facts = ka.prepare_data(
        "fashion", tmp_path / "out", resize_pixels=28, verbose=False
    )
    assert facts["images"] == {"train": 10_000, "test": 2_000}
    bundled, _ = load_examples("fashion")
    train, _ = load_examples(tmp_path / "out")
    assert train.class_names == bundled.class_names
    np.testing.assert_array_equal(train.labels, bundled.labels)
    for index in (0, 511, 512, 9_999):  # on both sides of an edge
        image = train.images[index]
        for channel in range(3):
            np.testing.assert_array_equal(
                image[..., channel], bundled.images[index]
            )


def test_training_and_evaluation(tmp_path):
    source = tmp_path / "photos"
    write_photos(source / "train", {"daisy": 9, "rose": 8}, [(40, 55)])
    write_photos(source / "val", {"daisy": 6, "rose": 7}, [(55, 40)], seed=1)
    out = tmp_path / "out"
    ka.prepare_data(source, out, resize_pixels=32, verbose=False)
    recipe = get_recipe(
        "smoke",
        data=str(out),
        variant="cifar10_18pct",
        resize_pixels=32,
        crop_pixels=32,
        batch_size=4,
        epochs=1,
        color_noise=0.1,
        color_source="fitted",
        mean="image",
    )
    run = ka.train(recipe, tmp_path / "run", verbose=0)
    assert run.results["examples"] == 13
    assert (run.folder / "mean_image.npy").read_bytes() == (
        out / "mean_image.npy"
    ).read_bytes()
    counts = ka.evaluate(run).to_dict()
    assert counts == run.results
    assert ka.evaluate(run, str(out)).to_dict() == counts
    assert ka.evaluate(run, str(source)).to_dict() == counts
    # Trained from the photos, all is the same.
    recipe = get_recipe(recipe, data=str(source))
    other = ka.train(recipe, tmp_path / "other", verbose=0)
    still = get_recipe(recipe, learning_rate=1e-12)
    start = ka.train(still, tmp_path / "start", verbose=0)
    weights = [r.load_model().get_weights() for r in (start, run, other)]
    assert apart(*weights) < 1e-5  # of the movement


def test_training_in_another_size_is_refused(photos, tmp_path):
    ka.prepare_data(photos, tmp_path / "out", **QUIET)
    recipe = get_recipe("smoke", data=str(tmp_path / "out"))
    with pytest.raises(ValueError, match="of 24 pixels; asked for are 32"):
        ka.train(recipe, tmp_path / "run", verbose=0)


def test_the_bar_is_shown_when_wanted(photos, tmp_path, capfd):
    ka.prepare_data(photos, tmp_path / "out", **QUIET)
    assert capfd.readouterr().err == ""
    ka.prepare_data(photos, tmp_path / "two", **{**QUIET, "verbose": True})
    assert "40/40" in capfd.readouterr().err


C5D05B9 = pathlib.Path(__file__).parents[1] / "data" / "c5d05b9"


@pytest.mark.parametrize("name", ["prepared", "prepared_whole"])
def test_sets_of_c5d05b9_go_on(tmp_path, name):
    """With digests from now on; their pixels tell whether they are right."""
    options = {
        "resize_pixels": 36,
        "square": name == "prepared",
        "verbose": False,
    }
    source = shutil.copytree(C5D05B9 / "photos", tmp_path / "photos")
    straight = tmp_path / "straight"
    ka.prepare_data(source, straight, **options)
    for unfinished in (False, True):
        out = tmp_path / f"out{unfinished}"
        shutil.copytree(C5D05B9 / name, out)
        if unfinished:
            (out / "dataset.json").unlink()
            (out / "train-00000.json").unlink()
            (out / ".ab_d1234.train-00000.npy").write_bytes(b"half of i")
        ka.prepare_data(source, out, **options)
        assert contents(out) == contents(straight)
    for path in (straight / "x").parent.glob("*.npy"):
        assert path.read_bytes() == (C5D05B9 / name / path.name).read_bytes()


def test_photos_that_changed_after_c5d05b9(tmp_path, capsys):
    source = shutil.copytree(C5D05B9 / "photos", tmp_path / "photos")
    out = shutil.copytree(C5D05B9 / "prepared", tmp_path / "out")
    before = contents(out)
    path = source / "lines" / "5.jpg"
    picture = Image.open(path)
    for quality in range(79, 0, -1):  # of the same size, at last
        picture.save(path, quality=quality)
        size = (C5D05B9 / "photos" / "lines" / "5.jpg").stat().st_size
        if path.stat().st_size <= size:
            path.write_bytes(path.read_bytes().ljust(size, b"\0"))
            break
    assert "of other images" in refused(capsys, source, out, resize_pixels=36)
    after = contents(out)
    for name in ("dataset.json", "test-00000.json", "test-00000.npy"):
        assert after[name] == before[name]
    path.unlink()
    assert "of other images" in refused(capsys, source, out, resize_pixels=36)
