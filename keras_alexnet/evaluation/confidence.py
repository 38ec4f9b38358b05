"""The predictions that a network is surest of: right ones and wrong ones."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.image_source import Source
from keras_alexnet.data.skipped_files import SkippedFiles
from keras_alexnet.evaluation.scores import score_batches
from keras_alexnet.runs.network import Network


class Answer(NamedTuple):
    """What a network says of a test image.

    Args:
        name: Path of the file, or the place of the image among the others.
        pixels: `uint8` array `(height, width, 1 or 3)`, as the network sees
            the image.
        true: Name of its class.
        predicted: Name of the most probable class.
        probability: Of that one.
    """

    name: str
    pixels: np.ndarray
    true: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class SureAnswers:
    """The answers that a network is surest of.

    Args:
        best: Right ones, the surest first.
        worst: Wrong ones, the surest first.
        read: Number of images that could be read.
        right: Number of right answers.
        unread: Number of files that could not be read.
    """

    best: list[Answer]
    worst: list[Answer]
    read: int
    right: int
    unread: int


def sure_answers(run, examples, count):
    """Ask a run about all examples, and keep what it is surest of.

    Args:
        run: A `Run`.
        examples: `Examples`; files that cannot be read do not count.
        count: How many right and how many wrong answers to keep.

    Returns:
        `SureAnswers`.

    Raises:
        ValueError: if the run has no weights, or no image can be read.
    """
    bad = SkippedFiles(len(examples), 1.0)
    predicted, probabilities, is_read = [], [], []
    for scores, read in score_batches([Network.of(run)], examples, bad):
        predicted.append(scores.argmax(axis=1))
        probabilities.append(scores.max(axis=1))
        is_read.append(read)
    predicted = np.concatenate(predicted)
    probabilities = np.concatenate(probabilities)
    is_read = np.concatenate(is_read)
    if not is_read.any():
        raise ValueError("None of the test images can be read.")
    surest = np.argsort(-probabilities, kind="stable")
    surest = surest[is_read[surest]]
    is_right = predicted[surest] == examples.labels[surest]
    best, worst = (
        _answers(run, examples, places, predicted, probabilities)
        for places in (surest[is_right][:count], surest[~is_right][:count])
    )
    return SureAnswers(
        best,
        worst,
        len(surest),
        int(is_right.sum()),
        len(examples) - len(surest),
    )


def _answers(run, examples, places, predicted, probabilities):
    if not len(places):
        return []
    shown = Examples(
        examples.images[places], examples.labels[places], run.class_names
    )
    sizes = run.sizes
    source = Source(shown, sizes["resize_pixels"], None, sizes["channels"])
    return [
        Answer(
            _name(shown, i, place),
            source.center_crop(i, sizes["crop_pixels"]),
            run.class_names[shown.labels[i]],
            run.class_names[predicted[place]],
            float(probabilities[place]),
        )
        for i, place in enumerate(places)
    ]


def _name(shown, index, place):
    if shown.are_prepared:
        return shown.images.paths[index]
    return str(shown.images[index]) if shown.are_files else f"image {place}"
