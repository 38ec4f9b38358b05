"""Dictionaries of arrays that NumPy has pickled, read without running them."""

import ast
import struct

from keras_alexnet.untrusted_files import open_regular
from keras_alexnet.untrusted_files import refusing
from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights.layouts import check_size
from keras_alexnet.weights.layouts import plain
from keras_alexnet.weights.parsers.stand_ins import NUMPY
from keras_alexnet.weights.parsers.stand_ins import NumpyArray
from keras_alexnet.weights.parsers.unpickler import Unpickler
from keras_alexnet.weights.weight_file import WeightFile

MOST_HEADER_BYTES = 1000  # of an .npy file; that of a dictionary has 118


def read_npy_layers(path):
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

    >>> kernel, bias = read_npy_layers("bvlc_alexnet.npy")["conv1"]
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
        check_size([array for pair in pairs.values() for array in pair], size)
        return {
            name: [plain(array.array()) for array in pair]
            for name, pair in pairs.items()
        }


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


def read_npy(path):
    """The `WeightFile` of a dict of arrays, such as `bvlc_alexnet.npy`."""
    # kratzert/finetune_alexnet_with_tensorflow and caffe-tensorflow: Caffe's
    # AlexNet, already in TensorFlow's layout.
    layers = {name: list(both) for name, both in read_npy_layers(path).items()}
    order = sorted(layers, key=lambda n: (not n.startswith("conv"), n))
    return WeightFile({n: layers[n] for n in order}, "caffe_alexnet")
