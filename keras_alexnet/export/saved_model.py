"""A network with all that is known of its images, and its SavedModel.

The SavedModel also takes the raw bytes of image files: what `decode`,
`transforms` and `preprocessing` of `data` do, said once more in TensorFlow's
operations.
"""

import functools
import json
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.data import transforms
from keras_alexnet.data.decode import read_picture
from keras_alexnet.data.preprocessing import PixelsToInput
from keras_alexnet.export.formats import MARK

TOP = 5  # how many classes `serve_image_bytes` names
# Pillow's convert("L"): weights of ITU-R 601-2 in 16 bits (its Convert.c).
GRAY = (19595, 38470, 7471)


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

    def read(self, data):
        """A batch of one: what the network is fed of an image file's bytes."""
        channels = self.model.input_shape[-1]
        pixels = self.resize_pixels or self.crop_pixels
        picture = read_picture(data, channels)
        image = transforms.resize_short_side(picture, pixels)
        square = transforms.center_crop(image, pixels)
        crop = transforms.center_crop(square, self.crop_pixels)
        shifts = np.zeros((1, channels), "float32")
        return self.to_input(crop[np.newaxis], np.zeros(1, "uint8"), shifts)

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


def save_model(network, folder):
    """Write a SavedModel.

    Its signature `serve`, also called `serving_default`, takes what the
    network is fed; `serve_image_bytes`, if it is known how images are
    prepared, a batch of image files as they are. What is known of the network
    lies beside it as JSON, in `assets.extra`.

    Args:
        network: A `Network`.
        folder: Path of a folder that does not exist.
    """
    # Not tracked as a model: Keras 3.15 would write all weights twice.
    archive = keras.export.ExportArchive()
    shape = (None, *network.model.input_shape[1:])
    archive.add_endpoint(
        "serve",
        functools.partial(network.model, training=False),
        [tf.TensorSpec(shape, "float32", name="image")],
    )
    if network.takes_files:
        archive.add_endpoint(
            "serve_image_bytes",
            functools.partial(_answer, network),
            [tf.TensorSpec([None], tf.string, name="image_bytes")],
        )
    archive.write_out(str(folder), verbose=False)
    extra = folder / "assets.extra"  # TensorFlow's name for what others add
    extra.mkdir()
    facts = {
        "class_names": network.class_names,
        "input": network.input_text(),
        "resize_pixels": network.resize_pixels,
    }
    (extra / MARK).write_text(
        json.dumps(facts, indent=2) + "\n", encoding="utf-8"
    )


def _answer(network, image_bytes):
    """The outputs of `serve_image_bytes`."""
    side, channels = network.crop_pixels, network.model.input_shape[-1]
    crops = tf.map_fn(
        functools.partial(_cropped, network.resize_pixels, side, channels),
        image_bytes,
        fn_output_signature=tf.TensorSpec((side, side, channels), tf.uint8),
    )
    count = tf.shape(crops)[0]
    # Without XLA, which not all servers have.
    inputs = network.to_input.transform(
        crops, tf.zeros([count], tf.uint8), tf.zeros([count, channels]), 1.0
    )
    probabilities = network.model(inputs, training=False)
    scores, places = tf.math.top_k(
        probabilities, min(TOP, len(network.class_names))
    )
    names = tf.constant(network.class_names)
    # The last two are called as TensorFlow Serving's classifiers call them.
    return {
        "probabilities": probabilities,
        "classes": tf.gather(names, places),
        "scores": scores,
    }


def _cropped(resize_pixels, crop_pixels, channels, data):
    """The center of an image file."""
    image = tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(
            data, channels=3, dct_method="INTEGER_ACCURATE"
        ),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
    image = tf.reshape(image, tf.shape(image)[:3])  # its rank was not known
    image = tf.cast(image, tf.int32)
    if channels == 1:
        image = tf.reduce_sum(image * GRAY, axis=-1, keepdims=True)
        image = (image + 2**15) // 2**16
    image = _resized(tf.cast(image, tf.float32), resize_pixels)
    for pixels in (resize_pixels, crop_pixels):  # as Source.center_crop
        top, left = _center(tf.shape(image), pixels)
        image = image[top : top + pixels, left : left + pixels]
    image = tf.ensure_shape(image, (crop_pixels, crop_pixels, channels))
    return tf.cast(image, tf.uint8)


def _resized(image, pixels):
    """The short side resized as Pillow does: first across, then down, rounded
    after each."""
    shape = tf.shape(image)
    height, width = shape[0], shape[1]
    short = tf.minimum(height, width)
    new_height, new_width = pixels * height // short, pixels * width // short
    for size in ((height, new_width), (new_height, new_width)):
        image = tf.image.resize(image, size, antialias=True)
        image = tf.clip_by_value(tf.floor(image + 0.5), 0, 255)
    return image


def _center(shape, pixels):
    """`transforms.center_offset`; tf.round also rounds halves to even."""
    offset = tf.cast(shape[:2] - pixels, tf.float32) / 2
    offset = tf.cast(tf.round(offset), tf.int32)
    return offset[0], offset[1]
