"""Where examples come from."""

import numpy as np
import pytest

from keras_alexnet.images import load_examples
from keras_alexnet.images import match_classes
from keras_alexnet.images import test_examples as read_test_examples


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
