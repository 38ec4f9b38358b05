"""Files of NumPy, whose own reader believes what they claim."""

import io
import os

import numpy as np

from keras_alexnet.untrusted_files import MOST_BYTES
from keras_alexnet.untrusted_files import open_regular
from keras_alexnet.untrusted_files import refusing

MOST_HEADER_BYTES = 10_000  # as NumPy itself has it


def load_array(path, expected, most=MOST_BYTES):
    """The array of an `.npy` file.

    Args:
        path: Path of the file.
        expected: What it should be, for the sentence.
        most: Bytes that the file may have at most.

    Returns:
        The array.

    Raises:
        ValueError: if it cannot be read, is larger, or holds other things
            than numbers or texts.
    """
    with refusing(path, expected), open_regular(path) as (file, size):
        if size > most:
            raise ValueError(f"it has {size:,} bytes, more than {most:,}")
        return read_array(file)


def read_array(file):
    """The array in an open file, which must be all that is left of it.

    Args:
        file: A binary file object.

    Raises:
        ValueError: if it is no array, or has another size than its header
            says.
    """
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"it is an .npy file of version {version[0]}")
    shape, fortran, dtype = readers[version](file, MOST_HEADER_BYTES)
    if dtype.hasobject or dtype.kind not in "biufU" or dtype.subdtype:
        raise ValueError(f"it holds values of the type {str(dtype)[:40]!r}")
    if isinstance(file, io.BytesIO):
        data = file.getbuffer()[file.tell() :]
    else:
        place = file.tell()
        data = bytearray(file.seek(0, os.SEEK_END) - place)
        file.seek(place)
        file.readinto(data)
    count = 1
    for side in shape:
        count *= int(side)
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(data):
        raise ValueError("an array in it has another size than it says")
    if not len(data):
        return np.zeros(shape, dtype)
    array = np.frombuffer(data, dtype)
    return array.reshape(shape, order="F" if fortran else "C")
