"""Which form of a layer a backend and its devices need."""

import keras


def jax_on_cpus(x):
    """The module of forms for JAX on CPUs, or `None` if `x` is not for it."""
    if keras.backend.backend() != "jax":
        return None
    from keras_alexnet.layers import jax_on_cpus as forms

    return forms if forms.take(x) else None
