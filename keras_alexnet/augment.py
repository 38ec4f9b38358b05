"""What is done to an image before the network sees it: pure functions."""

import numpy as np
import tensorflow as tf

from keras_alexnet.architectures import get_architecture


def preprocess_input(x, variant="alexnet"):
    """Makes of RGB images what a variant's weights expect.

    Args:
        x: Images, `(..., height, width, 3)`, RGB values of 0..255; an array
            or a tensor.
        variant: Name of the variant.

    Returns:
        The same shape, as float32: scaled, minus the mean, divided by the
        standard deviation, in the channel order of that variant.

    Reference:
        - `keras_alexnet.VARIANTS[variant].preprocessing`

    Example:

    >>> preprocess_input(np.full((1, 1, 1, 3), 127.0), "caffe_alexnet")
    array([[[[23., 10.,  4.]]]], dtype=float32)
    """
    facts = get_architecture(variant).preprocessing
    is_array = not tf.is_tensor(x)
    x = np.asarray(x, "float32") if is_array else tf.cast(x, tf.float32)
    if x.shape[-1] != len(facts.mean):
        raise ValueError(
            f"{get_architecture(variant).name} expects {len(facts.mean)} "
            f"channels in the last axis. Received: shape={tuple(x.shape)}"
        )
    if facts.channel_order == "BGR":
        x = x[..., ::-1]
    if facts.scale != 1.0:
        x = x * np.float32(facts.scale)
    x = x - np.array(facts.mean, "float32")
    if any(std != 1.0 for std in facts.std):
        x = x / np.array(facts.std[: len(facts.mean)], "float32")
    return x


def resize_short_side(image, pixels):
    """Resize an image so that its short side has `pixels` (Section 2).

    Antialiased when it shrinks, as Pillow and torchvision do.
    """
    # Antialiasing changes nothing where an image grows, and costs seven times
    # as much.
    known = image.shape.is_fully_defined()
    grows = known and min(image.shape[:2]) <= pixels
    size = tf.shape(image)[:2]
    scale = pixels / tf.cast(tf.reduce_min(size), tf.float64)
    new_size = tf.cast(tf.round(tf.cast(size, tf.float64) * scale), tf.int32)
    new_size = tf.maximum(new_size, pixels)
    return tf.image.resize(image, new_size, antialias=not grows)


def center_crop(image, pixels):
    """The square in the middle, `pixels` wide."""
    offset = (tf.shape(image)[:2] - pixels) // 2
    return _crop(image, offset, pixels)


def random_crop(image, pixels, seed):
    """A square anywhere, `pixels` wide (Section 4.1)."""
    room = tf.shape(image)[:2] - pixels + 1
    offset = tf.random.stateless_uniform([2], seed)
    offset = tf.cast(offset * tf.cast(room, tf.float32), tf.int32)
    return _crop(image, tf.minimum(offset, room - 1), pixels)


def random_flip(image, seed):
    """The image or its mirror image, either with probability 1/2."""
    return tf.image.stateless_random_flip_left_right(image, seed)


def _crop(image, offset, pixels):
    begin = tf.concat([offset, [0]], 0)
    return tf.slice(image, begin, [pixels, pixels, image.shape[-1]])
