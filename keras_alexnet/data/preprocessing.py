"""From pixels of 0..255 to what a network is fed, on any device."""

import sys
from dataclasses import replace

import keras
import numpy as np

from keras_alexnet.architectures.variants import Architecture
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.data import transforms
from keras_alexnet.data.batches import Batches
from keras_alexnet.layers.tracing import converter


def preprocess_input(x, variant: str | Architecture = "alexnet"):
    """Makes of RGB images what a variant's weights expect.

    Args:
        x: Images, `(..., height, width, 3)`, RGB values of 0..255; an array,
            a tensor or what `keras.Input` gives.
        variant: Name of the variant.

    Returns:
        The same shape, as float32: scaled, minus the mean, divided by the
        standard deviation, in the channel order of that variant.

    Reference:
        - `keras_alexnet.VARIANTS[variant].preprocessing`

    Example:

    >>> preprocess_input(np.full((1, 1, 1, 3), 127.0), "caffe_alexnet")
    array([[[[23., 10.,  4.]]]], dtype=float32)
    """
    architecture = get_architecture(variant)
    preprocessing = architecture.preprocessing
    if keras.backend.is_keras_tensor(x) or keras.ops.is_tensor(x):
        x = keras.ops.cast(x, "float32")
    elif _is_of_tensorflow(x):  # in a tf.data.Dataset
        x = sys.modules["tensorflow"].cast(x, "float32")
    else:
        x = np.asarray(x, "float32")
    channels = len(preprocessing.mean)
    if x.shape[-1] != channels:
        raise ValueError(
            f"{architecture.name} expects {channels} channels in the last "
            f"axis. Received: shape={tuple(x.shape)}"
        )
    return _standardized(x, preprocessing)


def _is_of_tensorflow(x):
    """Whether it is a tensor of TensorFlow's, whatever Keras' backend is."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and tensorflow.is_tensor(x)


def _standardized(x, preprocessing, mean_image=None):
    """RGB values of 0..255 as a variant's weights expect them.

    Args:
        x: float32 array or tensor.
        preprocessing: The variant's `Preprocessing`.
        mean_image: What is subtracted in place of the mean color.
    """
    mean = np.array(preprocessing.mean, "float32")
    if mean_image is not None:
        mean = mean_image * np.float32(preprocessing.scale)
    if preprocessing.channel_order == "BGR":
        x = _reversed(x)
        mean = mean if mean_image is None else mean[..., ::-1]
    if preprocessing.scale != 1.0:
        x = x * np.float32(preprocessing.scale)
    x = x - _like(x, mean)
    if any(std != 1.0 for std in preprocessing.std):
        x = x / _like(
            x, np.array(preprocessing.std[: len(preprocessing.mean)], "float32")
        )
    return x


def _reversed(x):
    """The channels in the other order; PyTorch has no steps backwards."""
    if keras.ops.is_tensor(x) or keras.backend.is_keras_tensor(x):
        return keras.ops.flip(x, -1)
    return x[..., ::-1]


def _like(x, array):
    """PyTorch computes with no array of NumPy's."""
    is_tensor = keras.ops.is_tensor(x)
    return keras.ops.convert_to_tensor(array) if is_tensor else array


@keras.saving.register_keras_serializable(package="keras_alexnet")
class PixelsToInput(keras.layers.Layer):
    """Mirrors images, adds the color noise and subtracts the mean.

    One compiled function over a whole batch: in plain TensorFlow operations,
    which broadcast badly over three channels, it takes forty times as long on
    a CPU (benchmarks/README.md).

    Args:
        variant: Name of the variant whose preprocessing is applied.
        mean_image: Array `(height, width, 3)`, the mean of RGB images of
            0..255, of which the center is subtracted (Section 2); the
            variant's mean color if `None`.
        training_divisor: Float; in training all is divided by it at the end
            (1.1 in the 2012 code with its color noise).
        **kwargs: Base layer keyword arguments.

    Call arguments:
        images: `uint8`, `(batch, height, width, channels)`, RGB or gray.
        flips: `uint8`, `(batch,)`, 1 for those to mirror.
        shifts: `float32`, `(batch, channels)`, added to all pixels.
        training: Whether to divide by `training_divisor`.

    Output shape:
        `(batch, height, width, channels of the network)`, `float32`.

    Reference:
        - `keras_alexnet.VARIANTS[variant].preprocessing`
    """

    def __init__(
        self,
        variant: str | Architecture,
        mean_image: np.ndarray | None = None,
        training_divisor: float = 1.0,
        **kwargs,
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.variant = variant
        self.mean_image = mean_image
        self.training_divisor = training_divisor
        if mean_image is not None:
            self.mean_image = np.asarray(mean_image, "float32")
        self._compiled = None

    @property
    def mean_preprocessing(self):
        """The `Preprocessing` that does the same, but with a mean color.

        A mean image becomes its own mean.
        """
        preprocessing = get_architecture(self.variant).preprocessing
        if self.mean_image is None:
            return preprocessing
        mean = self.mean_image.mean(axis=(0, 1), dtype="float64")
        if preprocessing.channel_order == "BGR":
            mean = mean[::-1]
        return replace(preprocessing, mean=tuple(mean * preprocessing.scale))

    def call(self, images, flips, shifts, training=False):
        divisor = self.training_divisor if training else 1.0
        if not _is_of_tensorflow(images) or converter():
            return self.transform(images, flips, shifts, divisor)
        if self._compiled is None:
            function = sys.modules["tensorflow"].function
            self._compiled = function(
                self.transform, jit_compile=True, autograph=False
            )
        return self._compiled(images, flips, shifts, divisor)

    def transform(self, images, flips, shifts, divisor):
        """What `call` compiles, in plain operations."""
        # TensorFlow's have the same arguments, and run in a tf.data.Dataset.
        of_tensorflow = _is_of_tensorflow(images)
        ops = sys.modules["tensorflow"] if of_tensorflow else keras.ops
        preprocessing = get_architecture(self.variant).preprocessing
        mirrored = transforms.flip(images)
        flips = ops.cast(flips, "bool")
        x = ops.where(flips[:, None, None, None], mirrored, images)
        channels = len(preprocessing.mean)
        x = ops.cast(x, "float32")
        if x.shape[-1] < channels:
            x = ops.repeat(x, channels, axis=-1)
        x = x + shifts[:, None, None]
        mean_image = self.mean_image
        if mean_image is not None:
            mean_image = transforms.center_crop(mean_image, images.shape[1])
        return _standardized(x, preprocessing, mean_image) / divisor

    def compute_output_spec(self, images, flips, shifts, training=False):
        channels = len(get_architecture(self.variant).preprocessing.mean)
        return keras.KerasTensor((*images.shape[:-1], channels), "float32")

    def get_config(self) -> dict:
        config = super().get_config()
        mean_image = self.mean_image
        config.update(
            variant=self.variant,
            mean_image=None if mean_image is None else mean_image.tolist(),
            training_divisor=self.training_divisor,
        )
        return config


def preprocess_batches(
    dataset, variant: str | Architecture, training: bool = False, **kwargs
):
    """The batches of `pipeline` as `(images, labels, weights)` for any `fit`.

    Args:
        dataset: Of `((images, flips, shifts), labels, weights)`.
        variant: Name of the variant.
        training: Whether to divide by `training_divisor`.
        **kwargs: As in `PixelsToInput`.
    """
    layer = PixelsToInput(variant, **kwargs)

    def finish(inputs, labels, weights):
        return layer(*inputs, training=training), labels, weights

    if isinstance(dataset, Batches):
        return dataset.map(finish)
    return dataset.map(finish, num_parallel_calls=1).prefetch(2)
