"""The safetensors format: tensors of networks and of states of trainings."""

import json
import math
import re
import struct

import numpy as np
import safetensors

from keras_alexnet.untrusted_files import MOST_BYTES
from keras_alexnet.untrusted_files import PIECE
from keras_alexnet.untrusted_files import open_regular
from keras_alexnet.untrusted_files import refusing
from keras_alexnet.untrusted_files import shown

# An AlexNet's header has 2 kB; the package itself reads up to 100 MB.
MOST_HEADER_BYTES = 2**20
# The format's names of the types that weights have (and counters, "I64"), as
# they lie in a file; "BF16" is the upper half of a float32.
NUMBERS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
}


def write_tensors(tensors, path, metadata):
    """Write a file in the format of safetensors, into that file itself.

    The package of that name writes into another one beside it, `.tmp` and six
    letters, which a kill would leave, and which nobody but its owner can read.

    Args:
        tensors: Dict of name -> array.
        path: Path of the file to write.
        metadata: Dict of texts.

    Raises:
        OSError: if it cannot be written.
    """
    # The widest first, so that each begins at a multiple of its width.
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header, end = {"__metadata__": metadata}, 0
    for name in names:
        value = tensors[name]
        start, end = end, end + value.nbytes
        header[name] = {
            "dtype": _type_name(value.dtype),
            "shape": value.shape,
            "data_offsets": (start, end),
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(bytes_of_array(tensors[name]))


def _type_name(dtype):
    """The format's name of a type: "F32" for float32."""
    if dtype.name == "bool":
        return "BOOL"
    kind, bits = re.fullmatch(r"(b?float|u?int)(\d+)", dtype.name).groups()
    return {"float": "F", "bfloat": "BF", "int": "I", "uint": "U"}[kind] + bits


def bytes_of_array(array):
    """The memory of an array in C order, without a copy where it has it."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def read_safetensors(path):
    """Read the tensors of a `.safetensors` file.

    Args:
        path: Path of the file.

    Returns:
        A dict: name -> array. Files keep no order; this one is that of
        networks: convolutions before fully connected layers, then by the
        layer's name, with its numbers as numbers. `bfloat16` becomes
        `float32`.

    Raises:
        ValueError: if it is damaged, something else, or holds other things
            than numbers.
    """
    with refusing(path, "a safetensors file"):
        with open_regular(path) as (file, _):
            start = file.read(8)
            size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 0 < size <= MOST_HEADER_BYTES:
                raise ValueError("its header is not one of a network")
            parts = _parts(path)
            if sum(map(_bytes, parts.values())) > MOST_BYTES:
                raise ValueError("it holds more numbers than an AlexNet")
            file.seek(8 + size)
            tensors = {n: _tensor(file, *part) for n, part in parts.items()}
        return dict(sorted(tensors.items(), key=place(tensors)))


def _parts(path):
    """Name -> type and shape, as they lie in the file, without gaps.

    The package proves the header. It would also give the numbers, but maps
    the file for them, which is then in memory twice.
    """
    with safetensors.safe_open(path, framework="np") as file:
        slices = {name: file.get_slice(name) for name in file.offset_keys()}
        parts = {n: (s.get_dtype(), s.get_shape()) for n, s in slices.items()}
    for name, (kind, _) in parts.items():
        if kind not in NUMBERS:
            raise ValueError(f"{shown(name)} is of the type {kind}")
    return parts


def _bytes(part):
    kind, shape = part
    return max(np.dtype(NUMBERS[kind]).itemsize, 4) * math.prod(shape)


def _tensor(file, kind, shape):
    is_half, dtype = kind == "BF16", np.dtype(NUMBERS[kind])
    values = np.empty(math.prod(shape), "<u4" if is_half else dtype)
    for start in range(0, values.size, PIECE):
        piece = values[start : start + PIECE]
        data = file.read(piece.size * dtype.itemsize)
        if len(data) < piece.size * dtype.itemsize:
            raise ValueError("it ends too early")
        piece[:] = np.frombuffer(data, dtype)
    if is_half:
        values <<= 16
        values = values.view("<f4")
    return values.reshape(shape)


def place(tensors):
    """A key for sorting the items of a dict of tensors."""
    axes = {}
    for name, value in tensors.items():
        layer = name.rpartition(".")[0]
        axes[layer] = max(axes.get(layer, 0), value.ndim)

    def key(item):
        layer, _, kind = item[0].rpartition(".")
        parts = re.split("([0-9]+)", layer)
        parts[1::2] = [number.zfill(20) for number in parts[1::2]]
        return -axes[layer], parts, kind != "weight", kind

    return key
