"""Well-formed files at the limit of size, sparse ones: memory and time."""

import json
import math
import struct
import time

import numpy as np
import pytest
from peak import peak_of

from keras_alexnet.export.torch_files import write_safetensors
from keras_alexnet.untrusted_files import MOST_BYTES
from keras_alexnet.weights.read_weights import read_weights
from keras_alexnet.weights.safetensors_file import read_safetensors

MOST_GROWTH = 1e9  # bytes
COUNT = MOST_BYTES // 4 // 1000 * 1000  # float32 numbers that are allowed
TENSOR = "classifier.6.weight"


def varint(value):
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(number, data, more=0):
    """A field with its length in front; `more` bytes of it come later."""
    return varint(number << 3 | 2) + varint(len(data) + more) + data


def shape_of(count):
    return b"".join(map(varint, (count // 1000, 1000)))


def safetensors(kind, width, count):
    size = width * count
    facts = {"dtype": kind, "shape": [count // 1000, 1000]}
    text = json.dumps({TENSOR: facts | {"data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(text)) + text, size


def caffe(number, width, count):
    size = width * count
    data = field(7, field(1, shape_of(count))) + field(number, b"", size)
    layer = field(1, b"fc8") + field(2, b"InnerProduct") + field(7, data, size)
    return field(1, b"n") + field(100, layer, size), size


def onnx(kind, width, count):
    size = width * count
    tensor = field(1, shape_of(count)) + varint(2 << 3) + varint(kind)
    tensor += field(8, b"w") + field(9, b"", size)
    names = field(1, b"x") + field(1, b"w") + field(2, b"y")
    graph = field(1, names + field(4, b"MatMul")) + field(5, tensor, size)
    return b"\x08\x08" + field(7, graph, size), size


FILES = {
    "F32.safetensors": safetensors("F32", 4, COUNT),
    "BF16.safetensors": safetensors("BF16", 2, COUNT),
    "F64.safetensors": safetensors("F64", 8, COUNT // 2),
    "float.caffemodel": caffe(5, 4, COUNT),
    "double.caffemodel": caffe(8, 8, COUNT // 2),
    "float.onnx": onnx(1, 4, COUNT),
    "bfloat16.onnx": onnx(16, 2, COUNT),
    "double.onnx": onnx(11, 8, COUNT // 2),
}


def write_sparse(path, start, size):
    with open(path, "wb") as file:
        file.write(start)
        file.truncate(len(start) + size)
    return path


@pytest.mark.parametrize("name", FILES)
def test_what_is_as_large_as_allowed_is_in_memory_once(tmp_path, name):
    path = write_sparse(tmp_path / name, *FILES[name])
    start = time.perf_counter()
    growth, refused, _ = peak_of(read_weights, path)
    assert refused == 0
    assert growth < MOST_GROWTH
    assert time.perf_counter() - start < 60  # alone it takes two


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_text_as_large_as_the_file_is_not_read(tmp_path, number):
    size = MOST_BYTES // 2
    start = field(1, b"", size)
    if number > 1:  # the name of a layer, the type of a node
        start = field(100, field(1, b"", size), size)
    if number == 3:
        node = field(1, field(4, b"", size), size)
        start = b"\x08\x08" + field(7, node, size)
    path = write_sparse(tmp_path / "net.caffemodel", start, size)
    growth, refused, _ = peak_of(read_weights, path)
    assert refused == 1
    assert growth < 1e8


def test_as_many_texts_as_may_be(tmp_path):
    """Names of layers, each with one character that takes four bytes."""
    name = "\N{GRINNING FACE}".encode() + 4092 * b"a"
    layer = field(100, field(1, name))
    path = tmp_path / "net.caffemodel"
    path.write_bytes(9_000 * layer)
    growth, refused, _ = peak_of(read_weights, path)
    assert refused == 1
    assert growth < MOST_GROWTH / 4


@pytest.mark.parametrize("low", [0x80, 0x50, 0x08, 0x0A, 0x88])
def test_the_length_of_a_header_is_no_other_format(tmp_path, low):
    """Each is also how a file of PyTorch, a zip, ONNX or Caffe begins."""
    value = np.arange(6, dtype="f4").reshape(2, 3)
    path = tmp_path / "weights.safetensors"
    write_safetensors({"fc8.weight": value}, path)
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    longer = 2**8 * math.ceil(size / 2**8) + low
    if low == 0x50:
        longer += 0x4B00  # "PK"
    text = data[8 : 8 + size].ljust(longer)
    path.write_bytes(struct.pack("<Q", longer) + text + data[8 + size :])
    np.testing.assert_array_equal(read_safetensors(path)["fc8.weight"], value)
    ((kernel, _),) = read_weights(path).layers.values()
    np.testing.assert_array_equal(kernel, value.T)
