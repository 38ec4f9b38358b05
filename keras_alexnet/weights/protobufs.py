"""Files of Caffe and ONNX, read without either of them."""

import math

import numpy as np

from keras_alexnet.untrusted_files import refusing
from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights.parsers.protobuf import Numbers
from keras_alexnet.weights.parsers.protobuf import open_message
from keras_alexnet.weights.protobuf_tables import ATTRIBUTE_TYPES
from keras_alexnet.weights.protobuf_tables import BFLOAT16
from keras_alexnet.weights.protobuf_tables import BLOB
from keras_alexnet.weights.protobuf_tables import FLOAT16
from keras_alexnet.weights.protobuf_tables import MODEL
from keras_alexnet.weights.protobuf_tables import NET
from keras_alexnet.weights.protobuf_tables import NORM_DEFAULTS
from keras_alexnet.weights.protobuf_tables import TENSOR_TYPES
from keras_alexnet.weights.protobuf_tables import V1_TYPES

MOST_AXES = 8


def read_caffemodel(path):
    """Read the layers of a `.caffemodel`.

    Args:
        path: Path of the file, of Caffe's present kind or that of 2014 (V1).

    Returns:
        The net's name and a list of `(name, type, blobs)`, one for each
        layer in order; blobs are `float32` arrays in Caffe's shapes, which
        for V1 always have four axes.

    Raises:
        ValueError: if it is damaged or something else.
    """
    with (
        refusing(path, "a Caffe model"),
        open_message(path, NET) as net,
    ):
        layers = [
            (row["name"] or "", _type(row), [_blob(b) for b in row["blobs"]])
            for row in _layers(net)
        ]
    return net["name"] or "", layers


def read_caffe_norms(path):
    """Read what a `.caffemodel` says of its response normalizations.

    Args:
        path: Path of the file.

    Returns:
        A list of dicts, one for each in order: size, alpha (which Caffe and
        ONNX divide by the size), beta and bias, as ONNX names them.

    Raises:
        ValueError: if it is damaged or something else.
    """
    with (
        refusing(path, "a Caffe model"),
        open_message(path, NET) as net,
    ):
        rows = _layers(net)
        norms = [row["lrn_param"] or {} for row in rows if _type(row) == "LRN"]
        if any(norm.get("norm_region") for norm in norms):
            raise ValueError("it normalizes within channels, not across them")
    return [
        {
            name: default if norm.get(field) is None else norm[field]
            for name, (field, default) in NORM_DEFAULTS.items()
        }
        for norm in norms
    ]


def read_mean(path):
    """Read a mean image such as `imagenet_mean.binaryproto`.

    Args:
        path: Path of the file.

    Returns:
        `float32` array (channels, height, width); Caffe's channels are BGR.

    Raises:
        ValueError: if it is damaged or something else.
    """
    with (
        refusing(path, "a mean image of Caffe"),
        open_message(path, BLOB) as blob,
    ):
        mean = _blob(blob)
        if mean.ndim == 4 and len(mean) == 1:
            mean = mean[0]
        if mean.ndim != 3 or not mean.size:
            raise ValueError(f"its shape is {mean.shape}")
    return mean


def read_onnx(path):
    """Read the graph of an ONNX file.

    Args:
        path: Path of the file.

    Returns:
        A list of `(op type, inputs, outputs, attributes)`, one for each node
        in order, and a dict of name -> array, the initializers and the
        outputs of `Constant` nodes. Attributes are a dict; `bfloat16`
        becomes `float32`.

    Raises:
        ValueError: if it is damaged or something else, or has its weights in
            other files.
    """
    with (
        refusing(path, "an ONNX model"),
        open_message(path, MODEL) as model,
    ):
        graph = model["graph"]
        if graph is None or not graph["node"]:
            raise ValueError("it has no nodes")
        nodes = [
            (
                node["op_type"] or "",
                node["input"],
                node["output"],
                {a["name"]: _attribute(a) for a in node["attribute"]},
            )
            for node in graph["node"]
        ]
        tensors = {t["name"] or "": _tensor(t) for t in graph["initializer"]}
    for op, _, outputs, attributes in nodes:
        if op == "Constant" and len(attributes) == 1 and outputs:
            (value,) = map(np.asarray, attributes.values())
            if value.dtype.kind in "bif":
                tensors[outputs[0]] = value
    return nodes, tensors


def _layers(net):
    if net["layer"] and net["layers"]:
        raise ValueError("its layers are of two kinds")
    layers = net["layer"] or net["layers"]
    if not layers:
        raise ValueError("it has no layers")
    if any(row.get("layer") is not None for row in layers):
        raise ValueError(
            "it is of 2013, which Caffe's upgrade_net_proto_binary can upgrade"
        )
    return layers


def _type(row):
    kind = row["type"] or ""
    return V1_TYPES.get(kind, f"V1 {kind}") if isinstance(kind, int) else kind


def _blob(blob):
    sizes = [blob[name] for name in ("num", "channels", "height", "width")]
    if any(size is not None for size in sizes):  # as Blob::FromProto does it
        shape = [size or 0 for size in sizes]
    else:
        shape = (blob["shape"] or {"dim": []})["dim"]
    values = blob["double_data"] if len(blob["double_data"]) else blob["data"]
    _check_shape(shape, len(values))
    return values.read("float32").reshape(shape)


def _check_shape(shape, count):
    if len(shape) > MOST_AXES or min(shape, default=0) < 0:
        raise ValueError(f"an array has the shape {_text(shape)}")
    if math.prod(shape) != count:
        raise ValueError(
            f"an array of shape {_text(shape)} has {count:,} values"
        )


def _text(shape):
    more = ", ..." if len(shape) > MOST_AXES else ""
    return f"({', '.join(map(str, shape[:MOST_AXES]))}{more})"


def _tensor(tensor):
    name, kind = shown(tensor["name"] or ""), tensor["data_type"]
    if tensor["external_data"] or tensor["data_location"]:
        raise ValueError(
            "its weights are in other files (external data); save it with "
            "them inside"
        )
    if kind not in TENSOR_TYPES:
        raise ValueError(
            f"{name} has numbers of ONNX's type {kind}, not floats; if the "
            "net is quantized, take the one that is not"
        )
    dtype, field = TENSOR_TYPES[kind]
    values = tensor[field]
    if tensor["raw_data"] is not None:
        if len(tensor["raw_data"]) % np.dtype(dtype).itemsize:
            raise ValueError(f"{name} ends within a number")
        values = Numbers([(tensor["raw_data"], 0)], dtype)
    _check_shape(tensor["dims"], len(values))
    return _read(values, kind, name).reshape(tensor["dims"])


def _read(values, kind, name):
    """The array of a tensor's `Numbers`, or of its list of integers."""
    dtype = np.dtype(TENSOR_TYPES[kind][0])
    if not isinstance(values, Numbers):
        try:
            values = np.asarray(values, dtype)
        except (OverflowError, ValueError) as error:
            raise ValueError(f"{name} has numbers too large") from error
    if kind == BFLOAT16:  # the upper half of a float32
        is_list = isinstance(values, np.ndarray)
        bits = values.astype("<u4") if is_list else values.read("<u4")
        bits <<= 16
        return bits.view("<f4")
    values = values if isinstance(values, np.ndarray) else values.read()
    return values.view("<f2") if kind == FLOAT16 else values


def _attribute(attribute):
    field = ATTRIBUTE_TYPES.get(attribute["type"])
    value = attribute.get(field)
    if field == "t":
        return None if value is None else _tensor(value)
    if field == "s":
        return value.text("replace") if value else ""
    if field == "strings":
        return [text.text("replace") for text in value]
    if field == "floats":
        return value.read().tolist()
    return value or 0 if field in ("f", "i") else value
