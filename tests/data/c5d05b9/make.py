"""Wrote this folder with the code of commit c5d05b9: files that stay readable.

`photos/` are 30 small pictures; `finished/` is a run on them, `interrupted/`
the same run, killed in its third epoch. `recipe.json` names the photos by the
path that they had; tests put theirs there.

`python make.py FOLDER photos`, then `finished`, `interrupted`, `shards`.
"""

import os
import pathlib
import signal
import sys

import numpy as np
from keras_alexnet.recipes import get_recipe
from keras_alexnet.resuming import Checkpoints
from PIL import Image

import keras_alexnet as ka

RECIPE = get_recipe(
    "folder",
    data="photos",
    variant="lenet5",
    initialization=None,
    resize_pixels=36,
    crop_pixels=32,
    color_noise=0.0,
    smallest_crop_area=None,
    batch_size=5,
    epochs=6,
    learning_rate=0.01,
    rate_drops=(4,),
)


def photos():
    generator = np.random.default_rng(0)
    for label, name in enumerate(("circles", "dots", "lines")):
        folder = pathlib.Path("photos", name)
        folder.mkdir(parents=True)
        for number in range(10):
            small = generator.integers(0, 200, (6, 6, 3), "uint8")
            small[..., label] += 50
            picture = Image.fromarray(small).resize((40, 36), 2)
            picture.save(folder / f"{number}.jpg", quality=80)


def train(folder):
    return ka.train(
        RECIPE, folder, verbose=2, checkpoint_minutes=0, deterministic=True
    )


def finished():
    run = train("finished")
    model = run.load_model()
    model.save("lenet5.keras")
    model.save_weights("lenet5.weights.h5")
    ka.export_model(run, "lenet5_saved_model")


def interrupted():
    on_batch_end = Checkpoints.on_train_batch_end

    def killed(self, batch, logs=None):
        if self.step == 11:
            os.kill(os.getpid(), signal.SIGKILL)
        on_batch_end(self, batch, logs)

    Checkpoints.on_train_batch_end = killed
    train("interrupted")


def shards():
    ka.prepare_data("photos", "prepared", resize_pixels=36)
    ka.prepare_data("photos", "prepared_whole", resize_pixels=36, square=False)


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    globals()[sys.argv[2]]()
