"""`convert_weights(...)`: a model of ours with the weights of another in it."""

import os
from collections.abc import Mapping

import keras
import numpy as np

from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.architectures.variants import Architecture
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.files import AnyPath
from keras_alexnet.models.alexnet import build_model
from keras_alexnet.models.alexnet_model import AlexNetModel
from keras_alexnet.weights.assign import grouped_weights
from keras_alexnet.weights.assign import halve_kernels
from keras_alexnet.weights.assign import weights_for
from keras_alexnet.weights.read_weights import read_weights
from keras_alexnet.weights.recognize import fitting_variants
from keras_alexnet.weights.recognize import recognized_variant
from keras_alexnet.weights.weight_file import SAVED
from keras_alexnet.weights.weight_file import WeightFile


def convert_weights(
    source: AnyPath | keras.Model | Mapping,
    variant: str | Architecture | None = None,
    *,
    unscaled_dropout: bool = False,
    **kwargs,
) -> AlexNetModel:
    """A model of ours with the weights of another in it.

    What the source does differently is undone: the order of the axes and of
    the last maps, RGB or BGR, scale and mean of the images (they go into
    conv1, which is exact but for zeros around the image), towers as two
    layers or as one with `groups=2`.

    Args:
        source: Path of a file (see `read_weights`) or the alias of a
            published one (see `published.PUBLISHED`), a Keras model, or a
            dict of layer name -> `[kernel, bias]` as `grouped_weights`
            returns it. Layers with weights count, in their order; their
            names do not matter.
        variant: Name of the variant to make. If `None`, that of the source,
            as it says or as its layers and their constants show; for a Keras
            model in memory and for arrays that do not say, `"alexnet"`.
        unscaled_dropout: Boolean, whether the source was trained with the
            paper's dropout, which halves the outputs when it tests
            (Section 4.2); then the kernels behind it are halved.
        **kwargs: Further arguments of `AlexNet`, such as `classes`; by
            default as many as the source has.

    Returns:
        A `keras.Model` made by `AlexNet`.

    Raises:
        ValueError: if the source cannot be read, does not fit the variant,
            or holds values that are not finite.

    Example:

    >>> import keras_alexnet as ka
    >>> model = convert_weights(ka.AlexNet("alexnet"), "caffe_alexnet")
    >>> model.name
    'caffe_alexnet'
    """
    found = _found(source)
    architecture = get_architecture(variant or _variant(found, source))
    weights, metadata = weights_for(found, architecture), found.metadata
    if unscaled_dropout:
        weights = halve_kernels(weights, architecture)
    *_, last = weights.values()
    shape = np.shape(last[-1]) if len(last) else ()
    given = {"classes": shape[-1] if shape else None}
    for name in ("input_shape", "padding", "classifier_activation"):
        if metadata.get(name) is not None:
            given[name] = metadata[name]
    if "input_shape" in given:
        channels = architecture.input_shape[-1]
        given["input_shape"] = _in_keras_order(given["input_shape"], channels)
    model = build_model(architecture, weights, **{**given, **kwargs})
    model.class_names = metadata.get("class_names")
    model.resize_pixels = metadata.get("resize_pixels")
    model.checks_range = not found.is_keras or bool(
        metadata.get("checks_range")
    )
    return model


def _in_keras_order(shape, channels):
    """The shape of an image with its channels where Keras has them now."""
    first, *_, last = shape
    if keras.config.image_data_format() == "channels_first":
        if last == channels != first:
            return (last, *shape[:-1])
    elif first == channels != last:
        return (*shape[1:], first)
    return shape


def _found(source):
    if isinstance(source, dict):
        return WeightFile(source, is_keras=True)
    if isinstance(source, AlexNetModel):
        metadata = {name: getattr(source, name) for name in SAVED}
        metadata["input_shape"] = source.input_shape[1:]
        weights = grouped_weights(source)
        return WeightFile(weights, source.variant, metadata, is_keras=True)
    if isinstance(source, keras.Model):
        try:
            config = {"config": source.get_config()}
        except NotImplementedError:  # a subclassed model
            config = None
        return WeightFile(grouped_weights(source), is_keras=True, config=config)
    if isinstance(source, str | os.PathLike):
        return read_weights(source)
    raise ValueError(
        "`source` must be a path, a Keras model or a dict of arrays. "
        f"Received: {type(source).__name__}"
    )


def _variant(found, source):
    if found.variant is not None:
        return found.variant
    if isinstance(source, dict):
        return "alexnet"
    if isinstance(source, keras.Model) and not isinstance(source, AlexNetModel):
        layers = {
            layer.name: layer.get_weights()
            for layer in source.layers
            if layer.weights
        }
        fitting = fitting_variants(layers, found.config)
        return fitting[0] if len(fitting) == 1 else "alexnet"
    if found.is_keras and "variant" not in found.metadata:
        path = os.fspath(source)
        return recognized_variant(path, found.layers, found.config)
    name = getattr(source, "name", source)
    raise ValueError(
        f"{os.fspath(name)!r} does not say which network it is of, or is of "
        f"none of the variants; name one by `variant`: {', '.join(VARIANTS)}."
    )
