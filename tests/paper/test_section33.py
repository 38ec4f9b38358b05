"""What the docs say of Section 3.3's trainings is what lies beside them."""

import csv
import json
from pathlib import Path
from statistics import mean

import pytest

import keras_alexnet as ka
from keras_alexnet.runs.recipes import from_json

ROOT = Path(__file__).parents[2]
FOLDERS = sorted((ROOT / "benchmarks" / "section33").glob("cifar10*"))
DOCS = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")


def end_of(folder):
    """Epoch, training loss, errors in the center and over views."""
    for name in ("results.json", "unfinished.json"):
        if (folder / name).exists():
            return json.loads((folder / name).read_text())["curve"][-1]
    raise AssertionError(folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_row_of_the_table_is_its_results(folder):
    recipe = from_json((folder / "recipe.json").read_text(encoding="utf-8"))
    epoch, loss, center, views = end_of(folder)
    net = f"`{recipe.variant}`"
    net += ", no normalization" if recipe.variations else ""
    of = "" if epoch == recipe.epochs else f" of {recipe.epochs}"
    row = f"| {net} | {recipe.seed} | {epoch}{of} | {loss:.4f} "
    assert f"{row}| {center:.2f} % | {views:.2f} % |" in DOCS
    known = ka.RECIPES[recipe.name]
    assert recipe.rate_drops == known.rate_drops
    assert recipe.learning_rate == known.learning_rate
    with open(folder / "log.csv", newline="", encoding="utf-8") as file:
        log = list(csv.DictReader(file))
    line = log[epoch - 1]
    assert float(line["loss"]) == pytest.approx(loss)
    assert 100 * (1 - float(line["val_accuracy"])) == pytest.approx(center)


def test_what_normalization_does():
    ends = {folder.name: end_of(folder) for folder in FOLDERS}
    names = [f"cifar10_18pct-{seed}" for seed in range(3)]
    with_it = [ends[name] for name in names]
    without = [ends[f"{name}-no_normalization"] for name in names]
    gains = [b[2] - a[2] for a, b in zip(with_it, without, strict=True)]
    assert [f"{gain:.2f}" for gain in gains] == ["0.75", "0.54", "0.23"]
    for place, text in ((2, "19.76 against 20.27"), (3, "18.73 against 18.59")):
        means = (
            mean(end[place] for end in ends) for ends in (with_it, without)
        )
        assert "{:.2f} against {:.2f}".format(*means) == text
        assert f"{text} %" in DOCS
    assert all(a[1] > b[1] for a, b in zip(with_it, without, strict=True))
