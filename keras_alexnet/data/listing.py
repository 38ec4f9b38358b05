"""What `prepare_data` is given, as lists of images with labels and names."""

import collections
import hashlib
import os
import pathlib

import numpy as np

from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.datasets import load_examples
from keras_alexnet.data.shards import is_prepared

# A path or pixels; an index of a class; a name for the shard's index.
Image = collections.namedtuple("Image", "source label name")


def splits_of(source, class_names, validation_fraction, seed):
    """Split name -> the images, as a list or as what yields them."""
    if isinstance(source, str | os.PathLike):
        if is_prepared(source):
            raise ValueError(f"{str(source)!r} is prepared already.")
        train, test = load_examples(source, validation_fraction, seed)
        root = None if source == "fashion" else pathlib.Path(source)
        splits = {"train": _listed(train, root), "test": _listed(test, root)}
        return splits, train.class_names
    if isinstance(source, Examples):
        source = {
            "train": source,
            "test": Examples(
                source.images[:0], source.labels[:0], source.class_names
            ),
        }
    if isinstance(source, dict):
        names = {examples.class_names for examples in source.values()}
        if source.keys() != {"train", "test"} or len(names) != 1:
            raise ValueError(
                "A dict of examples must have the keys 'train' and 'test', "
                "and the same class names under both."
            )
        return {s: _listed(e, None) for s, e in source.items()}, names.pop()
    if not class_names:
        raise ValueError("`class_names` must be given with this source.")
    if isinstance(source, list):
        source = [
            _yielded(pair, number, len(class_names))
            for number, pair in enumerate(source)
        ]
    return {"train": source, "test": []}, tuple(class_names)


def _listed(examples, root):
    """The images of `Examples`, named by their path in the source."""
    images = []
    for index, label in enumerate(examples.labels.tolist()):
        image = examples.images[index]
        name = str(index)
        if examples.are_files:
            image = str(image)
            name = os.path.relpath(image, root) if root else image
        images.append(Image(image, label, name))
    return images


def parts(images, classes, size):
    """Lists of `size` images each."""
    part = []
    for number, image in enumerate(images):
        if not isinstance(image, Image):
            image = _yielded(image, number, classes)
        part.append(image)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _yielded(pair, number, classes):
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(
            "The source must yield pairs of an image and a label. "
            f"Received as number {number}: {type(pair).__name__}"
        )
    pixels, label = map(np.asarray, pair)
    shape = pixels.shape
    if pixels.dtype != "uint8" or not (
        len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3))
    ):
        raise ValueError(
            "Images must be uint8 arrays (height, width) or (height, width, "
            f"3) of 0..255. Received as number {number}: {pixels.dtype} {shape}"
        )
    if label.ndim or label.dtype.kind not in "iu" or not 0 <= label < classes:
        raise ValueError(
            f"Labels must be integers from 0 to {classes - 1}, the places of "
            f"the class names. Received as number {number}: {label}"
        )
    return Image(pixels, int(label), str(number))


def content_of(image):
    """What commit c5d05b9 told an image by: the size of a file, the pixels."""
    source = image.source
    if isinstance(source, str):
        return os.path.getsize(source) if os.path.isfile(source) else 0
    return hashlib.sha256(np.ascontiguousarray(source)).hexdigest()
