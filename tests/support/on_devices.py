"""What tests compute on several devices, in a process of its own.

TensorFlow's virtual devices must be made before it starts. Run as
`python on_devices.py NAME FILE`: the function of that name writes its arrays
into the file. `computed` does that and reads them.
"""

import functools
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from movement import STEPS

HERE = pathlib.Path(__file__)


def computed(name, folder):
    """The arrays that the function `name` makes, by their names."""
    file = folder / f"{name}.npz"
    subprocess.run([sys.executable, HERE, name, file], check=True)
    with np.load(file) as arrays:
        return dict(arrays)


# --- dropout ----------------------------------------------------------------

SHAPE = (16, 1024)


def dropout():
    import keras

    from keras_alexnet.layers.dropout import Dropout

    layers = {"ours": Dropout, "keras": keras.layers.Dropout}
    arrays = {}
    for count in (2, 4):
        for name, layer in layers.items():
            for run in ("first", "again"):
                masks = _masks(count, lambda layer=layer: layer(0.5, seed=3))
                arrays[f"{name} {count} {run}"] = masks
    shared = _masks(2, lambda: Dropout(0.5, noise_shape=(None, 1), seed=3))
    arrays["noise_shape"] = shared
    arrays["inference"] = _masks(2, lambda: Dropout(0.5), training=False)
    arrays["rate 0"] = _masks(2, lambda: Dropout(0.0))
    return arrays


def _masks(count, make_layer, training=True):
    """What becomes of ones: (calls, replicas, *SHAPE)."""
    strategy = mirrored(count)
    with strategy.scope():
        layer = make_layer()
        layer.build(SHAPE)

    @tf.function
    def call():
        return strategy.run(lambda: layer(tf.ones(SHAPE), training=training))

    local = strategy.experimental_local_results
    return np.array([[v.numpy() for v in local(call())] for _ in range(2)])


# --- steps ------------------------------------------------------------------

# Images, and what differs from a plain training: arguments of `_fit`.
BATCH = 8
EVEN, UNEVEN, ONE_LEFT = 16, 21, 17
CASES = {
    "even": {"count": EVEN},
    "uneven": {"normalize": True},
    "one left": {"count": ONE_LEFT, "test": True},
    "clipnorm, mean of weights": {
        "clipnorm": 0.1,
        "reduction": "mean_with_sample_weight",
        "weighted": True,
        "test": True,
    },
    "clipvalue, sum of weighted": {
        "clipvalue": 0.01,
        "reduction": "sum",
        "weighted": True,
        "test": True,
    },
    "weights, global_clipnorm": {"weighted": True, "global_clipnorm": 0.1},
    "parts": {
        "count": EVEN,
        "parts": 2,
        "weighted": True,
        "global_clipnorm": 0.1,
    },
}
TEST_IMAGES = 13


# Two strategies of one process cannot add up over 2 and over 4 devices.
FOR_FOUR = ("one left", "weights, global_clipnorm")
HALVES = ("mixed_bfloat16", "mixed_float16")


def steps_on_one_and_two():
    arrays = {}
    for precision in STEPS:
        use(precision)
        for name, case in CASES.items():
            whole = {k: v for k, v in case.items() if k != "parts"}
            key = f"{name}, {precision}"
            _put(arrays, f"{key}, 1", _fit(1, **whole))
            _put(arrays, f"{key}, 2", _fit(2, **case))
            if "parts" in case:
                _put(arrays, f"{key}, 1 in parts", _fit(1, **case))
    own = _fit(2, normalize=True, plain=True)
    _put(arrays, "uneven, float64, Keras' own on 2", own)
    for precision in HALVES:
        use(precision)
        for replicas in (1, 2):
            fitted = _fit(replicas, global_clipnorm=0.5)
            _put(arrays, f"half, {precision}, {replicas}", fitted)
        arrays.update(_refusals(precision))
    return arrays


def steps_on_four():
    arrays = {}
    for precision in STEPS:
        use(precision)
        for name in FOR_FOUR:
            fitted = _fit(4, **CASES[name])
            _put(arrays, f"{name}, {precision}, 4", fitted)
    return arrays


def use(precision):
    """A policy for the layers, and Keras' own precision, as that of a loss."""
    double = precision == "float64"
    keras.config.set_floatx("float64" if double else "float32")
    keras.config.set_dtype_policy(precision)


def _refusals(precision):
    """The sentences with which `fit` refuses, before data are read."""
    sentences = {}

    def unread():
        raise AssertionError("the data were read")
        yield

    for name, options, of_optimizer in (
        ("jit_compile", {"jit_compile": True}, {}),
        ("steps_per_execution", {"steps_per_execution": 2}, {}),
        ("accumulation", {}, {"gradient_accumulation_steps": 2}),
    ):
        with mirrored(2).scope():
            model = tiny()
            model.compile(PaperSGD(**of_optimizer), "mse", **options)
        try:
            model.fit(unread(), verbose=0)
        except ValueError as error:
            sentences[f"refused {name}, {precision}"] = np.array(str(error))
    return sentences


def noise(count, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, 16, 16, 3))
    weights = generator.uniform(0.1, 3, count)
    floats = keras.config.floatx()
    labels = generator.integers(0, 6, count)
    return x.astype(floats), labels, weights.astype(floats)


def tiny(normalize=True):
    """A network of the kinds of layers that AlexNet has."""
    initial = {"kernel_init": "glorot_uniform", "bias_init": "zeros"}
    rows = (
        Conv("conv1", 6, 5, padding="valid", **initial),
        # Compiled for every size of a batch, which takes its time.
        *((LocalResponseNorm("norm1", alpha=0.1),) if normalize else ()),
        MaxPool("pool1"),
        Conv("conv2", 8, 3, towers=2, groups=2, **initial),
        Flatten(),
        Dense("fc3", 16, **initial),
        Dropout("drop3", 0.0),
        Dense("fc4", None, None, **initial),
    )
    preprocessing = Preprocessing(mean=(0.0, 0.0, 0.0))
    architecture = Architecture(
        "tiny", "", "", rows, (16, 16, 3), 6, preprocessing
    )
    return ka.AlexNet(architecture, classifier_activation=None)


@functools.cache
def mirrored(count):
    """Made once: two that add up in one process get in each other's way."""
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)])


def _fit(
    replicas,
    count=UNEVEN,
    *,
    rate=0.1,
    weighted=False,
    reduction="sum_over_batch_size",
    parts=1,
    plain=False,
    normalize=False,
    test=False,
    **clipping,
):
    keras.utils.set_random_seed(0)
    strategy = tf.distribute.get_strategy()
    if replicas > 1:
        strategy = mirrored(replicas)
    with strategy.scope():
        model = tiny(normalize)
        if plain:
            model = keras.Model(model.inputs, model.outputs[0])
        model.compile(
            PaperSGD(rate, momentum=0.9, decay=0.01, **clipping),
            keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction=reduction
            ),
            metrics=["accuracy"],
            weighted_metrics=["accuracy"] if weighted else None,
            jit_compile=False,  # on one device it takes its time
        )
    model.accumulation_steps = parts
    before = model.get_weights()
    history = model.fit(
        _batches(count, weighted), shuffle=False, verbose=0
    ).history
    arrays = {
        "before": np.concatenate([w.ravel() for w in before]),
        "after": np.concatenate([w.ravel() for w in model.get_weights()]),
        "history": [history[key] for key in sorted(history)],
    }
    if test and keras.config.floatx() == "float64":
        x, y, weights = noise(TEST_IMAGES, seed=1)
        options = {"batch_size": BATCH, "verbose": 0}
        arrays["evaluated"] = model.evaluate(
            x, y, sample_weight=weights if weighted else None, **options
        )
        arrays["predicted"] = model.predict(x, **options)
    return arrays


def _batches(count, weighted):
    """One step in float32, of what is left in the end; ten in float64."""
    x, y, weights = noise(count)
    columns = (x, y, weights) if weighted else (x, y)
    data = tf.data.Dataset.from_tensor_slices(columns)
    data = data.batch(BATCH, drop_remainder=count == EVEN)
    if keras.config.floatx() == "float64":
        return data.repeat().take(STEPS["float64"])
    return data.skip((count - 1) // BATCH)


def _put(arrays, name, values):
    for key, value in values.items():
        arrays[f"{name}: {key}"] = np.asarray(value)


if __name__ == "__main__":
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 4,
    )

    import keras

    import keras_alexnet as ka
    from keras_alexnet.architectures.rows import Conv
    from keras_alexnet.architectures.rows import Dense
    from keras_alexnet.architectures.rows import Dropout
    from keras_alexnet.architectures.rows import Flatten
    from keras_alexnet.architectures.rows import LocalResponseNorm
    from keras_alexnet.architectures.rows import MaxPool
    from keras_alexnet.architectures.variants import Architecture
    from keras_alexnet.architectures.variants import Preprocessing
    from keras_alexnet.training.optimizer import PaperSGD

    tf.get_logger().setLevel("ERROR")  # it warns of many functions
    np.savez(sys.argv[2], **globals()[sys.argv[1]]())
