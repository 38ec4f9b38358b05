"""Run folders with random weights, made in no time, and photos for them."""

import keras
import numpy as np
from PIL import Image

import keras_alexnet as ka
from keras_alexnet.data.preprocessing import PixelsToInput
from keras_alexnet.runs.recipes import get_recipe

SIZES = [(60, 48), (40, 75), (50, 50), (47, 90), (61, 44)]  # height, width


def random_run(
    folder, class_names, seed=0, mean_image=None, recipe="smoke", **changes
):
    """A `Run` whose weights are random, large enough to tell images apart."""
    if recipe == "smoke":
        changes = {"data": "", "resize_pixels": 40, "batch_size": 4} | changes
    recipe = get_recipe(recipe, **changes)
    run = ka.Run.create(folder, recipe, class_names)
    keras.utils.set_random_seed(seed)
    model = run.build_model()
    generator = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        fan_in = np.prod(variable.shape[:-1]) or 1
        values = generator.standard_normal(variable.shape, "float32")
        variable.assign(values * (2 / fan_in) ** 0.5)
    _spread(model, run, generator)
    run.save_weights(model)
    if mean_image is not None:
        np.save(run.path("mean_image.npy"), mean_image)
    return run


def _spread(model, run, generator):
    """Scale the last layer so that the classes depend on the image."""
    side = run.recipe.crop_pixels
    shape = (32, side, side, run.channels)
    colors = generator.integers(0, 256, (32, 6, 6, run.channels))
    times = -(-side // 6)
    images = colors.repeat(times, axis=1).repeat(times, axis=2)
    images = images[:, :side, :side].astype("uint8")
    zeros = np.zeros((32, run.channels), "float32")
    inputs = PixelsToInput(run.recipe.variant)(images, zeros[:, 0], zeros)
    assert inputs.shape == shape
    last = [layer for layer in model.layers if layer.weights][-1]
    kernel, bias = last.get_weights()
    below = keras.Model(model.inputs, last.input).predict_on_batch(inputs)
    scores = below.astype("float64") @ kernel
    kernel /= scores.std(axis=0).mean()
    bias = -(below.mean(axis=0) @ kernel)
    last.set_weights([2 * kernel, 2 * bias])


def write_photos(folder, counts, seed=0):
    """Photos of blurred noise, `{class: count}`, of several shapes."""
    generator = np.random.default_rng(seed)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            height, width = SIZES[number % len(SIZES)]
            small = generator.integers(0, 256, (6, 6, 3), "uint8")
            photo = Image.fromarray(small).resize((width, height))
            photo.save(folder / name / f"{number:02}.png")
    return folder
