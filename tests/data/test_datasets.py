"""Where examples come from."""

import os

import numpy as np
import pytest

from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.datasets import load_examples
from keras_alexnet.data.datasets import match_classes
from keras_alexnet.data.datasets import test_examples as read_test_examples
from keras_alexnet.data.decode import read_image


def test_bundled_set():
    train, test = load_examples("fashion")
    assert train.images.shape == (10_000, 28, 28)
    assert test.images.shape == (2_000, 28, 28)
    assert np.bincount(train.labels).tolist() == [1000] * 10
    assert np.bincount(test.labels).tolist() == [200] * 10
    assert train.class_names[9] == "Ankle boot"
    # No test image is a training image.
    seen = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in seen for image in test.images)


def test_folder_of_class_folders_is_split_in_every_class(class_folders):
    folder = class_folders({"daisy": 10, "rose": 20})
    train, test = load_examples(folder, validation_fraction=0.2, seed=1)
    assert train.class_names == test.class_names == ("daisy", "rose")
    assert np.bincount(test.labels).tolist() == [2, 4]
    assert np.bincount(train.labels).tolist() == [8, 16]
    assert not set(train.images) & set(test.images)
    for path, label in zip(train.images, train.labels, strict=True):
        assert f"/{train.class_names[label]}/" in path
    again, _ = load_examples(folder, validation_fraction=0.2, seed=1)
    assert again.images.tolist() == train.images.tolist()


@pytest.mark.parametrize("name", ["test", "val", "validation"])
def test_folder_with_train_and_test(class_folders, name):
    class_folders({"daisy": 3, "rose": 2}, "photos/train")
    class_folders({"daisy": 1, "rose": 1}, f"photos/{name}")
    folder = class_folders({}, "photos")
    train, test = load_examples(folder)
    assert (len(train), len(test)) == (5, 2)


def test_hidden_folders_and_other_files_are_ignored(class_folders):
    folder = class_folders({"daisy": 3, "rose": 3, ".cache": 2})
    (folder / "README.txt").write_text("stray")
    (folder / "daisy" / "notes.txt").write_text("stray")
    train, test = load_examples(folder)
    assert train.class_names == ("daisy", "rose")
    assert len(train) + len(test) == 6


def test_classes_are_matched_by_name(class_folders):
    folder = class_folders({"daisy": 1, "rose": 2})
    examples = read_test_examples(folder, ("rose", "daisy"))
    for path, label in zip(examples.images, examples.labels, strict=True):
        assert f"/{('rose', 'daisy')[label]}/" in path


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({}, "holds 0 folders"),
        ({"daisy": 2}, "holds 1 folders"),
        ({"daisy": 2, "rose": 0}, "without images: rose"),
        ({"daisy": 2, "rose": 1}, "single image"),
    ],
)
def test_unusable_folders_are_refused(
    class_folders, tmp_path, counts, sentence
):
    (tmp_path / "photos").mkdir()
    folder = class_folders(counts)
    with pytest.raises(ValueError, match=sentence):
        load_examples(folder)


def test_missing_folder_is_named():
    with pytest.raises(ValueError, match="There is no folder '/nowhere'"):
        load_examples("/nowhere")


def test_missing_and_unknown_classes_are_named(class_folders):
    examples, _ = load_examples(class_folders({"daisy": 2, "rose": 2}))
    with pytest.raises(ValueError, match="missing tulip; unknown rose"):
        match_classes(examples, ("daisy", "tulip"), "photos")


GRAY = np.zeros((2, 4, 5), "uint8")


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 4, 5, 1), (2, 4, 5, 3)])
def test_arrays(shape):
    examples = Examples(np.zeros(shape, "uint8"), [1, 0], ["a", "b"])
    assert len(examples) == 2
    assert not examples.are_files
    assert not examples.are_prepared
    assert examples.labels.dtype == np.int64
    assert examples.class_names == ("a", "b")


def test_paths():
    examples = Examples(["a/1.jpg", "b/1.jpg"], np.array([0, 1]), ("a", "b"))
    assert examples.are_files
    assert not examples.are_prepared


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 4, 5, 3), "float32"),
        np.zeros((2, 4, 5, 3), "int8"),
        np.zeros((2, 4, 5, 4), "uint8"),
        np.zeros((2, 3, 4, 5), "uint8"),
        np.zeros((2, 5), "uint8"),
        np.zeros(2, "uint8"),
        np.array([b"a.jpg", b"b.jpg"]),
        np.array([["a.jpg"], ["b.jpg"]]),
    ],
    ids=lambda images: f"{images.dtype}{images.shape}",
)
def test_other_arrays_are_refused(images):
    with pytest.raises(ValueError, match="must be a uint8 array") as caught:
        Examples(images, [0, 1], ("a", "b"))
    assert str(caught.value).endswith(f"{images.dtype} {images.shape}")


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0], r"2 images, but the labels have the shape \(1,\)"),
        ([0, 1, 1], r"the shape \(3,\)"),
        ([[0], [1]], r"the shape \(2, 1\)"),
        ([0, 2], "from 0 to 1, .* Received: int64, 0 to 2"),
        ([-1, 1], "Received: int64, -1 to 1"),
        ([0.0, 1.0], "Received: float64"),
        ([False, True], "Received: bool"),
    ],
)
def test_other_labels_are_refused(labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        Examples(GRAY, labels, ("a", "b"))


def test_a_dangling_link_is_an_example(class_folders):
    """A bad file, which is counted, rather than one that was never there."""
    folder = class_folders({"daisy": 3, "rose": 3})
    link = folder / "rose" / "link.jpg"
    link.symlink_to("/nowhere.jpg")
    (folder / "rose" / "folder.jpg").mkdir()  # no file, not an example
    train, test = load_examples(folder)
    paths = [*train.images, *test.images]
    assert len(paths) == 7
    assert str(link) in paths


def test_names_that_are_not_utf8(class_folders):
    folder = class_folders({"daisy": 2, "rose": 2})
    name = b"\xe4.png"
    original = os.fsencode(folder / "rose" / "000.png")
    os.rename(original, os.path.join(os.path.dirname(original), name))
    train, test = load_examples(folder)
    (path,) = (p for p in [*train.images, *test.images] if "\udce4" in p)
    assert read_image(path).shape == (40, 48, 3)


@pytest.mark.parametrize("extension", ["JPG", "JPEG", "Png", "webp"])
def test_extensions_in_capitals(tmp_path, extension):
    for name in ("daisy", "rose"):
        (tmp_path / name / "deeper").mkdir(parents=True)
        (tmp_path / name / f"1.{extension}").touch()
        (tmp_path / name / "deeper" / f"2.{extension}").touch()
        (tmp_path / name / f"._1.{extension}").touch()
    train, test = load_examples(tmp_path)
    assert len(train) + len(test) == 4


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_every_class_keeps_an_image_on_both_sides(class_folders, fraction):
    folder = class_folders({"daisy": 2, "rose": 20})
    train, test = load_examples(folder, validation_fraction=fraction)
    assert np.bincount(train.labels)[0] == np.bincount(test.labels)[0] == 1
    rose = min(max(1, round(20 * fraction)), 19)
    assert np.bincount(test.labels)[1] == rose


def test_a_train_folder_alone_is_split(class_folders):
    class_folders({"daisy": 5, "rose": 5}, "photos/train")
    folder = class_folders({}, "photos")
    train, test = load_examples(folder)
    assert (len(train), len(test)) == (8, 2)
    # A network from elsewhere is tested on what there is.
    (folder / "train").rename(folder.parent / "all")
    every = read_test_examples(folder.parent / "all", ("daisy", "rose"))
    assert len(every) == 10


def test_labels_move_with_the_names():
    images = np.arange(6, dtype="uint8").reshape(6, 1, 1)
    examples = Examples(images, [0, 1, 2, 2, 1, 0], ("a", "b", "c"))
    matched = match_classes(examples, ("c", "a", "b"), "here")
    assert matched.class_names == ("c", "a", "b")
    assert matched.labels.tolist() == [1, 2, 0, 0, 2, 1]
    np.testing.assert_array_equal(matched.images, images)


def test_no_folder_for_a_trained_network():
    for nothing in ("", "/nowhere"):
        with pytest.raises(ValueError, match="There is no folder"):
            read_test_examples(nothing, ("a", "b"))
