"""How much of an untrained network's activation depends on the image.

With biases of 1 and weights of .01 (Section 5 of the paper) most of fc7 is the
same for every image. On pixels of 0..255 enough is left to learn from; on
pixels of 0..1 less than a ten-thousandth, and the loss stays at ln(classes),
the "stuck at 6.9" of BVLC/caffe issues 59, 401, 2085 and 3243.
"""

import warnings

import keras
import numpy as np

from keras_alexnet.models.first_batch import IMAGES
from keras_alexnet.models.first_batch import outside_of_the_step
from keras_alexnet.models.first_batch import warner

# With the paper's initialization at 227 pixels, measured on 32 flower photos
# (on noise): 0..255 minus mean 1.6e-2 (7.6e-3), mean/std 3.7e-4 (2.7e-4), 0..1
# 8.1e-5 (3.7e-5); the last two do not train. The share falls with the size of
# the image: 67 pixels of 0..255 minus mean have 1.6e-3, are not warned of, and
# had not left ln(10) after three epochs of the bundled images.
SMALLEST_SHARE = 1e-3


def signal_share(model, images):
    """The share of the last hidden layer that depends on the image.

    Args:
        model: A model that ends in a classifier.
        images: Array of at least two images, as the model is fed.

    Returns:
        The standard deviation over the images, divided by the root mean
        square, both over all units.
    """
    hidden = keras.Model(model.input, model.layers[-1].input)
    values = hidden(images, training=False)
    values = keras.ops.convert_to_numpy(values).astype("float64")
    if values.size == 0 or not values.any():
        return 0.0
    return float(np.sqrt(values.var(axis=0).mean() / (values**2).mean()))


def warn_if_unlearnable(model, images):
    """Warn if the initialization cannot learn from images in this range.

    Args:
        model: A model with its initial weights.
        images: Array of images, or `None` if there is nothing to look at.
    """
    if images is None or len(images) < 2:
        return
    if not isinstance(model.layers[-1], keras.layers.Dense):
        return
    images = np.asarray(images)
    if images.std() == 0:
        return
    share = signal_share(model, images)
    if share < SMALLEST_SHARE:
        text = _unlearnable(model, share, images.min(), images.max())
        warnings.warn(text, stacklevel=3)


def _unlearnable(model, share, least, most):
    sides = "x".join(map(str, model.input_shape[1:]))
    return (
        f"{model.name} will hardly learn from these images: with its "
        f"initialization only {share:.1e} of the last hidden layer depends on "
        f"the image, where {SMALLEST_SHARE:.0e} is needed; feed pixels of "
        "0..255 minus their mean, as `keras_alexnet.preprocess_input` makes "
        f"them, or larger images. (Seen: images of {sides}, values of "
        f"{least:.3g} to {most:.3g}.)"
    )


def check_of_learning(model):
    """A function of the least and the largest value that reach a network.

    It warns if the initialization cannot learn from that range. What depends
    on the image grows with it: one look at patches of colors tells the least.
    """
    images = test_images(*model.inputs) if len(model.inputs) == 1 else None
    if images is None or not isinstance(model.layers[-1], keras.layers.Dense):
        return None
    share = outside_of_the_step(signal_share, model, images - np.float32(127))
    warn = warner()
    if share is None:
        return None

    def check(least, most):
        span = (most - least) / 255
        if span > 0 and share * span < SMALLEST_SHARE:
            warn(_unlearnable(model, share * span, least, most))
        return True

    return check


def check_of_range(model, preprocessing):
    """A function of the least and the largest value that reach a network.

    It warns if images are not preprocessed as the variant's weights expect.
    """
    warn = warner()

    def check(least, most):
        text = _out_of_range(model, preprocessing, least, most)
        if text:
            warn(text)
        return True

    return check


def warn_if_out_of_range(model, preprocessing, images):
    """Warn if images are not preprocessed as the variant's weights expect.

    Args:
        model: A model.
        preprocessing: The variant's `Preprocessing`.
        images: Array of images, or `None` if there is nothing to look at.
    """
    if images is None or not len(images):
        return
    least, most = float(np.min(images)), float(np.max(images))
    text = _out_of_range(model, preprocessing, least, most)
    if text:
        warnings.warn(text, stacklevel=3)


def _out_of_range(model, preprocessing, least, most):
    """What is wrong with values of that range, or `None`."""
    low, high = (
        [
            (value * preprocessing.scale - mean) / std
            for mean, std in zip(
                preprocessing.mean, preprocessing.std, strict=False
            )
        ]
        for value in (0, 255)
    )
    low, high = min(low), max(high)
    margin = 0.05 * (high - low)
    outside = least < low - margin or most > high + margin
    # Pixels of 0..1 where they should be some -120 to 150.
    shrunken = low < 0 and least < most and max(-least, most) < margin / 2
    if not outside and not shrunken:
        return None
    return (
        f"{model.name} expects values of {low:.4g} to {high:.4g}, as "
        f"`keras_alexnet.preprocess_input(x, {model.variant!r})` makes them "
        f"of pixels of 0..255, but was given {least:.4g} to {most:.4g}; its "
        "answers will be wrong."
    )


def first_images(x):
    """A few of the images in an array or a tensor; `None` of all else.

    What has to be read may be such as can be read once: `first_batch` looks
    at that.
    """
    if not hasattr(x, "shape") or len(x.shape) != 4:
        return None
    return keras.ops.convert_to_numpy(x[:IMAGES])


def test_images(inputs):
    """Patches of random colors in 0..255, of the inputs' shape."""
    shape = getattr(inputs, "shape", ())
    if len(shape) != 4 or None in shape[1:]:
        return None
    generator = np.random.default_rng(0)
    last = keras.config.image_data_format() == "channels_last"
    patch = (16, 16, 1) if last else (1, 16, 16)
    count = [-(-n // side) for n, side in zip(shape[1:], patch, strict=True)]
    colors = generator.uniform(0, 255, (IMAGES, *count))
    images = np.kron(colors, np.ones((1, *patch))).astype("float32")
    return images[:, : shape[1], : shape[2], : shape[3]]
