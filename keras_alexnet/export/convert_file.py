"""Weights out: into files that Keras, PyTorch and others read."""

import os
import pathlib

import numpy as np

from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.export.torch_files import write_pth
from keras_alexnet.export.torch_files import write_safetensors
from keras_alexnet.files import replacing
from keras_alexnet.models.convert_weights import convert_weights
from keras_alexnet.models.keras_settings import keras_settings
from keras_alexnet.runs.network import open_trained
from keras_alexnet.weights.assign import grouped_weights
from keras_alexnet.weights.published import is_alias

# pytorch/vision torchvision/models/alexnet.py: the places of the layers with
# weights in its `features` and `classifier`.
TORCHVISION_NAMES = (
    "features.0",
    "features.3",
    "features.6",
    "features.8",
    "features.10",
    "classifier.1",
    "classifier.4",
    "classifier.6",
)


def torchvision_weights(model):
    """A model's weights as the state dict of torchvision's AlexNet.

    Args:
        model: A model of the variant `"torchvision"`; other variants of the
            same shapes are converted into it.

    Returns:
        A dict: name ("features.0.weight") -> array, in PyTorch's layout.

    Raises:
        ValueError: if the model does not fit torchvision's network.

    Example:

    >>> import keras_alexnet as ka
    >>> tensors = torchvision_weights(ka.AlexNet("torchvision"))
    >>> tensors["features.0.weight"].shape
    (64, 3, 11, 11)
    """
    if getattr(model, "variant", None) != "torchvision":
        model = convert_weights(model, "torchvision")
    weights, tensors, maps = grouped_weights(model), {}, None
    pairs = zip(TORCHVISION_NAMES, weights.values(), strict=True)
    for name, (kernel, bias) in pairs:
        if kernel.ndim == 4:
            maps = kernel.shape[-1]
            kernel = kernel.transpose(3, 2, 0, 1)
        elif maps:  # fc6 sees the last maps channel by channel
            inputs, units = kernel.shape
            side = round((inputs / maps) ** 0.5)
            kernel = kernel.reshape(side, side, maps, units)
            kernel = kernel.transpose(3, 2, 0, 1).reshape(units, inputs)
            maps = None
        else:
            kernel = kernel.T
        tensors[f"{name}.weight"] = np.ascontiguousarray(kernel)
        tensors[f"{name}.bias"] = bias
    return tensors


def convert_file(source, to_file, variant=None, *, unscaled_dropout=False):
    """Convert a file of weights into another.

    Args:
        source: Path of a file of weights or a run folder, or an alias.
        to_file: Path of the file to write; its ending tells the format:
            `.keras`, `.weights.h5`, `.safetensors`, `.pth` (both with
            torchvision's names) or `.onnx`.
        variant: Name of the variant to make; that of the source if `None`.
        unscaled_dropout: As in `convert_weights`.

    Returns:
        A sentence that says what was written.

    Raises:
        ValueError: if the source cannot be read or the file not be written.
    """
    to_file = pathlib.Path(to_file)
    if to_file.name.endswith((".safetensors", ".pth")):
        variant = variant or "torchvision"
    elif not to_file.name.endswith((".keras", ".weights.h5", ".onnx")):
        raise ValueError(
            f"{str(to_file)!r} has no known ending; expected .keras, "
            ".weights.h5, .safetensors, .pth or .onnx."
        )
    is_folder = os.path.isdir(source) and not is_alias(source)
    trained = open_trained(source) if is_folder else None
    if trained and trained.recipe.variations and variant is None:
        raise ValueError(
            f"{os.fspath(source)!r} was trained with the variations "
            f"{', '.join(trained.recipe.variations)}, which no variant has; "
            "name the variant that is to take its weights."
        )
    if trained and trained.recipe.mean == "image":
        raise ValueError(
            f"{os.fspath(source)!r} was trained with a mean image, for which "
            "such a file has no place; `export` writes a SavedModel or ONNX."
        )
    with keras_settings():
        model = convert_weights(
            trained.load_model() if trained else source,
            variant,
            unscaled_dropout=unscaled_dropout,
        )
    _write(model, to_file)
    preprocessing = VARIANTS[model.variant].preprocessing
    return (
        f"{to_file}: {model.variant}, {model.count_params():,} parameters, "
        f"{to_file.stat().st_size / 1e6:.0f} MB. It expects images of "
        f"{model.input_shape[1]}x{model.input_shape[2]} pixels in "
        f"{preprocessing.channel_order}, 0..255{_scaled(preprocessing)} minus "
        f"{'/'.join(f'{value:g}' for value in preprocessing.mean)}"
        f"{_divided(preprocessing)}."
    )


def _scaled(preprocessing):
    return (
        ""
        if preprocessing.scale == 1
        else f" times 1/{1 / preprocessing.scale:g}"
    )


def _divided(preprocessing):
    std = preprocessing.std[: len(preprocessing.mean)]
    if all(value == 1 for value in std):
        return ""
    return f", divided by {'/'.join(f'{value:g}' for value in std)}"


def _write(model, to_file):
    if to_file.suffix == ".onnx":
        from keras_alexnet.export.export_model import export_model

        export_model(model, to_file)
        return
    with replacing(to_file) as path:
        if to_file.suffix == ".keras":
            model.save(path)
        elif to_file.suffix == ".safetensors":
            write_safetensors(torchvision_weights(model), path)
        elif to_file.suffix == ".pth":
            write_pth(torchvision_weights(model), path)
        else:
            model.save_weights(path)
