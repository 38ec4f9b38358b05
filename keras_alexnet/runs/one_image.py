"""A single image, as a trained network is shown it."""

import os

import numpy as np

from keras_alexnet.data import imagenet
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.decode import BadImageError
from keras_alexnet.data.decode import read_picture
from keras_alexnet.data.image_source import Source


def one_input(trained, image, to_input=None):
    """What a network sees of one image.

    Args:
        trained: A `Run` or a file of weights, from `open_trained`.
        image: Path of an image, or `uint8` array `(height, width, 3)`.
        to_input: What `trained.pixels_to_input()` gave, if it is asked more
            than once: it is compiled at its first call.

    Returns:
        The `uint8` crop, and what is made of it, as a batch.

    Raises:
        ValueError: if the image cannot be read.
    """
    sizes = trained.sizes
    source = one_source(image, sizes["resize_pixels"], sizes["channels"])
    crop = read_one(source.center_crop, image, sizes["crop_pixels"])
    flips = np.zeros(1, "uint8")
    shifts = np.zeros((1, sizes["channels"]), "float32")
    to_input = to_input or trained.pixels_to_input()
    inputs = to_input(crop[np.newaxis], flips, shifts)
    return crop, inputs


def one_source(image, resize_pixels, channels):
    """The `Source` of a single image, a path or an array."""
    if isinstance(image, np.ndarray):
        images = image[np.newaxis]
    else:
        images = np.array([os.fspath(image)], str)
    return Source(Examples(images, [0], ("",)), resize_pixels, None, channels)


def one_picture(image, channels):
    """A single image as it is, an array or a picture of Pillow's."""
    if isinstance(image, np.ndarray):
        return image
    try:
        return read_picture(os.fspath(image), channels)
    except BadImageError as error:
        raise ValueError(f"{os.fspath(image)!r}: {error}.") from error


def read_one(read, image, *args):
    """What a method of `Source` gives, its refusal in a sentence."""
    try:
        return read(0, *args)
    except BadImageError as error:
        raise ValueError(f"{os.fspath(image)!r}: {error}.") from error


def class_place(trained, class_name, probabilities):
    """The place of a class; of the most probable if it has no name.

    Raises:
        ValueError: if there is no such class.
    """
    names, places = trained.class_names, imagenet.places(trained.class_names)
    if class_name is None:
        return int(np.argmax(probabilities))
    if class_name not in places:
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise ValueError(
            f"There is no class {class_name!r}; the {len(names)} classes are "
            f"{shown}."
        )
    return places[class_name]
