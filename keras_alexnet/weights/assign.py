"""Weights into a model and out of it, exactly.

The kernel of a convolution in two towers equals that of one
`Conv2D(groups=2)`: tower A's filters first, then tower B's.
"""

import keras
import numpy as np

from keras_alexnet.architectures.rows import Dense
from keras_alexnet.architectures.rows import Dropout
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights.layouts import unquantized


def grouped_weights(model) -> dict[str, list[np.ndarray]]:
    """The weights of a model, its towers joined as `Conv2D(groups=2)` has them.

    Kernels that Keras has quantized to int8, or adapted by LoRA, are given as
    the floating-point numbers that they stand for.

    Args:
        model: A model made by `AlexNet`.

    Returns:
        A dict: the paper's name of the layer ("conv2") -> `[kernel, bias]`
        as NumPy arrays, in the order of the layers.

    Example:

    >>> import keras_alexnet as ka
    >>> weights = grouped_weights(ka.AlexNet("alexnet"))
    >>> weights["conv2"][0].shape
    (5, 5, 48, 256)
    """
    return {
        name: [
            np.concatenate(parts, axis=-1)
            for parts in zip(
                *(_kernel_and_bias(layer) for layer in towers), strict=True
            )
        ]
        for name, towers in _layers_with_weights(model).items()
    }


def _kernel_and_bias(layer):
    """What a layer computes with, as floating-point numbers."""
    mode = getattr(layer, "quantization_mode", None)
    adapted = getattr(layer, "lora_enabled", False)
    if mode not in (None, "int8") or (mode and adapted):
        raise ValueError(
            f"{layer.name} is quantized ({mode}{' with LoRA' * adapted}), of "
            "which its weights cannot be had back; take the network as it was "
            "before, or quantized to int8."
        )
    if adapted:
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        own = {id(layer.lora_kernel_a), id(layer.lora_kernel_b)}
        rest = [w for w in layer.weights if id(w) not in own]
        arrays = [keras.ops.convert_to_numpy(w) for w in rest]
        return [kernel if a.ndim > 1 else a for a in arrays]
    return unquantized(layer.get_weights())


def weights_for(found, architecture):
    """The weights in a file, for images as an architecture expects them.

    Args:
        found: A `WeightFile`.
        architecture: `Architecture`.

    Returns:
        Dict of name -> arrays.
    """
    if found.variant is None:
        return found.layers
    origin = get_architecture(found.variant)
    return fold_preprocessing(
        found.layers, origin.preprocessing, architecture.preprocessing
    )


def put_weights(model, weights, all_of_them=True):
    """Set the weights of a model's layers, in their order.

    Args:
        model: A model made by `AlexNet`.
        weights: Dict of name -> arrays, one entry for each layer or for each
            of its towers ("conv2a", "conv2b"); the names do not matter.
        all_of_them: Boolean, whether there must be no more of them than the
            model has layers (a model without its top takes the first ones).

    Raises:
        ValueError: if the weights do not fit, or are not finite.
    """
    targets = _layers_with_weights(model)
    shapes = {
        name: [
            (*first.shape[:-1], first.shape[-1] * len(towers))
            for first in towers[0].weights
        ]
        for name, towers in targets.items()
    }
    sources = check_fit(model.name, shapes, weights, all_of_them)
    # All fit: none is set in vain.
    for towers, source in zip(targets.values(), sources, strict=True):
        values = source[0]
        if len(source) > 1:
            joined = zip(*source, strict=True)
            values = [np.concatenate(parts, -1) for parts in joined]
        parts = [np.split(v, len(towers), axis=-1) for v in values]
        for layer, *own in zip(towers, *parts, strict=True):
            layer.set_weights([np.ascontiguousarray(v) for v in own])


def check_fit(model_name, shapes, weights, all_of_them=True):
    """Refuses weights of other shapes, before anything is made for them.

    Args:
        model_name: Name of the model that they are for.
        shapes: Dict: name of a layer -> shapes of its weights, its towers
            joined.
        weights: As in `put_weights`.
        all_of_them: As in `put_weights`.

    Returns:
        For each layer of `shapes`, in order, the list of what its towers
        have in `weights`.

    Raises:
        ValueError: if the weights do not fit, or are not finite.
    """
    sources = _by_layer(weights)
    chosen = list(sources.items())
    if not all_of_them:
        chosen = chosen[: len(shapes)]
    if len(chosen) != len(shapes):
        raise ValueError(
            f"{model_name} has {len(shapes)} layers with weights "
            f"({_listed(shapes)}), the source has {len(sources)} "
            f"({_listed(sources)})."
        )
    pairs = list(zip(shapes.items(), chosen, strict=True))
    for (name, wanted), (source_name, towers) in pairs:
        _check(name, wanted, source_name, towers)
    return [towers for _, towers in chosen]


def _listed(names, most=20):
    names = [shown(name, 40)[1:-1] for name in names]
    more = ", ..." if len(names) > most else ""
    return ", ".join(names[:most]) + more


def fold_preprocessing(weights, source, target):
    """The same network for images that are preprocessed in another way.

    Channels in another order turn the input axis of conv1's kernels; another
    scale goes into the kernels, another mean into the biases. Exact but for
    the zeros that a padded conv1 sees around the image.

    Args:
        weights: Dict of name -> `[kernel, bias]`, the first that of conv1.
        source: `Preprocessing` that the weights were trained with.
        target: `Preprocessing` that they will be fed with.

    Returns:
        Such a dict.
    """
    if source == target or len(source.mean) != len(target.mean):
        return weights
    (name, (kernel, bias)), *_ = weights.items()
    if kernel.shape[2] != len(source.mean):
        return weights
    mean, std, kernel = _in_rgb(source, kernel)
    new_mean, new_std, _ = _in_rgb(target)
    scale = source.scale / target.scale
    # old input = factor * new input + shift
    factor = new_std * scale / std
    shift = (new_mean * scale - mean) / std
    bias = bias + np.einsum("hwio,i->o", kernel, shift)
    kernel = kernel * factor[:, np.newaxis]
    if target.channel_order == "BGR":
        kernel = kernel[:, :, ::-1]
    pair = [np.ascontiguousarray(v, "float32") for v in (kernel, bias)]
    return {**weights, name: pair}


def _in_rgb(preprocessing, kernel=None):
    """Mean, deviation and kernel with their channels in this order."""
    mean = np.array(preprocessing.mean)
    std = np.array(preprocessing.std[: len(mean)])
    if preprocessing.channel_order == "BGR":
        mean, std = mean[::-1], std[::-1]
        kernel = None if kernel is None else kernel[:, :, ::-1]
    if kernel is not None:
        kernel = kernel.astype("float64")
    return mean, std, kernel


def halve_kernels(weights, architecture):
    """Weights of a network whose dropout did not scale while it was trained.

    The paper multiplies the outputs "by 0.5" when it tests (Section 4.2),
    Keras by 2 when it trains; so the layers behind a dropout see twice as
    much here, and their kernels are halved.
    """
    rates, rate = [], 0.0
    for row in architecture.rows:
        if isinstance(row, Dropout):
            rate = row.rate
        elif isinstance(row, Dense):
            rates.append(rate)
            rate = 0.0
    names = list(weights)[-len(rates) :]
    # Of another number of layers: `put_weights` will say so.
    kept = dict(zip(names, (1 - rate for rate in rates), strict=False))
    return {
        name: [arrays[0] * np.float32(kept.get(name, 1)), *arrays[1:]]
        for name, arrays in weights.items()
    }


def _layers_with_weights(model):
    """The paper's name -> the layers of its towers, in order."""
    return _by_layer(
        {layer.name: layer for layer in model.layers if layer.weights}
    )


def _by_layer(named):
    """The paper's name -> the list of what its towers have."""
    towers = {}
    for name, value in named.items():
        base = name[:-1]
        pair = {f"{base}a", f"{base}b"} <= named.keys()
        towers.setdefault(base if pair else name, []).append(value)
    return towers


def _check(name, wanted, source_name, towers):
    source_name = shown(source_name)[1:-1]
    shapes = _joined_shapes(towers)
    if shapes != wanted:
        hint = ""
        found, right = (
            [(len(shape), shape[-1:]) for shape in of]
            for of in (shapes, wanted)
        )
        # The first fc layer sees what the images' size leaves of the maps.
        if found == right and right[0][0] == 2:
            hint = ", as of images of another size or padding"
        raise ValueError(
            f"The weights of {source_name} do not fit {name}: expected the "
            f"shapes {wanted}, received {_few(shapes)}{hint}."
        )
    if not all(np.isfinite(v).all() for values in towers for v in values):
        raise ValueError(
            f"The weights of {source_name} hold values that are not finite "
            "numbers; the source is damaged or its training diverged."
        )


def _joined_shapes(towers):
    """The shapes of a layer's arrays, those of its towers put together."""
    shapes = [[tuple(np.shape(v)) for v in values] for values in towers]
    first, *others = shapes
    for other in others:
        if [s[:-1] for s in other] != [s[:-1] for s in first]:
            return shapes
        first = [
            (*one[:-1], one[-1] + two[-1]) if one else one
            for one, two in zip(first, other, strict=True)
        ]
    return first


def _few(shapes, most=6):
    more = ", ..." if len(shapes) > most else ""
    return f"[{', '.join(map(str, shapes[:most]))}{more}]"
