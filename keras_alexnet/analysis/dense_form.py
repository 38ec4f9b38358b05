"""A network that sees images larger than its own, by convolutions only."""

import keras
import numpy as np

from keras_alexnet.layers.cuda_convnet import LocallyConnected2D
from keras_alexnet.models.builder import has_channels_first


def dense_form(model: keras.Model) -> keras.Model:
    """The same network as convolutions alone, for images of any larger size.

    fc6 becomes a convolution with kernels as large as the last maps (6x6),
    fc7 and fc8 become 1x1 convolutions. On an image of the model's own size
    the output is the model's, with two axes of length 1; on a larger one it
    has a position for each window of that size, `stride` pixels apart (32
    for AlexNet), with probabilities of its own.

    A window inside a larger image sees what lies around it where the model
    alone pads with zeros (conv2 to conv5), so there the two differ a little;
    without padding they are equal.

    Args:
        model: A model made by `AlexNet`, with its top. Its weights are
            copied.

    Returns:
        A `keras.Model` of images `(batch, height, width, channels)` to
        `(batch, rows, columns, classes)`.

    Raises:
        ValueError: if the model has no fully connected layers, or locally
            connected ones, which have a kernel for each position.

    Example:

    >>> dense = ka.dense_form(ka.AlexNet("alexnet"))
    >>> dense(np.zeros((1, 259, 291, 3))).shape
    TensorShape([1, 2, 3, 1000])
    """
    flatten = _flatten(model)
    pools = _behind_the_maps(model)
    first = _first_dense(model, flatten)
    side = (pools[0] if pools else flatten).input.shape[1]

    def convolution(layer):
        if layer is flatten or layer in pools:
            return keras.layers.Identity(
                name=layer.name, dtype=layer.dtype_policy.name
            )
        if not isinstance(layer, keras.layers.Dense):
            return type(layer).from_config(layer.get_config())
        return keras.layers.Conv2D(
            layer.units,
            side if layer in first else 1,
            activation=layer.activation,
            use_bias=layer.use_bias,
            data_format="channels_last",
            dtype=layer.dtype_policy,
            name=layer.name,
        )

    shape = (None, None, model.input_shape[-1])
    (known,) = model.inputs
    image = keras.Input(shape, dtype=known.dtype, name=known.name)
    image = image if isinstance(model.input, keras.KerasTensor) else [image]
    dense = keras.models.clone_model(model, image, convolution)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer in first:
            weights[0] = _spread(weights[0], pools, side)
        elif isinstance(layer, keras.layers.Dense):
            weights[0] = weights[0][np.newaxis, np.newaxis]
        dense.get_layer(layer.name).set_weights(weights)
    dense.class_names = getattr(model, "class_names", None)
    return dense


def _flatten(model):
    flattens = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Flatten)
    ]
    if len(flattens) != 1:
        raise ValueError(
            f"{model.name} has no fully connected layers behind its maps, or "
            "is not made by AlexNet; expected a model with its top."
        )
    if has_channels_first(model):
        raise ValueError(
            f"{model.name} has its channels first; make it anew where Keras' "
            '`image_data_format` is "channels_last".'
        )
    for layer in model.layers:
        if isinstance(layer, LocallyConnected2D):
            raise ValueError(
                f"{model.name} has no dense form: {layer.name} has a kernel "
                "for each position, which fit one size of images only."
            )
    return flattens[0]


def _behind_the_maps(model):
    """torchvision's adaptive pooling, which makes 6x6 of any maps."""
    kinds = keras.layers.AdaptiveAveragePooling2D | keras.layers.UpSampling2D
    return [layer for layer in model.layers if isinstance(layer, kinds)]


def _first_dense(model, flatten):
    """fc6: the fully connected layers that see the maps."""
    seen, first = [flatten.output], []
    for layer in model.layers:
        if not any(layer.input is tensor for tensor in seen):
            continue
        if isinstance(layer, keras.layers.Dense):
            first.append(layer)
        else:  # torchvision's dropout in front of fc6
            seen.append(layer.output)
    return first


def _spread(kernel, pools, side):
    """fc6's kernel over the maps, the pooling between them worked in."""
    basis = np.eye(side * side, dtype="float32")
    pooled = basis.reshape(side * side, side, side, 1)
    for layer in pools:
        copy = type(layer).from_config(layer.get_config())
        pooled = keras.ops.convert_to_numpy(copy(pooled))
    pooled = pooled.reshape(side * side, -1)
    kernel = kernel.reshape(pooled.shape[1], -1, kernel.shape[-1])
    spread = np.tensordot(pooled, kernel, 1)
    return spread.reshape(side, side, *kernel.shape[1:])
