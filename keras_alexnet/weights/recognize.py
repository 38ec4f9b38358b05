"""Which variant weights are of, by their shapes, the layers, their constants.

A wrong guess would answer wrongly and say nothing: Caffe's AlexNet has the same
number of weights as the paper's, and another normalization.
"""

from keras_alexnet.architectures import rows as kinds
from keras_alexnet.architectures.arithmetic import weight_shapes
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.weights.weight_file import layers_of

# Keras' layers and ours, as the rows of an architecture know them; of others
# nothing is known, and nothing is compared. Behind each what tells two apart.
KINDS = {
    "Conv2D": ("convolution", "strides"),
    "Convolution2D": ("convolution", "strides"),
    "LocallyConnected2D": ("local",),
    "LocalResponseNormalization": (
        "normalization",
        *("size", "alpha", "beta", "k", "alpha_mode", "window"),
    ),
    "MaxPooling2D": ("max pooling", "pool_size", "strides"),
    "AveragePooling2D": ("average pooling", "pool_size", "strides"),
    "Activation": ("activation", "activation"),
    "ReLU": ("relu",),
    "Dense": ("dense",),
    "Dropout": ("dropout", "rate"),
    "ZeroPadding2D": ("zero padding",),
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
    """A config and those of all layers and models within it, in order."""
    yield config
    for layer in layers_of(config) or []:
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
    """What a model does, step by step: kinds of layers, their constants."""
    steps, names = [], set()
    for layer in _nested(config):
        kind, *keys = KINDS.get(
            str(layer.get("class_name")).rpartition(">")[2], (None,)
        )
        inner = layer.get("config")
        if kind is None or type(inner) is not dict:
            continue
        name = str(inner.get("name"))
        if name[-1:] == "b" and name[:-1] + "a" in names:
            continue  # tower A has been seen
        names.add(name)
        if kind == "relu":
            steps.append(("activation", "relu"))
            continue
        steps.append((kind, *(_single(inner.get(key)) for key in keys)))
        if kind in ("convolution", "local", "dense"):
            steps += _activation(inner.get("activation"))
    return _without_the_last(steps)


def _single(value):
    """Keras has two where both are the same, in a tuple or in JSON's list."""
    if type(value) in (list, tuple):
        return value[0] if len(set(map(str, value))) == 1 else str(value)
    return value


def _activation(name):
    """A step of its own, wherever it stands."""
    return [("activation", name)] if name not in (None, "linear") else []


def _without_the_last(steps):
    """Without the last activation: a classifier may end in any."""
    places = [i for i, step in enumerate(steps) if step[0] == "dense"]
    return steps[: places[-1] + 1] if places else steps


def _without_dropout(steps):
    """A head that somebody put on may have others."""
    return [step for step in steps if step[0] != "dropout"]


def _steps_of_rows(architecture):
    steps = []
    for row in architecture.rows:
        match row:
            case kinds.Conv():
                steps.append(("convolution", row.strides))
            case kinds.LocallyConnected():
                steps.append(("local",))
            case kinds.LocalResponseNorm():
                _, *keys = KINDS["LocalResponseNormalization"]
                constants = (getattr(row, key) for key in keys)
                steps.append(("normalization", *constants))
            case kinds.MaxPool():
                steps.append(("max pooling", row.size, row.strides))
            case kinds.AveragePool():
                steps.append(("average pooling", row.size, row.strides))
            case kinds.Activation():
                steps += _activation(row.function)
            case kinds.Dense():
                steps.append(("dense",))
            case kinds.Dropout():
                steps.append(("dropout", row.rate))
            case kinds.ZeroPad():
                steps.append(("zero padding",))
        if isinstance(row, kinds.Conv | kinds.LocallyConnected | kinds.Dense):
            steps += _activation(row.activation)
    return _without_the_last(steps)
