"""How well a network does: exact counts over every test example."""

from dataclasses import dataclass

import numpy as np

from keras_alexnet.images import load_examples
from keras_alexnet.images import match_classes
from keras_alexnet.images import test_examples
from keras_alexnet.pipeline import evaluation_batches


@dataclass(frozen=True)
class Evaluation:
    """Exact counts over a set of examples.

    Args:
        class_names: Names of the classes.
        confusion: Array of counts, `[true class, predicted class]`.
        top5_correct: Number of examples whose class is among the five (or
            all, where there are fewer) most probable.
    """

    class_names: tuple[str, ...]
    confusion: np.ndarray
    top5_correct: int

    @property
    def examples(self):
        """Number of examples."""
        return int(self.confusion.sum())

    @property
    def accuracy(self):
        """Share of the examples whose most probable class is right."""
        return float(np.trace(self.confusion)) / self.examples

    def to_dict(self):
        """The figures as plain numbers, errors in percent as in the paper."""
        per_class = np.diag(self.confusion) / self.confusion.sum(axis=1)
        return {
            "examples": self.examples,
            "accuracy": self.accuracy,
            "top1_error_percent": 100 * (1 - self.accuracy),
            "top5_error_percent": 100 * (1 - self.top5_correct / self.examples),
            "accuracy_per_class": dict(
                zip(self.class_names, per_class.tolist(), strict=True)
            ),
            "confusion": self.confusion.tolist(),
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
        return "\n".join(lines)


def evaluate(run, data=None):
    """Test the network of a run.

    Args:
        run: A `Run`.
        data: Data set to test on, as in `images.test_examples`; the run's
            own test examples if `None`.

    Returns:
        An `Evaluation`.
    """
    recipe = run.recipe
    if data is not None:
        examples = test_examples(data, run.class_names)
    else:
        _, examples = load_examples(
            recipe.data, recipe.validation_fraction, recipe.seed
        )
        examples = match_classes(examples, run.class_names, recipe.data)
    model = run.load_model()
    batches = evaluation_batches(
        examples,
        recipe.variant,
        batch_size=recipe.batch_size,
        resize_pixels=recipe.resize_pixels,
        crop_pixels=recipe.crop_pixels,
        channels=run.channels,
    )
    classes = len(run.class_names)
    confusion, top5_correct = np.zeros((classes, classes), int), 0
    for images, labels in batches:
        scores, labels = model.predict_on_batch(images), labels.numpy()
        order = np.argsort(-scores, axis=1, kind="stable")
        np.add.at(confusion, (labels, order[:, 0]), 1)
        top5_correct += int((order[:, :5] == labels[:, None]).sum())
    return Evaluation(run.class_names, confusion, top5_correct)
