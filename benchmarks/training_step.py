"""One training step of `alexnet` against plain Keras, in one process.

Plain Keras is what one writes by hand: `Conv2D(groups=2)` and
`tf.nn.local_response_normalization`. Same optimizer, same batch.

`python -m benchmarks.training_step [--batch 32] [--rounds 7]`
"""

import argparse

import keras
import numpy as np
import tensorflow as tf

import keras_alexnet as ka
from benchmarks.timing import interleaved
from benchmarks.timing import table


class PlainNormalization(keras.layers.Layer):
    def call(self, x):
        return tf.nn.local_response_normalization(x, 2, 2.0, 1e-4, 0.75)


def plain_keras():
    layers = keras.layers
    conv = {"padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            keras.Input((227, 227, 3)),
            layers.Conv2D(96, 11, strides=4, activation="relu"),
            PlainNormalization(),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(256, 5, groups=2, **conv),
            PlainNormalization(),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(384, 3, **conv),
            layers.Conv2D(384, 3, groups=2, **conv),
            layers.Conv2D(256, 3, groups=2, **conv),
            layers.MaxPooling2D(3, 2),
            layers.Flatten(),
            layers.Dense(4096, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(4096, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1000, activation="softmax"),
        ]
    )


def step(model, batch):
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    generator = np.random.default_rng(0)
    x = generator.normal(0, 60, (batch, 227, 227, 3)).astype("float32")
    y = generator.integers(0, 1000, batch)
    return lambda: model.train_on_batch(x, y)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    functions = {
        "plain Keras": step(plain_keras(), arguments.batch),
        "keras_alexnet": step(ka.AlexNet(), arguments.batch),
    }
    seconds = interleaved(functions, arguments.rounds)
    title = f"Training step, batch {arguments.batch}, float32"
    print(table(title, seconds, "plain Keras"))


if __name__ == "__main__":
    main()
