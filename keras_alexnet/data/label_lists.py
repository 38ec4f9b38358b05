"""The classes of a flat folder of images, as ImageNet's validation set is."""

import pathlib

import numpy as np

from keras_alexnet.data.folders import class_folders
from keras_alexnet.data.folders import images_in
from keras_alexnet.untrusted_files import read_text
from keras_alexnet.untrusted_files import refusing
from keras_alexnet.untrusted_files import shown

# Where the label list of a folder `val` is looked for: in it and beside it.
# Caffe; TensorFlow's models; Kaggle; Tiny ImageNet.
LISTS = (
    "val.txt",
    "imagenet_2012_validation_synset_labels.txt",
    "LOC_val_solution.csv",
    "val_annotations.txt",
    "labels.txt",
    "labels.csv",
)
MOST_BYTES = 2**26  # of a list; that of ImageNet's training set has 40 MB


def is_flat(folder):
    """Whether a folder holds images instead of class folders.

    Tiny ImageNet's hold one folder `images`, which counts as well.
    """
    names = [path.name for path in class_folders(folder)]
    return names in ([], ["images"]) and bool(_images(folder))


def read_label_list(folder, class_names):
    """The images of a flat folder and their classes.

    The list (one of `LISTS`, in the folder or beside it) has a line for each
    image: its file name, with or without ending, and its class, separated by
    a space, tab or comma; or the class alone, in the order of the file
    names. The class is a name, or its place in the sorted names.

    Args:
        folder: Path of the folder.
        class_names: Names of the classes, as in the training.

    Returns:
        Arrays of paths and of labels.

    Raises:
        ValueError: if there is no list, or it does not fit the images.
    """
    images = _images(folder)
    path = find_list(folder)
    if path is None:
        raise ValueError(
            f"{folder} holds images instead of class folders, and there is no "
            f"list of their classes; expected one of {', '.join(LISTS)} in it "
            "or beside it."
        )
    classes = _classes(path, images)
    places = {name: place for place, name in enumerate(class_names)}
    for number, name in enumerate(sorted(class_names)):
        places.setdefault(str(number), places[name])
    unknown = [name for name in classes if name not in places]
    if unknown:
        raise ValueError(
            f"{path} names a class {shown(unknown[0])} that is not one of the "
            f"{len(class_names)} classes of the training."
        )
    labels = [places[name] for name in classes]
    return np.array([str(image) for image in images]), np.array(labels)


def find_list(folder):
    """Path of the list of the classes of a flat folder, or `None`."""
    places = (pathlib.Path(folder), pathlib.Path(folder).parent)
    candidates = [place / name for place in places for name in LISTS]
    return next((path for path in candidates if path.is_file()), None)


def _text(path):
    with refusing(path, "a list of the images' classes"):
        return read_text(path, MOST_BYTES)


def _classes(path, images):
    """What a list names as the classes of the images."""
    lines = [
        line.replace(",", " ").split()
        for line in _text(path).splitlines()
        if line.strip() and not line.startswith("ImageId,")  # Kaggle's head
    ]
    if all(len(line) == 1 for line in lines):
        if len(lines) != len(images):
            raise ValueError(
                f"{path} has {len(lines)} lines for {len(images)} images in "
                f"{images[0].parent}; expected one for each."
            )
        return [line[0] for line in lines]
    by_stem = {
        pathlib.PurePath(line[0]).stem: line[1]
        for line in lines
        if len(line) > 1
    }
    missing = [image.name for image in images if image.stem not in by_stem]
    if missing:
        raise ValueError(
            f"{path} names no class for {len(missing)} of {len(images)} "
            f"images, the first being {missing[0]}."
        )
    return [by_stem[image.stem] for image in images]


def _images(folder):
    inner = pathlib.Path(folder) / "images"  # Tiny ImageNet
    found = images_in(inner if inner.is_dir() else folder)
    return [pathlib.Path(path) for path in found]
