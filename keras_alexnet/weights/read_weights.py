"""Files of weights, whoever wrote them, in Keras' layout.

The format is told by the file's first bytes; nothing in it is executed. What
the frameworks do differently is undone here: the order of the axes, and the
order in which fc6 sees the last maps.
"""

import os

import numpy as np

from keras_alexnet.untrusted_files import open_records
from keras_alexnet.untrusted_files import open_regular
from keras_alexnet.untrusted_files import refusing
from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights.published import check_published
from keras_alexnet.weights.published import check_there
from keras_alexnet.weights.published import fetch
from keras_alexnet.weights.published import is_alias
from keras_alexnet.weights.read_caffe import read_caffe
from keras_alexnet.weights.read_keras import read_keras
from keras_alexnet.weights.read_numpy import read_npy
from keras_alexnet.weights.read_onnx import read_onnx
from keras_alexnet.weights.read_torch import read_pth
from keras_alexnet.weights.read_torch import read_safetensors_file

KNOWN = "a file of Keras, PyTorch, safetensors, Caffe, ONNX or NumPy"


def read_weights(path):
    """Read a file of weights.

    Args:
        path: Path of a file of Keras (`.keras`, `.weights.h5`, `.h5`),
            PyTorch (`.pth`, `.safetensors`), Caffe (`.caffemodel`), ONNX, or
            of a dict of NumPy arrays (`.npy`); or the alias of a published
            file (see `published.PUBLISHED`), which is downloaded.

    Returns:
        A `WeightFile`.

    Raises:
        ValueError: if it is none of these, is damaged, holds other things
            than arrays, or is not the published file that its name says.
    """
    path = os.fspath(path)
    if is_alias(path):
        path = os.fspath(fetch(path))
    if os.path.isdir(path):
        raise ValueError(
            f"{path!r} is a folder, and weights are read from a file; a run "
            "of `keras-alexnet train` is opened by "
            "`keras_alexnet.open_trained`, and a SavedModel keeps no layers."
        )
    check_there(path)
    with refusing(path, KNOWN), open_regular(path) as opened:
        read = _reader(path, *opened)
    check_published(path)
    with refusing(path, KNOWN):
        found = read(path)
        if not found.layers:
            raise ValueError("it holds no layers with weights")
        for name, arrays in found.layers.items():
            if not arrays or any(np.ndim(array) == 0 for array in arrays):
                raise ValueError(
                    f"its {shown(name)} has a single number, or nothing, for "
                    "an array"
                )
    return found


def _reader(path, file, size):
    start = file.read(16)
    # The length of the header comes first, and may look like another format.
    length = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and length < size:
        return read_safetensors_file
    if start.startswith(b"PK"):
        return _reader_of_zip(set(open_records(file, size)))
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return read_keras
    if start.startswith(b"\x93NUMPY"):
        return read_npy
    if start.startswith(b"\x80"):  # a pickle: PyTorch before 1.6
        return read_pth
    # The first field of a ModelProto is its version, a number; that of a
    # NetParameter its name, a string.
    if start.startswith(b"\x08"):
        return read_onnx
    if path.endswith(".caffemodel") or start.startswith(b"\x0a"):
        return read_caffe
    raise ValueError("it begins like none that is known")


def _reader_of_zip(names):
    """Of an archive with records of these names."""
    if "config.json" in names:
        return read_keras
    ends = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in ends or any("/code/" in name for name in names):
        raise ValueError(
            "it is a program of TorchScript (torch.jit.save), which is not "
            "run; save its `state_dict()` by torch.save"
        )
    if {"archive_format", "archive_version"} & ends:
        raise ValueError(
            "it is a program of torch.export.save, which is not run; save the "
            "network's `state_dict()` by torch.save"
        )
    if all(name.endswith(".npy") for name in names):
        raise ValueError(
            "it is an archive of arrays (np.savez), whose names say nothing of "
            "layers; save a dict of layers by np.save"
        )
    return read_pth
