"""Pictures of a run: learning curves and the confusion matrix."""

import csv

import numpy as np
from matplotlib.figure import Figure

from keras_alexnet.terminal import shortened

# Okabe & Ito's colors, which color-blind people can tell apart.
TRAINING, TEST = "#0072B2", "#D55E00"
LETTERS = 30  # of a class's name; more would leave the matrix no room


def plot_curves(log, to_file):
    """Draw loss and top-1 error against the epoch.

    Args:
        log: Path of the `log.csv` of a run.
        to_file: Path of the picture to write.
    """
    with open(log, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) + 1 for row in rows]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, title, column, value in (
        (axes[0], "Loss", "loss", float),
        (axes[1], "Top-1 error, %", "accuracy", _error),
    ):
        for prefix, color, style, label in (
            ("", TRAINING, "o-", "training (with dropout)"),
            ("val_", TEST, "s--", "test"),
        ):
            values = [value(row[prefix + column]) for row in rows]
            axis.plot(epochs, values, style, color=color, label=label, ms=4)
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.set_ylim(bottom=0)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(to_file, dpi=150)


def _error(accuracy):
    return 100 * (1 - float(accuracy))


def plot_confusion(matrix, class_names, to_file):
    """Draw how often each class was taken for each other.

    Args:
        matrix: Array of counts, `[true class, predicted class]`.
        class_names: Names of the classes.
        to_file: Path of the picture to write.
    """
    matrix = np.asarray(matrix)
    count = len(class_names)
    side = min(3 + 0.45 * count, 30)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axis = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class")
    if count <= 60:
        names = [shortened(name, LETTERS) for name in class_names]
        plain = {"parse_math": False}  # "$" is a letter like others
        axis.set_xticks(range(count), names, rotation=90, **plain)
        axis.set_yticks(range(count), names, **plain)
    if count <= 20:
        for (row, column), number in np.ndenumerate(matrix):
            color = "white" if shares[row, column] > 0.5 else "black"
            axis.text(
                column, row, number, ha="center", va="center", color=color
            )
    figure.savefig(to_file, dpi=150)


def plot_training_errors(table, to_file):
    """Draw training errors against the epoch, as in the paper's figure 1.

    Args:
        table: `ExperimentTable`.
        to_file: Path of the picture to write.
    """
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axis = figure.subplots()
    styles = ((TEST, "--"), (TRAINING, "-"))
    for arm, style in zip(table.experiment.arms, styles, strict=True):
        rows = [row for row in table.rows if row["arm"] == arm]
        for i, row in enumerate(rows):
            errors = [value / 100 for value in row["training_errors_percent"]]
            label = f"{arm}, rate {row['learning_rate']:g}"
            axis.plot(
                range(1, len(errors) + 1),
                errors,
                style[1],
                color=style[0],
                label=None if i else label,
            )
    wanted = 1 - table.experiment.recipe.stop_accuracy
    axis.axhline(wanted, color="gray", lw=0.8)
    axis.set_xlabel("epochs")
    axis.set_ylabel("training error rate")
    axis.set_ylim(0, 0.8)
    axis.set_xlim(left=0)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend()
    figure.savefig(to_file, dpi=150)


def plot_errors(table, to_file):
    """Draw the test error of each training, a line for each way.

    Args:
        table: `ExperimentTable`.
        to_file: Path of the picture to write.
    """
    arms = list(dict.fromkeys(row["arm"] for row in table.rows))
    figure = Figure(figsize=(7, 1.2 + 0.4 * len(arms)), layout="constrained")
    axis = figure.subplots()
    for place, arm in enumerate(arms):
        values = table.values(arm)
        axis.plot(values, [place] * len(values), "o", color=TRAINING, ms=5)
        axis.plot(np.mean(values), place, "|", color=TEST, ms=18, mew=2)
    axis.axvline(np.mean(table.values(arms[0])), color="gray", lw=0.8)
    axis.set_yticks(range(len(arms)), arms)
    axis.invert_yaxis()
    axis.set_xlabel("test error, % (dots: one training each; bars: means)")
    axis.grid(axis="x", alpha=0.3)
    figure.savefig(to_file, dpi=150)
