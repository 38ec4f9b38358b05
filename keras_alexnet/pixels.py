"""From `uint8` pixels to what a network is fed, on the device that feeds it."""

import keras
import numpy as np
import tensorflow as tf

from keras_alexnet import geometry
from keras_alexnet.architectures import get_architecture


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
        self, variant, mean_image=None, training_divisor=1.0, **kwargs
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.variant = variant
        self.mean_image = mean_image
        self.training_divisor = training_divisor
        if mean_image is not None:
            self.mean_image = np.asarray(mean_image, "float32")
        self._compiled = tf.function(
            self._transform, jit_compile=True, autograph=False
        )

    def call(self, images, flips, shifts, training=False):
        divisor = self.training_divisor if training else 1.0
        return self._compiled(images, flips, shifts, divisor)

    def _transform(self, images, flips, shifts, divisor):
        facts = get_architecture(self.variant).preprocessing
        mirrored = geometry.flip(images)
        flips = tf.cast(flips, tf.bool)
        x = tf.where(
            flips[:, tf.newaxis, tf.newaxis, tf.newaxis], mirrored, images
        )
        channels = len(facts.mean)
        x = tf.cast(x, tf.float32)
        if x.shape[-1] < channels:
            x = tf.repeat(x, channels, axis=-1)
        x = x + shifts[:, tf.newaxis, tf.newaxis]
        if self.mean_image is not None:
            x = x - geometry.center_crop(self.mean_image, images.shape[1])
        if facts.channel_order == "BGR":
            x = x[..., ::-1]
        x = x * facts.scale
        if self.mean_image is None:
            x = x - np.array(facts.mean, "float32")
        x = x / np.array(facts.std[:channels], "float32")
        return x / divisor

    def compute_output_spec(self, images, flips, shifts, training=False):
        channels = len(get_architecture(self.variant).preprocessing.mean)
        return keras.KerasTensor((*images.shape[:-1], channels), "float32")

    def get_config(self):
        config = super().get_config()
        mean_image = self.mean_image
        config.update(
            variant=self.variant,
            mean_image=None if mean_image is None else mean_image.tolist(),
            training_divisor=self.training_divisor,
        )
        return config


def finished(dataset, variant, training=False, **kwargs):
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

    return dataset.map(finish, num_parallel_calls=1).prefetch(2)
