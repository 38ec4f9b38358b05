"""How far apart trainings come that differ by rounding alone.

`caffe_alexnet` at 67 pixels without dropout, 73 images of Fashion-MNIST in
batches of 16, the last of 9: in float32 against itself, from weights scaled by
1 + 2.4e-7 (two units of rounding), and on several devices against one; in
float64 on several against one. Printed is the distance of the two movements,
divided by the movement; a movement is the change of all weights since the
start.

`python -m benchmarks.divergence [--rate 0.01] [--steps 50] [--devices 2]`
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import keras_alexnet as ka

AFTER = (1, 2, 5, 10, 20, 50)
SCALE = 1 + 2.4e-7
IMAGES, BATCH, SIDE = 73, 16, 67


def images():
    """What `caffe_alexnet` is fed, and its labels."""
    train, _ = ka.load_examples("fashion")
    gray = tf.constant(train.images[:IMAGES, ..., np.newaxis])
    x = tf.image.resize(gray, (SIDE, SIDE)).numpy().repeat(3, axis=-1)
    return ka.preprocess_input(x, "caffe_alexnet"), train.labels[:IMAGES]


class Movements(keras.callbacks.Callback):
    """The change of the weights since the start, after some of the steps."""

    def __init__(self, start, steps):
        super().__init__()
        self.start, self.steps = start, steps
        self.step, self.after = 0, {}

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if self.step in AFTER and self.step <= self.steps:
            weights = self.model.get_weights()
            self.after[self.step] = [
                w.astype("float64") - s
                for w, s in zip(weights, self.start, strict=True)
            ]
        self.model.stop_training = self.step >= self.steps


def movements(strategy, precision, start, rate, steps):
    """Dict from the number of steps to the movement, a list of arrays."""
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)
    with strategy.scope():
        model = network()
        model.compile(
            ka.PaperSGD(rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    model.set_weights(start)
    x, y = images()
    data = tf.data.Dataset.from_tensor_slices((x.astype(precision), y))
    noted = Movements(model.get_weights(), steps)
    epochs = -(-steps * BATCH // IMAGES)
    model.fit(
        data.batch(BATCH),
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[noted],
    )
    return noted.after


def network():
    model = ka.AlexNet(
        "caffe_alexnet",
        input_shape=(SIDE, SIDE, 3),
        classes=10,
        classifier_activation=None,
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # several devices draw masks of their own
    return model


def apart(one, other):
    """The distance of two movements, divided by the first."""
    distance = np.linalg.norm(
        [np.linalg.norm(a - b) for a, b in zip(one, other, strict=True)]
    )
    return distance / np.linalg.norm([np.linalg.norm(a) for a in one])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--devices", type=int, default=2)
    options = parser.parse_args()
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * options.devices,
    )
    keras.utils.set_random_seed(0)
    start = network().get_weights()
    scaled = [w * np.float32(SCALE) for w in start]
    alone = tf.distribute.get_strategy()
    several = tf.distribute.MirroredStrategy(
        [f"CPU:{i}" for i in range(options.devices)]
    )
    for precision, name, strategy, weights, steps in (
        ("float32", "scaled by 1 + 2.4e-7", alone, scaled, options.steps),
        (
            "float32",
            f"{options.devices} devices",
            several,
            start,
            options.steps,
        ),
        ("float64", f"{options.devices} devices", several, start, 10),
    ):
        steps = min(steps, options.steps)
        one = movements(alone, precision, start, options.rate, steps)
        other = movements(strategy, precision, weights, options.rate, steps)
        found = [f"{n}: {apart(one[n], other[n]):.1e}" for n in one]
        print(f"{precision}, {name}, after steps", ", ".join(found), flush=True)


if __name__ == "__main__":
    main()
