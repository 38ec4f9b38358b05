"""The lists that tell the classes of a flat folder of images."""

import os

import numpy as np
import pytest
from PIL import Image

from keras_alexnet.data.datasets import load_examples
from keras_alexnet.data.datasets import test_examples as read_test_examples
from keras_alexnet.data.label_lists import LISTS
from keras_alexnet.data.label_lists import is_flat
from keras_alexnet.data.label_lists import read_label_list

# ImageNet's synsets, in their order; and as a training may know them.
SYNSETS = ("n01440764", "n01443537", "n02099601")
CLASSES = [2, 0, 1, 1]
NAMES = [f"ILSVRC2012_val_0000000{number}.JPEG" for number in range(1, 5)]


@pytest.fixture
def val(tmp_path):
    """A flat folder; nothing opens its images here."""
    folder = tmp_path / "val"
    folder.mkdir()
    for name in NAMES:
        (folder / name).touch()
    return folder


def caffe():
    pairs = zip(NAMES, CLASSES, strict=True)
    return "".join(f"{name} {index}\n" for name, index in pairs)


def tensorflow():
    return "".join(f"{SYNSETS[index]}\n" for index in CLASSES)


def kaggle():
    boxes = ("85 1 499 272", "131 0 499 254", "12 9 99 99", "1 2 3 4")
    lines = ["ImageId,PredictionString"]
    for name, index, box in zip(NAMES, CLASSES, boxes, strict=True):
        stem, synset = os.path.splitext(name)[0], SYNSETS[index]
        # Two boxes of the same class in one image, as Kaggle has it.
        lines.append(f"{stem},{synset} {box} {synset} {box} ")
    return "\n".join(lines[:1] + lines[:0:-1]) + "\n"  # in any order


def tiny_imagenet():
    pairs = zip(NAMES, CLASSES, strict=True)
    return "".join(
        f"{name}\t{SYNSETS[index]}\t0\t32\t44\t62\n" for name, index in pairs
    )


FORMATS = {
    "val.txt": caffe,
    "imagenet_2012_validation_synset_labels.txt": tensorflow,
    "LOC_val_solution.csv": kaggle,
    "val_annotations.txt": tiny_imagenet,
}


@pytest.mark.parametrize("place", ["inside", "beside"])
@pytest.mark.parametrize("name", FORMATS)
def test_formats(val, name, place):
    folder = val if place == "inside" else val.parent
    (folder / name).write_text(FORMATS[name]())
    assert is_flat(val)
    paths, labels = read_label_list(val, SYNSETS)
    assert paths.tolist() == [str(val / file) for file in NAMES]
    assert labels.tolist() == CLASSES
    # A network may count its classes in another order; a list of numbers
    # still means the sorted names.
    _, labels = read_label_list(val, SYNSETS[::-1])
    assert labels.tolist() == [2 - index for index in CLASSES]


@pytest.mark.parametrize("name", LISTS)
def test_every_name_is_found(val, name):
    (val.parent / name).write_text(caffe())
    _, labels = read_label_list(val, SYNSETS)
    assert labels.tolist() == CLASSES


def test_the_list_in_the_folder_comes_first(val):
    (val.parent / "val.txt").write_text("wrong\n")
    (val / "labels.txt").write_text(caffe())
    _, labels = read_label_list(val, SYNSETS)
    assert labels.tolist() == CLASSES


def test_names_that_are_numbers_are_names(val):
    """CIFAR's folders "0" to "10": "10" sorts before "2"."""
    (val / "val.txt").write_text("2\n10\n1\n0\n")
    class_names = ("0", "1", "10", "2")
    _, labels = read_label_list(val, class_names)
    assert [class_names[i] for i in labels] == ["2", "10", "1", "0"]


def test_lines_of_other_images_and_empty_lines_do_not_matter(val):
    text = f"\nother.JPEG 0\n\n{caffe()}\n"
    (val / "val.txt").write_text(text)
    _, labels = read_label_list(val, SYNSETS)
    assert labels.tolist() == CLASSES


def test_hidden_files_and_folders_do_not_matter(val):
    (val / "._ILSVRC2012_val_00000001.JPEG").touch()  # of a Mac's archive
    (val / ".cache").mkdir()
    (val / "val.txt").write_text(tensorflow())
    assert is_flat(val)
    _, labels = read_label_list(val, SYNSETS)
    assert labels.tolist() == CLASSES


def test_a_dangling_link_keeps_its_line(val):
    """It is a bad file of the list's, not one image less."""
    (val / NAMES[1]).unlink()
    (val / NAMES[1]).symlink_to("/nowhere.JPEG")
    (val / "val.txt").write_text(tensorflow())
    paths, labels = read_label_list(val, SYNSETS)
    assert labels.tolist() == CLASSES
    assert str(val / NAMES[1]) in paths


def test_folders_that_are_not_flat(val, tmp_path):
    (tmp_path / "empty").mkdir()
    assert not is_flat(tmp_path / "empty")
    (val / "n01440764").mkdir()
    assert not is_flat(val)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "no list of their classes; expected one of val.txt, "),
        ("n01440764\n" * 3, "has 3 lines for 4 images in .*val; expected one"),
        ("n01440764\n" * 5, "has 5 lines for 4 images"),
        ("", "val.txt' cannot be read: it is empty"),
        (
            "".join(caffe().splitlines(keepends=True)[:2]),
            f"no class for 2 of 4 images, the first being {NAMES[2]}",
        ),
        ("n01440764\n" * 3 + "n9\n", "a class 'n9' that is not one of the 3"),
        (caffe().replace("EG 2", "EG 3"), "a class '3' that is not one of"),
        (caffe().replace("EG 2", "EG -1"), "a class '-1' that is not one of"),
    ],
)
def test_lists_that_do_not_fit_are_refused(val, text, sentence):
    if text is not None:
        (val / "val.txt").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_label_list(val, SYNSETS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_tree_like_imagenets(val, name):
    for synset in SYNSETS:
        (val.parent / "train" / synset).mkdir(parents=True)
        for number in range(2):
            path = val.parent / "train" / synset / f"{synset}_{number}.JPEG"
            path.touch()
    (val.parent / name).write_text(FORMATS[name]())
    train, test = load_examples(val.parent)
    assert train.class_names == test.class_names == SYNSETS
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    for path, label in zip(train.images, train.labels, strict=True):
        assert f"/{SYNSETS[label]}/" in path
    assert test.labels.tolist() == CLASSES
    assert [os.path.basename(path) for path in test.images] == NAMES
    # Also for a network that knows its classes in another order.
    again = read_test_examples(val.parent, SYNSETS[::-1])
    names = np.array(SYNSETS[::-1])[again.labels]
    assert names.tolist() == [SYNSETS[index] for index in CLASSES]


def test_unlabeled_test_images_beside_the_validation_images(tmp_path):
    """ImageNet and Tiny ImageNet as they are handed out."""
    names = ("n01440764", "n01443537")
    for name in names:
        for number in range(2):
            _write(tmp_path / "train" / name / "images" / f"{number}.JPEG")
    for split in ("test", "val"):
        for number in range(2):
            _write(tmp_path / split / "images" / f"{split}_{number}.JPEG")
    (tmp_path / "val" / "val_annotations.txt").write_text(
        f"val_1.JPEG\t{names[0]}\t0\t0\t9\t9\n"
        f"val_0.JPEG\t{names[1]}\t0\t0\t9\t9\n"
    )
    with pytest.warns(UserWarning, match="test is left alone: its images lie"):
        train, test = load_examples(tmp_path)
    assert train.class_names == names
    assert [path.rpartition("/")[2] for path in test.images] == [
        "val_0.JPEG",
        "val_1.JPEG",
    ]
    assert test.labels.tolist() == [1, 0]


def _write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 9)).save(path)


def test_of_two_labeled_lists_the_validation_images_are_taken(tmp_path):
    """Who labels `test` themselves did not get its labels from ImageNet."""
    names = ("n01440764", "n01443537")
    for name in names:
        _write(tmp_path / "train" / name / "0.JPEG")
    for split in ("test", "val"):
        for number in range(2):
            _write(tmp_path / split / "images" / f"{split}_{number}.JPEG")
        (tmp_path / split / "val_annotations.txt").write_text(
            "".join(
                f"{split}_{number}.JPEG\t{name}\t0\t0\t9\t9\n"
                for number, name in enumerate(names)
            )
        )
    with pytest.warns(UserWarning, match="test is left alone: val is tested"):
        _, test = load_examples(tmp_path)
    assert {path.rpartition("/")[2] for path in test.images} == {
        "val_0.JPEG",
        "val_1.JPEG",
    }
