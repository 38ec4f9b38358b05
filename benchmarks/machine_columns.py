"""What the machine can do: products of matrices, and moving memory."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np


def matrices(size, by, precision="float32"):
    """Products of two square matrices."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, size, size)).astype("float32")
    if by == "numpy":
        return lambda: np.matmul(a, b)
    import tensorflow as tf

    a, b = tf.cast(a, precision), tf.cast(b, precision)
    return lambda: tf.matmul(a, b).numpy()


def copy(megabytes, threads=2):
    """One array into another, a part for each thread."""
    source = np.ones(megabytes * 2**20, "uint8")
    target = np.empty_like(source)
    parts = zip(
        np.array_split(target, threads),
        np.array_split(source, threads),
        strict=True,
    )
    pairs = list(parts)
    pool = ThreadPoolExecutor(threads)

    def whole():
        list(pool.map(lambda pair: np.copyto(*pair), pairs))

    return whole
