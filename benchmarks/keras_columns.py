"""What Keras does: this package's networks, and the same as people write them.

Each function prepares and gives back what is timed.
"""

import keras
import numpy as np

import keras_alexnet as ka

# What is "mixed" has weights in float32.
POLICIES = {"bfloat16": "mixed_bfloat16", "bfloat16 weights": "bfloat16"}


class PlainNormalization(keras.layers.Layer):
    """TensorFlow's own, which has no kernel for bfloat16 on a CPU.

    Other backends have none; there it is written in Keras' operations.
    """

    def call(self, x):
        wide = keras.ops.cast(x, "float32")
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            y = tf.nn.local_response_normalization(wide, 2, 2.0, 1e-4, 0.75)
        else:
            squares = keras.ops.pad(wide**2, [(0, 0)] * 3 + [(2, 2)])
            maps = x.shape[-1]
            total = sum(squares[..., i : i + maps] for i in range(5))
            y = wide / (2.0 + 1e-4 * total) ** 0.75
        return keras.ops.cast(y, x.dtype)


def plain(variant, pixels, classes):
    """The network as listings have it."""
    layers = keras.layers
    towers = 2 if variant == "alexnet" else 1

    def normalization():
        return [PlainNormalization()] if variant == "alexnet" else []

    conv = {"padding": "same", "activation": "relu"}
    if variant == "torchvision":
        first = [
            layers.ZeroPadding2D(2),
            layers.Conv2D(64, 11, strides=4, activation="relu"),
        ]
        widths = (192, 384, 256, 256)
    else:
        first = [layers.Conv2D(96, 11, strides=4, activation="relu")]
        widths = (256, 384, 384, 256)
    dense = [
        layers.Dense(4096, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(4096, activation="relu"),
        layers.Dropout(0.5),
    ]
    if variant == "torchvision":
        dense = [dense[1], dense[0], dense[3], dense[2]]
    return keras.Sequential(
        [
            keras.Input((pixels, pixels, 3)),
            *first,
            *normalization(),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(widths[0], 5, groups=towers, **conv),
            *normalization(),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(widths[1], 3, **conv),
            layers.Conv2D(widths[2], 3, groups=towers, **conv),
            layers.Conv2D(widths[3], 3, groups=towers, **conv),
            layers.MaxPooling2D(3, 2),
            layers.Flatten(),
            *dense,
            layers.Dense(classes, activation="softmax"),
        ]
    )


def network(variant, pixels, classes, precision, whose):
    keras.config.set_dtype_policy(POLICIES.get(precision, "float32"))
    if whose == "plain":
        return plain(variant, pixels, classes)
    return ka.AlexNet(variant, input_shape=(pixels, pixels, 3), classes=classes)


def batch_of(batch, pixels, classes):
    """Pixels less their mean, and labels, where the backend keeps them."""
    generator = np.random.default_rng(0)
    x = generator.normal(0, 60, (batch, pixels, pixels, 3)).astype("float32")
    y = generator.integers(0, classes, batch)
    return keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(y)


def step(
    variant,
    batch,
    pixels,
    classes=1000,
    precision="float32",
    whose="ours",
):
    """A training step: momentum and decay, the loss, no other metrics."""
    model = network(variant, pixels, classes, precision, whose)
    optimizer = ka.PaperSGD(0.01)
    if whose == "plain":
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=5e-4)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    x, y = batch_of(batch, pixels, classes)
    return lambda: model.train_on_batch(x, y)


def inference(
    variant, batch, pixels, precision="float32", whose="ours", classes=1000
):
    model = network(variant, pixels, classes, precision, whose)
    x, _ = batch_of(batch, pixels, classes)
    return lambda: model.predict_on_batch(x)


def normalization(shape, whose, precision="float32", waits=True):
    """Forward and backward; on JAX not waited for, if so said."""
    normalize = PlainNormalization().call
    if whose == "ours":
        normalize = ka.LocalResponseNormalization(dtype=precision)
    if keras.backend.backend() == "jax":
        both = _normalization_on_jax(shape, normalize, precision)
        return _waiting(both) if waits else both
    import tensorflow as tf

    x = tf.random.normal(shape, stddev=50.0)
    upstream = tf.random.normal(shape)

    @tf.function
    def both():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = normalize(x)
        return y, tape.gradient(y, x, upstream)

    return lambda: both()


def _waiting(function):
    import jax

    return lambda: jax.block_until_ready(function())


def _normalization_on_jax(shape, normalize, precision):
    import jax

    first, second = jax.random.split(jax.random.key(0))
    x = 50 * jax.random.normal(first, shape, precision)
    upstream = jax.random.normal(second, shape, precision)

    @jax.jit
    def both(x, upstream):
        y, pull = jax.vjp(normalize, x)
        return y, pull(upstream)

    return lambda: both(x, upstream)


def update(whose, waits=True):
    """The optimizer alone, for the 61 million parameters of the paper's."""
    model = ka.AlexNet()
    optimizer = ka.PaperSGD(0.01)
    if whose == "plain":
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=5e-4)
    weights = model.trainable_variables
    optimizer.build(weights)
    if keras.backend.backend() == "jax":
        apply = _update_on_jax(optimizer, weights)
        return _waiting(apply) if waits else apply
    import tensorflow as tf

    gradients = [tf.random.normal(w.shape, stddev=1e-3) for w in weights]
    run = tf.function(lambda: optimizer.apply(gradients, weights))
    return lambda: run()


def _update_on_jax(optimizer, weights):
    """In place, as Keras' training on JAX has it."""
    import jax

    keys = jax.random.split(jax.random.key(0), len(weights))
    gradients = [
        1e-3 * jax.random.normal(key, weight.shape)
        for key, weight in zip(keys, weights, strict=True)
    ]
    apply = jax.jit(optimizer.stateless_apply, donate_argnums=(0, 2))
    # Copies: what is given away must not stay in the variables.
    state = [
        [jax.numpy.array(variable.value) for variable in variables]
        for variables in (weights, optimizer.variables)
    ]

    def run():
        state[:] = apply(state[1], gradients, state[0])
        return state

    return run
