"""What is called in the place of PyTorch's and NumPy's own functions.

The pickles of tensors and arrays name functions to call. None of these is
ever imported; ours only write down what they were given, checked.
"""

import math
import re
from typing import NamedTuple

import ml_dtypes
import numpy as np

from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights.parsers.unpickler import set_items
from keras_alexnet.weights.parsers.unpickler import short_text

# torch/storage.py, without complex and quantized numbers.
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
MOST_AXES = 8


class Storage(NamedTuple):
    """Numbers that a pickle of PyTorch refers to."""

    dtype: np.dtype
    key: str
    count: int  # type: ignore[assignment]  # tuples have a method


class Tensor(NamedTuple):
    """A view of a storage that lies within it."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple

    @property
    def bytes(self):
        """What its numbers take, if each is there for itself."""
        return math.prod(self.shape) * self.storage.dtype.itemsize


class OldTensor:
    """A tensor as the first versions of PyTorch wrote it, filled later."""

    def set_state(self, state):
        self.tensor = tensor(*state)


class NumpyType:
    """Stands for a numpy.dtype, such as "f4", or "O8" of objects."""

    def __init__(self, name, *_):
        self.name, self.order = short_text(name), "<"
        if not re.fullmatch("[fiu][1248]|b1|O8?", self.name):
            raise ValueError(f"it has values of the type {shown(self.name)}")

    def set_state(self, state):
        self.order = short_text(state[1])
        if self.order not in ("<", ">", "|", "="):
            raise ValueError("it has numbers in an unknown order of bytes")


class NumpyArray:
    """Stands for a numpy.ndarray, whose own reader trusts what it reads."""

    def __init__(self, *_):
        self.values = None

    def set_state(self, state):
        _, self.shape, self.type, self.fortran, self.values = state
        if type(self.type) is not NumpyType:
            raise ValueError("it has an array without a type")
        check_numbers(self.shape)

    @property
    def dtype(self):
        """The type of its numbers."""
        if self.values is None:
            raise ValueError("it has an array without values")
        return np.dtype(self.type.order + self.type.name)

    @property
    def bytes(self):
        """What its numbers take."""
        return self.dtype.itemsize * math.prod(self.shape)

    def array(self):
        """The numbers; `values` may still be text, see `_encode`."""
        dtype, size = self.dtype, self.bytes
        if type(self.values) not in (bytes, str) or len(self.values) != size:
            raise ValueError("it has an array whose size is not its shape's")
        values = self.values
        if type(values) is str:
            values = values.encode("latin-1")
        numbers = np.frombuffer(values, dtype)
        return numbers.reshape(self.shape, order="F" if self.fortran else "C")


def storage(saved):
    """What `torch.save` says of a storage beside its pickle."""
    kind, dtype, key, _, count, *view = saved
    if short_text(kind) != "storage" or not isinstance(dtype, np.dtype):
        raise ValueError("its pickle refers to something that is no storage")
    if view not in ([], [None]):
        raise ValueError("it has a part of a storage")
    check_numbers((count,))
    return Storage(dtype, short_text(key), count)


def tensor(storage, offset, shape, strides, *_):
    """`torch._utils._rebuild_tensor` and its second version."""
    if type(storage) is not Storage:
        raise ValueError("it has a tensor without a storage")
    for numbers in (offset,), shape, strides:
        check_numbers(numbers)
    if len(shape) != len(strides):
        raise ValueError("it has a tensor of two numbers of axes")
    last = offset + sum(
        (side - 1) * stride for side, stride in zip(shape, strides, strict=True)
    )
    if 0 not in shape and last >= storage.count:
        raise ValueError("it has a tensor that is larger than its storage")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def check_numbers(numbers):
    """Refuses what is no shape, stride or place."""
    if type(numbers) not in (tuple, list) or len(numbers) > MOST_AXES:
        raise ValueError("it has a shape that is none")
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("it has a negative size, stride or place")


def _size(shape=()):
    check_numbers(shape)
    return tuple(shape)


def _first(value, *_):
    return value


def _ordered_dict(pairs=()):
    table = {}
    if type(pairs) is list:  # of Python 2
        set_items(table, pairs)
        pairs.clear()  # or a long list could be read a thousand times
    return table


def _encode(value, encoding="latin1"):
    """`_codecs.encode`, by which Python 3 writes bytes for Python 2.

    Encoding is left to the array, or a long text could be encoded a thousand
    times.
    """
    if type(value) is not str or encoding not in ("latin1", "latin-1"):
        raise ValueError("it has a text in another code than latin-1")
    return value


NUMPY = {
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": lambda *_: {},
    "_codecs.encode": _encode,
    "__builtin__.bytes": lambda: b"",
    "numpy.ndarray": NumpyArray,
    "numpy.dtype": NumpyType,
} | {
    f"numpy.{core}.multiarray.{name}": function
    for core in ("core", "_core")
    for name, function in {
        "_reconstruct": NumpyArray,
        "scalar": lambda *_: None,  # an accuracy beside the weights
    }.items()
}
TORCH = {
    "torch.Size": _size,
    "torch._utils._rebuild_tensor": tensor,
    "torch._utils._rebuild_tensor_v2": tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.nn.parameter.Parameter": _first,
    **NUMPY,
}
for _name, _dtype in STORAGES.items():
    for _module in ("torch", "torch.cuda"):
        _kind = _name.replace("Storage", "Tensor")
        TORCH[f"{_module}.{_name}"] = np.dtype(_dtype)
        TORCH[f"{_module}.{_kind}"] = OldTensor
