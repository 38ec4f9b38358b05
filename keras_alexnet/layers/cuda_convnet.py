"""The small layers that AlexNet needs and Keras does not have."""

import itertools

import keras
from keras import ops

from keras_alexnet.architectures.arithmetic import ceil_pad
from keras_alexnet.layers.tracing import converter


@keras.saving.register_keras_serializable(package="keras_alexnet")
class SplitTowers(keras.layers.Layer):
    """Split the channels of a tensor evenly into `towers`, in order.

    Args:
        towers: Integer, the number of towers.
        axis: Integer, the axis of the maps.
        **kwargs: Base layer keyword arguments, such as `name`.

    Input shape:
        Any, with the maps along `axis`.

    Output shape:
        A list of `towers` tensors, each with its share of the maps.

    Example:

    >>> tower_a, tower_b = SplitTowers(2)(np.zeros((1, 27, 27, 96)))
    >>> tower_a.shape
    TensorShape([1, 27, 27, 48])
    """

    def __init__(self, towers, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.towers = towers
        self.axis = axis

    def call(self, inputs):
        return list(ops.split(inputs, self.towers, axis=self.axis))

    def get_config(self):
        config = super().get_config()
        config.update(towers=self.towers, axis=self.axis)
        return config


@keras.saving.register_keras_serializable(package="keras_alexnet")
class CeilPadding2D(keras.layers.Layer):
    """Padding behind the image, so that rounding down equals rounding up.

    The 2012 code and Caffe's pooling let the last window hang over the edge
    (1 + ceil((size - window) / stride) windows); Keras drops it. On 224
    pixels, conv1's last window (11, stride 4) hangs over by 3.

    Args:
        window: Integer, side of the window that comes next, in pixels.
        strides: Integer, its stride in pixels.
        value: Float, what the overhang reads: 0 before a convolution, minus
            infinity before max-pooling.
        data_format: `"channels_last"` or `"channels_first"`; Keras' default
            if `None`.
        **kwargs: Base layer keyword arguments, such as `name`.

    Input shape:
        4D tensor of images.

    Output shape:
        The same with up to `strides - 1` more rows and columns.

    Reference:
        - `layer.py` of computerhistory/AlexNet-Source-Code

    Example:

    >>> CeilPadding2D(11, 4)(np.zeros((1, 224, 224, 3))).shape
    TensorShape([1, 227, 227, 3])
    """

    def __init__(self, window, strides, value=0.0, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.window = window
        self.strides = strides
        self.value = float(value)
        self.data_format = data_format or keras.config.image_data_format()

    def _sides(self):
        return (1, 2) if self.data_format == "channels_last" else (2, 3)

    def call(self, inputs):
        shape, padding = ops.shape(inputs), [(0, 0)] * 4
        known = all(inputs.shape[axis] for axis in self._sides())
        if not known and converter() == "LiteRT":
            # It would write convolutions that its runtime does not have.
            raise ValueError(
                "LiteRT needs images of known size behind a padding that "
                "depends on it; make the network with an `input_shape` of "
                "whole numbers."
            )
        for axis in self._sides():
            behind = ceil_pad(shape[axis], self.window, self.strides)
            padding[axis] = (0, behind)
        return ops.pad(inputs, padding, constant_values=self.value)

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        for axis in self._sides():
            if shape[axis] is not None:
                shape[axis] += ceil_pad(shape[axis], self.window, self.strides)
        return tuple(shape)

    def compute_output_spec(self, inputs):
        shape = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        config = super().get_config()
        config.update(
            window=self.window,
            strides=self.strides,
            value=self.value,
            data_format=self.data_format,
        )
        return config


@keras.saving.register_keras_serializable(package="keras_alexnet")
class LocallyConnected2D(keras.layers.Layer):
    """A "same" convolution whose every position has a kernel of its own.

    cuda-convnet's `local` layer, which Keras 3 no longer has.

    Args:
        filters: Integer, the number of maps to make.
        kernel_size: Odd integer, side of the kernels in pixels.
        activation: Activation function or its name.
        kernel_initializer: Initializer of the kernels.
        bias_initializer: Initializer of the biases.
        data_format: `"channels_last"` or `"channels_first"`; Keras' default
            if `None`.
        **kwargs: Base layer keyword arguments, such as `name`.

    Input shape:
        4D tensor of images of known size.

    Output shape:
        The same with `filters` channels.

    Raises:
        ValueError: if the input's size is not known.

    Reference:
        - cuda-convnet, `layers-conv-local-13pct.cfg`

    Example:

    >>> LocallyConnected2D(32, 3)(np.zeros((1, 8, 8, 64))).shape
    TensorShape([1, 8, 8, 32])
    """

    def __init__(
        self,
        filters,
        kernel_size,
        activation=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        data_format=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.data_format = data_format or keras.config.image_data_format()

    def build(self, input_shape):
        _, height, width, channels = input_shape
        if self.data_format == "channels_first":
            _, channels, height, width = input_shape
        if None in (height, width, channels):
            raise ValueError(
                "A locally connected layer has a kernel for each position, so "
                "it needs an image of known size. Received: "
                f"input_shape={tuple(input_shape)}"
            )
        fan_in = self.kernel_size**2 * channels
        self.kernel = self.add_weight(
            name="kernel",
            shape=(height, width, fan_in, self.filters),
            initializer=self.kernel_initializer,
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(height, width, self.filters),
            initializer=self.bias_initializer,
        )

    def call(self, inputs):
        if self.data_format == "channels_first":
            inputs = ops.transpose(inputs, (0, 2, 3, 1))
        patches = self._patches(inputs)
        outputs = ops.einsum("bhwi,hwif->bhwf", patches, self.kernel)
        outputs = self.activation(outputs + self.bias)
        if self.data_format == "channels_first":
            outputs = ops.transpose(outputs, (0, 3, 1, 2))
        return outputs

    def _patches(self, images):
        """What each kernel sees, in a row.

        Cut out, since `ops.image.extract_patches` convolves, and of a kernel
        that PyTorch cannot convert to ONNX.
        """
        before = (self.kernel_size - 1) // 2
        sides = (before, self.kernel_size - 1 - before)
        padded = ops.pad(images, [(0, 0), sides, sides, (0, 0)])
        height, width = self.kernel.shape[:2]
        shifts = itertools.product(range(self.kernel_size), repeat=2)
        return ops.concatenate(
            [
                padded[:, row : row + height, column : column + width]
                for row, column in shifts
            ],
            axis=-1,
        )

    def compute_output_shape(self, input_shape):
        if self.data_format == "channels_first":
            return (input_shape[0], self.filters, *input_shape[2:])
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        config = super().get_config()
        config.update(
            filters=self.filters,
            kernel_size=self.kernel_size,
            activation=keras.activations.serialize(self.activation),
            kernel_initializer=keras.initializers.serialize(
                self.kernel_initializer
            ),
            bias_initializer=keras.initializers.serialize(
                self.bias_initializer
            ),
            data_format=self.data_format,
        )
        return config
