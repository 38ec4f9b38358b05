"""The forms of layers for JAX on CPUs, beside JAX's own."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from jax import lax  # noqa: E402

from keras_alexnet.layers import jax_on_cpus  # noqa: E402

# Images, height, width, channels, filters, side of the kernel, stride.
CONVOLUTIONS = [
    (2, 35, 35, 3, 7, 11, 4),
    (3, 36, 30, 3, 5, 11, 4),
    (4, 15, 17, 20, 6, 5, 1),
    (2, 9, 8, 48, 4, 3, 1),
    (5, 16, 16, 3, 4, 5, 2),
    (4, 12, 12, 2, 3, 2, 3),
    (1, 11, 11, 1, 3, 11, 4),
]
# Images, height, width, channels, side of the window, stride.
POOLINGS = [
    (2, 55, 55, 4, 3, 2),
    (1, 13, 14, 3, 3, 2),
    (2, 12, 12, 2, 2, 2),
    (2, 12, 12, 2, 3, 1),
    (2, 12, 13, 2, 2, 3),
    (2, 9, 9, 1, 5, 2),
    (1, 30, 31, 1, 13, 4),
]


def values_and_gradients(function, arrays):
    values, pull = jax.vjp(function, *arrays)
    generator = np.random.default_rng(1)
    upstream = generator.normal(size=values.shape).astype(values.dtype)
    return [values, *pull(upstream)]


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        # The largest terms of a sum tell how exact it can be.
        scale = np.abs(b).max() * (1e-12 if b.dtype == "float64" else 1e-5)
        np.testing.assert_allclose(a, b, rtol=0, atol=scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("sizes", CONVOLUTIONS)
def test_convolution(sizes, padding, dtype):
    count, height, width, channels, filters, side, stride = sizes
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, height, width, channels))
    kernel = generator.normal(size=(side, side, channels, filters))
    arrays = [a.astype(dtype) for a in (x, kernel)]
    expected = values_and_gradients(
        lambda x, kernel: lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            padding.upper(),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        ),
        arrays,
    )
    assert_equal(
        values_and_gradients(
            lambda *both: jax_on_cpus.convolution(*both, stride, padding),
            arrays,
        ),
        expected,
    )


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("sizes", POOLINGS)
def test_max_pooling(sizes, padding):
    """Of equal values, which zeros behind a ReLU are, the first is taken."""
    *shape, side, stride = sizes
    x = np.random.default_rng(0).normal(size=shape).round(1)
    x = np.maximum(x, 0).astype("float32")
    window, strides = (1, side, side, 1), (1, stride, stride, 1)
    expected = values_and_gradients(
        lambda x: lax.reduce_window(
            x, -np.inf, lax.max, window, strides, padding.upper()
        ),
        [x],
    )
    assert_equal(
        values_and_gradients(
            lambda x: jax_on_cpus.max_pooling(x, side, stride, padding), [x]
        ),
        expected,
    )


def test_what_is_not_finite_stays_so():
    x = np.ones((1, 5, 5, 2), "float32")
    x[0, 2, 2] = np.nan
    pooled = jax_on_cpus.max_pooling(x, 3, 2, "valid")
    assert np.isnan(pooled).all()
    kernel = np.ones((3, 3, 2, 4), "float32")
    maps = np.asarray(jax_on_cpus.convolution(x, kernel, 2, "valid"))
    assert np.isnan(maps).all()


def test_large_images_take_no_patches():
    """Their memory: those of this image and kernel would take 1.7 GB."""
    x = np.zeros((1, 2000, 2000, 3), "float32")
    kernel = np.zeros((11, 11, 3, 2), "float32")
    maps = jax.eval_shape(
        lambda *both: jax_on_cpus.convolution(*both, 4, "valid"), x, kernel
    )
    assert maps.shape == (1, 498, 498, 2)
    text = jax.jit(
        lambda *both: jax_on_cpus.convolution(*both, 4, "valid")
    ).lower(x, kernel)
    assert "stablehlo.while" not in text.as_text()
