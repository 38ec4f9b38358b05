"""What a trained network sees in image files."""

import os

import numpy as np

from keras_alexnet.images import Examples
from keras_alexnet.reading import BadImageError
from keras_alexnet.sources import Source


def predict(run, files, top=5):
    """The most probable classes of image files.

    Args:
        run: A `Run`.
        files: Paths of image files.
        top: How many classes to name.

    Returns:
        For each file a list of `(class name, probability)`, the most
        probable first.

    Raises:
        ValueError: if a file is missing or is not an image.
    """
    recipe, sizes = run.recipe, run.sizes
    paths = np.array([os.fspath(file) for file in files], str)
    examples = Examples(paths, np.zeros(len(paths), int), run.class_names)
    source = Source(examples, sizes["resize_pixels"], None, run.channels)
    model, to_input = run.load_model(), run.pixels_to_input()
    predictions = []
    for first in range(0, len(paths), recipe.batch_size):
        images = np.stack(
            [
                _center_crop(source, index, recipe.crop_pixels)
                for index in range(len(paths))[first:][: recipe.batch_size]
            ]
        )
        count = len(images)
        shifts = np.zeros((count, run.channels), "float32")
        inputs = to_input(images, np.zeros(count, "uint8"), shifts)
        for probabilities in model.predict_on_batch(inputs):
            order = np.argsort(-probabilities, kind="stable")[:top]
            predictions.append(
                [(run.class_names[i], float(probabilities[i])) for i in order]
            )
    return predictions


def _center_crop(source, index, pixels):
    try:
        return source.center_crop(index, pixels)
    except BadImageError as error:
        raise ValueError(f"{source.file(index)!r}: {error}.") from error
