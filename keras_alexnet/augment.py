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
