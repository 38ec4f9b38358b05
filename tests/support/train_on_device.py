"""A training on JAX with the images on a device that stands in for a GPU.

`python train_on_device.py DATA FOLDER STEPS [STOP]` trains on the photos in
DATA, so many steps in a call; with 0 the images are fed as on a CPU. With STOP
it ends by an error after so many steps, the state of which is saved.
"""

import pathlib
import sys

import numpy as np
from train_anywhere import Stopped
from train_anywhere import stop_after

import keras_alexnet as ka
from keras_alexnet.data import device_images
from keras_alexnet.runs.recipes import get_recipe
from keras_alexnet.training import trainer


def main(data, folder, steps, stop=None):
    if int(steps):
        device_images.device_memory = lambda: 2**30
        trainer.STEPS_AT_ONCE = int(steps)
    recipe = get_recipe(
        "smoke",
        data=data,
        variant="cifar10_18pct",
        resize_pixels=40,
        crop_pixels=32,
        batch_size=4,
        epochs=3,
        color_noise=0.1,
        learning_rate=0.01,
        max_bad_ratio=0.5,
    )
    if stop is not None:
        stop_after(int(stop))
    try:
        run = ka.train(
            recipe, pathlib.Path(folder), verbose=2, checkpoint_minutes=1e-9
        )
    except Stopped:
        return
    np.savez(run.path("ends.npz"), *run.load_model().get_weights())


if __name__ == "__main__":
    main(*sys.argv[1:])
