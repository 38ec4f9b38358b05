"""Which fields of Caffe's and ONNX's files are read (see `parsers.protobuf`).

The numbers are those of BVLC/caffe, src/caffe/proto/caffe.proto, and of
onnx/onnx, onnx/onnx.proto.
"""

from keras_alexnet.weights.parsers.protobuf import BYTES
from keras_alexnet.weights.parsers.protobuf import DOUBLES
from keras_alexnet.weights.parsers.protobuf import FLOAT
from keras_alexnet.weights.parsers.protobuf import FLOATS
from keras_alexnet.weights.parsers.protobuf import INT
from keras_alexnet.weights.parsers.protobuf import INTS
from keras_alexnet.weights.parsers.protobuf import TEXT

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
