"""What a trained network sees in image files."""

import os
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from keras_alexnet.data import imagenet
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.folders import find_images
from keras_alexnet.data.skipped_files import SkippedFiles
from keras_alexnet.evaluation.scores import score_batches
from keras_alexnet.runs.network import Network
from keras_alexnet.runs.network import Trained
from keras_alexnet.runs.preprocessor import AnyImages
from keras_alexnet.runs.preprocessor import are_paths
from keras_alexnet.runs.preprocessor import each_image

# ImageNet's training images are called n01440764_10026.JPEG.
SYNSET_IN_NAME = re.compile(r"n\d{8}(?=_)")


class Prediction(NamedTuple):
    """The most probable classes of an image, or why there are none.

    Args:
        file: Path of the file; "image 0" and so on of those in memory.
        top: List of `(class name, probability)`, the most probable first;
            empty if the file cannot be used.
        error: What is wrong with the file, or `None`.
    """

    file: str
    top: list
    error: str | None


def predict(
    trained: Trained, images: AnyImages, top: int = 5, ten_crops: bool = False
) -> list[list[tuple[str, float]]]:
    """The most probable classes of images.

    Args:
        trained: What `open_trained` gives or takes, or a Keras model with
            trained weights, as in `preprocessor`.
        images: Paths of image files, of folders of them, and patterns, as in
            `find_images`; or images in memory, as `preprocessor` takes them.
        top: How many classes to name.
        ten_crops: Boolean, whether the predictions for ten crops are
            averaged (Section 4.1), in place of that for the center.

    Returns:
        For each file a list of `(class name, probability)`, the most
        probable first. `iter_predictions` also says which file it is.

    Raises:
        ValueError: if a file cannot be used; `iter_predictions` goes on.
    """
    predictions = []
    for prediction in iter_predictions(trained, images, top, ten_crops):
        if prediction.error:
            raise ValueError(f"{prediction.file!r}: {prediction.error}.")
        predictions.append(prediction.top)
    return predictions


def iter_predictions(
    trained: Trained, images: AnyImages, top: int = 5, ten_crops: bool = False
) -> Iterator[Prediction]:
    """The predictions for images, one after another, whatever their number.

    Args:
        trained: As in `predict`.
        images: As in `predict`.
        top: As in `predict`.
        ten_crops: As in `predict`.

    Returns:
        An iterator of a `Prediction` for each file, in order. That of a file
        that cannot be used says why.

    Raises:
        ValueError: at once, if there is nothing to predict.

    Example:

    ```python
    run = ka.open_trained("runs/photos")
    for file, top, error in ka.iter_predictions(run, "photos/"):
        print(file, error or top[0])
    ```
    """
    network, given = Network.of(trained), each_image(images)
    if are_paths(given):
        files = find_images(given)
        pixels = np.array(files, str)
    else:
        pixels = network.preprocessor.squares(given)
        files = [f"image {number}" for number in range(len(pixels))]
    return _predictions(network, pixels, files, top, ten_crops)


def _predictions(network, images, files, top, ten_crops):
    labels = np.zeros(len(files), int)
    examples = Examples(images, labels, network.names)
    bad = SkippedFiles(len(files), 1.0)  # all may be bad
    batches = score_batches([network], examples, bad, ten_crops)
    files = iter(files)
    for scores, read in batches:
        orders = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        # The files come last: zip takes none that it has no scores for.
        for each, order, good, file in zip(
            scores, orders, read, files, strict=False
        ):
            if not good:
                yield Prediction(file, [], _reason(file, bad))
                continue
            named = [(network.names[i], float(each[i])) for i in order]
            yield Prediction(file, named, None)


def _reason(file, bad):
    return "holds no images" if os.path.isdir(file) else bad.reasons[file]


def true_class(file, class_names):
    """The class that a file is of by its place or name, or `None`.

    Args:
        file: Path of an image in a folder with the name of its class, or
            called as ImageNet's training images are.
        class_names: Names of the network's classes.
    """
    path = pathlib.Path(os.path.abspath(file))
    places = imagenet.places(class_names)
    synset = SYNSET_IN_NAME.match(path.name)
    for name in (path.parent.name, synset and synset[0]):
        if name in places:
            return class_names[places[name]]
    return None
