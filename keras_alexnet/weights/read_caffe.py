"""Caffe's files, read without Caffe."""

from keras_alexnet.untrusted_files import refusing
from keras_alexnet.weights.layouts import channels_last
from keras_alexnet.weights.layouts import pair
from keras_alexnet.weights.parsers.protobuf import BYTES
from keras_alexnet.weights.parsers.protobuf import DOUBLES
from keras_alexnet.weights.parsers.protobuf import FLOAT
from keras_alexnet.weights.parsers.protobuf import FLOATS
from keras_alexnet.weights.parsers.protobuf import INT
from keras_alexnet.weights.parsers.protobuf import INTS
from keras_alexnet.weights.parsers.protobuf import TEXT
from keras_alexnet.weights.parsers.protobuf import check_shape
from keras_alexnet.weights.parsers.protobuf import open_message
from keras_alexnet.weights.weight_file import WeightFile
from keras_alexnet.weights.weight_file import has_caffes_norms

# Caffe.
BLOB = {
    1: ("num", INT),
    2: ("channels", INT),
    3: ("height", INT),
    4: ("width", INT),
    5: ("data", FLOATS),
    7: ("shape", {1: ("dim", INTS)}),
    8: ("double_data", DOUBLES),
}
NORM = {
    1: ("local_size", INT),
    2: ("alpha", FLOAT),
    3: ("beta", FLOAT),
    4: ("norm_region", INT),
    5: ("k", FLOAT),
}
LAYER = {
    1: ("name", TEXT),
    2: ("type", TEXT),
    7: ("blobs", [BLOB]),
    118: ("lrn_param", NORM),
}
V1_LAYER = {
    1: ("layer", BYTES),  # a layer as it was in 2013
    4: ("name", TEXT),
    5: ("type", INT),
    6: ("blobs", [BLOB]),
    18: ("lrn_param", NORM),
}
NET = {1: ("name", TEXT), 2: ("layers", [V1_LAYER]), 100: ("layer", [LAYER])}
# V1LayerParameter.LayerType, in the names that came after it
# (BVLC/caffe, src/caffe/util/upgrade_proto.cpp).
V1_TYPES = {
    1: "Accuracy",
    4: "Convolution",
    5: "Data",
    6: "Dropout",
    12: "ImageData",
    14: "InnerProduct",
    15: "LRN",
    17: "Pooling",
    18: "ReLU",
    20: "Softmax",
    21: "SoftmaxWithLoss",
    22: "Split",
}
# The defaults of LRNParameter, by the names of ONNX's attributes.
NORM_DEFAULTS = {
    "size": ("local_size", 5),
    "alpha": ("alpha", 1.0),
    "beta": ("beta", 0.75),
    "bias": ("k", 1.0),
}


def read_caffemodel(path):
    """Read a `.caffemodel`.

    Args:
        path: Path of the file, of Caffe's present kind or that of 2014 (V1).

    Returns:
        The net's name; a list of `(name, type, blobs)`, one for each layer in
        order, whose blobs are `float32` arrays in Caffe's shapes (V1's have
        four axes always); and what it says of its response normalizations, a
        list of dicts: size, alpha (which Caffe and ONNX divide by the size),
        beta and bias, as ONNX names them.

    Raises:
        ValueError: if it is damaged or something else.
    """
    with (
        refusing(path, "a Caffe model"),
        open_message(path, NET) as net,
    ):
        rows = _layers(net)
        layers = [
            (row["name"] or "", _type(row), [_blob(b) for b in row["blobs"]])
            for row in rows
        ]
        norms = [_norm(row["lrn_param"]) for row in rows if _type(row) == "LRN"]
    return net["name"] or "", layers, norms


def _norm(found):
    found = found or {}
    if found.get("norm_region"):
        raise ValueError("it normalizes within channels, not across them")
    return {
        name: default if found.get(field) is None else found[field]
        for name, (field, default) in NORM_DEFAULTS.items()
    }


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
    check_shape(shape, len(values))
    return values.read("float32").reshape(shape)


def read_caffe(path):
    """The `WeightFile` of a `.caffemodel`."""
    _, rows, norms = read_caffemodel(path)
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
    variant = None
    if "Pooling" in kinds and has_caffes_norms(norms):
        pool_first = kinds.index("Pooling") < kinds.index("LRN")
        variant = "caffenet" if pool_first else "caffe_alexnet"
    return WeightFile(channels_last(layers), variant)
