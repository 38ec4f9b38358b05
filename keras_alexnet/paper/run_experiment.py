"""`run_experiment(name, data)`: train what an experiment compares."""

import csv
import json
import math
import os
import pathlib
import platform
import statistics
from dataclasses import dataclass
from dataclasses import replace

import numpy as np

from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.datasets import load_examples
from keras_alexnet.environment import cpuinfo
from keras_alexnet.files import AnyPath
from keras_alexnet.files import holds_only
from keras_alexnet.files import replacing
from keras_alexnet.paper.experiments import EXPERIMENTS
from keras_alexnet.paper.experiments import SEARCH_EPOCHS
from keras_alexnet.paper.experiments import Experiment
from keras_alexnet.paper.experiments import default_folder
from keras_alexnet.runs.run import is_run
from keras_alexnet.training.checkpoints import Diverged
from keras_alexnet.training.trainer import train_once
from keras_alexnet.visualization.charts import plot_errors
from keras_alexnet.visualization.charts import plot_training_errors
from keras_alexnet.visualization.table import Table

# What `quick` makes of an experiment: to see that it runs, not what it gives.
QUICK = {"epochs": 2, "rate_drops": ()}
QUICK_TRAINING_IMAGES, QUICK_TEST_IMAGES = 512, 128


def run_experiment(
    name: str,
    data: AnyPath,
    folder: AnyPath | None = None,
    *,
    quick: bool = False,
    verbose: str | int = "auto",
):
    """Train all that an experiment compares, and draw what came out.

    What is finished in the folder is not trained again, and what was
    interrupted goes on. The folder receives a run folder for each training,
    `results.json`, `results.md` and `results.png`.

    Args:
        name: Name of an experiment, one of `EXPERIMENTS`.
        data: Path of a folder of photos, or of one that `prepare_data` has
            written, which is read faster.
        folder: Path; `runs/` and the experiment's name if `None`, with
            `-quick` behind it if so.
        quick: Boolean; two epochs of 512 images with one seed, to try it.
        verbose: As in `train`.

    Returns:
        An `ExperimentTable`.

    Raises:
        ValueError: if there is no such experiment, or as `train` does.

    Reference:
        - [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824)
    """
    if name not in EXPERIMENTS:
        raise ValueError(
            f"There is no experiment {name!r}; the experiments are "
            f"{', '.join(EXPERIMENTS)}."
        )
    experiment, examples = EXPERIMENTS[name], None
    folder = pathlib.Path(folder or default_folder(name, quick))
    if quick:
        experiment = replace(
            experiment,
            recipe=replace(experiment.recipe, **QUICK),
            seeds=1,
            rates=experiment.rates[:2],
        )
        examples = _few(*load_examples(data))
    places = {
        arm: folder / arm.replace(" ", "_").replace(",", "")
        for arm in experiment.arms
    }
    _check_folder(folder, places.values())
    rows = []
    for arm, changes in experiment.arms.items():
        given = {"data": str(data), **changes}
        recipe = replace(experiment.recipe, **given)
        place = places[arm]
        options = {"examples": examples, "verbose": verbose}
        errors = {}
        if experiment.rates:
            errors = _errors_by_rate(experiment, recipe, place, options)
            best = min(errors, key=lambda rate: _slowness(errors[rate], recipe))
            recipe = replace(recipe, learning_rate=best)
        for seed in range(1, experiment.seeds + 1):
            run = train_once(
                replace(recipe, seed=seed), place / f"seed-{seed}", **options
            )
            rows.append(_row(arm, run, errors))
            table = ExperimentTable(experiment, tuple(rows), _hardware())
            _write(table, folder)
    return table


def _check_folder(folder, places):
    """Refuse a folder that is neither free nor that of such an experiment."""
    begun = any(
        is_run(path.parent)
        for place in places
        for path in place.glob("*/recipe.json")
    )
    if not begun and not holds_only(folder):
        raise ValueError(
            f"{str(folder)!r} is not empty, and holds no training of this "
            "experiment; choose another folder."
        )


def _few(train, test):
    """Some of the examples, of all classes in turn."""

    def some(examples, count):
        places = np.random.default_rng(0).permutation(len(examples))
        labels = examples.labels[places]
        # The first of each class, then the second of each, and so on.
        turn = np.zeros(len(places), int)
        for label in range(len(examples.class_names)):
            turn[labels == label] = np.arange((labels == label).sum())
        places = np.sort(places[np.argsort(turn, kind="stable")[:count]])
        return Examples(
            examples.images[places],
            examples.labels[places],
            examples.class_names,
        )

    return some(train, QUICK_TRAINING_IMAGES), some(test, QUICK_TEST_IMAGES)


def _errors_by_rate(experiment, recipe, place, options):
    """The training errors in percent of a few epochs with each rate; those of
    a training that diverges are missing."""
    errors = {}
    for rate in experiment.rates:
        tried = replace(
            recipe,
            learning_rate=rate,
            epochs=min(SEARCH_EPOCHS, recipe.epochs),
            seed=0,
        )
        try:
            run = train_once(tried, place / f"rate-{rate:g}", **options)
            errors[rate] = _training_errors(run)
        except Diverged:
            continue
    if not errors:
        raise ValueError(
            f"With none of the rates {', '.join(map(str, experiment.rates))} "
            f"the training in {str(place)!r} stays finite."
        )
    return errors


def _slowness(errors, recipe):
    """Of a rate, to be compared: the epochs that it took, if it got where the
    training stops, then the error."""
    stops = _stops_at(recipe)
    return (len(errors) if errors[-1] <= stops else math.inf, errors[-1])


def _stops_at(recipe):
    """The training error in percent at which a training is at its end."""
    return 100 * (1 - (recipe.stop_accuracy or 1))


def _training_errors(run):
    with open(run.path("log.csv"), newline="", encoding="utf-8") as file:
        return [100 * (1 - float(r["accuracy"])) for r in csv.DictReader(file)]


def _row(arm, run, errors_by_rate):
    """What a training gave."""
    errors, recipe = _training_errors(run), run.recipe
    started = run.path("recipe.json").stat().st_mtime
    ended = run.path("results.json").stat().st_mtime
    return {
        "arm": arm,
        "seed": recipe.seed,
        "learning_rate": recipe.learning_rate,
        "searched_errors_percent": {
            rate: found[-1] for rate, found in errors_by_rate.items()
        },
        "searched_epochs": {
            rate: len(found) for rate, found in errors_by_rate.items()
        },
        "epochs": len(errors),
        "reached": errors[-1] <= _stops_at(recipe),
        "training_errors_percent": errors,
        "top1_error_percent": run.results["top1_error_percent"],
        "examples": run.results["examples"],
        # From the first step to the end, pauses included.
        "minutes": round((ended - started) / 60, 1),
    }


def _hardware():
    name = cpuinfo("model name") or platform.processor() or platform.machine()
    return f"{os.cpu_count()} CPUs, {name}"


def _write(table, folder):
    for name, text in (
        ("results.json", json.dumps(table.to_dict(), indent=2)),
        ("results.md", table.to_markdown()),
    ):
        with replacing(folder / name) as path:
            pathlib.Path(path).write_text(f"{text}\n", encoding="utf-8")
    plot = plot_errors
    if table.experiment.counts_epochs:
        plot = plot_training_errors
    with replacing(folder / "results.png") as path:
        plot(table, path)


@dataclass(frozen=True, repr=False)
class ExperimentTable(Table):
    """What an experiment's ways gave, one line each.

    Args:
        experiment: The `Experiment`.
        rows: A dict for each training.
        hardware: What it ran on.
    """

    experiment: Experiment
    rows: tuple
    hardware: str

    _right = (1, 2, 3, 4)

    @property
    def _header(self):
        if self.experiment.counts_epochs:
            error = 100 * (1 - self.experiment.recipe.stop_accuracy)
            measure = f"epochs to {error:.0f} % training error"
            compared = f"so many times faster than {self._first}"
        else:
            measure = "test error, %"
            compared = f"points more than {self._first}"
        return ("", "rate", f"{measure}, by seed", "mean", compared)

    @property
    def _first(self):
        return next(iter(self.experiment.arms))

    def values(self, arm):
        """The measure of each training of one way."""
        key = "top1_error_percent"
        if self.experiment.counts_epochs:
            key = "epochs"
        return [row[key] for row in self.rows if row["arm"] == arm]

    def compared(self, arm):
        """Each training against the first way's of the same seed."""
        pairs = zip(self.values(self._first), self.values(arm), strict=False)
        if self.experiment.counts_epochs:
            return [other / value for other, value in pairs]
        return [value - other for other, value in pairs]

    def to_dict(self):
        """All trainings, as plain values."""
        return {
            "experiment": self.experiment.name,
            "paper": self.experiment.says,
            "data": self.experiment.data,
            "hardware": self.hardware,
            "trainings": list(self.rows),
        }

    def _heading(self):
        minutes = sum(row["minutes"] for row in self.rows)
        return (
            f"{self.experiment.title}. {self.experiment.says}. "
            f"Measured on {self.hardware}, {minutes:.0f} minutes in all."
        )

    def _cells(self):
        cells = []
        for arm in dict.fromkeys(row["arm"] for row in self.rows):
            rows = [row for row in self.rows if row["arm"] == arm]
            values = [
                self._text(value, row["reached"])
                for value, row in zip(self.values(arm), rows, strict=True)
            ]
            compared = self.compared(arm)
            text = "" if arm == self._first else self._spread(compared)
            cells.append(
                (
                    arm,
                    f"{rows[0]['learning_rate']:g}",
                    ", ".join(values),
                    f"{statistics.mean(self.values(arm)):.2f}",
                    text,
                )
            )
        return cells

    def _text(self, value, reached):
        if not self.experiment.counts_epochs:
            return f"{value:.2f}"
        return str(value) if reached else f"more than {value}"

    def _spread(self, values):
        sign = "" if self.experiment.counts_epochs else "+"
        mean, least, most = (
            f"{value:{sign}.2f}"
            for value in (statistics.mean(values), min(values), max(values))
        )
        return f"{mean} ({least} to {most})"
