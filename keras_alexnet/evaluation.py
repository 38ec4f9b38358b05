"""How well a network does: exact counts over every test example."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_alexnet import geometry
from keras_alexnet.images import Examples
from keras_alexnet.images import load_examples
from keras_alexnet.images import match_classes
from keras_alexnet.images import test_examples
from keras_alexnet.pipeline import evaluation_batches
from keras_alexnet.skipping import SkippedFiles


@dataclass(frozen=True)
class Evaluation:
    """Exact counts over a set of examples.

    Args:
        class_names: Names of the classes.
        confusion: Array of counts, `[true class, predicted class]`.
        top5_correct: Number of examples whose class is among the five (or
            all, where there are fewer) most probable.
        skipped_files: Number of files that could not be read, not counted.
    """

    class_names: tuple[str, ...]
    confusion: np.ndarray
    top5_correct: int
    skipped_files: int = 0

    @property
    def examples(self):
        """Number of examples."""
        return int(self.confusion.sum())

    @property
    def accuracy(self):
        """Share of the examples whose most probable class is right."""
        return float(np.trace(self.confusion)) / max(self.examples, 1)

    def to_dict(self):
        """The figures as plain numbers, errors in percent as in the paper."""
        per_class = np.diag(self.confusion) / self.confusion.sum(axis=1).clip(1)
        return {
            "examples": self.examples,
            "accuracy": self.accuracy,
            "top1_error_percent": 100 * (1 - self.accuracy),
            "top5_error_percent": 100
            * (1 - self.top5_correct / max(self.examples, 1)),
            "accuracy_per_class": dict(
                zip(self.class_names, per_class.tolist(), strict=True)
            ),
            "confusion": self.confusion.tolist(),
            "skipped_files": self.skipped_files,
        }

    def __str__(self):
        facts = self.to_dict()
        width = max(len(name) for name in self.class_names)
        lines = [
            f"{self.examples} examples: accuracy {self.accuracy:.4f}, "
            f"top-1 error {facts['top1_error_percent']:.2f} %, "
            f"top-5 error {facts['top5_error_percent']:.2f} %"
        ]
        lines += [
            f"  {name:<{width}}  {share:.3f}"
            for name, share in facts["accuracy_per_class"].items()
        ]
        if self.skipped_files:
            lines.append(f"{self.skipped_files} files could not be read.")
        return "\n".join(lines)


def evaluate(run, data=None, max_bad_ratio=None, ten_crops=False):
    """Test the network of a run.

    Args:
        run: A `Run`.
        data: Data set to test on, as in `images.test_examples`, or
            `Examples`; the run's own test examples if `None`.
        max_bad_ratio: The largest part of the files that may be unreadable
            and is not counted; the recipe's if `None`. Of the run's own data
            it is a part of all, as in the training.
        ten_crops: Boolean, whether the predictions for ten crops of the
            central square are averaged (Section 4.1), in place of that for
            its center.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: if the data are not usable or more files are unreadable.
    """
    recipe = run.recipe
    if data is None and not recipe.data:
        raise ValueError(
            "The run was trained on arrays in memory; say what to test on."
        )
    total = 0
    if isinstance(data, Examples):
        examples = match_classes(data, run.class_names, "the examples")
    elif data is not None:
        examples = test_examples(data, run.class_names)
    else:
        train, examples = load_examples(
            recipe.data, recipe.validation_fraction, recipe.seed
        )
        examples = match_classes(examples, run.class_names, recipe.data)
        total = len(train)
    if max_bad_ratio is None:
        max_bad_ratio = recipe.max_bad_ratio
    skipped = SkippedFiles(total + len(examples), max_bad_ratio)
    return count_answers(run, examples, skipped, ten_crops)


def count_answers(run, examples, skipped, ten_crops=False):
    """The `Evaluation` of examples; bad files are told to `skipped`."""
    model, to_input = run.load_model(), run.pixels_to_input()
    sizes = dict(run.sizes)
    if ten_crops:  # of all of the square in the middle
        sizes["crop_pixels"] = run.recipe.resize_pixels
    batches = evaluation_batches(
        examples, batch_size=run.recipe.batch_size, skipped=skipped, **sizes
    )

    def predict(images, flips, shifts):
        crops = [images]
        if ten_crops:
            crops = geometry.ten_crops(images, run.recipe.crop_pixels)
        predictions = [
            model.predict_on_batch(to_input(crop, flips, shifts))
            for crop in crops
        ]
        return np.mean(predictions, axis=0)

    classes = len(run.class_names)
    confusion, top5_correct = np.zeros((classes, classes), int), 0
    try:
        for inputs, labels, weights in batches:
            scores = predict(*inputs)
            read = weights.numpy() > 0
            scores, labels = scores[read], labels.numpy()[read]
            order = np.argsort(-scores, axis=1, kind="stable")
            np.add.at(confusion, (labels, order[:, 0]), 1)
            top5_correct += int((order[:, :5] == labels[:, None]).sum())
    except tf.errors.OpError:
        skipped.check()
        raise
    bad = len(examples) - int(confusion.sum())
    return Evaluation(run.class_names, confusion, top5_correct, bad)
