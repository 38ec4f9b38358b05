"""Which variant weights are of, by their shapes, the layers, their constants.

A wrong guess would answer wrongly and say nothing: Caffe's AlexNet has the same
number of weights as the paper's, and another normalization.
"""

from keras_alexnet.architectures import rows as kinds
from keras_alexnet.architectures.arithmetic import weight_shapes
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.weights.weight_file import layers_of

# Keras' layers and ours, as the rows of an architecture know them; of others
# nothing is known, and nothing is compared.
KINDS = {
    "Conv2D": "convolution",
    "Convolution2D": "convolution",
    "LocallyConnected2D": "local",
    "LocalResponseNormalization": "normalization",
    "MaxPooling2D": "max pooling",
    "AveragePooling2D": "average pooling",
    "Dense": "dense",
    "Dropout": "dropout",
    "ZeroPadding2D": "zero padding",
}
CONSTANTS = {
    "normalization": ("size", "alpha", "beta", "k", "alpha_mode", "window"),
    "dropout": ("rate",),
}


def recognized_variant(name, layers, config=None):
    """The one variant that weights can be of.

    Args:
        name: What to call the source in an error.
        layers: Dict of layer name -> `[kernel, bias]`, each tower's layers by
            themselves, as the model has them.
        config: The config of the Keras model, as far as it is known.

    Raises:
        ValueError: if there are several.
    """
    by_layers = fitting_variants(layers, config)
    if len(by_layers) > 1 and config:  # two differ by nothing else
        steps = _steps_of_config(config)
        same = [n for n in by_layers if _steps_of_rows(VARIANTS[n]) == steps]
        by_layers = same or by_layers
    if len(by_layers) == 1:
        return by_layers[0]
    by_shapes = by_layers or fitting_variants(layers)
    if not by_shapes:
        return "alexnet"  # which refuses them, layer by layer
    but = "" if by_layers else ", but its layers are others than theirs"
    raise ValueError(
        f"{name!r} does not say which network it is of; its weights have the "
        f"shapes of {' and '.join(by_shapes)}{but}. Name one by `variant` "
        "(`keras-alexnet convert FILE OUT.keras --variant NAME`)."
    )


def variant_in(config):
    """The variant that a model says itself, or one of the models within it.

    Args:
        config: The config of a Keras model, or `None`.
    """
    for layer in _nested(config or {}):
        if is_ours(layer) and layer["config"].get("variant") in list(VARIANTS):
            return layer["config"]["variant"]
    return None


def is_ours(config):
    """Whether a config is that of an `AlexNetModel`; `.h5` has no package."""
    name = str(config.get("registered_name") or config.get("class_name"))
    return name.rpartition(">")[2] == "AlexNetModel" and (
        type(config.get("config")) is dict
    )


def fitting_variants(layers, config=None):
    """Names of the variants that weights can be of, as `recognized_variant`."""
    shapes = [tuple(a.shape for a in arrays) for arrays in layers.values()]
    steps = _without_dropout(_steps_of_config(config)) if config else []
    return [
        name
        for name, architecture in VARIANTS.items()
        if _have_shapes(architecture, shapes)
        and steps in ([], _without_dropout(_steps_of_rows(architecture)))
    ]


def _nested(config):
    """A config and those of the models within it."""
    yield config
    for layer in layers_of(config) or []:
        if layers_of(layer):
            yield from _nested(layer)


def _have_shapes(architecture, shapes):
    """Whether these are the kernels of the network, or of all its towers.

    The last layer may have any number of classes, and the first fully
    connected one any number of inputs: it sees what the image leaves.
    """
    channels = architecture.input_shape[-1]
    wanted = weight_shapes(architecture, (None, None, channels), 1)
    rows = [row for row in architecture.rows if row.name in wanted]
    apart, joined = [], []
    for row in rows:
        kernel, _ = wanted[row.name]
        towers = getattr(row, "towers", 1)
        joined.append(_shape(row, kernel))
        alone = (*kernel[:-1], kernel[-1] // towers)
        apart += [_shape(row, alone)] * towers
    for form in (apart, joined):
        if len(form) == len(shapes) and all(
            _is_shape(found[0], known)
            for found, known in zip(shapes, form, strict=True)
            if found
        ):
            return True
    return False


def _shape(row, kernel):
    """A kernel's shape with `None` for what the variant does not fix."""
    if isinstance(row, kinds.LocallyConnected):
        return (None, None, *kernel[2:])
    if isinstance(row, kinds.Dense):
        first = kernel if len(kernel) == 2 else (None, kernel[-1])
        return (None, None if row.units is None else first[-1])
    return kernel


def _is_shape(found, known):
    return len(found) == len(known) and all(
        k is None or f == k for f, k in zip(found, known, strict=True)
    )


def _steps_of_config(config):
    """What a model does, step by step: kinds of layers, constants."""
    steps, names = [], set()
    for model in _nested(config):
        for layer in layers_of(model) or []:
            kind = KINDS.get(str(layer.get("class_name")).rpartition(">")[2])
            inner = layer.get("config")
            if kind is None or type(inner) is not dict:
                continue
            name = str(inner.get("name"))
            if name[-1:] == "b" and name[:-1] + "a" in names:
                continue  # tower A has been seen
            names.add(name)
            keys = CONSTANTS.get(kind, ())
            steps.append((kind, *(inner.get(key) for key in keys)))
    return steps


def _without_dropout(steps):
    """A head that somebody put on may have others."""
    return [step for step in steps if step[0] != "dropout"]


def _steps_of_rows(architecture):
    wanted = []
    for row in architecture.rows:
        match row:
            case kinds.Conv():
                wanted.append(("convolution",))
            case kinds.LocallyConnected():
                wanted.append(("local",))
            case kinds.LocalResponseNorm():
                keys = CONSTANTS["normalization"]
                constants = (getattr(row, key) for key in keys)
                wanted.append(("normalization", *constants))
            case kinds.MaxPool():
                wanted.append(("max pooling",))
            case kinds.AveragePool():
                wanted.append(("average pooling",))
            case kinds.Dense():
                wanted.append(("dense",))
            case kinds.Dropout():
                wanted.append(("dropout", row.rate))
            case kinds.ZeroPad():
                wanted.append(("zero padding",))
    return wanted
