"""The 2012 scheme: one tower on one device, the other on another.

"The GPUs communicate only in certain layers" (Section 3.2): in front of conv3
and of the fully connected layers, of which each device computes half, as
fc2048a and fc2048b of layers-145.cfg. Today it is a thing to look at: several
devices are better used by `tf.distribute` (see `distribution`).
"""

from collections.abc import Sequence
from dataclasses import replace

import keras
import tensorflow as tf

from keras_alexnet.architectures import rows as kinds
from keras_alexnet.architectures.variants import Architecture
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.models.alexnet import AlexNet


@keras.saving.register_keras_serializable(package="keras_alexnet")
class Placed(keras.layers.Wrapper):
    """A layer on a device: variables, forward and backward.

    Keras calls a layer again wherever its model is used, so the device is
    named inside of the call; a gradient knows no device of its own.

    Args:
        layer: The layer.
        device: Name of the device, such as `"GPU:1"`.
        **kwargs: Base layer keyword arguments, such as `name`.

    Input shape:
        The layer's.

    Output shape:
        The layer's.

    Example:

    >>> layer = Placed(keras.layers.Dense(3), "CPU:0")
    >>> layer(np.ones((1, 2))).shape
    TensorShape([1, 3])
    """

    def __init__(self, layer, device, **kwargs):
        super().__init__(layer, **{"name": layer.name, **kwargs})
        self.device = device
        # XLA compiles for one device; on a GPU, Keras would let it by itself.
        self.supports_jit = False

    def build(self, input_shape=None):
        with tf.device(self.device):
            super().build(input_shape)

    def call(self, inputs, training=False):
        if isinstance(self.layer, keras.layers.Activation):
            # Keras notes on a softmax's result what it was made of, and takes
            # the loss from that. From a probability below 1e-7 it could take
            # neither the loss nor a gradient.
            with tf.device(self.device):
                return self.layer(inputs)
        single = not isinstance(inputs, list | tuple)

        @tf.custom_gradient
        def placed(*inputs):
            with tf.device(self.device), tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = self._inner(
                    inputs[0] if single else list(inputs), training
                )

            def backward(*upstream, variables=()):
                with tf.device(self.device):
                    upstream = tf.nest.pack_sequence_as(outputs, upstream)
                    ours, theirs = tape.gradient(
                        outputs, (inputs, variables), upstream
                    )
                return (ours, theirs) if variables else ours

            return outputs, backward

        return placed(*((inputs,) if single else inputs))

    def _inner(self, inputs, training):
        if isinstance(self.layer, keras.layers.Dropout):
            return self.layer(inputs, training=training)
        return self.layer(inputs)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), "device": self.device}


def two_device_alexnet(
    variant: str | Architecture = "alexnet",
    devices: Sequence[str] = ("GPU:0", "GPU:1"),
    **kwargs,
) -> keras.Model:
    """AlexNet with a tower on each of two devices, as it was trained in 2012.

    What both towers meet in (joining and dealing out of maps, fc8) is on the
    first device. Train it with `PaperSGD` and without `jit_compile`; it does
    not go together with `tf.distribute`.

    Args:
        variant: Name of a variant with two towers, or an `Architecture`.
        devices: Two names of devices, such as `("GPU:0", "GPU:1")`.
        **kwargs: As in `AlexNet`.

    Returns:
        A functional `keras.Model`, computing the same as
        `AlexNet(variant)`; fc6 and fc7 are two layers each.

    Raises:
        ValueError: if the variant has one tower, or a device is missing.

    Reference:
        - [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824),
          Section 3.2 and figure 2

    Example:

    >>> devices = ("CPU:0", "CPU:0")  # for want of two
    >>> two_device_alexnet("alexnet", devices).count_params()
    60965224
    """
    architecture = get_architecture(variant)
    if not any(getattr(row, "groups", 1) == 2 for row in architecture.rows):
        raise ValueError(
            f"{architecture.name} has one tower; choose one of two, such as "
            "'alexnet' or 'alexnet_2012'."
        )
    known = {
        device.name.removeprefix("/device:")
        for device in tf.config.list_logical_devices()
    }
    if len(devices) != 2 or not known.issuperset(devices):
        raise ValueError(
            f"`devices` must be two of {', '.join(sorted(known))}. "
            f"Received: {devices}"
        )
    rows = tuple(
        replace(row, towers=2)
        if isinstance(row, kinds.Dense) and row.units
        else row
        for row in architecture.rows
    )
    architecture = replace(architecture, rows=rows)
    # A layer of its own, see `Placed.call`.
    activation = kwargs.pop("classifier_activation", "softmax")
    model = AlexNet(architecture, classifier_activation=None, **kwargs)

    def place(layer):
        copy = layer.__class__.from_config(layer.get_config())
        return Placed(copy, devices[layer.name.endswith("b")])

    # Copying makes new values; these keep the seed's.
    placed = keras.models.clone_model(model, clone_function=place)
    placed.set_weights(model.get_weights())
    if activation is None or not kwargs.get("include_top", True):
        return placed
    answers = keras.layers.Activation(activation, name="probabilities")
    outputs = Placed(answers, devices[0])(placed.output)
    return keras.Model(placed.inputs, outputs, name=placed.name)
