"""A look at the first batch that a network is fed, wherever it stands.

Nothing is read for that: a set of data may be such as can be read once. What
Keras' `fit`, `evaluate` and `predict` trace of any model tells the range of the
first values that reach the network, once, and goes on.
"""

import inspect
import sys
import warnings

import keras
from keras import ops

from keras_alexnet.layers.tracing import callers

IMAGES = 16
LIBRARIES = ("keras", "keras_alexnet", "tensorflow", "jax", "torch")


def watch(images, check_of):
    """Have the range of the first batch checked, if Keras is feeding a model.

    Under XLA, and on several devices, nothing can be told from within.

    Args:
        images: Tensor, what the network is fed.
        check_of: Function that gives a function of the least and the largest
            value, which may warn and says whether it is done; or `None` if
            there is nothing to check.
    """
    backend = keras.backend.backend()
    if backend == "torch" and sys.modules["torch"].compiler.is_compiling():
        return
    trainer = _trainer()
    if trainer is None or (trainer.jit_compile and backend == "tensorflow"):
        return
    if backend == "tensorflow" and _has_replicas():
        return
    check = check_of()
    if check is None:
        return
    few = images[:IMAGES]
    least, most = ops.min(few), ops.max(few)
    if backend == "jax":
        _on_jax(check, least, most)
    elif backend == "torch" or _is_eager():
        check(float(least), float(most))
    else:
        _on_tensorflow(check, least, most)


def outside_of_the_step(function, *args):
    """What a function gives now, in the middle of what Keras traces.

    `None` on JAX, where nothing can be computed then.
    """
    if keras.backend.backend() == "jax" and _trainer() is not None:
        return None
    if keras.backend.backend() != "tensorflow":
        return function(*args)
    import tensorflow as tf

    with tf.init_scope():
        return function(*args)


def warner():
    """A function that warns as of the line of the user's that runs now."""
    frame = inspect.currentframe()
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] not in LIBRARIES:
            break
        frame = frame.f_back
    place = frame.f_code.co_filename, frame.f_lineno
    return lambda text: warnings.warn_explicit(text, UserWarning, *place)


def _trainer():
    """The model that Keras trains, evaluates or asks now."""
    for name, local in callers():
        if name.startswith("keras.src.backend.") and name.endswith(".trainer"):
            model = local.get("self")
            if isinstance(model, keras.Model):
                return model
    return None


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
