"""Weights in the files of Keras 1 to 3, without Keras.

Nothing of a model is built or run.
"""

import re

import h5py

from keras_alexnet.untrusted_files import open_records
from keras_alexnet.untrusted_files import open_regular
from keras_alexnet.untrusted_files import refusing
from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights.model_configs import layer_paths
from keras_alexnet.weights.model_configs import layers_of
from keras_alexnet.weights.model_configs import parse_config
from keras_alexnet.weights.parsers.hdf5 import Tree
from keras_alexnet.weights.parsers.hdf5 import natural

SIGNATURE = b"\x89HDF\r\n\x1a\n"
CONVOLUTION, LOCAL, DENSE, OTHER = range(4)


def read_keras(path):
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

    >>> layers, config = read_keras("model.keras")
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
    if name in layers:
        raise ValueError(f"it has two layers of the name {shown(name)}")
    layers[name] = arrays
