"""The variants, an eighth as wide, and images for them."""

from dataclasses import replace

import keras
import numpy as np

import keras_alexnet as ka

LARGE = [v for v, a in ka.VARIANTS.items() if a.input_shape[0] > 100]


def small(variant, side=None):
    """The variant, an eighth as wide, its random weights telling images
    apart."""
    architecture = ka.VARIANTS[variant]
    rows = []
    for row in architecture.rows:
        if getattr(row, "filters", None):
            row = replace(row, filters=-(-row.filters // 8))
        if getattr(row, "units", None):
            row = replace(row, units=-(-row.units // 8))
        rows.append(row)
    if side is None:
        side = 70 if variant in LARGE else architecture.input_shape[0]
    keras.utils.set_random_seed(0)
    model = ka.AlexNet(
        replace(architecture, rows=tuple(rows)),
        input_shape=(side, side, architecture.input_shape[-1]),
        classes=10,
    )
    generator = np.random.default_rng(0)
    for weight in model.trainable_variables:
        deviation = (2 / np.prod(weight.shape[:-1])) ** 0.5
        if weight.path.endswith("kernel"):
            weight.assign(generator.normal(0, deviation, weight.shape))
    images = images_for(model)
    logits = model.layers[-1]
    below = keras.Model(model.input, logits.input)
    below = below.predict(images, verbose=0)
    kernel, mean = logits.get_weights()[0], below.mean(axis=0)
    kernel = kernel / ((below - mean) @ kernel).std()
    logits.set_weights([kernel, -mean @ kernel])
    return model


def images_for(model, count=6):
    """Patches of random colors, other ones than those of the comparison."""
    _, height, width, channels = model.input_shape
    shape = (count, 9, 9, channels)
    colors = np.random.default_rng(9).uniform(-120, 120, shape)
    images = colors.repeat(-(-height // 9), 1).repeat(-(-width // 9), 2)
    return images[:, :height, :width].astype("float32")
