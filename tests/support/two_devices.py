"""What people do with a network on one and on two devices.

Run as `python two_devices.py FILE`: answers and refusals as JSON.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import keras_alexnet as ka

GENERATOR = np.random.default_rng(0)
X = GENERATOR.uniform(-120, 120, (11, 32, 32, 1)).astype("float32")
Y = np.arange(11) % 4


def mirrored(collective=False):
    plain = None if collective else tf.distribute.ReductionToOneDevice()
    devices = ["CPU:0", "CPU:1"]
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=plain)


STRATEGIES = []


def network(count, loss, trainable=True, optimizer=True, variant="lenet5"):
    keras.utils.set_random_seed(0)
    strategy = STRATEGIES[count - 1]
    with strategy.scope():
        model = ka.AlexNet(variant, classes=4, input_shape=(32, 32, 1))
        model.trainable = trainable
        if callable(loss):
            loss = loss()
        rule = ka.PaperSGD(1e-3) if optimizer else None
        model.compile(rule, loss, metrics=["accuracy"])
    return model


def mean():
    return keras.losses.SparseCategoricalCrossentropy()


def summed():
    return keras.losses.SparseCategoricalCrossentropy(reduction="sum")


LOSSES = {
    "mean": mean,
    "sum": summed,
    "list": lambda: [mean()],
    "list of sum": lambda: [summed()],
    "dict of sum": lambda: {"fc5": summed()},
    "name": "sparse_categorical_crossentropy",
}


def weights(model):
    return [float(np.abs(w).sum()) for w in model.get_weights()]


def on_batches(count, loss):
    model = network(count, loss)
    found = {"tested": model.test_on_batch(X, Y)}
    found["predicted"] = model.predict_on_batch(X).tolist()
    found["trained"] = model.train_on_batch(X, Y, return_dict=True)
    found["again"] = model.train_on_batch(X, Y)
    return {**found, "weights": weights(model)}


def fitted(count, loss, **kwargs):
    model = network(count, loss, **kwargs)
    history = model.fit(X, Y, 8, 2, verbose=0, shuffle=False).history
    return {"history": history, "weights": weights(model)}


def said(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except ValueError as error:
        return str(error)
    return ""


def second_strategy():
    for side in (32, 28):
        with mirrored(collective=True).scope():
            shape = (side, side, 1)
            model = ka.AlexNet("lenet5", classes=4, input_shape=shape)
            model.compile(ka.PaperSGD(1e-3), "sparse_categorical_crossentropy")
        model.fit(X[:, :side, :side], Y, 8, verbose=0)


def mixed_reductions():
    """Which only a network of two outputs can have."""
    model = network(2, mean)
    model.loss = [mean(), summed()]
    model.fit(X, Y, 8, verbose=0)


def main(file):
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    STRATEGIES[:] = [tf.distribute.get_strategy(), mirrored()]
    found = {}
    for count in (1, 2):
        for name, loss in LOSSES.items():
            found[f"{name}, {count}"] = {
                **on_batches(count, loss),
                **fitted(count, loss),
            }
        frozen = fitted(count, mean, trainable=False)
        found[f"frozen, {count}"] = frozen
        refused = said(fitted, count, mean, optimizer=False)
        found[f"no optimizer, {count}"] = refused
    found["mixed"] = said(mixed_reductions)
    found["second strategy"] = said(second_strategy)
    with open(file, "w", encoding="utf-8") as out:
        json.dump(found, out)


if __name__ == "__main__":
    main(sys.argv[1])
