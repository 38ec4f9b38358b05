"""From one row of an architecture to Keras layers, for each tower."""

from dataclasses import replace

import keras

from keras_alexnet.architectures import rows as kinds
from keras_alexnet.architectures.arithmetic import ceil_pad
from keras_alexnet.layers.cuda_convnet import CeilPadding2D
from keras_alexnet.layers.cuda_convnet import LocallyConnected2D
from keras_alexnet.layers.cuda_convnet import SplitTowers
from keras_alexnet.layers.dropout import Dropout
from keras_alexnet.layers.keras_layers import AdaptiveAveragePooling2D
from keras_alexnet.layers.keras_layers import AveragePooling2D
from keras_alexnet.layers.keras_layers import Conv2D
from keras_alexnet.layers.keras_layers import MaxPooling2D
from keras_alexnet.layers.keras_layers import dense_class
from keras_alexnet.layers.local_response_normalization import (
    LocalResponseNormalization,
)


def apply_row(row, towers, previous, axis):
    """The tensors of the towers behind one row, given those before it."""
    match row:
        case kinds.ZeroPad():
            return _each(keras.layers.ZeroPadding2D, row, towers, row.pixels)
        case kinds.Conv():
            sources = regroup(towers, row.groups, previous, axis)
            return _convolve(row, sources, sources[0].shape[axis])
        case kinds.LocallyConnected():
            return _each(
                LocallyConnected2D,
                row,
                towers,
                row.filters,
                row.kernel,
                activation=row.activation,
                **_initializers(row, row.kernel**2 * towers[0].shape[axis]),
            )
        case kinds.LocalResponseNorm():
            return _each(
                LocalResponseNormalization,
                row,
                regroup(towers, row.towers, previous, axis),
                row.size,
                row.alpha,
                row.beta,
                row.k,
                row.alpha_mode,
                axis=axis,
                window=row.window,
            )
        case kinds.MaxPool():
            return _each(
                MaxPooling2D,
                row,
                _overhang(row, row.size, float("-inf"), towers),
                row.size,
                row.strides,
                "valid" if row.padding == "ceil" else row.padding,
            )
        case kinds.AveragePool():
            padding = _average_padding(row, towers[0])
            sizes = row.size, row.strides
            return _each(AveragePooling2D, row, towers, *sizes, padding)
        case kinds.AdaptiveAveragePool():
            return _adapt(row, regroup(towers, 1, previous, axis))
        case kinds.Activation():
            return _each(keras.layers.Activation, row, towers, row.function)
        case kinds.Flatten():
            joined = regroup(towers, 1, previous, axis)
            return _each(keras.layers.Flatten, row, joined)
        case kinds.Dense():
            (joined,) = regroup(towers, 1, previous, -1)
            return _each(
                dense_class(),
                row,
                [joined] * row.towers,
                row.units // row.towers,
                activation=row.activation,
                **_initializers(row, joined.shape[-1]),
            )
        case kinds.Dropout():
            return _each(Dropout, row, towers, row.rate)
    raise ValueError(f"An architecture has no row of this kind: {row!r}")


def _convolve(row, sources, channels):
    sources = _overhang(row, row.kernel, 0.0, sources)
    return _each(
        Conv2D,
        row,
        sources * (row.towers // row.groups),
        row.filters // row.towers,
        row.kernel,
        strides=row.strides,
        padding="valid" if row.padding == "ceil" else row.padding,
        activation=row.activation,
        **_initializers(row, row.kernel**2 * channels),
    )


def _adapt(row, joined):
    sides = _sides(joined[0])
    if 1 in sides:  # of which Keras' pooling makes no 6
        copies = [row.size if side == 1 else 1 for side in sides]
        copied = replace(row, name=f"{row.name}_copies")
        joined = _each(keras.layers.UpSampling2D, copied, joined, copies)
    return _each(AdaptiveAveragePooling2D, row, joined, row.size)


def _each(layer, row, towers, *args, **kwargs):
    """The layer once for each tower: "conv1", or "conv1a" and "conv1b"."""
    names = [row.name + s for s in ("ab" if len(towers) == 2 else [""])]
    if len(towers) > 2:
        names = [f"{row.name}_{i}" for i in range(len(towers))]
    return [
        layer(*args, name=name, **kwargs)(x)
        for name, x in zip(names, towers, strict=True)
    ]


def regroup(towers, count, previous, axis):
    """Join the towers, or deal one tensor out to them, where it is wanted."""
    if len(towers) == count:
        return towers
    if count == 1:
        join = keras.layers.Concatenate(axis=axis, name=previous)
        return [join(towers)]
    (joined,) = towers
    return SplitTowers(count, axis=axis, name=f"{previous}_towers")(joined)


def has_channels_first(model):
    """Whether the maps of a model come before their height and width."""
    formats = {getattr(layer, "data_format", None) for layer in model.layers}
    return "channels_first" in formats


def _sides(x):
    last = keras.config.image_data_format() == "channels_last"
    return x.shape[1:3] if last else x.shape[2:4]


def _overhang(row, window, value, towers):
    """Padding for "ceil" rounding, where the last window hangs over."""
    if row.padding != "ceil" or all(
        side is not None and ceil_pad(side, window, row.strides) == 0
        for side in _sides(towers[0])
    ):
        return towers
    pad = replace(row, name=f"{row.name}_pad")
    return _each(CeilPadding2D, pad, towers, window, row.strides, value)


def _average_padding(row, x):
    """Keras' padding that averages the same, cut off windows."""
    if row.padding != "ceil":
        return row.padding
    overhang = {
        side if side is None else ceil_pad(side, row.size, row.strides)
        for side in _sides(x)
    }
    if overhang == {0}:
        return "valid"
    # Keras' "same" puts a single value behind the image and none before it.
    if overhang == {1} and row.size - row.strides <= 1:
        return "same"
    raise ValueError(
        f"{row.name} averages windows that are cut off at the edge, which "
        "works for images of known size whose height and width are both odd "
        f"or both even. Received maps of {_sides(x)}; pass `input_shape`."
    )


def _initializers(row, fan_in):
    def initializer(value, constant):
        if value == "torch_uniform":  # PyTorch: +-1/sqrt(fan in) for both
            limit = fan_in**-0.5
            return keras.initializers.RandomUniform(-limit, limit)
        if isinstance(value, str):
            return value
        if constant:
            return keras.initializers.Constant(value) if value else "zeros"
        return keras.initializers.RandomNormal(stddev=value)

    # One object gives both towers the same values, its config each its own.
    return {
        "kernel_initializer": keras.initializers.serialize(
            initializer(row.kernel_init, constant=False)
        ),
        "bias_initializer": keras.initializers.serialize(
            initializer(row.bias_init, constant=True)
        ),
    }
