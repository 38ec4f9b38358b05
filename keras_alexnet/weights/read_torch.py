"""Weights in Python's pickle format: PyTorch's files, NumPy's dictionaries.

Neither PyTorch is needed nor anything in the file run; see `parsers.unpickler`.
"""

import io
import re

import numpy as np

from keras_alexnet.untrusted_files import MOST_BYTES
from keras_alexnet.untrusted_files import open_records
from keras_alexnet.untrusted_files import open_regular
from keras_alexnet.untrusted_files import refusing
from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights.layouts import NUMBER_BYTES
from keras_alexnet.weights.layouts import channels_last
from keras_alexnet.weights.layouts import check_size
from keras_alexnet.weights.layouts import pair
from keras_alexnet.weights.layouts import plain
from keras_alexnet.weights.parsers.stand_ins import TORCH
from keras_alexnet.weights.parsers.stand_ins import Tensor
from keras_alexnet.weights.parsers.stand_ins import storage as read_storage
from keras_alexnet.weights.parsers.unpickler import Unpickler
from keras_alexnet.weights.parsers.unpickler import short_text
from keras_alexnet.weights.safetensors_file import place
from keras_alexnet.weights.safetensors_file import read_safetensors
from keras_alexnet.weights.weight_file import WeightFile
from keras_alexnet.weights.weight_file import variant_of_torch

# torch/serialization.py: how a file from before PyTorch 1.6 begins.
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
# What examples, timm and others put a state dict into, beside the epoch.
WRAPPERS = ("state_dict", "model_state_dict", "model")
# DataParallel's and torch.compile's, anywhere in a name: pytorch/examples'
# imagenet/main.py has "features.module.0.weight" for an AlexNet.
PREFIXES = ("module", "_orig_mod")
# A loss whose classes have weights, saved with the network that it trains.
LOSS = re.compile(
    r"(^|\.)(criterion|loss(_fn|_func|_function)?|pos_weight)(\.|$)"
)


def read_pth_tensors(path):
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

    >>> tensors = read_pth_tensors("alexnet-owt-7be5be79.pth")
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
    if not inner and not any(map(_is_weight, value.items())):
        # Under a name of their own, such as "net".
        inner = [
            held
            for held in value.values()
            if type(held) is dict and any(map(_is_weight, held.items()))
        ]
        if len(inner) > 1:
            raise ValueError("it holds the weights of several networks")
    tensors, others = {}, []
    for name, tensor in (inner[0] if inner else value).items():
        tensor = getattr(tensor, "tensor", tensor)
        if LOSS.search(str(name)):
            continue
        if type(tensor) is not Tensor:
            kind = type(tensor).__name__
            others.append(f"its {shown(name)} is of type {kind}, no tensor")
            if str(name).endswith((".weight", ".bias")):
                raise ValueError(others[-1])
            continue  # an epoch, the arguments
        parts = [part for part in str(name).split(".") if part not in PREFIXES]
        if tensors.setdefault(".".join(parts), tensor) is not tensor:
            raise ValueError(f"it has two tensors {shown('.'.join(parts))}")
    if not tensors:
        raise ValueError(others[0] if others else "it holds no tensors")
    return tensors


def _is_weight(item):
    name, value = item
    value = getattr(value, "tensor", value)
    return type(value) is Tensor and str(name).endswith((".weight", ".bias"))


def _arrays(tensors, load, size):
    check_size(tensors.values(), size)
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
            storages[storage] = plain(numbers)
        arrays[name] = plain(_view(storages[storage], offset, shape, strides))
    return arrays


def _view(numbers, offset, shape, strides):
    if 0 in shape:
        return np.zeros(shape, numbers.dtype)
    strides = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, strides)


def read_pth(path):
    """The `WeightFile` of a state dict that PyTorch saved."""
    tensors = read_pth_tensors(path)
    # A state dict is in order, unless somebody has sorted it otherwise.
    if all(re.search("[0-9]", name) for name in tensors):
        tensors = dict(sorted(tensors.items(), key=place(tensors)))
    return _weight_file(tensors)


def read_safetensors_file(path):
    """The `WeightFile` of tensors with PyTorch's names."""
    return _weight_file(read_safetensors(path))


def _weight_file(tensors):
    layers = {}
    for name, value in tensors.items():
        layer, _, kind = name.rpartition(".")
        if not layer and value.dtype == np.uint8:
            continue  # the state of random numbers
        if kind == "num_batches_tracked" or kind not in ("weight", "bias"):
            raise ValueError(
                f"it holds {shown(name)}, which is no weight or bias of a "
                "convolution or a fully connected layer"
            )
        layers.setdefault(layer, {})[kind] = value
    pairs = {
        name: pair(name, parts.get("weight"), parts.get("bias"))
        for name, parts in layers.items()
    }
    layers = channels_last(pairs)
    return WeightFile(layers, variant_of_torch(layers))
