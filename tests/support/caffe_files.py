"""Writes Caffe's files by Caffe's schema, with Google's protobuf.

The schema is what matters here of BVLC/caffe src/caffe/proto/caffe.proto.
"""

import numpy as np
from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import message_factory

FIELD = descriptor_pb2.FieldDescriptorProto
KINDS = {
    "float": FIELD.TYPE_FLOAT,
    "double": FIELD.TYPE_DOUBLE,
    "int32": FIELD.TYPE_INT32,
    "int64": FIELD.TYPE_INT64,
    "uint32": FIELD.TYPE_UINT32,
    "string": FIELD.TYPE_STRING,
    "bytes": FIELD.TYPE_BYTES,
}
# "name number kind", a star for repeated fields, two for packed ones.
SCHEMA = {
    "BlobShape": ["dim 1 int64**"],
    "BlobProto": [
        "num 1 int32",
        "channels 2 int32",
        "height 3 int32",
        "width 4 int32",
        "data 5 float**",
        "diff 6 float**",
        "shape 7 BlobShape",
        "double_data 8 double**",
    ],
    "ConvolutionParameter": [
        "num_output 1 uint32",
        "kernel_size 4 uint32*",
        "group 5 uint32",
    ],
    "LRNParameter": [
        "local_size 1 uint32",
        "alpha 2 float",
        "beta 3 float",
        "norm_region 4 int32",
        "k 5 float",
    ],
    "LayerParameter": [
        "name 1 string",
        "type 2 string",
        "bottom 3 string*",
        "top 4 string*",
        "blobs 7 BlobProto*",
        "convolution_param 106 ConvolutionParameter",
        "lrn_param 118 LRNParameter",
    ],
    "V1LayerParameter": [
        "layer 1 bytes",  # V0LayerParameter
        "bottom 2 string*",
        "top 3 string*",
        "name 4 string",
        "type 5 int32",
        "blobs 6 BlobProto*",
        "blobs_lr 7 float*",
        "convolution_param 10 ConvolutionParameter",
        "lrn_param 18 LRNParameter",
    ],
    "NetParameter": [
        "name 1 string",
        "layers 2 V1LayerParameter*",
        "input 3 string*",
        "input_dim 4 int32*",
        "layer 100 LayerParameter*",
    ],
}
V1_TYPES = {
    "Convolution": 4,
    "Data": 5,
    "Dropout": 6,
    "InnerProduct": 14,
    "LRN": 15,
    "Pooling": 17,
    "ReLU": 18,
    "Softmax": 20,
}
MANY = 10_000  # values that are written one by one, as protobuf does it


def messages(packed=True, whole=False):
    """Classes of the schema's messages, by name.

    `whole` declares `data` as bytes, which on the wire is what packed floats
    are, so that millions of them are written at once.
    """
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto")
    file.package = "caffe"
    for message, rows in SCHEMA.items():
        added = file.message_type.add(name=message)
        for row in rows:
            name, number, kind = row.split()
            if whole and name == "data":
                kind = "bytes"
            field = added.field.add(name=name, number=int(number))
            field.label = (
                FIELD.LABEL_REPEATED if "*" in kind else FIELD.LABEL_OPTIONAL
            )
            if kind.endswith("**") and packed:
                field.options.packed = True
            kind = kind.rstrip("*")
            if kind in KINDS:
                field.type = KINDS[kind]
            else:
                field.type = FIELD.TYPE_MESSAGE
                field.type_name = f".caffe.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"caffe.{name}")
        )
        for name in SCHEMA
    }


def write_caffemodel(
    path, layers, *, name="AlexNet", v1=False, packed=True, double=False
):
    """Writes a `.caffemodel`.

    `layers` are dicts: name, type ("Convolution"), blobs (arrays, in Caffe's
    order of axes), and if they should be there group and norm (a dict of
    LRNParameter). `v1` writes them as in 2014, with four axes for all blobs.
    """
    many = any(np.size(b) > MANY for x in layers for b in x.get("blobs", ()))
    kinds = messages(packed, whole=many and not double)
    net = kinds["NetParameter"](name=name)
    for values in layers:
        layer = (net.layers if v1 else net.layer).add(name=values["name"])
        layer.type = V1_TYPES[values["type"]] if v1 else values["type"]
        for array in values.get("blobs", ()):
            fill_blob(layer.blobs.add(), array, legacy=v1, double=double)
        if "group" in values:
            layer.convolution_param.group = values["group"]
        for key, value in values.get("norm", {}).items():
            setattr(layer.lrn_param, key, value)
    with open(path, "wb") as file:
        file.write(net.SerializeToString())
    return path


def write_mean(path, mean, legacy=True):
    """Writes a mean image (channels, height, width) as a `.binaryproto`."""
    blob = messages(whole=np.size(mean) > MANY)["BlobProto"]()
    fill_blob(blob, mean[np.newaxis], legacy)
    with open(path, "wb") as file:
        file.write(blob.SerializeToString())
    return path


def fill_blob(blob, array, legacy=False, double=False):
    """Puts an array into a `BlobProto`."""
    array = np.asarray(array)
    if legacy:
        shape = (1,) * (4 - array.ndim) + array.shape
        blob.num, blob.channels, blob.height, blob.width = shape
    else:
        blob.shape.dim.extend(array.shape)
    if double:
        blob.double_data.extend(array.ravel().tolist())
    elif isinstance(blob.data, bytes):
        blob.data = array.astype("<f4").tobytes()
    else:
        blob.data.extend(array.ravel().tolist())


def caffe_layers(weights, *, pool_first=False):
    """The layers of an AlexNet, as in train_val.prototxt's order.

    `weights` is a dict of name -> `[kernel, bias]` in Caffe's order of axes;
    `pool_first` is CaffeNet's order.
    """
    layers = [{"name": "data", "type": "Data"}]
    norm = {"local_size": 5, "alpha": 1e-4, "beta": 0.75}
    for number, (name, blobs) in enumerate(weights.items(), 1):
        convolution = np.ndim(blobs[0]) == 4
        kind = "Convolution" if convolution else "InnerProduct"
        layers.append({"name": name, "type": kind, "blobs": blobs})
        if number in (2, 4, 5):
            layers[-1]["group"] = 2
        if number < len(weights):
            layers.append({"name": f"relu{number}", "type": "ReLU"})
        between = [{"name": f"norm{number}", "type": "LRN", "norm": norm}]
        pool = {"name": f"pool{number}", "type": "Pooling"}
        if number in (1, 2):
            layers += [pool, *between] if pool_first else [*between, pool]
        elif number == 5:
            layers.append(pool)
        elif number in (6, 7):
            layers.append({"name": f"drop{number}", "type": "Dropout"})
    layers.append({"name": "loss", "type": "Softmax"})
    return layers
