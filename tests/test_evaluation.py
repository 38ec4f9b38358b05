"""Exact counts, and the two pictures of a run."""

import csv
import json

import matplotlib.image
import numpy as np

from keras_alexnet.charts import plot_confusion
from keras_alexnet.charts import plot_curves
from keras_alexnet.evaluation import Evaluation


def test_figures_are_counted_from_the_confusion_matrix():
    confusion = np.array([[3, 1, 0], [0, 4, 0], [2, 0, 2]])
    evaluation = Evaluation(("a", "b", "c"), confusion, top5_correct=11)
    facts = evaluation.to_dict()
    assert facts["examples"] == 12
    assert facts["accuracy"] == 9 / 12
    np.testing.assert_allclose(facts["top1_error_percent"], 25.0)
    np.testing.assert_allclose(facts["top5_error_percent"], 100 / 12)
    assert facts["accuracy_per_class"] == {"a": 0.75, "b": 1.0, "c": 0.5}
    assert json.loads(json.dumps(facts)) == facts
    assert "accuracy 0.7500" in str(evaluation)


def test_pictures_open(tmp_path):
    names = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    with open(tmp_path / "log.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([[0, 2.3, 0.1, 2.2, 0.2], [1, 1.0, 0.6, 0.9, 0.7]])
    plot_curves(tmp_path / "log.csv", tmp_path / "curves.png")
    names = [f"class {i}" for i in range(12)]
    plot_confusion(np.eye(12, dtype=int), names, tmp_path / "confusion.png")
    for name in ("curves.png", "confusion.png"):
        picture = matplotlib.image.imread(tmp_path / name)
        assert picture.shape[0] > 300
        assert picture.std() > 0.05
