"""A look at the first batch that a network is fed, wherever it stands.

Nothing is read for that: a set of data may be such as can be read once. What
Keras' `fit`, `evaluate` and `predict` trace of any model tells the range of the
first values that reach the network's first convolution, once, and goes on: also
where the network is a layer of another model, or another took over its layers.
"""

import functools
import itertools
import sys
import warnings

import keras
from keras import ops

from keras_alexnet.layers.cuda_convnet import CeilPadding2D
from keras_alexnet.layers.cuda_convnet import SplitTowers
from keras_alexnet.layers.tracing import callers

IMAGES = 16  # of a batch, as many as are looked at
LIBRARIES = ("keras", "keras_alexnet", "tensorflow", "jax", "torch")


def watch(network):
    """Have a network's first convolution look at what it is given.

    Under XLA, and on several devices, nothing can be told from within.

    Args:
        network: An `AlexNetModel`, which is asked whether it `watches`, has
            looked or is fed what was looked at, and by `check_of_images` what
            is to be checked.
    """
    first = network.operations[len(_front(network)) :][:1]
    if not first or hasattr(first[0].call, "is_watched"):
        return
    (first,) = first
    call = first.call

    @functools.wraps(call)
    def watched(inputs, *args, **kwargs):
        if network.watches and not network.has_looked:
            network.watches = False  # while it looks, which may ask itself
            try:
                _look(inputs, network)
            finally:
                network.watches = True
        return call(inputs, *args, **kwargs)

    watched.is_watched = True
    first.call = watched


def is_fed_directly(network):
    """Whether its first convolution sees what the network is given.

    There may be a preprocessing in front, by `AlexNet(input_tensor=)`.
    """
    paddings = keras.layers.ZeroPadding2D | CeilPadding2D | SplitTowers
    own = keras.layers.InputLayer | paddings
    return all(isinstance(layer, own) for layer in _front(network))


def _front(network):
    """The layers and other operations before the first convolution."""
    return list(
        itertools.takewhile(
            lambda layer: not isinstance(layer, keras.layers.Conv2D),
            network.operations,
        )
    )


def _look(images, network):
    backend = keras.backend.backend()
    if backend == "torch" and sys.modules["torch"].compiler.is_compiling():
        return
    is_eager = backend == "torch" or (backend == "tensorflow" and _is_eager())
    if is_eager and network.is_seen:
        return
    trainer, training = _trainer()
    if trainer is None:
        return
    if keras.distribution.distribution() is not None:
        return
    if backend == "tensorflow" and (trainer.jit_compile or _has_replicas()):
        return
    check = network.check_of_images(training)
    if check is None:
        return
    few = images[:IMAGES]
    least, most = ops.min(few), ops.max(few)
    if is_eager:
        check(float(least), float(most))
    elif backend == "jax":
        _on_jax(check, least, most)
    else:
        _on_tensorflow(check, least, most)


def outside_of_the_step(function, *args):
    """What a function gives now, in the middle of what Keras traces.

    `None` on JAX, where nothing can be computed then.
    """
    if keras.backend.backend() == "jax" and _trainer()[0] is not None:
        return None
    if keras.backend.backend() != "tensorflow":
        return function(*args)
    import tensorflow as tf

    with tf.init_scope():
        return function(*args)


def warner():
    """A function that warns as of the line of the user's that runs now."""
    place = ("<unknown>", 0)
    for name, frame in callers():
        place = frame.f_code.co_filename, frame.f_lineno
        if name.partition(".")[0] not in LIBRARIES:
            break
    return lambda text: warnings.warn_explicit(text, UserWarning, *place)


def _trainer():
    """The model that Keras feeds now, or `None`, and whether it trains it."""
    training = False
    for name, frame in callers():
        function = frame.f_code.co_name
        training |= function == "train_step"
        if function == "_symbolic_build":  # PyTorch is fed ones then
            break
        is_trainer = name.startswith("keras.src.backend.")
        if is_trainer and function in ("fit", "evaluate", "predict"):
            return frame.f_locals["self"], training
    return None, False


def _has_replicas():
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def _is_eager():
    import tensorflow as tf

    return tf.executing_eagerly()


def _on_jax(check, least, most):
    import jax

    done = False

    def look(least, most):
        nonlocal done
        done = done or check(float(least), float(most))

    jax.debug.callback(look, least, most)


def _on_tensorflow(check, least, most):
    import tensorflow as tf

    # A table of one row: a variable may not be made in the middle of a step.
    with tf.init_scope():
        done = tf.lookup.experimental.MutableHashTable("int64", "int64", 0)
    row = tf.constant(0, "int64")

    def look():
        answer = tf.py_function(
            lambda *values: int(check(*map(float, values))),
            [least, most],
            tf.int64,
        )
        return done.insert(row, tf.reshape(answer, ()))

    tf.cond(done.lookup(row) > 0, tf.no_op, look)
    # It must live as long as the graph that has it.
    tf.compat.v1.get_default_graph().first_batch = done
