"""Files of weights, whoever wrote them, in Keras' layout.

The format is told by the file's first bytes; nothing in it is executed. What
the frameworks do differently is undone here: the order of the axes, and the
order in which fc6 sees the last maps.
"""

import math
import os
import re
from dataclasses import dataclass
from dataclasses import field

import numpy as np

from keras_alexnet.architectures.rows import PADDINGS
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.untrusted_files import open_records
from keras_alexnet.untrusted_files import open_regular
from keras_alexnet.untrusted_files import refusing
from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights import protobufs
from keras_alexnet.weights import read_keras as hdf5
from keras_alexnet.weights import read_torch
from keras_alexnet.weights.layouts import channels_last
from keras_alexnet.weights.layouts import from_theano
from keras_alexnet.weights.layouts import pair
from keras_alexnet.weights.published import check_published
from keras_alexnet.weights.published import fetch
from keras_alexnet.weights.published import is_alias
from keras_alexnet.weights.safetensors_file import place
from keras_alexnet.weights.safetensors_file import read_safetensors

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
# ONNX operations that may stand between a layer and its bias.
MOVES = ("Transpose", "Reshape", "Squeeze")
# Images are resized to the size that a file says: no bombs.
LARGEST_SIDE = 4096
LARGEST_INPUT = 2**16
KNOWN = "a file of Keras, PyTorch, safetensors, Caffe, ONNX or NumPy"


@dataclass(frozen=True)
class WeightFile:
    """The weights in a file.

    Args:
        layers: Dict of layer name -> `[kernel, bias]`, in order, as Keras has
            them: (height, width, in, out) and (in, out), channels last.
        variant: Name of the variant that the file is of, or `None` if it
            does not say.
        facts: What a `.keras` file of this package says of its model.
        is_keras: Whether Keras wrote it, in which the axes are as they are.
    """

    layers: dict
    variant: str | None = None
    facts: dict = field(default_factory=dict)
    is_keras: bool = False


def read_weights(path):
    """Read a file of weights.

    Args:
        path: Path of a file of Keras (`.keras`, `.weights.h5`, `.h5`),
            PyTorch (`.pth`, `.safetensors`), Caffe (`.caffemodel`), ONNX, or
            of a dict of NumPy arrays (`.npy`); or the alias of a published
            file (see `published.PUBLISHED`), which is downloaded.

    Returns:
        A `WeightFile`.

    Raises:
        ValueError: if it is none of these, is damaged, holds other things
            than arrays, or is not the published file that its name says.
    """
    path = os.fspath(path)
    if is_alias(path):
        path = os.fspath(fetch(path))
    if os.path.isdir(path) or not os.path.exists(path):
        raise ValueError(
            f"There is no file {path!r} to read weights from, nor a run "
            "folder or a published file of that name."
        )
    with refusing(path, KNOWN), open_regular(path) as opened:
        read = _reader(path, *opened)
    check_published(path)
    with refusing(path, KNOWN):
        found = read(path)
        if not found.layers:
            raise ValueError("it holds no layers with weights")
        for name, arrays in found.layers.items():
            if not arrays or any(np.ndim(array) == 0 for array in arrays):
                raise ValueError(
                    f"its {shown(name)} has a single number, or nothing, for "
                    "an array"
                )
    return found


def _reader(path, file, size):
    start = file.read(16)
    # The length of the header comes first, and may look like another format.
    length = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and length < size:
        return _read_safetensors
    if start.startswith(b"PK"):
        is_keras = "config.json" in open_records(file, size)
        return _read_keras if is_keras else _read_pth
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return _read_keras
    if start.startswith(b"\x93NUMPY"):
        return _read_npy
    if start.startswith(b"\x80"):  # a pickle: PyTorch before 1.6
        return _read_pth
    # The first field of a ModelProto is its version, a number; that of a
    # NetParameter its name, a string.
    if start.startswith(b"\x08"):
        return _read_onnx
    if path.endswith(".caffemodel") or start.startswith(b"\x0a"):
        return _read_caffe
    raise ValueError("it begins like none that is known")


def _read_keras(path):
    layers, config = hdf5.read_keras(path)
    if "conv_2_1" in layers:  # heuritech/convnets-keras
        return WeightFile(channels_last(from_theano(layers)), "heuritech")
    facts = (config or {}).get("config", {})
    ours = str((config or {}).get("registered_name")).endswith(">AlexNetModel")
    if not ours or not isinstance(facts, dict):
        return WeightFile(layers, is_keras=True)
    with refusing(path, "a .keras file of this package"):
        facts = {name: facts.get(name) for name in SAVED} | _shapes(facts)
        _check_facts(facts)
        if facts["class_names"] is not None:
            facts["class_names"] = checked_names(facts["class_names"])
    return WeightFile(layers, facts["variant"], facts, is_keras=True)


def _check_facts(facts):
    variant, padding = facts["variant"], facts["padding"]
    if variant is not None and variant not in list(VARIANTS):
        raise ValueError(f"there is no variant {shown(variant)}")
    pair = [padding] * 2 if isinstance(padding, str) else padding
    if padding is not None and not (
        isinstance(pair, list)
        and len(pair) == 2
        and all(one in PADDINGS for one in pair)
    ):
        raise ValueError(f"there is no padding {shown(padding)}")
    if not isinstance(facts["checks_range"], bool | None):
        raise ValueError("its `checks_range` is neither true nor false")
    _check_pixels(facts["resize_pixels"])


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


def _read_pth(path):
    tensors = read_torch.read_pth(path)
    # A state dict is in order, unless somebody has sorted it otherwise.
    if all(re.search("[0-9]", name) for name in tensors):
        tensors = dict(sorted(tensors.items(), key=place(tensors)))
    return _of_torch(tensors)


def _read_safetensors(path):
    return _of_torch(read_safetensors(path))


def _of_torch(tensors):
    layers = {}
    for name, value in tensors.items():
        layer, _, kind = name.rpartition(".")
        if kind == "num_batches_tracked" or kind not in ("weight", "bias"):
            raise ValueError(
                f"it holds {shown(name)}, which is no weight or bias of a "
                "convolution or a fully connected layer"
            )
        layers.setdefault(layer, {})[kind] = value
    pairs = {
        name: pair(name, parts.get("weight"), parts.get("bias"))
        for name, parts in layers.items()
    }
    layers = channels_last(pairs)
    return WeightFile(layers, _torchvision(layers))


def _torchvision(layers):
    """Torchvision's is the only AlexNet in PyTorch with 64 first maps."""
    first = next(iter(layers.values()), [np.zeros(1)])[0]
    return "torchvision" if first.shape == (11, 11, 3, 64) else None


def _read_npy(path):
    # kratzert/finetune_alexnet_with_tensorflow and caffe-tensorflow: Caffe's
    # AlexNet, already in TensorFlow's layout.
    layers = {
        name: list(both) for name, both in read_torch.read_npy(path).items()
    }
    order = sorted(layers, key=lambda n: (not n.startswith("conv"), n))
    return WeightFile({n: layers[n] for n in order}, "caffe_alexnet")


def _read_caffe(path):
    _, rows = protobufs.read_caffemodel(path)
    layers = {}
    for name, kind, blobs in rows:
        if not blobs:
            continue
        kernel = blobs[0]
        if kernel.ndim == 4 and kernel.shape[:2] == (1, 1):  # V1's fc layers
            kernel = kernel[0, 0]
        bias = blobs[1] if len(blobs) > 1 else None
        layers[name] = pair(f"{name} ({kind})", kernel, bias)
    kinds = [kind for _, kind, _ in rows]
    norms = protobufs.read_caffe_norms(path)
    variant = None
    if "Pooling" in kinds and _are_caffes(norms):
        pool_first = kinds.index("Pooling") < kinds.index("LRN")
        variant = "caffenet" if pool_first else "caffe_alexnet"
    return WeightFile(channels_last(layers), variant)


def _read_onnx(path):
    nodes, tensors = protobufs.read_onnx(path)
    layers, last_order, without_bias = {}, False, {}
    for op, inputs, outputs, attributes in nodes:
        if op in ("Conv", "Gemm", "MatMul"):
            name = _of(inputs, tensors)
            layers[name] = _onnx_pair(op, inputs, attributes, tensors)
            if len(inputs) < 3:
                without_bias.update(dict.fromkeys(outputs, name))
        elif op == "Add":
            _add_bias(layers, without_bias, inputs, tensors)
        elif op in MOVES and inputs and inputs[0] in without_bias:
            name = without_bias[inputs[0]]
            without_bias.update(dict.fromkeys(outputs, name))
        if op == "Transpose" and attributes.get("perm") == [0, 2, 3, 1]:
            last_order = True
    layers = channels_last(layers, last_order)
    kinds = [op for op, *_ in nodes]
    norms = [attributes for op, _, _, attributes in nodes if op == "LRN"]
    variant = None
    if not norms:
        variant = _torchvision(layers)
    elif "MaxPool" in kinds and _are_caffes(norms):
        pool_first = kinds.index("MaxPool") < kinds.index("LRN")
        variant = "caffenet" if pool_first else "caffe_alexnet"
    return WeightFile(layers, variant)


def _add_bias(layers, without_bias, inputs, tensors):
    """An `Add` behind a layer that has no bias is its bias."""
    value = next((tensors[n] for n in inputs if n in tensors), None)
    if value is None or np.size(value) == 1:  # such as in a normalization
        return
    name = next((without_bias[n] for n in inputs if n in without_bias), None)
    if name is None or np.size(value) != len(layers[name][1]):
        raise ValueError(
            f"it adds {np.size(value)} numbers where no layer has its bias"
        )
    layers[name][1] = np.ravel(value)
    for output in [n for n, of in without_bias.items() if of == name]:
        del without_bias[output]


def _of(inputs, tensors):
    return next((n for n in inputs[1:] if n in tensors), str(inputs))


def _onnx_pair(op, inputs, attributes, tensors):
    kernel = tensors.get(inputs[1]) if len(inputs) > 1 else None
    bias = tensors.get(inputs[2]) if len(inputs) > 2 else None
    if kernel is not None and (
        op == "MatMul" or not _number(attributes, "transB", op == "Conv")
    ):
        kernel = kernel.T
    if any(_number(attributes, name, 1) != 1 for name in ("alpha", "beta")):
        raise ValueError("it scales a layer, which cannot be read")
    return pair(_of(inputs, tensors), kernel, bias)


def _are_caffes(norms):
    """Whether there are normalizations, all with Caffe's constants."""
    return bool(norms) and all(
        math.isclose(_number(norm, name, value), value, rel_tol=1e-5)
        for norm in norms
        for name, value in CAFFE_NORM.items()
    )


def _number(attributes, name, default):
    value = attributes.get(name, default)
    if not isinstance(value, int | float):
        raise ValueError(f"its attribute {name!r} is no number")
    return value
