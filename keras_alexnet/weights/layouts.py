"""From the order of axes of PyTorch, Caffe and Theano to that of Keras."""

import math

import numpy as np

from keras_alexnet.untrusted_files import MOST_BYTES
from keras_alexnet.untrusted_files import shown

NUMBER_BYTES = 4  # what a number takes when it is read


def from_theano(layers):
    """heuritech's layers (Keras 1 on Theano) as PyTorch would have them.

    Towers are layers of their own, "conv_2_1" and "conv_2_2"; Theano's
    convolution turns its kernels by 180 degrees (`filter_flip`); dense
    kernels are (in, out).
    """
    turned = {
        name: [
            kernel[:, :, ::-1, ::-1] if kernel.ndim == 4 else kernel.T,
            *biases,
        ]
        for name, (kernel, *biases) in _joined(layers).items()
    }
    return {name: pair(name, *arrays) for name, arrays in turned.items()}


def _joined(layers):
    joined = {}
    for name, arrays in layers.items():
        base = name[:-2] if name.count("_") == 2 else name
        joined.setdefault(base, []).append(arrays)
    for name, towers in joined.items():
        shapes = {tuple(np.shape(x)[1:] for x in arrays) for arrays in towers}
        numbers = {np.ndim(x) for arrays in towers for x in arrays}
        if len(shapes) > 1 or 0 in numbers or {*map(len, towers)} != {2}:
            raise ValueError(f"the towers of {shown(name)} do not fit")
    return {
        name: [np.concatenate(parts) for parts in zip(*towers, strict=True)]
        if len(towers) > 1
        else towers[0]
        for name, towers in joined.items()
    }


def channels_last(layers, flat_order_is_last=False):
    """Kernels (out, in, height, width) and (out, in) as Keras has them."""
    result, maps = {}, None
    for name, (kernel, bias) in layers.items():
        if kernel.ndim == 4:
            maps = len(kernel)
            kernel = kernel.transpose(2, 3, 1, 0)
        elif maps and not flat_order_is_last:
            kernel, maps = _fc6(name, kernel, maps), None
        else:
            kernel, maps = kernel.T, None
        result[name] = [kernel, bias]  # a view, until its shape is compared
    return result


def _fc6(name, kernel, maps):
    """The layer that sees the last maps, channel by channel."""
    units, inputs = kernel.shape
    side = math.isqrt(inputs // maps)
    if maps * side * side != inputs:
        raise ValueError(
            f"{shown(name)} has {inputs} inputs, which are not {maps} square "
            "maps"
        )
    kernel = kernel.reshape(units, maps, side, side)
    return kernel.transpose(2, 3, 1, 0).reshape(inputs, units)


def pair(name, kernel, bias=None):
    """Kernel and bias of a layer.

    Raises:
        ValueError: with what they are not.
    """
    if kernel is None or np.ndim(kernel) not in (2, 4):
        raise ValueError(
            f"it has no kernel of two or four axes for {shown(name)}"
        )
    count = len(kernel)
    if bias is not None and np.size(bias) != count:
        raise ValueError(
            f"it has {np.size(bias)} biases for the {count} kernels of "
            f"{shown(name)}"
        )
    bias = np.zeros(count, "float32") if bias is None else np.ravel(bias)
    return [np.asarray(kernel), bias]


def check_size(arrays, size):
    """Refuses arrays that are larger than their file, or than an AlexNet.

    A tensor of stride 0 can claim to be of any size, and one array can be
    there under many names.
    """
    if sum(array.bytes for array in arrays) > size:
        raise ValueError("its arrays are larger than the file")
    values = sum(math.prod(array.shape) for array in arrays)
    if NUMBER_BYTES * values > MOST_BYTES:
        raise ValueError("it holds more numbers than an AlexNet")


def unquantized(arrays):
    """Kernel and bias of a layer that Keras has quantized to 8 bits.

    Beside a kernel of int8 it keeps by what the kernel was multiplied, behind
    the bias (keras.src.layers.Dense, version 3.15).

    Raises:
        ValueError: if it is quantized in another way, or has LoRA's kernels.
    """
    floats = [x for x in arrays if x.dtype != np.int8]
    if sum(x.ndim == 2 for x in floats) == 3:
        raise ValueError(
            "it has LoRA's kernels beside its own; save the model as a .keras "
            "file, into which Keras writes their sum"
        )
    kernels = [x for x in arrays if x.dtype == np.int8 and x.ndim > 1]
    if not kernels:
        return arrays
    *bias, scale = floats or [np.zeros(0)]
    kernel, units = kernels[0], kernels[0].shape[-1]
    if len(kernels) > 1 or {x.shape for x in (*bias, scale)} != {(units,)}:
        raise ValueError(
            "it is quantized in a way of which the weights cannot be had back; "
            "take the network as it was before, or quantized to int8"
        )
    return [(kernel / scale).astype("float32"), *bias]


def plain(array):
    """In the order of its axes; floating values as float32."""
    dtype = array.dtype if array.dtype.kind in "iub" else np.dtype("float32")
    with np.errstate(over="ignore"):  # infinity is found later
        return np.asarray(array, dtype, order="C")
