"""Recomputes every committed figure that a file stands behind.

    python -m benchmarks.recompute                # from results and logs
    python -m benchmarks.recompute --data cifar10/    # and by the networks

Prints a line for each; ends with exit code 1 if one does not agree.
"""

import argparse
import csv
import json
import pathlib
import sys

import numpy as np

import keras_alexnet as ka
from keras_alexnet.paper.experiments import EXPERIMENTS
from keras_alexnet.paper.run_experiment import ExperimentTable

ROOT = pathlib.Path(__file__).parents[1]
HERE = ROOT / "benchmarks"
# Weights -> what they answer right of 10,000 in the center and over ten views,
# as benchmarks/README.md has it.
NETWORKS = {
    "cifar10": (8025, None),
    HERE / "section33" / "cifar10_13pct-0": (8263, 8556),
}


def results():
    """Yields a name, a committed figure and the same computed again."""
    for path in sorted(HERE.rglob("results.json")):
        name = path.parent.relative_to(HERE).as_posix()
        found = json.loads(path.read_text(encoding="utf-8"))
        if "confusion" in found:
            counts = np.array(found["confusion"])
            right = np.trace(counts) / counts.sum()
            yield f"{name}: accuracy", found["accuracy"], right
            error = 100 * (1 - right)
            yield f"{name}: top-1 error", found["top1_error_percent"], error
        if "trainings" in found:
            table = ExperimentTable(
                EXPERIMENTS[found["experiment"]],
                tuple(found["trainings"]),
                found["hardware"],
            )
            text = path.with_suffix(".md").read_text(encoding="utf-8").strip()
            yield f"{name}: its table", text, table.to_markdown().strip()
        log = path.with_name("log.csv")
        if log.exists():
            with open(log, newline="", encoding="utf-8") as file:
                *_, last = csv.DictReader(file)
            yield (
                f"{name}: the last line of its log",
                found["accuracy"],
                float(last["val_accuracy"]),
            )


def answers(data):
    """As `results`, of trained networks on CIFAR-10's test images."""
    for network, known in NETWORKS.items():
        for views, right in zip((False, True), known, strict=True):
            if right is not None:
                found = ka.evaluate(network, data, ten_crops=views)
                yield f"{network}: {found.crops}", right, found.top1_correct


def agree(one, other):
    """Whether two figures are the same but for the rounding of a float."""
    if isinstance(one, str):
        return one == other
    return abs(one - other) <= 1e-6 * abs(one)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of CIFAR-10")
    options = parser.parse_args()
    figures = [*results(), *(answers(options.data) if options.data else ())]
    for name, committed, again in figures:
        same = "agrees" if agree(committed, again) else "DIFFERS"
        shown = "" if isinstance(again, str) else f": {committed:g}, {again:g}"
        print(f"{same}  {name}{shown}")
    return int(not all(agree(one, other) for _, one, other in figures))


if __name__ == "__main__":
    sys.exit(main())
