"""Texts that HDF5 keeps as attributes, such as the names of layers.

Read here and not by the HDF5 library, which believes the lengths of texts:
one flipped bit lets version 1.14.6 fill 4 GB, or search its heap forever. The
places of all fields are in the "HDF5 File Format Specification", version 3,
sections III.E (global heap) and IV.A (object headers, messages).
"""

import math
import struct

from keras_alexnet.untrusted_files import shown

ATTRIBUTE, CONTINUATION, MANY_ATTRIBUTES = 0x0C, 0x10, 0x15
TEXT, VARIABLE_LENGTH = 3, 9  # classes of datatypes
NOWHERE = 2**64 - 1
# Keras' files have under a hundred a group, and as many texts.
MOST_STEPS = 100_000


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
