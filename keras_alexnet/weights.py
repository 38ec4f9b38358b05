"""Weights of other models in, and ours out, exactly.

The kernel of a convolution in two towers equals that of one
`Conv2D(groups=2)`: tower A's filters first, then tower B's.
"""

import os

import keras
import numpy as np

from keras_alexnet.model import AlexNet


def grouped_weights(model):
    """The weights of a model, its towers joined as `Conv2D(groups=2)` has them.

    Args:
        model: A model made by `AlexNet`.

    Returns:
        A dict: the paper's name of the layer ("conv2") -> `[kernel, bias]`
        as NumPy arrays, in the order of the layers.

    Example:

    >>> weights = grouped_weights(AlexNet("alexnet"))
    >>> weights["conv2"][0].shape
    (5, 5, 48, 256)
    """
    return {
        name: [
            np.concatenate(parts, axis=-1)
            for parts in zip(
                *(layer.get_weights() for layer in towers), strict=True
            )
        ]
        for name, towers in _layers_with_weights(model).items()
    }


def convert_weights(source, variant="alexnet", **kwargs):
    """A model of ours with the weights of another in it.

    Args:
        source: A Keras model, the path of a `.keras` file, or a dict of
            layer name -> `[kernel, bias]` as `grouped_weights` returns it.
            Of a Keras model the layers with weights count, in their order;
            their names do not matter. Convolutions of two towers may be two
            layers or one with `groups=2`.
        variant: Name of the variant to make.
        **kwargs: Further arguments of `AlexNet`, such as `classes`.

    Returns:
        A `keras.Model` made by `AlexNet`.

    Raises:
        ValueError: if the weights do not fit the variant, or are not finite.
    """
    if isinstance(source, str | os.PathLike):
        source = _load(source)
    if isinstance(source, keras.Model):
        source = grouped_weights(source)
    model = AlexNet(variant, **kwargs)
    targets = _layers_with_weights(model)
    if len(source) != len(targets):
        raise ValueError(
            f"{model.name} has {len(targets)} layers with weights "
            f"({', '.join(targets)}), the source has {len(source)} "
            f"({', '.join(source)})."
        )
    pairs = zip(targets.items(), source.items(), strict=True)
    for (name, towers), (source_name, values) in pairs:
        _check(name, towers, source_name, values)
        parts = [np.split(v, len(towers), axis=-1) for v in values]
        for layer, *weights in zip(towers, *parts, strict=True):
            layer.set_weights(weights)
    return model


def _layers_with_weights(model):
    """The paper's name -> the layers of its towers, in order."""
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    towers = {}
    for name, layer in layers.items():
        base = name[:-1]
        pair = {f"{base}a", f"{base}b"} <= layers.keys()
        towers.setdefault(base if pair else name, []).append(layer)
    return towers


def _load(path):
    if not os.path.exists(path):
        raise ValueError(f"There is no file {os.fspath(path)!r} to convert.")
    return keras.saving.load_model(path, compile=False)


def _check(name, towers, source_name, values):
    shapes = [tuple(np.shape(value)) for value in values]
    wanted = [
        (*first.shape[:-1], first.shape[-1] * len(towers))
        for first in towers[0].weights
    ]
    if shapes != wanted:
        raise ValueError(
            f"The weights of {source_name} do not fit {name}: expected the "
            f"shapes {wanted}, received {shapes}."
        )
    if not all(np.isfinite(value).all() for value in values):
        raise ValueError(
            f"The weights of {source_name} hold values that are not finite "
            "numbers; the source is damaged or its training diverged."
        )
