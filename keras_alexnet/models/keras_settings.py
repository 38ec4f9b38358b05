"""Keras' global settings, which decide what a layer is that is made."""

import contextlib

import keras


@contextlib.contextmanager
def keras_settings(policy="float32"):
    """Inside, layers are made with that dtype policy, channels last.

    Whatever `keras.json` or the user has set: a run is what its recipe says,
    and a file what it says, wherever they are opened. Afterwards all is as it
    was.

    Args:
        policy: Name of a dtype policy, such as `"mixed_float16"`.
    """
    config = keras.config
    before = config.floatx(), config.dtype_policy(), config.image_data_format()
    config.set_floatx("float64" if policy == "float64" else "float32")
    config.set_dtype_policy(policy)
    config.set_image_data_format("channels_last")
    try:
        with _double_precision(policy == "float64"):
            yield
    finally:
        floatx, policy, data_format = before
        config.set_floatx(floatx)
        config.set_dtype_policy(policy)
        config.set_image_data_format(data_format)


@contextlib.contextmanager
def _double_precision(wanted):
    """JAX computes in float32 what is float64, unless it is told otherwise."""
    if keras.backend.backend() != "jax" or not wanted:
        yield
        return
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
