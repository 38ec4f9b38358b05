"""Local response normalization, as a Keras layer."""

import math
import numbers

import keras
from keras import ops

from keras_alexnet.layers.lrn_formula import native
from keras_alexnet.layers.lrn_formula import normalize
from keras_alexnet.layers.tracing import check_precision
from keras_alexnet.layers.tracing import converter


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
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        alpha_mode: str = "sum",
        groups: int = 1,
        axis: int = -1,
        window: str = "cross_map",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        _check_constants(k, alpha, beta, alpha_mode)
        _check_window(size, groups, axis, window)
        self.size = int(size)  # NumPy's integers count, JSON has none
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.alpha_mode = alpha_mode
        self.groups = int(groups)
        self.axis = int(axis)
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
        x = ops.cast(inputs, self.compute_dtype)
        to_format = converter()
        check_precision(self, to_format)
        formula = native if to_format else normalize
        constants = (self.size, alpha, self.beta, self.k)
        return _normalize(formula, x, *constants, groups, axes)

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict:
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


def _normalize(formula, x, size, alpha, beta, k, groups, axes):
    """The normalization of each group of maps."""
    constants = (size, alpha, beta, k, axes)
    shape = ops.shape(x)
    if groups > 1:  # (..., maps, ...) -> (..., groups, maps / groups, ...)
        (axis,) = axes
        split = (groups, shape[axis] // groups)
        x = ops.reshape(x, (*shape[:axis], *split, *shape[axis + 1 :]))
        constants = (size, alpha, beta, k, (axis + 1,))
    y = formula(x, *constants)
    return ops.reshape(y, shape) if groups > 1 else y


def _check_constants(k, alpha, beta, alpha_mode):
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


def _check_window(size, groups, axis, window):
    if not isinstance(size, numbers.Integral) or size < 1 or size % 2 == 0:
        raise ValueError(
            "`size` must be an odd positive integer, so that the window "
            f"has a middle. Received: size={size}"
        )
    if window not in ("cross_map", "within_map"):
        raise ValueError(
            "`window` must be 'cross_map' or 'within_map'. "
            f"Received: window={window!r}"
        )
    if not isinstance(groups, numbers.Integral) or groups < 1:
        raise ValueError(
            f"`groups` must be a positive integer. Received: {groups}"
        )
    if not isinstance(axis, numbers.Integral):
        raise ValueError(f"`axis` must be an integer. Received: {axis}")
