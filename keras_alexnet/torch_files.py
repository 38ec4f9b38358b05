"""Tensors into PyTorch's files, and out of safetensors, without PyTorch."""

import json
import math
import re
import struct
import zipfile

import numpy as np
import safetensors

from keras_alexnet.files import replacing
from keras_alexnet.opening import MOST_BYTES
from keras_alexnet.opening import PIECE
from keras_alexnet.opening import open_regular
from keras_alexnet.opening import refusing
from keras_alexnet.opening import shown

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
ALIGNMENT = 64  # bytes; PyTorch's own, and what `torch.load(mmap=True)` likes


def write_safetensors(tensors, path):
    """Write a `.safetensors` file as `safetensors.torch` reads it.

    Args:
        tensors: Dict of name -> array.
        path: Path of the file to write.

    Raises:
        ValueError: if it cannot be written.
    """
    with replacing(path) as temporary:
        write_tensors(tensors, temporary, {"format": "pt"})


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


def write_pth(tensors, path):
    """Write a `.pth` file, PyTorch's zip format, of `float32` tensors.

    `torch.load` reads it with `weights_only=True`, also with `mmap=True`.

    Args:
        tensors: Dict of name -> array.
        path: Path of the file to write.

    Raises:
        ValueError: if it cannot be written.
    """
    values = [_contiguous(value, "<f4") for value in tensors.values()]
    shapes = {
        name: value.shape for name, value in zip(tensors, values, strict=True)
    }
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
    ):
        _add(archive, "data.pkl", _pickled(shapes))
        _add(archive, "byteorder", b"little")
        for key, value in enumerate(values):
            _add(archive, f"data/{key}", value.tobytes())
        _add(archive, "version", b"3\n")  # that of torch 1.6 and later


def _contiguous(value, dtype=None):
    return np.asarray(value, dtype, order="C")  # without an axis for scalars


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


def _add(archive, name, data):
    """Adds a record whose data begins at a multiple of `ALIGNMENT`."""
    info = zipfile.ZipInfo(f"archive/{name}")
    # A local header has 30 bytes, the name and the extra field, whose own
    # header has 4 (PKWARE's APPNOTE.TXT, 4.3.7 and 4.5.1).
    start = archive.fp.tell() + 30 + len(info.filename) + 4
    padding = -start % ALIGNMENT
    # The number by which PyTorch marks its padding, "FB".
    info.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
    archive.writestr(info, data)


def _pickled(shapes):
    """What `pickle` writes of an `OrderedDict` of tensors, by hand.

    Each tensor is `torch._utils._rebuild_tensor_v2(storage, offset, shape,
    strides, requires_grad, backward_hooks)`; its storage is a persistent id
    that names the record and its number of values.
    """
    ordered_dict = b"ccollections\nOrderedDict\n)R"  # GLOBAL, (), REDUCE
    parts = [b"\x80\x02", ordered_dict, b"("]  # PROTO 2; MARK
    for key, (name, shape) in enumerate(shapes.items()):
        strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
        parts += [
            _text(name),
            b"ctorch._utils\n_rebuild_tensor_v2\n((",
            _text("storage"),
            b"ctorch\nFloatStorage\n",
            _text(str(key)),
            _text("cpu"),
            _integer(int(np.prod(shape))),
            b"tQ",  # TUPLE, BINPERSID
            _integer(0),
            _tuple(shape),
            _tuple(strides),
            b"\x89",  # NEWFALSE
            ordered_dict,
            b"tR",
        ]
    return b"".join([*parts, b"u."])  # SETITEMS, STOP


def _text(text):
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data  # BINUNICODE


def _integer(value):
    return b"J" + struct.pack("<i", value)  # BININT


def _tuple(values):
    return b"(" + b"".join(map(_integer, values)) + b"t"
