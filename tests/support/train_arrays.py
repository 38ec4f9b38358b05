"""A training on arrays in memory, for machines that are killed.

`python train_arrays.py FOLDER EPOCHS MINUTES`: five steps an epoch, saved every
so many minutes.
"""

import sys

import numpy as np

import keras_alexnet as ka
from keras_alexnet.runs.recipes import get_recipe

generator = np.random.default_rng(0)
images = generator.integers(0, 256, (43, 40, 40, 1), "uint8")
examples = ka.Examples(images, np.arange(43) % 10, tuple("abcdefghij"))
recipe = get_recipe(
    "smoke",
    data="",
    variant="lenet5",
    resize_pixels=40,
    batch_size=10,
    epochs=int(sys.argv[2]),
    learning_rate=0.01,
    global_clipnorm=0.5,
)
ka.train(
    recipe,
    sys.argv[1],
    examples=(examples, examples),
    checkpoint_minutes=float(sys.argv[3]),
    deterministic=True,
    verbose=0,
)
