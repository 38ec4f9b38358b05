"""What the trainer costs: `ka.train`'s fit against a bare `model.fit`.

The same network, the same batches on the same way; the trainer adds exact
counts, the checkpoints' callback with its checks, the progress line and the
log. Also, how long one checkpoint takes.

`python -m benchmarks.trainer [--batch 32] [--rounds 5] [--steps 6]`
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

import keras_alexnet as ka
from benchmarks.timing import interleaved
from benchmarks.timing import table
from keras_alexnet.data.skipped_files import SkippedFiles
from keras_alexnet.training.feed import Feed
from keras_alexnet.training.pixel_model import build_pixel_model
from keras_alexnet.training.progress import TrainingProgress


def run_of(folder, batch, steps):
    """A run on noise, its data and its compiled model."""
    generator = np.random.default_rng(0)
    count = batch * steps
    images = generator.integers(0, 256, (count, 256, 256, 3), "uint8")
    labels = generator.integers(0, 1000, count)
    names = tuple(map(str, range(1000)))
    train = ka.Examples(images, labels, names)
    test = ka.Examples(images[:batch], labels[:batch], names)
    recipe = ka.Recipe("cost", data="", batch_size=batch, learning_rate=1e-4)
    run = ka.Run.create(folder, recipe, names)
    strategy = tf.distribute.get_strategy()
    feed = Feed(run, train, test, strategy, SkippedFiles(count, 0.0))
    model, network = build_pixel_model(run, feed)
    return run, feed, model, network


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp())
    run, feed, model, network = run_of(folder, options.batch, options.steps)
    bare = keras.Model(model.inputs, model.outputs)
    bare.compile(
        ka.PaperSGD(1e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[
            keras.metrics.SparseCategoricalAccuracy(),
            keras.metrics.SparseTopKCategoricalAccuracy(5),
        ],
    )
    checkpoints = ka.Checkpoints(
        folder / "checkpoints", model, minutes=1e6, counts=model.counts
    )
    progress = TrainingProgress(1, 0, options.batch)

    def fit(model, callbacks, verbose):
        model.fit(
            feed.training(0),
            steps_per_epoch=options.steps,
            shuffle=False,
            callbacks=callbacks,
            verbose=verbose,
        )

    seconds = interleaved(
        {
            "bare model.fit": lambda: fit(bare, [], 2),
            "ka.train": lambda: fit(model, [checkpoints, progress], 0),
        },
        options.rounds,
    )
    print(
        table(
            f"{options.steps} steps of {options.batch}",
            seconds,
            "bare model.fit",
        )
    )
    saves = []
    for _ in range(5):
        checkpoints.step += 1
        begun = time.perf_counter()
        checkpoints.save()
        saves.append(time.perf_counter() - begun)
    median = statistics.median(saves)
    print(
        f"one checkpoint: {median:.2f} s (slowest {max(saves):.2f}), every 5 "
        f"minutes {100 * median / 300:.2f} % of the time"
    )


if __name__ == "__main__":
    main()
