"""A tree of HDF5 groups that a stranger wrote.

HDF5 can name other files, load plugins and claim any size; such links and
claims are refused before they are followed.
"""

import itertools
import math
import re
import struct
import zlib

import h5py
import ml_dtypes
import numpy as np

from keras_alexnet.untrusted_files import PIECE
from keras_alexnet.untrusted_files import room_for
from keras_alexnet.untrusted_files import shown

NUMBER_BYTES = 4  # what a floating number takes when it is read
MOST_GROUPS = 1_000  # a two-tower AlexNet has 80
# What Keras 3 saves beside the layers' weights.
OTHER_STATES = ("optimizer", "seed_generator")

# gzip, shuffle and the checksum of HDF5 (H5Zpublic.h); others are plugins.
DEFLATE, SHUFFLE, CHECKSUM = 1, 2, 3
CHECKSUM_BYTES = 4
BFLOAT16 = ml_dtypes.bfloat16
MOST_PIECES = 200_000  # h5py makes some 4,000 of an AlexNet

ATTRIBUTE, CONTINUATION, MANY_ATTRIBUTES = 0x0C, 0x10, 0x15
TEXT, VARIABLE_LENGTH = 3, 9  # classes of datatypes
NOWHERE = 2**64 - 1
# Keras' files have under a hundred a group, and as many texts.
MOST_STEPS = 100_000


class Tree:
    """Reads from an HDF5 file what is in it, and no more than it can hold.

    Args:
        file: The binary file object that h5py reads.
        size: Its size in bytes.
    """

    def __init__(self, file, size):
        self.all_texts = Texts(file, size)
        self.attributes = {}
        self.file = file
        self.size = size
        self.left = room_for(size)
        self.groups_left = MOST_GROUPS

    def child(self, group, path):
        """What is at a path, without links to anywhere else."""
        for name in path.split("/"):
            if name in ("", ".", ".."):
                raise ValueError(f"its path {shown(path)} leads out of it")
            link = group.get(name, getlink=True)
            if link is None:
                raise ValueError(f"it lacks {shown(name)}")
            if type(link) is not h5py.HardLink:
                kind = type(link).__name__
                raise ValueError(f"its {shown(name)} is only a link ({kind})")
            group = group[name]
        return group

    def has(self, group, name):
        """Whether there is such a link; it is not followed."""
        return group.get(name, getlink=True) is not None

    def groups_with_weights(self, root):
        """Path of each layer with variables -> their group."""
        found, todo = {}, [("", root)]
        while todo:
            path, group = todo.pop()
            self.groups_left -= len(group)
            if self.groups_left < 0:
                raise ValueError("it has too many groups")
            for name in group:
                item = self.child(group, name)
                if not isinstance(item, h5py.Group) or name in OTHER_STATES:
                    continue
                if name != "vars":
                    todo.append((f"{path}/{name}", item))
                elif len(item):
                    found[path] = item
        return found

    def variables(self, group):
        names = sorted(group, key=natural)
        return [self.read(self.child(group, name)) for name in names]

    def read(self, dataset):
        """The numbers of a dataset; floating ones as float32."""
        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
            raise ValueError(f"its {shown(dataset.name)} holds no numbers")
        name, dtype = shown(dataset.name), dataset.dtype
        half = dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2
        if not half and dtype.kind not in "fiu":
            raise ValueError(f"its {name} holds values of type {shown(dtype)}")
        if dataset.is_virtual or dataset.external:
            raise ValueError(f"its {name} lies in another file")
        width = dtype.itemsize if dtype.kind in "iu" else NUMBER_BYTES
        chunk = math.prod(dataset.chunks or ()) * dtype.itemsize
        self.left -= math.prod(dataset.shape) * width
        if self.left < 0 or chunk > self.left + PIECE:
            raise ValueError(
                f"its {name} claims to be larger than the file can be"
            )
        array = np.empty(
            dataset.shape, dtype if dtype.kind in "iu" else "float32"
        )
        try:
            with np.errstate(over="ignore"):  # infinity is found later
                self._fill(array, dataset, half)
        except ValueError as error:
            raise ValueError(f"its {name} {error}") from error
        return array

    def _fill(self, array, dataset, half):
        """Puts the numbers of a dataset into an array, part by part."""
        if not array.size:
            return
        if dataset.chunks:
            Pieces(dataset, self.file, self.size, half).fill(array)
            return
        if not dataset.id.get_storage_size():
            raise ValueError("holds no numbers")
        rows = max(1, PIECE * len(array) // array.nbytes) if array.ndim else 0
        for start in range(0, len(array), rows) if rows else [()]:
            part = slice(start, start + rows) if rows else ()
            values = dataset[part]
            array[part] = values.view(BFLOAT16) if half else values

    def texts(self, group, name):
        """The texts of an attribute, which may be in pieces; `[]` if none."""
        address = h5py.h5o.get_info(group.id).addr
        if address not in self.attributes:
            self.attributes[address] = self.all_texts.attributes(address)
        attributes = self.attributes[address]
        if name in attributes:
            pieces = [attributes[name]]
        else:  # a list of more than 64 kB, which Keras cuts
            names = (f"{name}{piece}" for piece in itertools.count())
            known = itertools.takewhile(attributes.__contains__, names)
            pieces = [attributes[piece] for piece in known]
        if None in pieces:
            raise ValueError(f"its attribute {name} is no text")
        return [text for piece in pieces for text in piece]


def natural(text):
    """For sorting: "conv2d_9" stands before "conv2d_10"."""
    parts = re.split(r"(\d+)", text)
    return [int(part) if part.isdigit() else part for part in parts]


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


class Texts:
    """The attributes of an HDF5 file that are texts.

    Args:
        file: The binary file object.
        size: Its size in bytes.
    """

    def __init__(self, file, size):
        self.file = file
        self.size = size
        self.steps = 0
        self.left = 4 * size  # each is read once, but for what lies in blocks
        self.heaps = {}

    def attributes(self, address):
        """All of the group whose header is there: name -> list of texts.

        Those of other types are `None`.
        """
        found = {}
        for kind, body in self._messages(address):
            if kind == MANY_ATTRIBUTES and _places(body) != NOWHERE:
                raise ValueError("it has more attributes than Keras writes")
            if kind == ATTRIBUTE:
                name, values = self._attribute(body)
                found[name] = values
        return found

    def _read(self, place, count):
        self.steps += 1
        self.left -= count
        if self.steps > MOST_STEPS or self.left < 0:
            raise ValueError("it has too many attributes")
        if count < 0 or place + count > self.size:
            raise ValueError("its attributes claim to be longer than the file")
        self.file.seek(place)
        return self.file.read(count)

    def _messages(self, address):
        """Kind and body of each message in a header, of both versions."""
        start = self._read(address, 16)
        new = start[:4] == b"OHDR"
        if new:
            flags = start[5]
            place = address + 6 + 16 * bool(flags & 32) + 4 * bool(flags & 16)
            width = 1 << (flags & 3)
            count = int.from_bytes(self._read(place, width), "little")
            blocks = [(place + width, count)]
        else:
            flags = 0
            blocks = [(address + 16, struct.unpack_from("<I", start, 8)[0])]
        form = ("<BHB2x" if flags & 4 else "<BHB") if new else "<HHB3x"
        head = struct.calcsize(form)
        for place, count in blocks:
            block, at = self._read(place, count), 0
            while at + head <= len(block):
                self.steps += 1
                kind, length, _ = struct.unpack_from(form, block, at)
                body = block[at + head : at + head + length]
                at += head + length
                if kind == CONTINUATION:
                    place, count = struct.unpack_from("<QQ", body)
                    # "OCHK" before and a checksum behind it.
                    more = (place + 4, count - 8) if new else (place, count)
                    blocks.append(more)
                else:
                    yield kind, body

    def _attribute(self, body):
        version, flags, *lengths = struct.unpack_from("<BBHHH", body)
        if version not in (1, 2, 3) or (version > 1 and flags):
            raise ValueError("it has an attribute of another version")
        at, parts = (9 if version == 3 else 8), []
        for length in lengths:
            parts.append(body[at : at + length])
            at += -(-length // 8) * 8 if version == 1 else length
        name, datatype, space = parts
        count = math.prod(_shape(space))
        kind, bits, width = struct.unpack_from("<BBxxI", datatype)
        name = name.rstrip(b"\0").decode()
        if count == 0:
            return name, []
        data = body[at : at + count * width]
        if len(data) < count * width or width == 0:
            raise ValueError(f"its attribute {shown(name)} is cut")
        values = [data[i : i + width] for i in range(0, len(data), width)]
        if kind & 15 == VARIABLE_LENGTH and bits & 15 == 1:
            values = [self._text(value) for value in values]
        elif kind & 15 != TEXT:
            return name, None
        return name, [value.rstrip(b"\0").decode() for value in values]

    def _text(self, value):
        length, address, index = struct.unpack("<IQI", value)
        if length == 0:
            return b""
        if address not in self.heaps:
            self.heaps[address] = self._heap(address)
        place, count = self.heaps[address].get(index, (0, 0))
        if length > count:
            raise ValueError("it has a text that is longer than its place")
        return self._read(place, length)

    def _heap(self, address):
        """Place and length of each object in a collection of texts."""
        signature, size = struct.unpack("<4s4xQ", self._read(address, 16))
        if signature != b"GCOL" or address + size > self.size:
            raise ValueError("it has texts where there are none")
        objects, place = {}, address + 16
        while place + 16 <= address + size:
            index, length = struct.unpack("<H6xQ", self._read(place, 16))
            if index == 0:  # free space
                break
            objects[index] = place + 16, length
            place += 16 + -(-length // 8) * 8
        return objects


def _places(body):
    """Where a group keeps its attributes if they are many."""
    return struct.unpack_from("<Q", body, 4 if body[1] & 1 else 2)[0]


def _shape(space):
    version, rank, _, kind = struct.unpack_from("<BBBB", space)
    if version == 2 and kind == 2:  # no value at all
        return [0]
    return struct.unpack_from(f"<{rank}Q", space, 8 if version == 1 else 4)
