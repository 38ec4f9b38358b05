"""What a trained network sees in image files."""

import os

import numpy as np
import tensorflow as tf

from keras_alexnet.images import Examples
from keras_alexnet.pipeline import evaluation_batches
from keras_alexnet.pipeline import read_image


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
    for file in files:
        check_image(file)
    model, recipe = run.load_model(), run.recipe
    batches = evaluation_batches(
        Examples(
            np.array([os.fspath(f) for f in files]),
            np.zeros(len(files), "int64"),
            run.class_names,
        ),
        recipe.variant,
        batch_size=recipe.batch_size,
        resize_pixels=recipe.resize_pixels,
        crop_pixels=recipe.crop_pixels,
        channels=run.channels,
    )
    predictions = []
    for images, _ in batches:
        for probabilities in model.predict_on_batch(images):
            order = np.argsort(-probabilities, kind="stable")[:top]
            predictions.append(
                [(run.class_names[i], float(probabilities[i])) for i in order]
            )
    return predictions


def check_image(file):
    """Refuse a file that is missing or cannot be decoded.

    Raises:
        ValueError: with the file's name and the reason.
    """
    try:
        read_image(tf.constant(os.fspath(file)), channels=3)
    except (tf.errors.OpError, ValueError) as error:
        if not os.path.exists(file):
            raise ValueError(f"There is no file {str(file)!r}.") from error
        raise ValueError(
            f"{str(file)!r} is not an image that can be read; expected JPEG, "
            "PNG, GIF, BMP or WebP."
        ) from error
