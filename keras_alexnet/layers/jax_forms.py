"""Forms of the layers for JAX, several times faster where they are taken.

On CPUs, XLA computes convolutions of few channels, and the gradients of most
kernels, at a tenth to a half of the rate of its products of matrices, and the
gradient of max-pooling one value after another. On a GPU, a convolution of 3
channels is what it does worst (both in benchmarks/README.md). These forms have
the same values, up to the rounding of sums in another order; those for CPUs
have no derivatives in forward mode (`jax.jvp`).
"""

import functools

import jax
import keras
import numpy as np
from jax import lax
from jax import numpy as jnp

# Patches of so many images at a time: they should stay in a processor's cache.
PATCH_BYTES = 2**22
MOST_PATCH_BYTES = 2**25  # of an image
FEW_FOR_GPUS = 16  # channels; tried with 3
FEW_CHANNELS = 48  # of so many or more, XLA's own forward pass is as fast


def form_of_convolution(x, stride):
    """The function for such images, or `None` for Keras' own way."""
    if _is_on_cpu(x):
        return convolution
    is_first = x.shape[-1] < FEW_FOR_GPUS and stride > 1
    on_gpu = jax.default_backend() == "gpu"
    return on_blocks if is_first and on_gpu and _are_known(x.shape) else None


def form_of_max_pooling(x):
    """The function for such images, or `None` for Keras' own way."""
    return max_pooling if _is_on_cpu(x) or is_converted(x) else None


def form_of_average_pooling(x):
    """The function for such images, or `None` for Keras' own way."""
    return average_pooling if is_converted(x) else None


def is_converted(x):
    """Whether a converter asks, since the batch has no known size.

    Of XLA's poolings jax2onnx 0.17.1 makes such over all four axes, which
    onnxruntime (the largest) and OpenVINO (the mean) refuse.
    """
    batch, *sizes = x.shape
    is_floating = jnp.issubdtype(x.dtype, jnp.floating)
    return not isinstance(batch, int) and _are_known(sizes) and is_floating


def _is_on_cpu(x):
    return (
        jax.default_backend() == "cpu"
        # Which several devices would have to hand to each other in a loop.
        and keras.distribution.distribution() is None
        and keras.backend.standardize_dtype(x.dtype) in ("float32", "float64")
        and _are_known(x.shape)
    )


def _are_known(sizes):
    return all(isinstance(size, int) for size in sizes)


def on_blocks(x, kernel, stride, padding):
    """A convolution that steps over blocks of pixels, for GPUs.

    On an H200 conv1 takes .13 instead of .93 ms at a batch of 128 in bfloat16,
    its gradient .16 instead of .43 (benchmarks/README.md).

    Args:
        x: As of `convolution`, as the others.
        kernel: The same.
        stride: The same.
        padding: The same.
    """
    blocks, (down, across, *_) = _in_blocks(x, kernel.shape, stride, padding)
    matrix = _as_matrix(kernel, stride)
    kernel = matrix.reshape(down, across, blocks.shape[-1], -1)
    return _of_xla(blocks, kernel, 1, "valid")


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolution(x, kernel, stride, padding):
    """A convolution of Keras'.

    Args:
        x: `(images, height, width, channels)`.
        kernel: `(height, width, channels, filters)`.
        stride: Integer, of both sides.
        padding: `"valid"` or `"same"`.
    """
    if x.shape[-1] >= FEW_CHANNELS or _is_large(x, kernel, stride):
        return _of_xla(x, kernel, stride, padding)
    blocks, size = _in_parts(x, kernel.shape, stride, padding)
    matrix = _as_matrix(kernel, stride)
    maps = lax.map(lambda some: _patches(some, size) @ matrix, blocks)
    return maps.reshape(len(x), *size[2:], matrix.shape[1])


def _is_large(x, kernel, stride):
    """Whether the patches of an image would take too much memory."""
    height, width = x.shape[1:3]
    places = height * width // stride**2
    return places * kernel[..., 0].size * x.dtype.itemsize > MOST_PATCH_BYTES


def _of_xla(x, kernel, stride, padding):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding.upper(),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _convolved(x, kernel, stride, padding):
    return convolution(x, kernel, stride, padding), (x, kernel)


def _convolution_gradient(stride, padding, known, upstream):
    x, kernel = known
    _, of_both = jax.vjp(lambda *b: _of_xla(*b, stride, padding), x, kernel)
    # What nobody takes of these, XLA does not compute.
    of_images, of_kernel = of_both(upstream)
    if _is_large(x, kernel, stride):
        return of_images, of_kernel
    blocks, size = _in_parts(x, kernel.shape, stride, padding)

    def add(total, pair):
        some, upstream = pair
        return total + _patches(some, size).T @ upstream, None

    matrix, of_matrix = jax.vjp(lambda k: _as_matrix(k, stride), kernel)
    pairs = blocks, upstream.reshape(len(blocks), -1, matrix.shape[1])
    total, _ = lax.scan(add, jnp.zeros_like(matrix), pairs)
    return of_images, *of_matrix(total)


convolution.defvjp(_convolved, _convolution_gradient)


def _in_blocks(x, kernel_shape, stride, padding):
    """Images as blocks of `stride` squared pixels, which kernels step over.

    An 11x11 kernel that steps by 4 over 3 channels is, filled up to 12x12, a
    3x3 kernel that steps by 1 over the 48 channels of such blocks.

    Returns:
        `(images, blocks down, blocks across, values)`, and of the kernel and
        the maps how many blocks they have down and across.
    """
    x = _padded(x, kernel_shape[:2], stride, padding, 0)
    count, height, width, channels = x.shape
    down, across = (-(-side // stride) for side in kernel_shape[:2])
    rows = (height - kernel_shape[0]) // stride + 1
    columns = (width - kernel_shape[1]) // stride + 1
    high, wide = rows + down - 1, columns + across - 1
    x = x[:, : high * stride, : wide * stride]
    missing = [(0, 0), (0, high * stride - x.shape[1])]
    x = jnp.pad(x, [*missing, (0, wide * stride - x.shape[2]), (0, 0)])
    x = x.reshape(count, high, stride, wide, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(count, high, wide, stride**2 * channels)
    return x, (down, across, rows, columns)


def _in_parts(x, kernel_shape, stride, padding):
    """The blocks of a few images at a time, and the sizes."""
    blocks, size = _in_blocks(x, kernel_shape, stride, padding)
    down, across, rows, columns = size
    count, high, wide, values = blocks.shape
    patches = rows * columns * down * across * values * x.dtype.itemsize
    part = _largest_divisor(count, PATCH_BYTES // patches)
    # Not `(parts, images, ...)`: XLA would copy all for an axis of length 1.
    return blocks.reshape(count // part, part * high, wide, values), size


def _largest_divisor(count, most):
    """That of a number that is not larger than another."""
    most = max(1, min(count, most))
    return next(part for part in range(most, 0, -1) if count % part == 0)


def _as_matrix(kernel, stride):
    """A kernel as what the patches of blocks are multiplied by."""
    height, width, channels, filters = kernel.shape
    down, across = -(-height // stride), -(-width // stride)
    missing = [(0, down * stride - height), (0, across * stride - width)]
    kernel = jnp.pad(kernel, [*missing, (0, 0), (0, 0)])
    kernel = kernel.reshape(down, stride, across, stride, channels, filters)
    return kernel.transpose(0, 2, 1, 3, 4, 5).reshape(-1, filters)


def _patches(blocks, size):
    """Of each position of the maps, the blocks under the kernel."""
    down, across, rows, columns = size
    high, wide = rows + down - 1, columns + across - 1
    blocks = blocks.reshape(-1, high, wide, blocks.shape[-1])
    parts = [
        blocks[:, i : i + rows, j : j + columns]
        for i in range(down)
        for j in range(across)
    ]
    patches = jnp.concatenate(parts, axis=-1)
    return patches.reshape(-1, patches.shape[-1])


def _padded(x, window, stride, padding, value):
    """The images as a "valid" window is to see them."""
    if padding == "valid":
        return x
    pads = lax.padtype_to_pads(x.shape[1:3], window, (stride, stride), "SAME")
    return jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=value)


def max_pooling(x, size, stride, padding):
    """The maximum of each window.

    Args:
        x: `(images, height, width, channels)`.
        size: Integer, side of the windows.
        stride: Integer, of both sides.
        padding: `"valid"` or `"same"`.
    """
    x = _padded(x, (size, size), stride, padding, -jnp.inf)
    return _largest(x, size, stride)


def average_pooling(x, size, stride, padding):
    """The mean of what each window has of the image.

    Args:
        x: As of `max_pooling`, as the others.
        size: The same.
        stride: The same.
        padding: The same.
    """
    total, count = (
        sum(_places(_padded(v, (size, size), stride, padding, 0), size, stride))
        for v in (x, jnp.ones((1, *x.shape[1:3], 1), x.dtype))
    )
    return total / count


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _largest(x, size, stride):
    return functools.reduce(jnp.maximum, _places(x, size, stride))


def _pooled(x, size, stride):
    y = _largest(x, size, stride)
    return y, (x, y)


def _pooling_gradient(size, stride, known, upstream):
    """The first of the largest values of a window gets what it is given.

    Each pixel asks the windows that it may be in whether it is that value, so
    that nothing is scattered. Pixels stand in blocks of `stride` squared, which
    the same windows reach.
    """
    x, y = known
    height, width = x.shape[1:3]
    high, wide = -(-height // stride), -(-width // stride)
    reach = -(-size // stride)  # of a window, in blocks
    first = jnp.full(y.shape, -1, "int8" if size < 12 else "int32")
    for place, values in reversed(list(enumerate(_places(x, size, stride)))):
        first = jnp.where(values == y, jnp.asarray(place, first.dtype), first)

    def around(values, nothing):
        values = values[:, :high, :wide]
        missing = high - values.shape[1], wide - values.shape[2]
        pads = [(0, 0), *((reach - 1, more) for more in missing), (0, 0)]
        return jnp.pad(values, pads, constant_values=nothing)

    def of_window(values, i, j):  # that begins so many blocks before
        i, j = reach - 1 - i, reach - 1 - j
        return values[:, i : i + high, None, j : j + wide, None]

    # Stored, or XLA computes what they are made of for each of the windows.
    both = around(first, -1), around(upstream, 0)
    first, upstream = lax.optimization_barrier(both)
    total = jnp.zeros((), upstream.dtype)
    for i in range(reach):
        for j in range(reach):
            down = stride * i + np.arange(stride)[:, None, None, None]
            across = stride * j + np.arange(stride)[:, None]
            inside = np.maximum(down, across) < size
            place = np.where(inside, size * down + across, -2)
            hit = of_window(first, i, j) == place.astype(first.dtype)
            total += jnp.where(hit, of_window(upstream, i, j), 0)
    # Not `len(x)`: a SavedModel has a gradient, for batches of any size.
    shape = x.shape[0], high * stride, wide * stride, x.shape[-1]
    total = total.reshape(shape)
    return (total[:, :height, :width],)


_largest.defvjp(_pooled, _pooling_gradient)


def _places(x, size, stride):
    """Of all windows the values at each place, row by row."""
    down = (x.shape[1] - size) // stride * stride + 1
    across = (x.shape[2] - size) // stride * stride + 1
    return [
        x[:, i : i + down : stride, j : j + across : stride]
        for i in range(size)
        for j in range(size)
    ]
