"""Prepared images: indexing, subsets, and what is refused."""

import hashlib
import io
import json
import os
import pathlib

import numpy as np
import pytest

import keras_alexnet as ka
from keras_alexnet.data.content import digest_of
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.datasets import load_examples
from keras_alexnet.data.datasets import test_examples as read_test_examples
from keras_alexnet.data.shards import Shards
from keras_alexnet.data.shards import is_prepared
from keras_alexnet.data.shards import is_whole
from keras_alexnet.data.shards import read_colors
from keras_alexnet.data.shards import read_dataset
from keras_alexnet.data.shards import read_index
from keras_alexnet.data.shards import write_shard

SQUARES = [(6, 6)] * 5
RECTANGLES = [(6, 8), (9, 6), (6, 6), (6, 8), (7, 6)]


def noise(sizes, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 256, (*s, 3), "uint8") for s in sizes]


def write(folder, sizes, counts=(3, 2)):
    """Shards of noise -> the images and the shards."""
    images, names, first = noise(sizes), [], 0
    for number, count in enumerate(counts):
        places = range(first, first + count)
        index = {
            "paths": [f"{place}.jpg" for place in places],
            "labels": [place % 2 for place in places],
            "skipped": {},
        }
        names.append(f"train-{number:05}")
        write_shard(folder, names[-1], [images[i] for i in places], index)
        first += count
    return images, Shards(folder, names, 6, sizes is SQUARES)


@pytest.fixture
def prepared(tmp_path):
    """A prepared folder without test examples."""
    pixels = np.stack(noise([(9, 12)] * 10))
    examples = Examples(pixels, np.arange(10) % 2, ("a", "b"))
    ka.prepare_data(examples, tmp_path / "out", resize_pixels=6, verbose=False)
    return tmp_path / "out"


@pytest.mark.parametrize("sizes", [SQUARES, RECTANGLES])
@pytest.mark.parametrize("counts", [(3, 2), (5,), (1, 0, 4), (0, 5, 0)])
def test_every_image_comes_back(tmp_path, sizes, counts):
    images, shards = write(tmp_path, sizes, counts)
    assert len(shards) == 5
    for index in (4, 0, 2, 3, 1, np.int64(2)):  # in any order
        np.testing.assert_array_equal(shards[index], images[index])
        assert shards[index].dtype == np.uint8
    np.testing.assert_array_equal(shards[-1], images[-1])
    assert [image.shape[:2] for image in shards] == sizes
    assert shards.labels.tolist() == [0, 1, 0, 1, 0]
    assert shards.paths == [f"{number}.jpg" for number in range(5)]
    with pytest.raises(IndexError):
        shards[5]


@pytest.mark.parametrize("sizes", [SQUARES, RECTANGLES])
@pytest.mark.parametrize(
    "index",
    [
        np.array([4, 1, 1]),
        np.array([-1, 0]),
        np.array([True, False, False, True, True]),
        np.array([], "int64"),
        slice(1, 4),
        slice(0),
    ],
    ids=str,
)
def test_subsets(tmp_path, sizes, index):
    images, shards = write(tmp_path, sizes)
    some = shards[index]
    expected = np.arange(5)[index].tolist()
    assert len(some) == len(expected)
    assert some.paths == [f"{i}.jpg" for i in expected]
    assert some.labels.tolist() == [i % 2 for i in expected]
    for image, i in zip(some, expected, strict=True):
        np.testing.assert_array_equal(image, images[i])
    assert len(shards) == 5  # as before
    assert shards.paths[4] == "4.jpg"


def test_a_subset_of_a_subset(tmp_path):
    images, shards = write(tmp_path, RECTANGLES)
    some = shards[np.array([4, 2, 0])][np.array([2, 0])]
    assert some.paths == ["0.jpg", "4.jpg"]
    np.testing.assert_array_equal(some[0], images[0])
    np.testing.assert_array_equal(some[1], images[4])


def test_no_shards(tmp_path):
    shards = Shards(tmp_path, [], 6, True)
    assert len(shards) == 0
    assert list(shards) == []
    assert len(Examples(shards, shards.labels, ("a", "b"))) == 0


def test_files_are_what_numpy_and_json_make_of_them(tmp_path):
    images, _ = write(tmp_path, SQUARES)
    pixels = np.load(tmp_path / "train-00000.npy")
    np.testing.assert_array_equal(pixels, np.stack(images[:3]))
    images, _ = write(tmp_path / "rectangles", RECTANGLES)
    path = tmp_path / "rectangles" / "train-00000.npy"
    row = b"".join(image.tobytes() for image in images[:3])
    assert np.load(path).tobytes() == row
    index = json.loads(path.with_suffix(".json").read_text())
    assert index["heights"] == [6, 9, 6]
    assert index["widths"] == [8, 6, 6]
    assert index["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_check(tmp_path):
    _, squares = write(tmp_path, SQUARES)
    _, whole = write(tmp_path / "whole", RECTANGLES)
    for square in (None, True):
        squares.check(6, square)
    for square in (None, True, False):
        whole.check(6, square)
    for shards in (squares, whole):
        with pytest.raises(ValueError, match="of 6 pixels; asked for are 8"):
            shards.check(8, True)
    with pytest.raises(ValueError, match="central squares only; .* --whole"):
        squares.check(6, False)


def test_pipelines_refuse_another_size(prepared):
    train, _ = load_examples(prepared)
    sizes = {"batch_size": 2, "crop_pixels": 4}
    with pytest.raises(ValueError, match="asked for are 8"):
        ka.evaluation_batches(train, resize_pixels=8, **sizes)
    with pytest.raises(ValueError, match="need `prepare-data --whole`"):
        ka.training_batches(train, resize_pixels=6, square=False, **sizes)


def unsigned(**values):
    """An index that has no checksum, as those of c5d05b9."""

    def change(text):
        index = {**json.loads(text), **values}
        del index["index_sha256"]
        return json.dumps(index)

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:20],
        lambda text: "[]",
        lambda text: "3",
        lambda text: text.replace('"labels"', '"lables"'),
        lambda text: text.replace('"labels": [0, ', '"labels": ['),
        lambda text: text.replace('"labels": [0, 1, 0]', '"labels": 3'),
        lambda text: text.replace('"labels": [0, 1, 0]', '"labels": "010"'),
        lambda text: text.replace('"labels": [0, 1, 0]', '"labels": [0, 1, 1]'),
        unsigned(labels=[0, 1, -1]),
        unsigned(labels=[0, 1, None]),
        unsigned(labels=[0, 1, 10**30]),
        unsigned(labels=[0, 1, True]),
        unsigned(heights=[6, 6, -6]),
        unsigned(heights=[6, 6, 6.0]),
        unsigned(widths=[6, 6, 10**12]),
        unsigned(paths=[1, 2, 3]),
        unsigned(paths={"a": 1, "b": 2, "c": 3}),
        unsigned(digests=["0", "1", "2"]),
        unsigned(digests=["0" * 64] * 3),  # none of what was skipped
        unsigned(digests=["0" * 64] * 2, skipped_digests={}),
        unsigned(skipped=[]),
        unsigned(skipped={"a": 1}),
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_index_is_named(tmp_path, damage):
    write(tmp_path, SQUARES)
    assert is_whole(tmp_path, "train-00000")
    path = tmp_path / "train-00000.json"
    text = path.read_text()
    path.write_text(damage(text))
    assert path.read_text() != text
    assert not is_whole(tmp_path, "train-00000")
    with pytest.raises(ValueError, match="00000.json' is missing or damaged"):
        read_index(tmp_path, "train-00000")
    with pytest.raises(ValueError, match="run keras-alexnet prepare-data"):
        Shards(tmp_path, ["train-00000"], 6, True)
    path.unlink()
    with pytest.raises(ValueError, match="00000.json' is missing or damaged"):
        read_index(tmp_path, "train-00000")


@pytest.mark.parametrize("sizes", [SQUARES, RECTANGLES])
@pytest.mark.parametrize("kept", [None, 0, 5, 100, 200])
def test_damaged_pixels_are_named(tmp_path, sizes, kept):
    _, shards = write(tmp_path, sizes)
    path = tmp_path / "train-00001.npy"
    data = path.read_bytes()
    path.unlink()
    if kept is not None:
        assert kept < len(data)
        path.write_bytes(data[:kept])
    assert not is_whole(tmp_path, "train-00001")
    shards[0]  # the other shard is not affected
    with pytest.raises(ValueError, match="00001.npy' cannot be read: .*run"):
        shards[4]


@pytest.mark.parametrize(
    "pixels", [np.zeros((1, 6, 6, 3), "uint8"), np.zeros((2, 6, 6, 3), "int16")]
)
def test_other_pixels_are_refused(tmp_path, pixels):
    _, shards = write(tmp_path, SQUARES)
    np.save(tmp_path / "train-00001.npy", pixels)
    with pytest.raises(ValueError, match="00001.npy' cannot be read: it has"):
        shards[4]


def test_more_shards_than_files_may_be_open(tmp_path):
    resource = pytest.importorskip("resource", reason="not on Windows")
    images, shards = write(tmp_path, [(6, 6)] * 50, [1] * 50)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(tmp_path / "train-00000.npy", "rb") as file:
        most = file.fileno() + 20  # more than are open
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        kept = [shards[index] for index in range(50)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    np.testing.assert_array_equal(np.stack(kept), np.stack(images))


def test_a_flipped_bit_is_found(tmp_path):
    write(tmp_path, SQUARES)
    path = tmp_path / "train-00000.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert not is_whole(tmp_path, "train-00000")


@pytest.mark.parametrize("name", ["train-00000.npy", "train-00000.json"])
def test_pipes_are_not_waited_for(tmp_path, name):
    _, shards = write(tmp_path, SQUARES)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    assert not is_whole(tmp_path, "train-00000")
    with pytest.raises(ValueError, match="it is not a file"):
        Shards(tmp_path, ["train-00000"], 6, True)[0]


def test_large_files_of_something_else_are_not_read(tmp_path, prepared):
    write(tmp_path, SQUARES)
    for name in ("train-00000.npy", "train-00000.json"):
        os.truncate(tmp_path / name, 2**40)  # takes no room
        assert not is_whole(tmp_path, "train-00000")
    os.truncate(prepared / "dataset.json", 2**40)
    with pytest.raises(ValueError, match="bytes, too many"):
        load_examples(prepared)


def test_labels_without_a_class_are_found(tmp_path):
    write(tmp_path, SQUARES)
    assert read_index(tmp_path, "train-00000", 2)["labels"] == [0, 1, 0]
    assert is_whole(tmp_path, "train-00000", 2)
    assert not is_whole(tmp_path, "train-00000", 1)
    with pytest.raises(ValueError, match="labels are not those of classes"):
        read_index(tmp_path, "train-00000", 1)


def test_sizes_that_do_not_add_up_are_found(tmp_path):
    write(tmp_path, RECTANGLES)
    path = tmp_path / "train-00000.json"
    path.write_text(path.read_text().replace("[6, 9, 6]", "[6, 8, 6]"))
    assert not is_whole(tmp_path, "train-00000")


def replaced(**values):
    return lambda text: json.dumps({**json.loads(text), **values})


def listed(*names):
    return replaced(shards={"train": names, "test": []})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: "", "Expecting value"),
        (lambda text: text[:30], "dataset.json' cannot be read"),
        (lambda text: "[]", "dataset.json' cannot be read"),
        (
            lambda text: text.replace("version 1", "version 2"),
            "dataset.json' was written by a newer keras_alexnet",
        ),
        (
            lambda text: '{"format": "keras_alexnet shards, version 12"}',
            "newer",
        ),
        (lambda text: text.replace("version 1", "version 0"), "its format is"),
        (lambda text: "[" * 100_000, "nested too deeply"),
        (replaced(class_names=None), "class names are not a list"),
        (replaced(class_names=["a", 2]), "class names are not text"),
        (replaced(resize_pixels="6"), "not a number of pixels"),
        (replaced(resize_pixels=-6), "not a number of pixels"),
        (replaced(square=1), "not true or false"),
        (replaced(shards=["train-00000"]), "not those of train and test"),
        (replaced(shards={"train": ["train-00000"]}), "of train and test"),
        (listed("../train-00000"), "have other names"),
        (listed("/etc/train-00000"), "have other names"),
        (listed("test-00000"), "have other names"),
        (listed(3), "have other names"),
        (listed("train-00000", "train-00000"), "come twice"),
        (lambda text: text.replace('"format"', '"form"'), "format"),
        (lambda text: text.replace('"shards"', '"shrds"'), "shards"),
    ],
)
def test_another_dataset_json_is_refused(prepared, damage, reason):
    assert is_prepared(prepared)
    assert read_dataset(prepared)["class_names"] == ["a", "b"]
    path = prepared / "dataset.json"
    path.write_text(damage(path.read_text()))
    reads = (read_dataset, load_examples, read_colors, ka.check_data)
    for read in reads:
        with pytest.raises(ValueError, match=reason):
            read(prepared)


def test_colors(prepared):
    colors, mean_image = read_colors(prepared)
    assert mean_image.shape == (6, 6, 3)
    assert isinstance(colors.components[0], tuple)
    path = prepared / "mean_image.npy"
    good = path.read_bytes()
    bomb = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        bomb, {"descr": "<f4", "fortran_order": False, "shape": (10**13,)}
    )
    bomb = bomb.getvalue().ljust(len(good), b"\0")
    other = io.BytesIO()
    np.save(other, mean_image.T.copy().T)  # in another order
    for data in (b"", good[:-1], good + b"\0", bomb, other.getvalue()):
        assert data != good
        path.write_bytes(data)
        with pytest.raises(ValueError, match="does not tell the colors"):
            read_colors(prepared)
    path.unlink()
    with pytest.raises(ValueError, match="does not tell the colors"):
        read_colors(prepared)
    path.write_bytes(good)
    text = (prepared / "dataset.json").read_text()
    color = json.loads(text)["color"]
    for wrong in (
        None,
        [],
        {**color, "mean": None},
        {**color, "mean": ["1", "2", "3"]},
        {**color, "mean": [1, 2]},
        {**color, "deviations": [1, 2, float("nan")]},
        {**color, "components": [[1, 2, 3]]},
        {**color, "components": [[1, 2, 3], [1, 2], [1]]},
    ):
        (prepared / "dataset.json").write_text(replaced(color=wrong)(text))
        with pytest.raises(ValueError, match="does not tell the colors"):
            read_colors(prepared)


def test_without_test_images_a_part_is_held_out(prepared):
    """As of a folder of photos; the same part every time."""
    train, test = load_examples(prepared, validation_fraction=0.4, seed=3)
    assert train.are_prepared
    assert np.bincount(train.labels).tolist() == [3, 3]
    assert np.bincount(test.labels).tolist() == [2, 2]
    paths = train.images.paths + test.images.paths
    assert sorted(paths, key=int) == [str(number) for number in range(10)]
    for examples in (train, test):
        for path, label in zip(
            examples.images.paths, examples.labels, strict=True
        ):
            assert int(path) % 2 == label
    _, again = load_examples(prepared, validation_fraction=0.4, seed=3)
    assert again.images.paths == test.images.paths
    _, other = load_examples(prepared, validation_fraction=0.4, seed=4)
    assert other.images.paths != test.images.paths
    # Another network is tested on all of it, its classes matched by name.
    every = read_test_examples(prepared, ("b", "a"))
    assert every.labels.tolist() == [1, 0] * 5


C5D05B9 = pathlib.Path(__file__).parents[1] / "data" / "c5d05b9"


@pytest.mark.parametrize("sizes", [SQUARES, RECTANGLES])
def test_digests_follow_subsets(tmp_path, sizes):
    """Of an index without them they are those of the pixels."""
    images, shards = write(tmp_path, sizes)
    expected = [digest_of(image) for image in images]
    assert shards.digests == expected
    some = shards[np.array([4, 0, 2])]
    assert some.digests == [expected[i] for i in (4, 0, 2)]
    assert some[np.array([True, False, True])].digests == [
        expected[i] for i in (4, 2)
    ]
    assert Shards(tmp_path, shards.names, 6, True)[4:].digests == expected[4:]


@pytest.mark.parametrize("folder", ["prepared", "prepared_whole"])
def test_shards_of_c5d05b9(folder):
    train, test = load_examples(C5D05B9 / folder)
    assert (len(train), len(test)) == (24, 6)
    shape = (36, 36, 3) if folder == "prepared" else (36, 40, 3)
    for examples in (train, test):
        digests = examples.images.digests
        assert len(set(digests)) == len(examples)
        for image, digest in zip(examples.images, digests, strict=True):
            assert image.shape == shape
            assert digest == digest_of(image)
