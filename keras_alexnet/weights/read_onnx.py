"""ONNX files, read without ONNX."""

import numpy as np

from keras_alexnet.untrusted_files import refusing
from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights.layouts import channels_last
from keras_alexnet.weights.layouts import pair
from keras_alexnet.weights.parsers.protobuf import BYTES
from keras_alexnet.weights.parsers.protobuf import DOUBLES
from keras_alexnet.weights.parsers.protobuf import FLOAT
from keras_alexnet.weights.parsers.protobuf import FLOATS
from keras_alexnet.weights.parsers.protobuf import INT
from keras_alexnet.weights.parsers.protobuf import INTS
from keras_alexnet.weights.parsers.protobuf import TEXT
from keras_alexnet.weights.parsers.protobuf import Numbers
from keras_alexnet.weights.parsers.protobuf import check_shape
from keras_alexnet.weights.parsers.protobuf import open_message
from keras_alexnet.weights.weight_file import WeightFile
from keras_alexnet.weights.weight_file import has_caffes_norms
from keras_alexnet.weights.weight_file import number_of
from keras_alexnet.weights.weight_file import variant_of_torch

# ONNX operations that may stand between a layer and its bias.
MOVES = ("Transpose", "Reshape", "Squeeze")

# ONNX.
TENSOR = {
    1: ("dims", INTS),
    2: ("data_type", INT),
    4: ("float_data", FLOATS),
    5: ("int32_data", INTS),
    7: ("int64_data", INTS),
    8: ("name", TEXT),
    9: ("raw_data", BYTES),
    10: ("double_data", DOUBLES),
    13: ("external_data", [BYTES]),
    14: ("data_location", INT),
}
ATTRIBUTE = {
    1: ("name", TEXT),
    2: ("f", FLOAT),
    3: ("i", INT),
    4: ("s", BYTES),
    5: ("t", TENSOR),
    7: ("floats", FLOATS),
    8: ("ints", INTS),
    9: ("strings", [BYTES]),
    20: ("type", INT),
}
NODE = {
    1: ("input", [TEXT]),
    2: ("output", [TEXT]),
    4: ("op_type", TEXT),
    5: ("attribute", [ATTRIBUTE]),
}
GRAPH = {1: ("node", [NODE]), 5: ("initializer", [TENSOR])}
MODEL = {7: ("graph", GRAPH)}
# TensorProto.DataType: how its values lie in `raw_data`, and the field that
# has them otherwise (float16, bfloat16 as the 16 bits in an int).
TENSOR_TYPES = {
    1: ("<f4", "float_data"),
    6: ("<i4", "int32_data"),
    7: ("<i8", "int64_data"),
    9: ("?", "int32_data"),
    10: ("<u2", "int32_data"),
    11: ("<f8", "double_data"),
    16: ("<u2", "int32_data"),
}
FLOAT16, BFLOAT16 = 10, 16
# AttributeProto.AttributeType -> the field with the value. Graphs and the
# like are not read.
ATTRIBUTE_TYPES = {
    1: "f",
    2: "i",
    3: "s",
    4: "t",
    6: "floats",
    7: "ints",
    8: "strings",
}


def read_onnx_graph(path):
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
    check_shape(tensor["dims"], len(values))
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


def read_onnx(path):
    """The `WeightFile` of an ONNX file."""
    nodes, tensors = read_onnx_graph(path)
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
        variant = variant_of_torch(layers)
    elif "MaxPool" in kinds and has_caffes_norms(norms):
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
        op == "MatMul" or not number_of(attributes, "transB", op == "Conv")
    ):
        kernel = kernel.T
    if any(number_of(attributes, name, 1) != 1 for name in ("alpha", "beta")):
        raise ValueError("it scales a layer, which cannot be read")
    return pair(_of(inputs, tensors), kernel, bias)
