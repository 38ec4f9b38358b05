"""Keras' own layers, in another form where a backend needs it."""

import keras
from keras import ops

from keras_alexnet.layers.tracing import converter


@keras.saving.register_keras_serializable(package="keras_alexnet")
class Conv2D(keras.layers.Conv2D):
    """A convolution as `keras.layers.Conv2D`, several times faster on JAX.

    There the first of a network, and on a CPU all gradients of kernels; with
    other options, and elsewhere, it is that layer.

    Args:
        *args: As of `keras.layers.Conv2D`.
        **kwargs: The same.

    Example:

    >>> Conv2D(96, 11, 4)(np.zeros((1, 227, 227, 3))).shape
    TensorShape([1, 55, 55, 96])
    """

    def convolution_op(self, inputs, kernel):
        form, forms = None, _jax_forms(self.data_format)
        is_plain = self.dilation_rate == (1, 1) and self.groups == 1
        down, across = self.strides
        if forms and is_plain and down == across:
            form = forms.form_of_convolution(inputs, down)
        if form is None:
            return super().convolution_op(inputs, kernel)
        inputs, kernel = (ops.convert_to_tensor(x) for x in (inputs, kernel))
        return form(inputs, kernel, down, self.padding)


@keras.saving.register_keras_serializable(package="keras_alexnet")
class MaxPooling2D(keras.layers.MaxPooling2D):
    """Max-pooling as `keras.layers.MaxPooling2D`, several times faster on JAX.

    On a CPU; elsewhere it is that layer.

    Args:
        *args: As of `keras.layers.MaxPooling2D`.
        **kwargs: The same.

    Example:

    >>> MaxPooling2D(3, 2)(np.zeros((1, 55, 55, 96))).shape
    TensorShape([1, 27, 27, 96])
    """

    def call(self, inputs):
        form, forms = None, _jax_forms(self.data_format)
        if forms and _is_square(self):
            form = forms.form_of_max_pooling(inputs)
        if form is None:
            return super().call(inputs)
        return form(inputs, self.pool_size[0], self.strides[0], self.padding)


@keras.saving.register_keras_serializable(package="keras_alexnet")
class AveragePooling2D(keras.layers.AveragePooling2D):
    """The mean of each window; of one cut off at the edge, of what is left.

    As cuda-convnet's, and as `keras.layers.AveragePooling2D` on TensorFlow and
    JAX. On PyTorch, Keras 3.15 repeats the edge (keras-team/keras#23233).

    Args:
        *args: As of `keras.layers.AveragePooling2D`.
        **kwargs: The same.

    Example:

    >>> AveragePooling2D(3, 2, "same")(np.ones((1, 16, 16, 1))).shape
    TensorShape([1, 8, 8, 1])
    """

    def call(self, inputs):
        form, forms = None, _jax_forms(self.data_format)
        if forms and _is_square(self):
            form = forms.form_of_average_pooling(inputs)
        if form is not None:
            size, stride = self.pool_size[0], self.strides[0]
            return form(inputs, size, stride, self.padding)
        if self.padding != "same" or keras.backend.backend() != "torch":
            return super().call(inputs)
        last = self.data_format == "channels_last"
        shape, padding = ops.shape(inputs), [(0, 0)] * 4
        inside = [1] * 4
        sides = zip(self.pool_size, self.strides, strict=True)
        for axis, (size, stride) in enumerate(sides, 1 if last else 2):
            windows = -(-shape[axis] // stride)
            outside = max((windows - 1) * stride + size - shape[axis], 0)
            padding[axis] = (outside // 2, outside - outside // 2)
            inside[axis] = shape[axis]
        means, shares = (
            ops.average_pool(
                ops.pad(values, padding),
                self.pool_size,
                self.strides,
                "valid",
                self.data_format,
            )
            for values in (inputs, ops.ones(inside, inputs.dtype))
        )
        return means / shares


@keras.saving.register_keras_serializable(package="keras_alexnet")
class AdaptiveAveragePooling2D(keras.layers.AdaptiveAveragePooling2D):
    """The means of as many windows as are wanted, of an image of any size.

    As `keras.layers.AdaptiveAveragePooling2D`, but that PyTorch and JAX, which
    know no such operation of ONNX, can convert it.

    Args:
        *args: As of `keras.layers.AdaptiveAveragePooling2D`.
        **kwargs: The same.

    Example:

    >>> AdaptiveAveragePooling2D(6)(np.ones((1, 13, 13, 1))).shape
    TensorShape([1, 6, 6, 1])
    """

    def build(self, input_shape):
        last = self.data_format == "channels_last"
        self._axes = (1, 2) if last else (2, 3)
        self._sides = [input_shape[axis] for axis in self._axes]

    def call(self, inputs):
        if None in self._sides or not _is_converted(inputs):
            return super().call(inputs)
        for axis, side, count in zip(
            self._axes, self._sides, self.output_size, strict=True
        ):
            means = [
                ops.mean(
                    inputs[(*(slice(None),) * axis, slice(first, end))],
                    axis,
                    keepdims=True,
                )
                for first, end in _windows(side, count)
            ]
            inputs = ops.concatenate(means, axis)
        return inputs


def _windows(side, count):
    """Where each of the windows begins and ends; they may overlap."""
    return [
        (place * side // count, -(-(place + 1) * side // count))
        for place in range(count)
    ]


@keras.saving.register_keras_serializable(package="keras_alexnet")
class Dense(keras.layers.Dense):
    """A fully connected layer as `keras.layers.Dense`, exact in float64.

    On PyTorch, Keras 3.15 multiplies matrices of float64 in float32.

    Args:
        *args: As of `keras.layers.Dense`.
        **kwargs: The same.

    Example:

    >>> Dense(10)(np.zeros((1, 84))).shape
    TensorShape([1, 10])
    """

    def call(self, inputs, training=None):
        outputs = ops.einsum("...i,ij->...j", inputs, self.kernel)
        if self.bias is not None:
            outputs = outputs + self.bias
        return self.activation(outputs)


def dense_class():
    """Keras' own layer wherever it is exact: no other is quantized by Keras."""
    is_double = keras.config.dtype_policy().compute_dtype == "float64"
    of_torch = keras.backend.backend() == "torch"
    return Dense if is_double and of_torch else keras.layers.Dense


def _is_square(layer):
    """Whether the windows of a pooling are, and step so."""
    (down, across), (high, wide) = layer.strides, layer.pool_size
    return down == across and high == wide


def _is_converted(inputs):
    """Whether JAX or PyTorch is asked by a converter."""
    if keras.backend.backend() == "jax":
        return not isinstance(inputs.shape[0], int)
    return keras.backend.backend() == "torch" and converter() == "ONNX"


def _jax_forms(data_format):
    """The module of forms for JAX, where it is the backend."""
    if keras.backend.backend() != "jax" or data_format != "channels_last":
        return None
    from keras_alexnet.layers import jax_forms

    return jax_forms
