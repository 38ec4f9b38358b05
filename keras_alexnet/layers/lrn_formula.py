"""The formula of local response normalization, and its gradient.

With d = k + alpha W(x^2) and s = d^-beta, W being the windowed sum:

    y  = x s
    dx = dy s - 2 alpha beta x W(dy x s / d)

What comes in narrower than float32 (whose squares overflow float16) is made
wide inside of the formulas, where that takes no memory, and leaves as it came.
"""

import functools

import keras
from keras import ops


def normalize(x, size, alpha, beta, k, axes):
    """x / (k + alpha * windowed sum of squares) ** beta, the fastest way."""
    constants = {"alpha": alpha, "beta": beta, "k": k}
    backend = keras.backend.backend()
    if backend != "tensorflow":
        window = functools.partial(padded_window, size=size, axes=axes)
        if backend == "torch":  # whose autograd does it
            return _forward(x, window, **constants)
        return _differentiable(x, *_formulas(window, constants))
    import tensorflow as tf

    x = tf.convert_to_tensor(x)  # a variable's value
    shape = tuple(x.shape[1:])
    if axes != (x.ndim - 1,):
        return _compiled(shape, size, alpha, beta, k, axes)(x)
    flat = ops.reshape(x, (-1,))
    y = _compiled(shape, size, alpha, beta, k, None)(flat)
    return ops.reshape(y, ops.shape(x))


def native(x, size, alpha, beta, k, axes):
    """An operation that converters know, where one applies."""
    wide = _wide(x)
    of_torch = keras.backend.backend() == "torch"
    known = len(axes) == 1 if of_torch else axes == (x.ndim - 1,)
    if not known or keras.backend.standardize_dtype(wide.dtype) != "float32":
        window = functools.partial(padded_window, size=size, axes=axes)
        return _forward(x, window, alpha, beta, k)
    operation = _onnx if of_torch else _tensorflow
    return ops.cast(operation(wide, size, alpha, beta, k, *axes), x.dtype)


def _tensorflow(x, size, alpha, beta, k, axis):
    """TensorFlow's own operation, of the last axis."""
    import tensorflow as tf

    shape, rank = tf.shape(x), x.ndim
    if rank != 4:  # the operation takes no other rank
        x = tf.reshape(x, tf.stack([shape[0], -1, 1, x.shape[axis]]))
    y = tf.nn.local_response_normalization(x, size // 2, k, alpha, beta)
    return tf.reshape(y, shape) if rank != 4 else y


def _onnx(x, size, alpha, beta, k, axis):
    """ONNX' own operation, in what PyTorch traces for it."""
    x = ops.moveaxis(x, axis, 1)
    shape, rank = ops.shape(x), x.ndim
    if rank != 4:  # onnxruntime takes no other
        x = ops.reshape(x, (*shape[:2], -1, 1))
    y = _onnx_function().apply(x, size, alpha, beta, k)
    return ops.moveaxis(ops.reshape(y, shape) if rank != 4 else y, 1, axis)


@functools.cache
def _onnx_function():
    import torch

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(context, x, size, alpha, beta, k):
            normalize = torch.nn.functional.local_response_norm
            return normalize(x, size, alpha * size, beta, k)

        @staticmethod
        def symbolic(graph, x, size, alpha, beta, k):
            constants = {"alpha_f": alpha * size, "beta_f": beta, "bias_f": k}
            y = graph.op("LRN", x, size_i=size, **constants)
            return y.setType(x.type())

    return Function


def _wide(x):
    """The values in float32, or in float64 if they come so."""
    double = keras.backend.standardize_dtype(x.dtype) == "float64"
    return ops.cast(x, "float64" if double else "float32")


def _forward(x, window, alpha, beta, k):
    wide = _wide(x)
    d = k + alpha * window(wide * wide)
    y = ops.reshape(wide, ops.shape(d)) * _power(d, beta)
    return ops.cast(y, x.dtype)


def _backward_inner(x, dy, window, alpha, beta, k):
    """The part of the gradient that a second window sums: dy x s / d."""
    x, dy = _wide(x), _wide(dy)
    d = k + alpha * window(x * x)
    shape = ops.shape(d)
    return ops.reshape(dy, shape) * ops.reshape(x, shape) * _power(d, beta) / d


def _backward(x, dy, inner, window, alpha, beta, k):
    dtype, x, dy = x.dtype, _wide(x), _wide(dy)
    d = k + alpha * window(x * x)
    shape = ops.shape(d)
    x, dy = ops.reshape(x, shape), ops.reshape(dy, shape)
    dx = dy * _power(d, beta) - (2.0 * alpha * beta) * x * window(inner)
    return ops.cast(dx, dtype)


def _power(d, beta):
    """d ** -beta; roots are several times faster than powers."""
    if beta == 0.75:  # not of a product, which would leave float32's range
        root = ops.rsqrt(d)
        return root * ops.sqrt(root)
    if beta == 0.5:
        return ops.rsqrt(d)
    return ops.power(d, -beta)


def _formulas(window, constants):
    """The three formulas with their window and constants."""
    # Partials: of closures, TensorFlow would count each new one as a
    # retracing of the last, and warn.
    return [
        functools.partial(formula, window=window, **constants)
        for formula in (_forward, _backward_inner, _backward)
    ]


@functools.lru_cache(maxsize=64)
def _compiled(shape, size, alpha, beta, k, axes):
    """The normalization, each formula one XLA function: one pass over memory.

    On two CPU cores several times as fast as
    tf.nn.local_response_normalization (benchmarks/README.md), also inside a
    model that is not compiled. As one function, XLA would store d and s
    between the halves of the gradient, which costs more than computing them
    twice. Each shape and set of constants has functions of its own.

    Around them stands one that TensorFlow does not compile, since it keeps the
    graph in which a gradient is defined for ever: this one, not the model's.
    """
    import tensorflow as tf

    if axes is None:
        window = functools.partial(flat_window, size=size, maps=shape[-1])
    else:
        window = functools.partial(padded_window, size=size, axes=axes)
    formulas = _formulas(window, {"alpha": alpha, "beta": beta, "k": k})
    traced = functools.partial(
        tf.function, autograph=False, reduce_retracing=True
    )
    forward, inner, backward = (traced(f, jit_compile=True) for f in formulas)
    return traced(
        functools.partial(
            _differentiable,
            forward=forward,
            backward_inner=inner,
            backward=backward,
        )
    )


def _differentiable(x, forward, backward_inner, backward):
    """The normalization with its gradient in closed form."""

    @ops.custom_gradient
    def normalize(x):
        def gradient(*args, upstream=None):
            (upstream,) = args or (upstream,)
            inner = backward_inner(x, upstream)
            dx = backward(x, upstream, ops.reshape(inner, ops.shape(x)))
            return ops.reshape(dx, ops.shape(x))

        # Without a gradient, a tape does not look into `forward`.
        y = forward(ops.stop_gradient(x))
        return ops.reshape(y, ops.shape(x)), gradient

    return normalize(x)


def padded_window(x, size, axes):
    """Sums over `size` neighbors along each of `axes`, zeros beyond."""
    radius = size // 2
    for axis in axes:
        length = ops.shape(x)[axis]
        padding = [(0, 0)] * x.ndim
        padding[axis] = (radius, radius)
        padded = ops.pad(x, padding)
        x = sum(_slice(padded, axis, start, length) for start in range(size))
    return x


def _slice(x, axis, start, length):
    return x[(*(slice(None),) * axis, slice(start, start + length))]


def flat_window(flat, size, maps):
    """Sums over `size` neighbors along the last axis, a row per position.

    For TensorFlow: no zeros are stored around the maps. A neighbor is read
    at its distance in memory, and left out by a mask where it belongs to
    another position. All rows but the first and the last can be read so.

    Args:
        flat: `(rows * maps,)`, all values in a row.
        size: Integer, the window's width.
        maps: Integer, the length of the last axis.

    Returns:
        `(rows, maps)`.
    """
    import tensorflow as tf

    # Few operations, of TensorFlow's own: each is traced for some .3 ms.
    x = tf.reshape(flat, (-1, maps))
    rows = tf.shape(x)[0]
    count = tf.reshape(tf.maximum(rows - 2, 0) * maps, (1,))
    channel, zero = tf.range(maps), tf.zeros((), flat.dtype)
    total = zero
    for distance in range(-(size // 2), size // 2 + 1):
        if abs(distance) < maps:
            start = maps + distance
            neighbor = tf.strided_slice(flat, [start], start + count)
            neighbor = tf.reshape(neighbor, (-1, maps))
            if distance < 0:
                neighbor = tf.where(channel >= -distance, neighbor, zero)
            elif distance:
                neighbor = tf.where(channel < maps - distance, neighbor, zero)
            total = total + neighbor
    first, last = x[:1], x[1:][-1:]
    before, after = tf.shape(first)[0], tf.shape(last)[0]

    def sums(row):
        padded = tf.pad(row, [(0, 0), (size // 2, size // 2)])
        return sum(tf.slice(padded, [0, i], [-1, maps]) for i in range(size))

    return (
        tf.pad(total, [(before, after), (0, 0)])
        + tf.pad(sums(first), [(0, rows - before), (0, 0)])
        + tf.pad(sums(last), [(rows - after, 0), (0, 0)])
    )
