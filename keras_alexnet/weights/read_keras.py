"""Weights in the files of Keras 1 to 3, without Keras.

Nothing of a model is built or run.
"""

import collections
import json
import re

import h5py

from keras_alexnet.architectures.rows import PADDINGS
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.untrusted_files import open_records
from keras_alexnet.untrusted_files import open_regular
from keras_alexnet.untrusted_files import refusing
from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights.layouts import channels_last
from keras_alexnet.weights.layouts import from_theano
from keras_alexnet.weights.layouts import unquantized
from keras_alexnet.weights.parsers.hdf5 import Tree
from keras_alexnet.weights.parsers.hdf5 import natural
from keras_alexnet.weights.recognize import is_ours
from keras_alexnet.weights.recognize import variant_in
from keras_alexnet.weights.weight_file import SAVED
from keras_alexnet.weights.weight_file import WeightFile
from keras_alexnet.weights.weight_file import check_layers
from keras_alexnet.weights.weight_file import checked_names
from keras_alexnet.weights.weight_file import layers_of

SIGNATURE = b"\x89HDF\r\n\x1a\n"
CONVOLUTION, LOCAL, DENSE, OTHER = range(4)

MOST_CONFIG_BYTES = 2**22  # an AlexNet's has 40,000
# Images are resized to the size that a file says: no bombs.
LARGEST_SIDE = 4096
LARGEST_INPUT = 2**16


def read_keras_layers(path):
    """Read the weights of a Keras model, without Keras.

    Args:
        path: Path of a `.keras` or `.weights.h5` file of Keras 3, or of an
            `.h5` file of a model or of its weights, of Keras 1 to 3.

    Returns:
        Two things: a dict of layer name -> list of arrays, for the layers
        with weights in the order of the model, those of models within it
        too; and the config of the model as a dict, or `None` if the file has
        none. Floating values are float32. The axes are as they are in the
        file, but kernels that Keras 2 saved on Theano are turned by 180
        degrees, as Keras 2 itself did for TensorFlow.

    Raises:
        ValueError: if the file is damaged, refers to other files, or its
            model has a `Lambda` layer, whose code is never run.

    Example:

    >>> layers, config = read_keras_layers("model.keras")
    >>> [array.shape for array in layers["conv1"]]
    [(11, 11, 3, 96), (96,)]
    """
    expected = "a .keras, .weights.h5 or .h5 file that Keras wrote"
    with refusing(path, expected), open_regular(path) as (file, size):
        start = file.read(len(SIGNATURE))
        file.seek(0)
        if start[:2] == b"PK":
            return _read_zip(file, size)
        if start != SIGNATURE:
            raise ValueError("it is neither a zip archive nor an HDF5 file")
        with h5py.File(file, "r") as root:
            return _read_h5(root, Tree(file, size))


def _read_zip(file, size):
    records = open_records(file, size)
    for name in ("config.json", "model.weights.h5"):
        if name not in records:
            raise ValueError(f"it is a zip archive without {name}")
    config = parse_config(records["config.json"]().getvalue())
    data = records["model.weights.h5"]()
    with h5py.File(data, "r") as root:
        tree = Tree(data, data.getbuffer().nbytes)
        return _read_keras_3(root, tree, config), config


def _read_h5(root, tree):
    saved = tree.texts(root, "model_config")
    config = parse_config(saved[0]) if saved else None
    group = root
    if tree.has(root, "model_weights"):
        group = tree.child(root, "model_weights")
    names = tree.texts(group, "layer_names")
    if names:
        return _read_keras_1(group, tree, names, config), config
    return _read_keras_3(root, tree, config), config


def _read_keras_1(group, tree, names, config):
    """Keras 1 and 2 keep the names of layers and weights as attributes."""
    keras, backend = (
        (tree.texts(group, name) or [""])[0]
        for name in ("keras_version", "backend")
    )
    turned = keras.startswith("2") and backend == "theano"
    order = {}
    if config is not None:
        found = layer_paths(config, "")
        order = {name: place for place, (name, _) in enumerate(found)}
    layers = {}
    for name in names:
        layer = tree.child(group, name)
        parts = {}  # a model within the model is one layer here
        for weight in tree.texts(layer, "weight_names"):
            part = weight.rpartition("/")[0]
            if "seed_generator" in part:
                continue
            array = tree.read(tree.child(layer, weight))
            if turned and array.ndim == 4:  # as keras.utils.convert_kernel
                array = array[::-1, ::-1]
            parts.setdefault(part, []).append(array)
        for part, arrays in parts.items():
            inner = part.rpartition("/")[2]
            is_model = len(parts) > 1 or inner in order
            _add(layers, inner if is_model else name, arrays)
    # Within a model, frozen weights stand behind the others.
    places = sorted(layers, key=lambda name: order.get(name, len(order)))
    return {name: layers[name] for name in places}


def _read_keras_3(root, tree, config):
    groups = tree.groups_with_weights(root)
    arrays = {path: tree.variables(group) for path, group in groups.items()}
    if config is not None and tree.has(root, "layers") and layers_of(config):
        named = [x for x in layer_paths(config, "/layers") if x[1] in arrays]
        unnamed = arrays.keys() - {path for _, path in named}
        if unnamed:
            raise ValueError(
                f"it has weights at {shown(min(unnamed))}, where its "
                "config.json has no layer"
            )
    else:
        # Not every version of Keras 3 wrote the names.
        named = [
            ((tree.texts(groups[path], "name") or [path.strip("/")])[0], path)
            for path in _in_order(arrays)
        ]
    layers = {}
    for name, path in named:
        _add(layers, name, arrays[path])
    return layers


def _in_order(arrays):
    """The paths of layers, whose order is not saved but follows.

    Keras counts the layers of a class. In an AlexNet the convolutions come
    first and the dense layers last.
    """

    def kind(path):
        axes = [array.ndim for array in arrays[path]]
        if 3 in axes:  # biases of their own for each place
            return LOCAL
        return {4: CONVOLUTION, 2: DENSE}.get(axes[0], OTHER)

    def family(path):
        parent, _, name = path.rpartition("/")
        counted = parent.endswith(("layers", "_dependencies"))
        return parent, re.sub(r"_\d+$", "", name) if counted else ""

    for wanted in (CONVOLUTION, LOCAL, DENSE):
        families = {family(path) for path in arrays if kind(path) == wanted}
        if len(families) > 1:
            one, other, *_ = sorted("/".join(x) for x in families)
            raise ValueError(
                f"it does not say whether {shown(one)} or {shown(other)} comes "
                "first, as a .keras file does"
            )
    return sorted(arrays, key=lambda path: (kind(path), natural(path)))


def _add(layers, name, arrays):
    if not arrays:
        return
    arrays = unquantized(arrays)
    if name in layers:
        raise ValueError(f"it has two layers of the name {shown(name)}")
    layers[name] = arrays


def parse_config(text):
    """The config of a model, without any code in it."""
    if len(text) > MOST_CONFIG_BYTES:
        raise ValueError("its config.json is too long")
    config = json.loads(text)
    if type(config) is not dict:
        raise ValueError("its config.json is no dictionary")
    values = [config]
    while values:
        value = values.pop()
        if type(value) is dict:
            if value.get("class_name") in ("Lambda", "__lambda__"):
                inner = value.get("config")
                name = inner.get("name") if type(inner) is dict else ""
                raise ValueError(
                    f"its model has a Lambda layer, {shown(name)}, whose code "
                    "is not run, so that its results would be others; save "
                    "the weights alone"
                )
            if "layers" in value:
                check_layers(value["layers"])
            values.extend(value.values())
        elif type(value) is list:
            values.extend(value)
    return config


def layer_paths(config, path):
    """Name and group of each layer, as keras.src.saving.saving_lib has them."""
    counts = collections.Counter()
    for layer in layers_of(config) or []:
        kind = _snake_case(layer["class_name"])
        group = f"{path}/{kind}_{counts[kind]}" if counts[kind] else ""
        group = group or f"{path}/{kind}"
        counts[kind] += 1
        if layers_of(layer):
            yield from layer_paths(layer, f"{group}/layers")
        elif type(layer["config"]) is dict:
            yield layer["config"].get("name", group.strip("/")), group


def _snake_case(name):
    """keras.src.utils.naming.to_snake_case."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def read_keras(path):
    """The `WeightFile` of a file of Keras, or of heuritech's `.h5`."""
    layers, config = read_keras_layers(path)
    if "conv_2_1" in layers:  # heuritech/convnets-keras
        return WeightFile(channels_last(from_theano(layers)), "heuritech")
    with refusing(path, "a model that Keras saved"):
        variant, metadata = _metadata(config or {})
    return WeightFile(layers, variant, metadata, is_keras=True, config=config)


def _metadata(config):
    """The variant, if it is known, and what else a model says of itself."""
    inner = config.get("config")
    shapes = _shapes(inner) if isinstance(inner, dict) else {}
    if not is_ours(config):
        return variant_in(config), shapes
    metadata = {name: inner.get(name) for name in SAVED} | shapes
    _check_metadata(metadata)
    if metadata["class_names"] is not None:
        metadata["class_names"] = checked_names(metadata["class_names"])
    return metadata["variant"], metadata


def _check_metadata(metadata):
    variant, padding = metadata["variant"], metadata["padding"]
    if variant is not None and variant not in list(VARIANTS):
        raise ValueError(f"there is no variant {shown(variant)}")
    pair = [padding] * 2 if isinstance(padding, str) else padding
    if padding is not None and not (
        isinstance(pair, list)
        and len(pair) == 2
        and all(one in PADDINGS for one in pair)
    ):
        raise ValueError(f"there is no padding {shown(padding)}")
    if not isinstance(metadata["checks_range"], bool | None):
        raise ValueError("its `checks_range` is neither true nor false")
    _check_pixels(metadata["resize_pixels"])


def _check_pixels(pixels):
    whole = isinstance(pixels, int | None) and not isinstance(pixels, bool)
    if not whole or not (pixels is None or 1 <= pixels <= LARGEST_SIDE):
        raise ValueError(
            f"its images are resized to {str(pixels)[:20]} pixels, not to a "
            f"whole number from 1 to {LARGEST_SIDE}"
        )


def _shapes(config):
    """Of a model's config: the shape of an image and the last activation."""
    layers = [layer.get("config", {}) for layer in config.get("layers", [])]
    shape = next((x["batch_shape"] for x in layers if "batch_shape" in x), None)
    activation = layers[-1].get("activation") if layers else None
    # Keras would build what it is.
    if activation is not None and not (
        isinstance(activation, str) and re.fullmatch("[a-z_0-9]+", activation)
    ):
        raise ValueError("its activation is not a name")
    if shape is not None and not (
        isinstance(shape, list)
        and len(shape) == 4
        and all(n is None or _is_side(n) for n in shape[1:])
    ):
        raise ValueError("its input has no shape of whole numbers")
    return {
        "input_shape": tuple(shape[1:]) if shape else None,
        "classifier_activation": activation,
    }


def _is_side(number):
    return type(number) is int and 0 < number <= LARGEST_INPUT
