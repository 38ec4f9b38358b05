"""A training on whichever backend of Keras, which may be stopped and go on.

`python train_anywhere.py FOLDER PRECISION [STOP [DEVICES [PARTS]]]` trains into
the folder, one step in float32 and ten in float64. With STOP it ends by an
error after so many steps, the state of which is saved; "never" is none. Each
batch is computed on so many devices, in so many parts. At the end `ends.npz`
has the weights.
"""

import pathlib
import sys

import keras
import numpy as np

import keras_alexnet as ka
from keras_alexnet.runs.recipes import get_recipe
from keras_alexnet.runs.states import StateFolder

STEPS = {"float32": 1, "float64": 10}


class Stopped(Exception):
    pass


def main(folder, precision, stop="never", devices=1, parts=1):
    count = 8 * STEPS[precision] - 3  # the last batch is not full
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, 36, 36, 3), "uint8")
    examples = ka.Examples(images, np.arange(count) % 5, tuple("abcde"))
    recipe = get_recipe(
        "smoke",
        data="",
        variant="cifar10_18pct",
        resize_pixels=36,
        crop_pixels=32,
        batch_size=8,
        epochs=1,
        learning_rate=0.01,
        global_clipnorm=1.0,
        precision=precision,
        accumulation_steps=int(parts),
    )
    if stop != "never":
        stop_after(int(stop))
    try:
        run = ka.train(
            recipe,
            folder,
            examples=(examples, examples),
            verbose=0,
            checkpoint_minutes=0,
            devices=int(devices),
        )
    except Stopped:
        return
    if run.folder != folder:  # another machine's, which writes nothing
        return
    weights = run.load_model().get_weights()
    np.savez(folder / "ends.npz", *weights)
    print(f"trained on {keras.backend.backend()}")


def stop_after(steps):
    checkpoints = ka.Checkpoints
    save = checkpoints.save

    def saved(self):
        save(self)
        if self.step == steps:
            raise Stopped

    checkpoints.save = saved


def first_weights(folder, count):
    """Those of the state in a folder, of so many variables."""
    _, arrays = StateFolder(folder / "checkpoints").newest()
    return arrays[:count]


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
