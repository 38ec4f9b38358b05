"""The weights in a file, in Keras' layout, whoever wrote it."""

import math
from dataclasses import dataclass
from dataclasses import field

import numpy as np

# What BVLC/caffe's train_val.prototxt and `onnx.LRN` say of bvlc_alexnet.
CAFFE_NORM = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}
# What `.keras` files of this package say of a model beside its layers.
SAVED = (
    "variant",
    "padding",
    "class_names",
    "resize_pixels",
    "checks_range",
)


@dataclass(frozen=True)
class WeightFile:
    """The weights in a file.

    Args:
        layers: Dict of layer name -> `[kernel, bias]`, in order, as Keras has
            them: (height, width, in, out) and (in, out), channels last.
        variant: Name of the variant that the file is of, or `None` if it
            does not say.
        metadata: What a `.keras` file of this package says of its model.
        is_keras: Whether Keras wrote it, in which the axes are as they are.
        config: The config of the Keras model, or `None`.
    """

    layers: dict
    variant: str | None = None
    metadata: dict = field(default_factory=dict)
    is_keras: bool = False
    config: dict | None = None


def checked_names(names):
    """The names of classes that a file claims, as a tuple.

    Raises:
        ValueError: if they are not at least two different texts.
    """
    strings = isinstance(names, list | tuple) and all(
        isinstance(name, str) for name in names
    )
    if not strings or len(names) < 2 or len(set(names)) < len(names):
        raise ValueError("it holds no list of at least two names of classes")
    return tuple(names)


def variant_of_torch(layers):
    """Torchvision's is the only AlexNet in PyTorch with 64 first maps."""
    first = next(iter(layers.values()), [np.zeros(1)])[0]
    return "torchvision" if first.shape == (11, 11, 3, 64) else None


def has_caffes_norms(norms):
    """Whether there are normalizations, all with Caffe's constants."""
    return bool(norms) and all(
        math.isclose(number_of(norm, name, value), value, rel_tol=1e-5)
        for norm in norms
        for name, value in CAFFE_NORM.items()
    )


def number_of(attributes, name, default):
    """A number among the attributes of a layer.

    Raises:
        ValueError: if there is something else.
    """
    value = attributes.get(name, default)
    if not isinstance(value, int | float):
        raise ValueError(f"its attribute {name!r} is no number")
    return value


def check_layers(layers):
    """Refuses what is no list of layers' configs."""
    if type(layers) is not list or not all(
        type(layer) is dict
        and type(layer.get("class_name")) is str
        and type(layer.get("config")) in (dict, list)
        and (type(layer["config"]) is list or _is_named(layer["config"]))
        for layer in layers
    ):
        raise ValueError("its config.json has layers that are none")


def _is_named(config):
    """Keras names every layer; one without a name is only not named."""
    return type(config.get("name", "")) is str


def layers_of(config):
    """The configs of the layers of a model; `None` of a layer."""
    inner = config.get("config")
    if type(inner) is list:  # a Sequential of Keras 1
        check_layers(inner)
        return inner
    return inner.get("layers") if type(inner) is dict else None
