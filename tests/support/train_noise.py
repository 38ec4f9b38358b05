"""Trainings of which one on several devices or machines must be as on one.

Run as `python train_noise.py FOLDER JSON`: for each precision a folder of that
name is trained into, one step in float32, ten in float64, and its weights
before and after are written into it. `JSON` has arguments of `ka.train`,
changes of the recipe, and the precisions.
"""

import csv
import json
import pathlib
import sys

import numpy as np
from movement import BOUNDS
from movement import apart
from movement import distance


def weights_of(folder, precision):
    """Those before the training and those after it, as lists."""
    with np.load(pathlib.Path(folder, precision, "ends.npz")) as arrays:
        names = sorted(arrays, key=lambda name: int(name.split("_")[1]))
        return [
            [arrays[name] for name in names if name.startswith(end)]
            for end in ("before", "after")
        ]


def assert_same_steps(one, several, precision):
    """Weights and log within the bounds, and that there was a movement."""
    start, end = weights_of(one, precision)
    other_start, other_end = weights_of(several, precision)
    assert distance(start, other_start) == 0
    moved = distance(end, start)
    assert 1e-3 < moved / distance(start, [0 * w for w in start]) < 0.5
    assert apart(start, end, other_end) <= BOUNDS[precision]
    logs = []
    for folder in (one, several):
        with open(folder / precision / "log.csv", newline="") as file:
            logs.append(list(csv.DictReader(file)))
    for row, other in zip(*logs, strict=True):
        for name in row:
            bound = BOUNDS[precision]
            np.testing.assert_allclose(
                float(other[name]), float(row[name]), rtol=bound, atol=bound
            )


def train(folder, precision, arguments, changes):
    # One batch of 7, or twice four of 10 and one of 3.
    count, epochs = (7, 1) if precision == "float32" else (43, 2)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, 40, 40, 1), "uint8")
    examples = ka.Examples(images, np.arange(count) % 10, tuple("abcdefghij"))
    recipe = get_recipe(
        "smoke",
        data="",
        variant="lenet5",
        resize_pixels=40,
        batch_size=10,
        epochs=epochs,
        learning_rate=0.1,
        global_clipnorm=0.5,
        precision=precision,
        **changes,
    )
    run = ka.train(
        recipe, folder, examples=(examples, examples), verbose=0, **arguments
    )
    if run.folder != folder:  # another machine's, which writes nothing
        return
    after = run.load_model().get_weights()
    keras.utils.set_random_seed(recipe.seed)
    before = run.build_model().get_weights()
    ends = {"before": before, "after": after}
    np.savez(
        folder / "ends.npz",
        **{f"{e}_{i}": w for e in ends for i, w in enumerate(ends[e])},
    )


if __name__ == "__main__":
    import keras
    import tensorflow as tf

    import keras_alexnet as ka
    from keras_alexnet.runs.recipes import get_recipe

    place, options = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
    arguments = options.get("arguments", {})
    if options.get("machines"):
        # One for both trainings.
        machines = tf.distribute.MultiWorkerMirroredStrategy()
        arguments = {"distribute": machines}
    for precision in options["precisions"]:
        train(
            place / precision, precision, arguments, options.get("changes", {})
        )
