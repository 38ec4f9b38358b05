"""Caffe's and ONNX's files as their own libraries write them, and bad ones."""

import time

import numpy as np
import pytest
from caffe_files import caffe_layers
from caffe_files import messages
from caffe_files import write_caffemodel
from caffe_files import write_mean

from keras_alexnet.weights.read_caffe import read_caffemodel
from keras_alexnet.weights.read_onnx import read_onnx_graph

onnx = pytest.importorskip("onnx")
SHAPES = {
    "conv1": (4, 3, 2, 2),
    "conv2": (4, 2, 3, 3),
    "conv3": (6, 4, 1, 1),
    "conv4": (6, 3, 1, 1),
    "conv5": (4, 3, 1, 1),
    "fc6": (5, 16),
    "fc7": (5, 5),
    "fc8": (3, 5),
}
LONG = b"\xff" * 9 + b"\x01"  # 2**64 - 1 as a varint
ONES = np.ones(3, "<f4").tobytes()


@pytest.fixture(scope="module")
def weights():
    generator = np.random.default_rng(0)
    return {
        name: [
            generator.standard_normal(shape, "float32"),
            generator.standard_normal(shape[0], "float32"),
        ]
        for name, shape in SHAPES.items()
    }


def field(number, data):
    """A field with its length in front, as bytes."""
    tag, size = number << 3 | 2, len(data)
    return varint(tag) + varint(size) + data


def varint(value):
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def blob(shape, data):
    return field(7, field(1, b"".join(map(varint, shape)))) + field(5, data)


def net(*blobs):
    """The bytes of a net of one layer."""
    layer = field(1, b"fc8") + field(2, b"InnerProduct")
    return field(100, layer + b"".join(field(7, b) for b in blobs))


def quickly(read, path):
    """Reads, or raises, in less than a second."""
    start = time.perf_counter()
    try:
        return read(path)
    finally:
        assert time.perf_counter() - start < 10


def refusal(read, path):
    with pytest.raises(ValueError, match="cannot be read: ") as error:
        quickly(read, path)
    text = str(error.value)
    assert text.startswith(repr(str(path)))
    assert "it is damaged (" not in text  # what only NumPy or zipfile saw
    assert text.endswith(".")
    assert len(text) < 400
    return text


@pytest.mark.parametrize(
    "kind",
    [{}, {"v1": True}, {"packed": False}, {"double": True}],
    ids=["V2", "V1", "unpacked", "double"],
)
def test_caffemodels_are_read_as_written(tmp_path, weights, kind):
    path = tmp_path / "net.caffemodel"
    write_caffemodel(path, caffe_layers(weights), **kind)
    name, layers, _ = read_caffemodel(path)
    assert name == "AlexNet"
    types = {layer: kind for layer, kind, _ in layers}
    assert types["conv2"] == "Convolution"
    assert types["fc6"] == "InnerProduct"
    assert types["norm1"] == "LRN"
    found = {name: blobs for name, _, blobs in layers if blobs}
    assert list(found) == list(weights)
    for name, pair in weights.items():
        for values, expected in zip(found[name], pair, strict=True):
            assert values.dtype == np.float32
            if kind.get("v1"):
                assert values.ndim == 4
            else:
                assert values.shape == expected.shape
            np.testing.assert_array_equal(values.ravel(), expected.ravel())


@pytest.mark.parametrize("v1", [False, True])
def test_the_order_tells_caffenet_from_alexnet(tmp_path, weights, v1):
    for pool_first in (False, True):
        path = tmp_path / "net.caffemodel"
        layers = caffe_layers(weights, pool_first=pool_first)
        write_caffemodel(path, layers, v1=v1)
        kinds = [kind for _, kind, _ in read_caffemodel(path)[1]]
        assert kinds[:5] == ["Data", "Convolution", "ReLU"] + (
            ["Pooling", "LRN"] if pool_first else ["LRN", "Pooling"]
        )


@pytest.mark.parametrize("v1", [False, True])
def test_norms_are_read_with_caffes_defaults(tmp_path, v1):
    norms = [{"local_size": 3, "alpha": 5e-5, "beta": 0.5, "k": 2.0}, {}]
    layers = [
        {"name": f"norm{i}", "type": "LRN", "norm": norm}
        for i, norm in enumerate(norms)
    ]
    path = write_caffemodel(tmp_path / "net.caffemodel", layers, v1=v1)
    assert read_caffemodel(path)[2] == [
        {"size": 3, "alpha": np.float32(5e-5), "beta": 0.5, "bias": 2.0},
        {"size": 5, "alpha": 1.0, "beta": 0.75, "bias": 1.0},
    ]
    layers[0]["norm"] = {"norm_region": 1}
    write_caffemodel(path, layers, v1=v1)
    assert "within channels" in refusal(read_caffemodel, path)


def test_old_shapes_are_read_in_the_new_kind_of_layer(tmp_path):
    # szagoruyko/loadcaffe#41: there are such files of AlexNet.
    kinds = messages()
    made = kinds["NetParameter"](name="x")
    old = made.layer.add(name="fc6", type="InnerProduct").blobs.add()
    old.num, old.channels, old.height, old.width = 1, 1, 2, 3
    old.data.extend(range(6))
    path = tmp_path / "net.caffemodel"
    path.write_bytes(made.SerializeToString())
    ((_, _, (values,)),) = read_caffemodel(path)[1]
    np.testing.assert_array_equal(values, np.arange(6.0).reshape(1, 1, 2, 3))


def test_parts_of_a_field_are_joined_as_protobuf_joins_them(tmp_path):
    unpacked = b"".join(b"\x2d" + ONES[:4] for _ in range(3))
    parts = field(5, ONES) + unpacked + field(6, ONES) + field(5, ONES)
    data = net(field(7, b"\x08\x03" + field(1, b"\x03")) + parts)
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    ((_, _, (values,)),) = read_caffemodel(path)[1]
    theirs = messages()["NetParameter"].FromString(data).layer[0].blobs[0]
    assert list(theirs.shape.dim) == [3, 3]
    np.testing.assert_array_equal(values.ravel(), list(theirs.data))
    assert values.shape == (3, 3)


def test_files_of_the_others_are_refused(tmp_path, weights):
    caffe = write_caffemodel(tmp_path / "a", caffe_layers(weights))
    mean = write_mean(tmp_path / "b", np.zeros((3, 2, 2)))
    graph = write_onnx(tmp_path / "c")
    own = {read_caffemodel: caffe, read_onnx_graph: graph}
    for read in own:
        for path in {caffe, mean, graph} - {own[read]}:
            refusal(read, path)
        refusal(read, tmp_path / "missing")
        refusal(read, tmp_path)


def test_2013_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(field(2, field(1, field(1, b"conv1"))))
    assert "upgrade_net_proto_binary" in refusal(read_caffemodel, path)


CLAIMS = {
    "empty": b"",
    "no layers": field(1, b"AlexNet"),
    "two kinds of layers": net() + field(2, field(4, b"conv1")),
    "zeros": bytes(10_000),
    "a length of 2**64": b"\xa2\x06" + LONG,
    "a length of 2**62": b"\xa2\x06" + varint(2**62) + b"1",
    "a name that is a number": b"\x08\x01",
    "a name that is not text": field(1, b"\xff\xfe") + net(),
    "an endless number": b"\x0a" + b"\xff" * 20,
    "a group": net() + b"\x0b\x0c",
    "wire type 7": net() + b"\x0f",
    "field 0": net() + b"\x02\x00",
    "a blob that is a number": field(100, b"\x38\x01"),
    "data of one double": net(field(5, b"") + b"\x29" + bytes(8)),
    "half a float": net(blob([3], ONES[:-2])),
    "half an unpacked float": net(field(7, b"\x0a\x01\x01") + b"\x2d12"),
    "too few values": net(blob([2, 2], ONES)),
    "too many values": net(blob([2], ONES)),
    "no values": net(blob([3], b"")),
    "no shape": net(field(5, ONES)),
    "2**62 values": net(blob([2**31, 2**31], ONES)),
    "2**64 values": net(blob([2**32, 2**32], ONES)),
    "a negative axis": net(field(7, field(1, LONG)) + field(5, ONES)),
    "negative axes": net(field(7, field(1, LONG + LONG)) + field(5, ONES)),
    "9 axes": net(blob([1] * 8 + [3], ONES)),
    "10,000 axes": net(blob([1] * 9_999 + [3], ONES)),
    "two shapes": net(field(7, b"") + blob([3], ONES)),
    "ten million tiny fields": b"\x18\x01" * 10**7,
    "tiny fields of two kinds": (b"\x2d1234" + b"\x351234") * 10**6,
    "ten million axes": net(blob([1] * 10**7, ONES)),
    "a million layers": field(100, b"") * 10**6,
}


@pytest.mark.parametrize("data", CLAIMS.values(), ids=CLAIMS)
def test_a_file_that_claims_what_it_has_not_is_refused(tmp_path, data):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    refusal(read_caffemodel, path)


def test_values_in_the_claims_are_read_where_they_fit(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(net(blob([3], ONES)))  # what the claims above vary
    ((name, kind, (values,)),) = read_caffemodel(path)[1]
    assert (name, kind, values.tolist()) == ("fc8", "InnerProduct", [1, 1, 1])


def test_what_is_nested_deep_is_not_entered(tmp_path):
    data = b""
    for _ in range(20_000):
        data = field(100, data)
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    assert quickly(read_caffemodel, path)[1] == [("", "", [])]
    data = field(1, b"")
    for _ in range(20_000):  # If, in If, in If: an attribute's graph
        data = field(1, field(5, field(6, data)))
    path.write_bytes(field(7, data))
    ((op, *_, attributes),) = quickly(read_onnx_graph, path)[0]
    assert (op, attributes) == ("", {None: None})


def test_a_cut_file_is_refused_or_ends_with_a_whole_layer(tmp_path, weights):
    layers = caffe_layers({"conv1": weights["conv1"], "fc8": weights["fc8"]})
    path = write_caffemodel(tmp_path / "net.caffemodel", layers)
    data = path.read_bytes()
    expected = [row["name"] for row in layers]
    refused = 0
    for size in range(len(data)):
        path.write_bytes(data[:size])
        try:
            _, found, _ = read_caffemodel(path)
        except ValueError:
            refused += 1
        else:
            names = [name for name, *_ in found]
            assert names == expected[: len(names)]
    assert refused >= len(data) - len(layers)


@pytest.mark.parametrize("kind", ["caffe", "onnx"])
def test_flipped_bits_are_refused_or_give_whole_arrays(tmp_path, weights, kind):
    path = tmp_path / "net"
    few = {name: weights[name] for name in ("conv1", "fc8")}
    if kind == "caffe":
        write_caffemodel(path, caffe_layers(few))
    else:
        write_onnx(path)
    data = np.frombuffer(path.read_bytes(), "u1")
    generator = np.random.default_rng(0)
    start, refused = time.perf_counter(), 0
    for _ in range(400):
        bad = data.copy()
        places = generator.integers(len(data), size=generator.integers(1, 4))
        bad[places] ^= np.uint8(1) << generator.integers(8, dtype="u1")
        path.write_bytes(bad.tobytes())
        try:
            if kind == "caffe":
                arrays = [b for *_, bs in read_caffemodel(path)[1] for b in bs]
            else:
                arrays = list(read_onnx_graph(path)[1].values())
        except ValueError as error:
            refused += 1
            assert str(error).startswith(repr(str(path)))
        else:
            assert all(array.nbytes < 2 * len(data) for array in arrays)
    assert 20 < refused < 380
    assert time.perf_counter() - start < 20


def write_onnx(path, *tensors, nodes=(), **external):
    """Writes an ONNX file with `onnx` itself."""
    value = onnx.helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    relu = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph(
        [*nodes, relu],
        "net",
        [value("x", kind, [None])],
        [value("y", kind, [None])],
        initializer=list(tensors),
    )
    onnx.save(onnx.helper.make_model(graph), path, **external)
    return path


def typed(name, kind, shape, values):
    kind = getattr(onnx.TensorProto, kind)
    return onnx.helper.make_tensor(name, kind, shape, values)


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float64", "float16", "int64", "int32", "bool"],
)
def test_tensors_are_read_raw_and_typed(tmp_path, dtype):
    values = np.random.default_rng(0).normal(0, 9, (2, 3, 4)).astype(dtype)
    kind = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
    path = write_onnx(
        tmp_path / "net.onnx",
        onnx.numpy_helper.from_array(values, "raw"),
        onnx.helper.make_tensor("typed", kind, (2, 3, 4), values.ravel()),
        onnx.helper.make_tensor("scalar", kind, (), values.ravel()[:1]),
    )
    _, tensors = read_onnx_graph(path)
    for name in ("raw", "typed"):
        assert tensors[name].dtype == values.dtype
        np.testing.assert_array_equal(tensors[name], values)
    assert tensors["scalar"].shape == ()
    assert tensors["scalar"] == values.ravel()[0]


def test_bfloat16_becomes_float32(tmp_path):
    values = np.array([1.5, -0.25, 3e38, 0], "float32")  # the first exactly
    raw = (values.view("<u4") >> 16).astype("<u2")
    tensor = onnx.TensorProto(
        name="x", dims=[4], data_type=16, raw_data=raw.tobytes()
    )
    _, tensors = read_onnx_graph(write_onnx(tmp_path / "net.onnx", tensor))
    expected = onnx.numpy_helper.to_array(tensor).astype("float32")
    np.testing.assert_array_equal(tensors["x"], expected)
    assert tensors["x"][:2].tolist() == [1.5, -0.25]


def test_nodes_attributes_and_constants_are_read(tmp_path):
    kernel = np.ones((2, 1, 3, 3), "float32")
    make = onnx.helper.make_node
    nodes = [
        make("Constant", [], ["k"], value=onnx.numpy_helper.from_array(kernel)),
        make("Constant", [], ["i"], value_ints=[1, -1]),
        make("Constant", [], ["s"], value_string="text"),
        make("Conv", ["x", "k"], ["a"], group=2, pads=[0, 0, 1, 1]),
        make("LRN", ["a"], ["b"], alpha=1e-4, beta=0.75, bias=1.0, size=5),
        make("Gemm", ["b", "k", "x"], ["c"], alpha=0.0, transB=0),
        make("Pad", ["c"], ["d"], mode="edge", value=[0.5, 2.0]),
        make("Odd", ["d"], ["e"], names=["a", "b"], low=-(2**63)),
    ]
    found, tensors = read_onnx_graph(
        write_onnx(tmp_path / "net.onnx", nodes=nodes)
    )
    assert [op for op, *_ in found] == [*(n.op_type for n in nodes), "Relu"]
    for (_, inputs, outputs, attributes), node in zip(
        found, nodes, strict=False
    ):
        assert (inputs, outputs) == (list(node.input), list(node.output))
        for attribute in node.attribute:
            theirs = onnx.helper.get_attribute_value(attribute)
            if attribute.name == "value" and node.op_type == "Constant":
                theirs = kernel
            elif isinstance(theirs, bytes):
                theirs = theirs.decode()
            elif attribute.name == "names":
                theirs = [text.decode() for text in theirs]
            np.testing.assert_array_equal(attributes[attribute.name], theirs)
        assert len(attributes) == len(node.attribute)
    np.testing.assert_array_equal(tensors["k"], kernel)
    np.testing.assert_array_equal(tensors["i"], [1, -1])
    assert "s" not in tensors


def test_weights_in_other_files_are_refused(tmp_path):
    path = write_onnx(
        tmp_path / "net.onnx",
        onnx.numpy_helper.from_array(np.ones(99, "float32"), "w"),
        save_as_external_data=True,
        size_threshold=0,
    )
    assert "other files" in refusal(read_onnx_graph, path)


@pytest.mark.parametrize(
    "tensor",
    [
        {"dims": [2, 2], "raw_data": ONES},
        {"dims": [-3], "raw_data": ONES},
        {"dims": [3], "raw_data": ONES[:-1]},
        {"dims": [2**40, 2**40], "raw_data": ONES},
        {"dims": [3]},
        {"dims": [3], "float_data": [1.0]},
        {"dims": [3], "int32_data": [1, 2, 3]},
        {"dims": [1], "data_type": 10, "int32_data": [-1]},
        {"dims": [3], "data_type": 2, "raw_data": b"123"},
        {"dims": [1], "data_type": 8, "string_data": [b"text"]},
        {"dims": [1], "data_type": 99, "raw_data": b"1"},
        {"dims": [1] * 9 + [3], "raw_data": ONES},
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, tensor):
    tensor = onnx.TensorProto(**{"data_type": 1, "name": "w", **tensor})
    path = write_onnx(tmp_path / "net.onnx", tensor)
    of_other_kind = tensor.data_type in (2, 8, 99)
    assert ("quantized" in refusal(read_onnx_graph, path)) == of_other_kind


@pytest.mark.parametrize("v1", [False, True])
def test_many_weights_are_read_at_once(tmp_path, v1):
    shapes = [(256, 192, 3, 3), (1024, 9216), (1024, 4096)]
    layers = [
        {"name": "x", "type": "InnerProduct", "blobs": [np.ones(s, "f4")]}
        for s in shapes
    ]
    path = write_caffemodel(tmp_path / "net.caffemodel", layers, v1=v1)
    start = time.perf_counter()
    _, found, _ = read_caffemodel(path)
    assert time.perf_counter() - start < 20
    assert [b.size for *_, (b,) in found] == [np.prod(s) for s in shapes]
