"""Weights in Python's pickle format: PyTorch's files, NumPy's dictionaries.

Neither PyTorch is needed nor anything in the file run; see `parsers.unpickler`.
"""

import ast
import io
import math
import struct

import numpy as np

from keras_alexnet.untrusted_files import MOST_BYTES
from keras_alexnet.untrusted_files import open_records
from keras_alexnet.untrusted_files import open_regular
from keras_alexnet.untrusted_files import refusing
from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights.parsers.stand_ins import NUMPY
from keras_alexnet.weights.parsers.stand_ins import TORCH
from keras_alexnet.weights.parsers.stand_ins import NumpyArray
from keras_alexnet.weights.parsers.stand_ins import Tensor
from keras_alexnet.weights.parsers.stand_ins import storage as read_storage
from keras_alexnet.weights.parsers.unpickler import Unpickler
from keras_alexnet.weights.parsers.unpickler import short_text

# torch/serialization.py: how a file from before PyTorch 1.6 begins.
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
# What examples, timm and others put a state dict into, beside the epoch.
WRAPPERS = ("state_dict", "model_state_dict", "model")
# DataParallel's and torch.compile's, anywhere in a name: pytorch/examples'
# imagenet/main.py has "features.module.0.weight" for an AlexNet.
PREFIXES = ("module", "_orig_mod")
MOST_HEADER_BYTES = 1000  # of an .npy file; that of a dictionary has 118
NUMBER_BYTES = 4  # what a number takes when it is read


def read_pth(path):
    """Read the tensors of a PyTorch file, without PyTorch.

    Args:
        path: Path of a file that `torch.save` wrote, in the zip format or the
            one before PyTorch 1.6: a state dict, or a checkpoint with one
            under "state_dict", "model_state_dict" or "model".

    Returns:
        A dict of name -> NumPy array, in the file's order; names without
        "module." and "_orig_mod.", floating values as float32. Arrays may be
        read-only, and share memory where the tensors did.

    Raises:
        ValueError: if the file is damaged or holds anything but tensors.

    Example:

    >>> tensors = read_pth("alexnet-owt-7be5be79.pth")
    >>> tensors["features.0.weight"].shape
    (64, 3, 11, 11)
    """
    expected = "the file of torch.save(model.state_dict(), path)"
    with refusing(path, expected), open_regular(path) as (file, size):
        start = file.read(2)
        file.seek(0)
        if start == b"PK":
            return _read_zip(file, size)
        if start[0] != 0x80:  # the version of a pickle
            raise ValueError("it is neither a zip archive nor a pickle")
        return _read_legacy(file, size)


def read_npy(path):
    """Read a dictionary of layers that `np.save` wrote.

    Args:
        path: Path of an .npy file such as kratzert's and guerzhoy's
            bvlc_alexnet.npy: layer name -> [kernel, bias], or, as
            caffe-tensorflow writes it, {"weights": ..., "biases": ...}.

    Returns:
        A dict of layer name -> list of float32 arrays, kernel and bias, in
        the file's order. Arrays may be read-only.

    Raises:
        ValueError: if the file is damaged or holds anything else.

    Example:

    >>> kernel, bias = read_npy("bvlc_alexnet.npy")["conv1"]
    >>> kernel.shape
    (11, 11, 3, 96)
    """
    expected = "the file of np.save(path, {layer: [kernel, bias], ...})"
    with refusing(path, expected), open_regular(path) as (file, size):
        _check_npy_header(file)
        outer = Unpickler(file, size, NUMPY).load()
        if type(outer) is not NumpyArray or type(outer.values) is not list:
            raise ValueError("it holds no dictionary")
        (layers,) = outer.values
        if type(layers) is not dict or not layers:
            raise ValueError("it holds no dictionary of layers")
        pairs = {str(name): _pair(name, x) for name, x in layers.items()}
        _check_size([array for pair in pairs.values() for array in pair], size)
        return {
            name: [_plain(array.array()) for array in pair]
            for name, pair in pairs.items()
        }


def _read_zip(file, size):
    records = open_records(file, size)
    pickles = [name for name in records if name.split("/")[1:] == ["data.pkl"]]
    if len(pickles) != 1:
        raise ValueError("it is a zip archive without data.pkl")
    folder = pickles[0].removesuffix("data.pkl")
    order = records.get(f"{folder}byteorder", lambda: io.BytesIO(b"little"))
    if order().getvalue() != b"little":
        raise ValueError("a machine with another order of bytes wrote it")
    program = records[pickles[0]]()
    length = len(program.getbuffer())
    machine = Unpickler(program, length, TORCH, _noting({}))

    def load(storage):
        record = f"{folder}data/{storage.key}"
        if record not in records:
            raise ValueError(f"it lacks the record {shown(record)}")
        return records[record]().getbuffer()

    return _arrays(_state_dict(machine.load()), load, size)


def _read_legacy(file, size):
    storages, places = {}, {}

    machine = Unpickler(file, size, TORCH, _noting(storages))
    if machine.load() != LEGACY_MAGIC or machine.load() != LEGACY_PROTOCOL:
        raise ValueError("it does not begin as PyTorch's files do")
    if not machine.load()["little_endian"]:
        raise ValueError("a machine with another order of bytes wrote it")
    tensors = _state_dict(machine.load())
    for key in map(short_text, machine.load()):
        if machine.number("<q") != storages[key].count:
            raise ValueError(f"its storage {shown(key)} has another length")
        places[storages[key]] = file.tell()
        machine.skip(storages[key].count * storages[key].dtype.itemsize)

    def load(storage):
        if storage not in places:
            raise ValueError(f"it lacks the storage {shown(storage.key)}")
        file.seek(places[storage])
        return file.read(storage.count * storage.dtype.itemsize)

    return _arrays(tensors, load, size)


def _noting(storages):
    """The reader of storages, which puts each under its name."""

    def note(saved):
        storage = read_storage(saved)
        if storages.setdefault(storage.key, storage) != storage:
            raise ValueError(
                f"its storage {shown(storage.key)} is of two kinds"
            )
        return storage

    return note


def _state_dict(value):
    """The table of tensors in a checkpoint."""
    if type(value) is not dict:
        raise ValueError(f"it holds a {type(value).__name__}, no dict")
    inner = [value[name] for name in WRAPPERS if type(value.get(name)) is dict]
    tensors = {}
    for name, tensor in (inner[0] if inner else value).items():
        tensor = getattr(tensor, "tensor", tensor)
        if type(tensor) is not Tensor:
            kind = type(tensor).__name__
            raise ValueError(f"its {shown(name)} is of type {kind}, no tensor")
        parts = [part for part in str(name).split(".") if part not in PREFIXES]
        if tensors.setdefault(".".join(parts), tensor) is not tensor:
            raise ValueError(f"it has two tensors {shown('.'.join(parts))}")
    if not tensors:
        raise ValueError("it holds no tensors")
    return tensors


def _arrays(tensors, load, size):
    _check_size(tensors.values(), size)
    storages, arrays = {}, {}
    used = {storage for storage, *_ in tensors.values()}
    widths = [(x.count, max(x.dtype.itemsize, NUMBER_BYTES)) for x in used]
    if sum(count * width for count, width in widths) > MOST_BYTES:
        raise ValueError("it holds more numbers than an AlexNet")
    for name, (storage, offset, shape, strides) in tensors.items():
        if storage not in storages:
            numbers = np.frombuffer(load(storage), storage.dtype)
            if len(numbers) != storage.count:
                raise ValueError(
                    f"its storage {shown(storage.key)} has another length"
                )
            storages[storage] = _plain(numbers)
        arrays[name] = _plain(_view(storages[storage], offset, shape, strides))
    return arrays


def _view(numbers, offset, shape, strides):
    if 0 in shape:
        return np.zeros(shape, numbers.dtype)
    strides = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, strides)


def _check_size(arrays, size):
    # A tensor of stride 0 can claim to be of any size, and one array can be
    # there under many names.
    if sum(array.bytes for array in arrays) > size:
        raise ValueError("its arrays are larger than the file")
    values = sum(math.prod(array.shape) for array in arrays)
    if NUMBER_BYTES * values > MOST_BYTES:
        raise ValueError("it holds more numbers than an AlexNet")


def _plain(array):
    """In the order of its axes; floating values as float32."""
    dtype = array.dtype if array.dtype.kind in "iub" else np.dtype("float32")
    with np.errstate(over="ignore"):  # infinity is found later
        return np.asarray(array, dtype, order="C")


def _check_npy_header(file):
    """numpy.lib.format's, of an array that holds one Python object."""
    start = file.read(8)
    if start[:6] != b"\x93NUMPY":
        raise ValueError("it is no .npy file")
    form = "<H" if start[6] == 1 else "<I"
    (length,) = struct.unpack(form, file.read(struct.calcsize(form)))
    if length > MOST_HEADER_BYTES:
        raise ValueError("its header is too long")
    header = ast.literal_eval(file.read(length).decode("latin-1").strip())
    if header["descr"] not in ("|O", "O") or header["shape"] != ():
        raise ValueError("it holds an array, no dictionary")


def _pair(name, value):
    """A layer's kernel and bias."""
    if type(value) is dict and set(value) == {"weights", "biases"}:
        value = [value["weights"], value["biases"]]
    if type(value) not in (list, tuple) or not all(
        type(array) is NumpyArray for array in value
    ):
        raise ValueError(f"its {shown(name)} is no list of arrays")
    return value
