"""From images in any form to what a network is fed."""

import os
from collections.abc import Iterable

import keras
import numpy as np
from PIL import Image

from keras_alexnet.data import transforms
from keras_alexnet.data.decode import BadImageError
from keras_alexnet.data.decode import converted
from keras_alexnet.data.decode import read_picture
from keras_alexnet.data.image_source import small_picture
from keras_alexnet.files import AnyPath

AnyImage = AnyPath | bytes | Image.Image | np.ndarray
AnyImages = AnyImage | Iterable[AnyImage]


class Preprocessor:
    """Makes of images what a network is fed; see `preprocessor`.

    Args:
        resize_pixels: The short side of an image is resized to this.
        crop_pixels: Side of the square in the middle that the network sees.
        channels: Of the network's images, 3 or 1.
        to_input: `PixelsToInput`.

    Call arguments:
        images: An image or several: paths of image files, their bytes,
            Pillow's pictures, `uint8` arrays `(height, width)` or `(height,
            width, channels)` of 0..255, a list of such, or an array with one
            axis more. RGB; gray ones are shown in all three channels.

    Output shape:
        `(images, crop_pixels, crop_pixels, channels)`, `float32`.
    """

    def __init__(self, resize_pixels, crop_pixels, channels, to_input):
        self.resize_pixels = resize_pixels
        self.crop_pixels = crop_pixels
        self.channels = channels
        self.to_input = to_input

    def __call__(self, images):
        return self.prepared(self.crops(images))

    def crops(self, images):
        """The `uint8` squares that the network sees, as one array.

        Raises:
            ValueError: if one cannot be read, or is no image.
        """
        return transforms.center_crop(self.squares(images), self.crop_pixels)

    def squares(self, images):
        """As `crops`, of all that lies within `resize_pixels` (Section 2)."""
        squares = [self._square(image) for image in each_image(images)]
        if not squares:
            raise ValueError("There are no images in an empty list.")
        return np.stack(squares)

    def prepared(self, crops):
        """What the network is fed of its crops."""
        flips = np.zeros(len(crops), "uint8")
        shifts = np.zeros((len(crops), self.channels), "float32")
        fed = self.to_input(crops, flips, shifts)
        return keras.ops.convert_to_numpy(fed)

    def _square(self, image):
        pixels = self.resize_pixels
        small = read_as(image, self.channels, small_picture, pixels)
        return transforms.center_crop(small, pixels)


def each_image(images):
    """A list of images in the forms that `Preprocessor` takes, or of paths.

    Raises:
        ValueError: if it is nothing of the kind.
    """
    if isinstance(images, str | os.PathLike | bytes | Image.Image):
        return [images]
    if hasattr(images, "__array__"):  # a backend's tensor, too
        images = np.asarray(images)
        is_one = images.ndim == 2 or (
            images.ndim == 3 and images.shape[-1] in (1, 3, 4)
        )
        if is_one and images.dtype.kind not in "USO":
            return [images]
    try:
        return list(images)
    except TypeError:
        return [images]  # and who reads it says what it is


def are_paths(images):
    """Whether all in a list are paths, and none is an image itself."""
    return all(isinstance(image, str | os.PathLike) for image in images)


def read_as(image, channels, then, *args):
    """What a function makes of an image of any form.

    Args:
        image: A path, the bytes of a file, a picture of Pillow's or an array.
        channels: 3 for RGB, 1 for gray.
        then: Function of a picture of Pillow's and `args`.

    Raises:
        ValueError: if it cannot be read, or is no image.
    """
    is_path = isinstance(image, str | os.PathLike)
    try:
        if is_path or isinstance(image, bytes):
            return read_picture(image, channels, then=lambda p: then(p, *args))
        return then(converted(_picture(image), channels), *args)
    except BadImageError as error:
        name = repr(os.fspath(image)) if is_path else "An image"
        raise ValueError(f"{name}: {error}.") from error


def _picture(image):
    """An image in memory as a picture of Pillow's."""
    if isinstance(image, Image.Image):
        return image
    if not hasattr(image, "__array__"):
        raise ValueError(
            "Images are paths, bytes of image files, Pillow's pictures or "
            f"uint8 arrays. Received: {type(image).__name__}"
        )
    image = np.asarray(image)
    shape = image.shape[:2] if image.shape[2:] == (1,) else image.shape
    if image.dtype != "uint8" or shape[2:] not in ((), (3,)) or 0 in shape:
        raise ValueError(
            "An image must be a uint8 array (height, width) or (height, "
            "width, 3) of 0..255. Received: "
            f"{image.dtype} {image.shape}"
        )
    return Image.fromarray(image.reshape(shape))
