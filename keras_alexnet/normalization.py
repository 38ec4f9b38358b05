"""Local response normalization, as a Keras layer."""

import contextlib
import contextvars
import functools
import math
import numbers

import keras
from keras import ops

_EXPORTING = contextvars.ContextVar("exporting", default=False)


@contextlib.contextmanager
def exporting():
    """Inside, models are traced with TensorFlow's own operations only.

    Converters (ONNX, LiteRT) cannot see into compiled functions; the native
    normalization they know.
    """
    token = _EXPORTING.set(True)
    try:
        yield
    finally:
        _EXPORTING.reset(token)


@keras.saving.register_keras_serializable(package="keras_alexnet")
class LocalResponseNormalization(keras.layers.Layer):
    """Local response normalization of Section 3.3 of the AlexNet paper.

    Every value is divided by `(k + alpha * s) ** beta`, where `s` is the sum
    of the squares of the values in a window around it. The window runs over
    `size` neighboring maps at the same position (the paper's form, the 2012
    code's `cmrnorm`, Caffe's `ACROSS_CHANNELS`), or over `size` x `size`
    positions of the same map (the 2012 code's `rnorm`, Caffe's
    `WITHIN_CHANNEL`). It is cut off at the borders.

    Computed in float32 (or float64) under every dtype policy, since squares
    overflow float16.

    Args:
        size: Odd integer, the window's width `n` in maps or positions.
        alpha: Float, the weight of the squares.
        beta: Float, the exponent.
        k: Float, added to the weighted squares.
        alpha_mode: `"sum"` weighs the sum of the squares (the paper,
            TensorFlow); `"mean"` weighs their mean, that is, divides alpha
            by the number of values in a whole window (Caffe, PyTorch, ONNX,
            both cuda-convnets).
        groups: Integer, the number of towers that the maps fall into; no
            window crosses from one tower into the next (a window within a
            map never does).
        axis: Integer, the axis of the maps.
        window: `"cross_map"` or `"within_map"`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        Any rank from 2 up (from 3 up for `"within_map"`), the first axis
        being the batch, `axis` the maps and all others positions.

    Output shape:
        Same as the input.

    Raises:
        ValueError: if an argument or the input's shape is not as above.

    Reference:
        - [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824)

    Example:

    >>> x = np.ones((1, 55, 55, 96), "float32")
    >>> y = LocalResponseNormalization()(x)
    >>> round(float(y[0, 0, 0, 48]), 6)  # 1 / (2 + 1e-4 * 5) ** .75
    0.594492
    """

    def __init__(
        self,
        size=5,
        alpha=1e-4,
        beta=0.75,
        k=2.0,
        alpha_mode="sum",
        groups=1,
        axis=-1,
        window="cross_map",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(size, int) or size < 1 or size % 2 == 0:
            raise ValueError(
                "`size` must be an odd positive integer, so that the window "
                f"has a middle. Received: size={size}"
            )
        constants = (k, alpha, beta)
        if not all(isinstance(c, numbers.Real) for c in constants) or not (
            0 < k < math.inf and 0 <= alpha < math.inf and abs(beta) < math.inf
        ):
            raise ValueError(
                "`k` must be positive and `alpha` must not be negative, so "
                "that no power of zero is taken, and all must be finite. "
                f"Received: k={k}, alpha={alpha}, beta={beta}"
            )
        if alpha_mode not in ("sum", "mean"):
            raise ValueError(
                "`alpha_mode` must be 'sum' (paper, TensorFlow) or 'mean' "
                f"(Caffe, PyTorch, ONNX). Received: alpha_mode={alpha_mode!r}"
            )
        if window not in ("cross_map", "within_map"):
            raise ValueError(
                "`window` must be 'cross_map' or 'within_map'. "
                f"Received: window={window!r}"
            )
        if not isinstance(groups, int) or groups < 1:
            raise ValueError(
                f"`groups` must be a positive integer. Received: {groups}"
            )
        if not isinstance(axis, int):
            raise ValueError(f"`axis` must be an integer. Received: {axis}")
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.alpha_mode = alpha_mode
        self.groups = groups
        self.axis = axis
        self.window = window
        self.supports_masking = True

    def build(self, input_shape):
        rank = len(input_shape)
        least = 2 if self.window == "cross_map" else 3
        if (
            rank < least
            or not -rank <= self.axis < rank
            or (self.axis % rank == 0)
        ):
            raise ValueError(
                f"The input must have at least {least} axes, the first being "
                f"the batch and axis {self.axis} the maps. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        maps = input_shape[self.axis]
        if maps is None or maps % self.groups:
            raise ValueError(
                f"The number of maps (axis {self.axis}) must be known and a "
                f"multiple of groups={self.groups}. "
                f"Received: input_shape={tuple(input_shape)}"
            )

    def call(self, inputs):
        rank = len(inputs.shape)
        axis = self.axis % rank
        if self.window == "cross_map":
            axes, groups, values = (axis,), self.groups, self.size
        else:
            axes = tuple(a for a in range(1, rank) if a != axis)
            groups, values = 1, self.size ** len(axes)
        alpha = self.alpha / (values if self.alpha_mode == "mean" else 1)
        double = keras.backend.standardize_dtype(inputs.dtype) == "float64"
        x = ops.cast(inputs, "float64" if double else "float32")
        y = _normalize(x, self.size, alpha, self.beta, self.k, groups, axes)
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self):
        config = super().get_config()
        config.update(
            size=self.size,
            alpha=self.alpha,
            beta=self.beta,
            k=self.k,
            alpha_mode=self.alpha_mode,
            groups=self.groups,
            axis=self.axis,
            window=self.window,
        )
        return config


def _normalize(x, size, alpha, beta, k, groups, axes):
    """x / (k + alpha * windowed sum of squares) ** beta, the fastest way."""
    constants = (size, alpha, beta, k, axes)
    shape = ops.shape(x)
    if groups > 1:  # (..., maps, ...) -> (..., groups, maps / groups, ...)
        (axis,) = axes
        split = (groups, shape[axis] // groups)
        x = ops.reshape(x, (*shape[:axis], *split, *shape[axis + 1 :]))
        constants = (size, alpha, beta, k, (axis + 1,))
    backend = keras.backend.backend()
    if backend == "torch":  # whose autograd does it
        y, _ = _forward(x, *constants)
    elif backend != "tensorflow":
        y = _differentiable(x, _forward, _backward, constants)
    elif _EXPORTING.get():
        y = _native(x, *constants)
    else:
        compiled = _compiled(tuple(x.shape[1:]), constants)
        y = _differentiable(x, *compiled, constants)
    return ops.reshape(y, shape) if groups > 1 else y


def _differentiable(x, forward, backward, constants):
    """The normalization with its gradient in closed form."""

    @ops.custom_gradient
    def normalize(x):
        # Without a gradient, a tape does not look into `forward`.
        y, padded = forward(ops.stop_gradient(x), *constants)

        # The padded input, which depends on x for a second derivative.
        @ops.custom_gradient
        def pad(x):
            def gradient(*args, upstream=None):
                (upstream,) = args or (upstream,)
                return _crop(upstream, constants[0], constants[-1])

            return padded, gradient

        def gradient(*args, upstream=None):
            (upstream,) = args or (upstream,)
            return backward(pad(x), upstream, *constants)

        return y, gradient

    return normalize(x)


@functools.lru_cache(maxsize=64)
def _compiled(shape, constants):
    """Forward and backward as one compiled XLA function each.

    On two CPU cores about five times as fast as
    tf.nn.local_response_normalization (benchmarks/README.md), also inside a
    model that is not compiled. Each shape and set of constants has
    functions of its own; the partials keep TensorFlow from counting these as
    retracings of one, and warning.
    """
    import tensorflow as tf

    return tuple(
        tf.function(
            functools.partial(f),
            jit_compile=True,
            autograph=False,
            reduce_retracing=True,
        )
        for f in (_forward, _backward)
    )


def _forward(x, size, alpha, beta, k, axes):
    """The output, and the padded input that the gradient wants."""
    padded = _pad(x, size, axes)
    d = k + alpha * _windowed_sum(padded * padded, size, axes)
    return _crop(padded, size, axes) * _power(d, beta), padded


def _backward(padded, dy, size, alpha, beta, k, axes):
    """With d = k + alpha W(x^2), s = d^-beta and W the windowed sum:

    dx = dy s - 2 alpha beta x W(dy x s / d).
    """
    x = _crop(padded, size, axes)
    d = k + alpha * _windowed_sum(padded * padded, size, axes)
    s = _power(d, beta)
    inner = _windowed_sum(_pad(dy * x * s / d, size, axes), size, axes)
    return dy * s - (2.0 * alpha * beta) * x * inner


def _power(d, beta):
    """d ** -beta; roots are several times faster than powers."""
    if beta == 0.75:
        return ops.rsqrt(d * ops.sqrt(d))
    if beta == 0.5:
        return ops.rsqrt(d)
    return ops.power(d, -beta)


def _pad(x, size, axes):
    radius = size // 2
    return ops.pad(
        x, [(radius, radius) if a in axes else (0, 0) for a in range(x.ndim)]
    )


def _crop(padded, size, axes):
    for axis in axes:
        length = ops.shape(padded)[axis] - (size - 1)
        padded = _slice(padded, axis, size // 2, length)
    return padded


def _slice(x, axis, start, length):
    return x[(*(slice(None),) * axis, slice(start, start + length))]


def _windowed_sum(x, size, axes):
    """Sums over `size` neighbors along each of `axes`, whole windows only."""
    for axis in axes:
        length = ops.shape(x)[axis] - (size - 1)
        last = _slice(x, axis, size - 1, length)
        if size > 1:  # pairs first: half the additions
            pairs = _slice(x, axis, 0, length + size - 2) + _slice(
                x, axis, 1, length + size - 2
            )
        for start in range(0, size - 1, 2):
            last = last + _slice(pairs, axis, start, length)
        x = last
    return x


def _native(x, size, alpha, beta, k, axes):
    """TensorFlow's own operation where it applies; converters know it."""
    import tensorflow as tf

    if axes != (x.ndim - 1,) or x.dtype != "float32":
        y, _ = _forward(x, size, alpha, beta, k, axes)
        return y
    shape, rank = tf.shape(x), x.ndim
    if rank != 4:  # the operation takes no other rank
        x = tf.reshape(x, tf.stack([shape[0], -1, 1, x.shape[-1]]))
    y = tf.nn.local_response_normalization(x, size // 2, k, alpha, beta)
    return tf.reshape(y, shape) if rank != 4 else y
