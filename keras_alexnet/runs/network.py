"""A trained network as others need it, and the way to it from a photo."""

import os
from dataclasses import dataclass

import keras
import numpy as np
from PIL import Image

from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.data import imagenet
from keras_alexnet.data import transforms
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.decode import BadImageError
from keras_alexnet.data.decode import converted
from keras_alexnet.data.decode import read_picture
from keras_alexnet.data.image_source import small_picture
from keras_alexnet.data.preprocessing import PixelsToInput
from keras_alexnet.runs.open_trained import open_trained

TOP = 5  # how many classes `serve_image_bytes` names


@dataclass(frozen=True)
class Network:
    """A Keras model and how it is fed.

    Args:
        model: The model.
        class_names: Names of the classes, or `None`.
        resize_pixels: The short side of an image before the center is cut
            out of it, or `None`.
        to_input: `PixelsToInput`; `None` if it is not known what values the
            network is fed.
    """

    model: keras.Model
    class_names: tuple | None = None
    resize_pixels: int | None = None
    to_input: PixelsToInput | None = None

    @classmethod
    def of(cls, trained):
        """The network of a `Run`, of a model file, or of a Keras model."""
        if hasattr(trained, "pixels_to_input"):
            return cls(
                trained.load_model(),
                tuple(trained.class_names),
                trained.sizes["resize_pixels"],
                trained.pixels_to_input(),
            )
        if not isinstance(trained, keras.Model):
            raise ValueError(
                "`trained` must be a run, a model file or a Keras model, as "
                "`keras_alexnet.open_trained(path)` gives them. Received: "
                f"{type(trained).__name__}"
            )
        if not getattr(trained, "checks_range", False):
            return cls(trained)  # of whatever images
        _, height, width, _ = trained.input_shape
        if height is None or height != width:
            return cls(trained)
        names = trained.class_names
        return cls(
            trained,
            names and tuple(names),
            trained.resize_pixels,
            PixelsToInput(trained.variant),
        )

    @property
    def takes_files(self):
        """Whether enough is known to answer image files as they are."""
        known = (self.class_names, self.resize_pixels, self.to_input)
        return all(fact is not None for fact in known)

    @property
    def crop_pixels(self):
        """Side of the image that the network sees."""
        return self.model.input_shape[1]

    @property
    def preprocessor(self):
        """The `Preprocessor` of its images."""
        return Preprocessor(
            self.resize_pixels or self.crop_pixels,
            self.crop_pixels,
            self.model.input_shape[-1],
            self.to_input,
        )

    @property
    def mean_image(self):
        """What is subtracted in place of a mean color, or `None`."""
        return None if self.to_input is None else self.to_input.mean_image

    def input_text(self):
        """What the network expects, in words."""
        shape = ("batch", *self.model.input_shape[1:])
        return f"float32 {_bracketed(shape)}, {self.values_text()}"

    def values_text(self):
        """What the values of an input are, in words."""
        if self.to_input is None:
            return "values as in its training"
        facts = get_architecture(self.to_input.variant).preprocessing
        count = len(facts.mean)
        order = "gray" if count == 1 else facts.channel_order
        text = f"{order} of 0..255"
        if facts.scale != 1:
            text += f", divided by {1 / facts.scale:g}"
        if self.mean_image is not None:
            text += ", minus the center of the run's mean_image.npy"
        elif any(facts.mean):
            text += f", minus {_listed(facts.mean)}"
        if any(value != 1 for value in facts.std[:count]):
            text += f", divided by {_listed(facts.std)}"
        return text

    def output_text(self):
        """What the network gives, in words."""
        shape = _bracketed(("batch", *self.model.output_shape[1:]))
        last = getattr(self.model.layers[-1], "activation", None)
        softmax = last is keras.activations.softmax
        text = f"{'probabilities' if softmax else 'outputs'} {shape}"
        if self.class_names and len(self.class_names) <= TOP:
            text += f" of {', '.join(self.class_names)}"
        return text


def _bracketed(shape):
    return f"({', '.join(str(side or 'any') for side in shape)})"


def _listed(values):
    return "/".join(f"{value:g}" for value in values)


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


def preprocessor(trained):
    """The way from photos to what a trained network is fed.

    Args:
        trained: What `open_trained` gives, or a path or alias that it takes;
            or a model that `AlexNet(weights=...)` or `convert_weights` made.

    Returns:
        A `Preprocessor`, to be called with images of any kind.

    Raises:
        ValueError: if it is not known how the network's images are prepared.

    Example:

    >>> import keras_alexnet as ka
    >>> model = ka.AlexNet("cifar10_18pct", weights="cifar10")
    >>> prepared = preprocessor(model)
    >>> prepared(np.zeros((48, 64, 3), "uint8")).shape
    (1, 32, 32, 3)
    """
    if isinstance(trained, str | os.PathLike):
        trained = open_trained(trained)
    if hasattr(trained, "pixels_to_input"):  # its weights are not needed
        return Preprocessor(
            *map(trained.sizes.get, ("resize_pixels", "crop_pixels")),
            trained.sizes["channels"],
            trained.pixels_to_input(),
        )
    network = Network.of(trained)
    if network.to_input is None:
        raise ValueError(
            "It is not known how the images of this model are prepared; "
            "expected a trained network, or a model with weights that "
            "`AlexNet` or `convert_weights` loaded."
        )
    return network.preprocessor


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
        return np.asarray(self.to_input(crops, flips, shifts))

    def _square(self, image):
        pixels = self.resize_pixels
        small = read_as(image, self.channels, small_picture, pixels)
        return transforms.center_crop(small, pixels)


def are_in_memory(images):
    """Whether images are there as such, not only their paths."""
    if isinstance(images, Examples | Image.Image | bytes):
        return not isinstance(images, Examples)
    if isinstance(images, str | os.PathLike):
        return False
    if isinstance(images, np.ndarray) and images.dtype.kind not in "USO":
        return True
    return not all(isinstance(each, str | os.PathLike) for each in images)


def each_image(images):
    """A list of the images in one of the forms that `Preprocessor` takes."""
    if isinstance(images, np.ndarray) and images.dtype.kind not in "USO":
        is_one = images.ndim == 2 or (
            images.ndim == 3 and images.shape[-1] in (1, 3)
        )
        return [images] if is_one else list(images)
    if isinstance(images, str | os.PathLike | bytes | Image.Image):
        return [images]
    return list(images)


def read_as(image, channels, then=None, *args):
    """An image of any form as a picture of Pillow's, or what is made of it.

    Args:
        image: A path, the bytes of a file, a picture of Pillow's or an array.
        channels: 3 for RGB, 1 for gray.
        then: Function of the picture and `args`, if not it is wanted.

    Raises:
        ValueError: if it cannot be read, or is no image.
    """
    if isinstance(image, np.ndarray):
        image = Image.fromarray(_checked_array(image))
    is_path = isinstance(image, str | os.PathLike)
    then = then or (lambda picture: picture)
    try:
        if isinstance(image, Image.Image):
            return then(converted(image, channels), *args)
        if is_path or isinstance(image, bytes):
            return read_picture(image, channels, then=lambda p: then(p, *args))
    except BadImageError as error:
        name = repr(os.fspath(image)) if is_path else "An image"
        raise ValueError(f"{name}: {error}.") from error
    raise ValueError(
        "Images are paths, bytes of image files, Pillow's pictures or uint8 "
        f"arrays. Received: {type(image).__name__}"
    )


def _checked_array(image):
    shape = image.shape[:2] if image.shape[2:] == (1,) else image.shape
    if image.dtype != "uint8" or shape[2:] not in ((), (3,)) or 0 in shape:
        raise ValueError(
            "An image must be a uint8 array (height, width) or (height, "
            "width, 3) of 0..255. Received: "
            f"{image.dtype} {image.shape}"
        )
    return image.reshape(shape)
