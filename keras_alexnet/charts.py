"""Pictures of a run: learning curves and the confusion matrix."""

import csv

import numpy as np
from matplotlib.figure import Figure

# Okabe & Ito's colors, which color-blind people can tell apart.
TRAINING, TEST = "#0072B2", "#D55E00"


def plot_curves(log, to_file):
    """Draw loss and top-1 error against the epoch.

    Args:
        log: Path of the `log.csv` of a run.
        to_file: Path of the picture to write.
    """
    with open(log, newline="") as file:
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
        axis.set_xticks(range(count), class_names, rotation=90)
        axis.set_yticks(range(count), class_names)
    if count <= 20:
        for (row, column), number in np.ndenumerate(matrix):
            color = "white" if shares[row, column] > 0.5 else "black"
            axis.text(
                column, row, number, ha="center", va="center", color=color
            )
    figure.savefig(to_file, dpi=150)
