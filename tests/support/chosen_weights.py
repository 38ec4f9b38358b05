"""Runs whose weights are chosen, not learned."""

import functools

import numpy as np

from keras_alexnet.runs.recipe import Recipe
from keras_alexnet.runs.run import Run

CLASSES = ("ash", "beech", "cedar")


def set_random_weights(model):
    """So that no layer is silent, and no class wins everywhere."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        weights = layer.get_weights()
        if weights:
            shape = weights[0].shape
            scale = np.sqrt(2 / np.prod(shape[:-1]))
            kernel = generator.standard_normal(shape, "float32") * scale
            bias = 0.01 * generator.standard_normal(weights[1].shape)
            layer.set_weights([kernel, bias])


def write_run(folder, variant="alexnet", crop=67, change=None, **fields):
    """A run folder with random weights, or those that `change` sets."""
    fields = {"resize_pixels": crop + 5, "color_noise": 0.0, **fields}
    recipe = Recipe("chosen", "", variant, crop_pixels=crop, **fields)
    run = Run.create(folder, recipe, CLASSES)
    model = run.build_model()
    (change or set_random_weights)(model)
    run.save_weights(model)
    run.load_model = functools.cache(run.load_model)  # to save time
    return run
