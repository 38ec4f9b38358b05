"""How well networks do: exact counts over every test example."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

import numpy as np

from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.skipped_files import SkippedFiles
from keras_alexnet.evaluation.held_out import held_out
from keras_alexnet.evaluation.scores import class_orders
from keras_alexnet.evaluation.scores import score_batches
from keras_alexnet.files import AnyPath
from keras_alexnet.files import replacing
from keras_alexnet.runs.network import Network
from keras_alexnet.runs.network import Trained
from keras_alexnet.terminal import counted
from keras_alexnet.visualization import charts
from keras_alexnet.visualization.table import Table


@dataclass(frozen=True, repr=False)
class Evaluation(Table):
    """Exact counts over a set of examples; prints as a table of classes.

    Args:
        class_names: Names of the classes.
        confusion: Array of counts, `[true class, predicted class]`.
        top5_correct: Number of examples whose class is among the five (or
            all, where there are fewer) most probable.
        skipped_files: Number of files that could not be read, not counted.
        crops: What of each image was predicted from.
        networks: Number of networks whose predictions were averaged.
        changes: What of the data is not as it was in the training.
    """

    class_names: tuple[str, ...]
    confusion: np.ndarray
    top5_correct: int
    skipped_files: int = 0
    crops: str = "center crop"
    networks: int = 1
    changes: tuple[str, ...] = ()

    _header = ("class", "examples", "right", "error", "most confused with")
    _right = (1, 2, 3)

    @property
    def examples(self):
        """Number of examples."""
        return int(self.confusion.sum())

    @property
    def top1_correct(self):
        """Number of examples whose most probable class is right."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self):
        """Share of the examples whose most probable class is right."""
        return self.top1_correct / max(self.examples, 1)

    @property
    def present(self):
        """Places of the classes that there are examples of."""
        return np.flatnonzero(self.confusion.sum(axis=1))

    def to_dict(self):
        """The figures as plain numbers, errors in percent as in the paper.

        A class without examples has no accuracy: `None`.
        """
        counts = self.confusion.sum(axis=1)
        per_class = [
            right / count if count else None
            for right, count in zip(
                np.diag(self.confusion).tolist(), counts.tolist(), strict=True
            )
        ]
        return {
            "examples": self.examples,
            "classes": len(self.present),
            "crops": self.crops,
            "networks": self.networks,
            "accuracy": self.accuracy,
            "top1_correct": self.top1_correct,
            "top5_correct": self.top5_correct,
            "top1_error_percent": 100 * (1 - self.accuracy),
            "top5_error_percent": 100
            * (1 - self.top5_correct / max(self.examples, 1)),
            "accuracy_per_class": dict(
                zip(self.class_names, per_class, strict=True)
            ),
            "mistakes_per_class": {
                self.class_names[place]: self._mistake(place)
                for place in self.present
            },
            "confusion": self.confusion.tolist(),
            "skipped_files": self.skipped_files,
            "changes": list(self.changes),
        }

    def plot_confusion(self, to_file):
        """Draw how often each class was taken for each other.

        Classes that there are no examples of, and that none was taken for,
        are left out.

        Args:
            to_file: Path of the picture to write: .png, .svg or .pdf.
        """
        counts = self.confusion
        seen = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
        names = [self.class_names[place] for place in seen]
        with replacing(to_file) as path:
            charts.plot_confusion(counts[np.ix_(seen, seen)], names, path)

    def _mistake(self, place):
        """The class that one is most confused with, and how often."""
        counts = self.confusion[place].copy()
        counts[place] = 0
        if not counts.any():
            return None
        other = int(counts.argmax())
        return [self.class_names[other], int(counts[other])]

    def _heading(self):
        total, classes = self.examples, len(self.class_names)
        of = f" of {len(self.present):,} of the {classes:,} classes"
        by = f", {self.networks} networks averaged" * (self.networks > 1)
        top5 = "-"  # five guesses at five classes are never wrong
        if classes > 5:
            top5 = _error(self.top5_correct, total)
        heading = (
            f"{total:,} examples{of * (len(self.present) < classes)}, "
            f"{self.crops}{by}: accuracy {self.accuracy:.4f}, top-1 error "
            f"{_error(self.top1_correct, total)}, top-5 error {top5}"
        )
        if self.skipped_files:
            heading += f"; {self.skipped_files:,} files could not be read"
        return "; ".join([heading, *self.changes]) + "."

    def _cells(self):
        for place in self.present:
            count = int(self.confusion[place].sum())
            right = int(self.confusion[place, place])
            other, times = self._mistake(place) or ("-", 0)
            yield (
                self.class_names[place],
                f"{count:,}",
                f"{right:,}",
                f"{100 * (1 - right / count):.2f} %",
                f"{other}, {times:,}" if times else other,
            )


def _error(right, total):
    """`12.50 % (25 wrong)`."""
    wrong = total - right
    return f"{100 * wrong / max(total, 1):.2f} % ({wrong:,} wrong)"


def evaluate(
    trained: Trained | Sequence[Trained],
    data: AnyPath | Examples | None = None,
    max_bad_ratio: float | None = None,
    ten_crops: bool = False,
) -> Evaluation:
    """Test a network, or several whose predictions are averaged.

    Args:
        trained: What `open_trained` gives or takes, or a Keras model with
            trained weights, as in `preprocessor`; or a list of them:
            networks of the same classes, each of which is shown the images as
            it was trained on them (Section 6).
        data: Data set to test on, as in `datasets.test_examples`, or
            `Examples`; what the run held out if `None`, whatever its files
            are called now. Images that a network was trained on, whatever
            their names, are left out. A network of
            ImageNet's 1,000 classes can be tested on some of them, named by
            synset or by name.
        max_bad_ratio: The largest part of the files that may be unreadable
            and is not counted; the recipe's if `None`. Of the run's own data
            it is a part of all, as in the training.
        ten_crops: Boolean, whether the predictions for ten crops of the
            central square are averaged (Section 4.1), in place of that for
            its center.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: if the data are not usable, more files are unreadable, or
            the networks' classes differ.
    """
    networks = [Network.of(each) for each in _listed(trained)]
    class_orders(networks)  # refuses other classes before it reads anything
    tests = held_out(networks, data)
    examples = tests.examples
    if max_bad_ratio is None:
        max_bad_ratio = min(each.recipe.max_bad_ratio for each in networks)
    skipped = SkippedFiles(tests.others + len(examples), max_bad_ratio)
    counts = count_answers(networks, examples, skipped, ten_crops)
    return replace(counts, changes=tests.changes)


def count_answers(trained, examples, skipped, ten_crops=False, shown=False):
    """The `Evaluation` of examples; bad files are told to `skipped`, and a bar
    is shown where somebody looks."""
    networks = [Network.of(each) for each in _listed(trained)]
    names = networks[0].names
    confusion, top5_correct = np.zeros((len(names), len(names)), int), 0
    first = 0
    batches = score_batches(networks, examples, skipped, ten_crops)
    with counted("testing", len(examples), shown, transient=True) as advance:
        for scores, read in batches:
            labels = examples.labels[first : first + len(read)][read]
            first += len(read)
            order = np.argsort(-scores[read], axis=1, kind="stable")
            np.add.at(confusion, (labels, order[:, 0]), 1)
            top5_correct += int((order[:, :5] == labels[:, None]).sum())
            advance(len(read))
    bad = len(examples) - int(confusion.sum())
    crops = _crops(networks) if ten_crops else "center crop"
    return Evaluation(names, confusion, top5_correct, bad, crops, len(networks))


def _listed(trained):
    networks = list(trained) if isinstance(trained, list | tuple) else [trained]
    if not networks:
        raise ValueError("There is no network to test; expected at least one.")
    return networks


def _crops(networks):
    if all(
        n.sizes["crop_pixels"] == n.sizes["resize_pixels"] for n in networks
    ):
        return "ten crops (all of them the whole square or its mirror image)"
    return "ten crops"
