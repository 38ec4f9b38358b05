"""Kills a training of AlexNet's size again and again, and resumes it.

A training in which everything is on (dropout, crops, flips, color noise,
momentum, a rate drop) saves after every step, about 160 MB each time. It is
killed by SIGKILL, every second time while a save has begun, and started again
by the same call; at the end, weights, velocities and log are compared bit for
bit with those of a training that nobody disturbed.

`python -m benchmarks.kills [--kills 50] [--trainings 1] [--devices 1]`
"""

import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

TRAINING = """
import sys

import numpy as np

import keras_alexnet as ka

generator = np.random.default_rng(0)


def examples(count):
    images = generator.integers(0, 256, (count, 72, 72, 3), "uint8")
    return ka.Examples(images, np.arange(count) % 5, tuple("abcde"))


recipe = ka.Recipe(
    "killed",
    data="",
    initialization="caffe_alexnet",
    resize_pixels=72,
    crop_pixels=67,
    batch_size=16,
    epochs=int(sys.argv[4]),
    learning_rate=0.001,
    rate_drops=(2,),
)
ka.train(
    recipe,
    sys.argv[1],
    devices=int(sys.argv[2]),
    examples=(examples(70), examples(20)),
    checkpoint_minutes=float(sys.argv[3]),
    deterministic=True,
    verbose=2,
)
"""


def start(folder, devices, minutes, epochs):
    words = [sys.executable, "-c", TRAINING, folder, devices, minutes, epochs]
    with open(f"{folder}.log", "a") as log:
        return subprocess.Popen(
            [str(word) for word in words],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def unfinished(folder, since):
    """What a save in progress has in the folder."""
    checkpoints = folder / "checkpoints"
    listed = ""
    if (checkpoints / "checkpoint").exists():
        listed = (checkpoints / "checkpoint").read_text()
    found = []
    for path in checkpoints.glob("state-*"):
        name = path.name.partition(".")[0].partition("_")[0]
        with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
            if f'"{name}"' not in listed and path.stat().st_mtime > since:
                found.append(path.name)
    return found


def kill_once(folder, devices, epochs, inside):
    """Start, wait for the moment, kill; whether it was inside a save."""
    since = time.time()
    process = start(folder, devices, 0, epochs)
    while process.poll() is None and not unfinished(folder, since):
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.2) if inside else random.uniform(0, 3))
    if process.poll() is not None:
        raise SystemExit(f"The training ended by itself, see {folder}.log")
    process.send_signal(signal.SIGKILL)
    process.wait()
    return bool(unfinished(folder, since))


def state(folder):
    import tensorflow as tf

    latest = tf.train.latest_checkpoint(folder / "checkpoints")
    reader = tf.train.load_checkpoint(latest)
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith("variables/")
    }


def compare(killed, undisturbed):
    """One sentence about two ended trainings."""
    ours, theirs = state(killed), state(undisturbed)
    different = [
        name
        for name in ours.keys() | theirs.keys()
        if not np.array_equal(ours.get(name), theirs.get(name))
    ]
    logs = [(run / "log.csv").read_text() for run in (killed, undisturbed)]
    return (
        f"{len(theirs)} variables, {len(different)} different; logs "
        f"{'equal' if logs[0] == logs[1] else 'different'}"
    )


def finish(run, options):
    code = start(run, options.devices, 5, options.epochs).wait()
    if code:
        raise SystemExit(f"exit code {code}, see {run}.log")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--trainings", type=int, default=1)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    random.seed(options.seed)
    folder = pathlib.Path(options.folder or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    undisturbed, killed = folder / "undisturbed", folder / "killed"
    finish(undisturbed, options)
    for training in range(options.trainings):
        shutil.rmtree(killed, ignore_errors=True)
        inside = sum(
            kill_once(
                killed, options.devices, options.epochs, (number + training) % 2
            )
            for number in range(options.kills)
        )
        finish(killed, options)
        print(
            f"{options.kills} kills, {inside} inside a save, all resumed; "
            + compare(killed, undisturbed),
            flush=True,
        )


if __name__ == "__main__":
    main()
