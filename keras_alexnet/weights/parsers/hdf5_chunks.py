"""Numbers that HDF5 keeps in packed pieces, unpacked here.

The HDF5 library inflates all that a piece has in it, whatever the shape says,
and as often as the file says; here nothing gets larger than its piece.
"""

import itertools
import math
import zlib

import ml_dtypes
import numpy as np

# gzip, shuffle and the checksum of HDF5 (H5Zpublic.h); others are plugins.
DEFLATE, SHUFFLE, CHECKSUM = 1, 2, 3
CHECKSUM_BYTES = 4
BFLOAT16 = ml_dtypes.bfloat16
MOST_PIECES = 200_000  # h5py makes some 4,000 of an AlexNet


class Pieces:
    """The pieces of a dataset.

    Args:
        dataset: The dataset of h5py.
        file: The binary file object that h5py reads.
        size: Its size in bytes.
        half: Whether its numbers are bfloat16, which HDF5 has no name for.

    Raises:
        ValueError: if it is packed in another way than Keras and h5py do.
    """

    def __init__(self, dataset, file, size, half):
        self.dataset = dataset
        self.dtype = np.dtype(BFLOAT16) if half else dataset.dtype
        self.file = file
        self.size = size
        plan = dataset.id.get_create_plist()
        count = plan.get_nfilters()
        self.filters = [plan.get_filter(i)[0] for i in range(count)]
        known = {DEFLATE, SHUFFLE, CHECKSUM}.issuperset(self.filters)
        if not known or len(set(self.filters)) < count:
            raise ValueError("is packed in an unknown way")
        self.shape = dataset.chunks
        self.bytes = math.prod(self.shape) * self.dtype.itemsize

    def fill(self, array):
        """Puts the numbers into an array of the dataset's shape."""
        corners = [
            range(0, side, piece)
            for side, piece in zip(array.shape, self.shape, strict=True)
        ]
        if math.prod(map(len, corners)) > MOST_PIECES:
            raise ValueError("is in too many pieces")
        found = {}
        self.dataset.id.chunk_iter(
            lambda info: found.__setitem__(info.chunk_offset, info)
        )
        for corner in itertools.product(*corners):
            if corner not in found:
                raise ValueError("lacks a part of its numbers")
            place = tuple(
                slice(at, at + piece)
                for at, piece in zip(corner, self.shape, strict=True)
            )
            part = array[place]
            piece = np.frombuffer(self._read(found[corner]), self.dtype)
            piece = piece.reshape(self.shape)
            part[...] = piece[tuple(map(slice, part.shape))]

    def _read(self, info):
        if info.byte_offset + info.size > self.size:
            raise ValueError("claims to be larger than the file")
        self.file.seek(info.byte_offset)
        data = self.file.read(info.size)
        for place, kind in reversed(list(enumerate(self.filters))):
            if info.filter_mask >> place & 1:
                continue
            if kind == DEFLATE:
                data = self._inflated(data)
            elif kind == SHUFFLE:
                data = self._unshuffled(data)
            else:
                data = _checked(data)
        if len(data) != self.bytes:
            raise ValueError("has a piece of another size than its shape's")
        return data

    def _inflated(self, data):
        machine = zlib.decompressobj()
        most = self.bytes + CHECKSUM_BYTES
        data = machine.decompress(data, most)
        if not machine.eof and (machine.unconsumed_tail or len(data) == most):
            raise ValueError("unpacks to more than its shape")
        return data

    def _unshuffled(self, data):
        """The first bytes of all numbers stand first, then the second ones."""
        width = self.dtype.itemsize
        if len(data) % width:
            raise ValueError("has a piece of another size than its shape's")
        return np.frombuffer(data, "u1").reshape(width, -1).T.tobytes()


def _checked(data):
    """Without the checksum at the end (H5_checksum_fletcher32)."""
    data, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    words = np.frombuffer(data + b"\0" * (len(data) % 2), ">u2").astype("u8")
    weights = np.arange(len(words), 0, -1, dtype="u8") % 65535
    first = int(words.sum()) % 65535
    second = int((words * weights).sum()) % 65535
    found = int.from_bytes(checksum, "little")
    if (found % 2**16) % 65535 != first or (found >> 16) % 65535 != second:
        raise ValueError("has a piece against its checksum")
    return data
