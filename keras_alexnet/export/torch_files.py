"""Tensors into PyTorch's files, without PyTorch."""

import struct
import zipfile

import numpy as np

from keras_alexnet.files import replacing
from keras_alexnet.weights.safetensors_file import write_tensors

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
