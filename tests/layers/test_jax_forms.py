"""The forms of layers for JAX, beside JAX's own."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from jax import export  # noqa: E402
from jax import lax  # noqa: E402

from keras_alexnet.layers import jax_forms  # noqa: E402

# Images, height, width, channels, filters, side of the kernel, stride.
CONVOLUTIONS = [
    (3, 36, 30, 3, 5, 11, 4),
    (4, 15, 17, 20, 6, 5, 1),
    (2, 9, 8, 48, 4, 3, 1),
    (5, 16, 16, 3, 4, 5, 2),
    (4, 12, 12, 2, 3, 2, 3),
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
    shape = jax.eval_shape(function, *arrays).shape
    upstream = np.random.default_rng(1).normal(size=shape)

    @jax.jit
    def both(*arrays):
        values, pull = jax.vjp(function, *arrays)
        return [values, *pull(upstream.astype(values.dtype))]

    return both(*arrays)


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        # The largest terms of a sum tell how exact it can be.
        scale = np.abs(b).max() * (1e-12 if b.dtype == "float64" else 1e-5)
        np.testing.assert_allclose(a, b, rtol=0, atol=scale)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("sizes", CONVOLUTIONS)
@pytest.mark.parametrize("form", ["convolution", "on_blocks"])
def test_convolution(form, sizes, padding):
    count, height, width, channels, filters, side, stride = sizes
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, height, width, channels))
    kernel = generator.normal(size=(side, side, channels, filters))
    dtype = "float32" if padding == "same" else "float64"
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
            lambda *both: getattr(jax_forms, form)(*both, stride, padding),
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
            lambda x: jax_forms.max_pooling(x, side, stride, padding), [x]
        ),
        expected,
    )


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("sizes", POOLINGS)
def test_average_pooling(sizes, padding):
    *shape, side, stride = sizes
    x = np.random.default_rng(0).normal(size=shape)
    window, strides = (1, side, side, 1), (1, stride, stride, 1)
    # Not Keras', which on PyTorch repeats the pixels of an edge.
    sums, counts = (
        lax.reduce_window(a, 0.0, lax.add, window, strides, padding.upper())
        for a in (x, np.ones_like(x))
    )
    expected = sums / counts
    found = jax_forms.average_pooling(x, side, stride, padding)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_is_not_finite_stays_so():
    x = np.ones((1, 5, 5, 2), "float32")
    x[0, 2, 2] = np.nan
    pooled = jax_forms.max_pooling(x, 3, 2, "valid")
    assert np.isnan(pooled).all()
    kernel = np.ones((3, 3, 2, 4), "float32")
    maps = np.asarray(jax_forms.convolution(x, kernel, 2, "valid"))
    assert np.isnan(maps).all()


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_no_images(padding):
    x, kernel = np.zeros((0, 9, 9, 3)), np.zeros((3, 3, 3, 4))
    sides = (4, 4) if padding == "valid" else (5, 5)
    maps = jax_forms.convolution(x, kernel, 2, padding)
    assert maps.shape == (0, *sides, 4)
    assert jax_forms.max_pooling(x, 3, 2, padding).shape == (0, *sides, 3)


def test_large_images_take_no_patches():
    """Their memory: those of this image and kernel would take 1.7 GB."""
    x = np.zeros((1, 2000, 2000, 3), "float32")
    kernel = np.zeros((11, 11, 3, 2), "float32")
    maps = jax.eval_shape(
        lambda *both: jax_forms.convolution(*both, 4, "valid"), x, kernel
    )
    assert maps.shape == (1, 498, 498, 2)
    text = jax.jit(
        lambda *both: jax_forms.convolution(*both, 4, "valid")
    ).lower(x, kernel)
    assert "stablehlo.while" not in text.as_text()


def test_which_form_is_taken(monkeypatch):
    """On a GPU only the first convolution has one, which steps over pixels."""
    image = jax.ShapeDtypeStruct((2, 227, 227, 3), "bfloat16")
    maps = jax.ShapeDtypeStruct((2, 27, 27, 96), "bfloat16")
    assert jax_forms.form_of_convolution(image, 4) is None
    assert jax_forms.form_of_max_pooling(maps) is None
    wide = jax.ShapeDtypeStruct((2, 27, 27, 96), "float32")
    assert jax_forms.form_of_convolution(wide, 1) is jax_forms.convolution
    assert jax_forms.form_of_max_pooling(wide) is jax_forms.max_pooling
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    (batch,) = export.symbolic_shape("batch")
    converted = jax.ShapeDtypeStruct((batch, 27, 27, 96), "float32")
    assert jax_forms.form_of_max_pooling(converted) is jax_forms.max_pooling
    form = jax_forms.form_of_average_pooling(converted)
    assert form is jax_forms.average_pooling
    assert jax_forms.form_of_average_pooling(wide) is None
    assert jax_forms.form_of_convolution(image, 4) is jax_forms.on_blocks
    assert jax_forms.form_of_convolution(image, 1) is None
    assert jax_forms.form_of_convolution(wide, 1) is None
    assert jax_forms.form_of_max_pooling(wide) is None
