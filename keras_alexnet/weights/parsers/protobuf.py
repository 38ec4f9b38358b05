"""Protocol buffers from a file, by tables that say which fields to read.

The format is protobuf.dev/programming-guides/encoding. No length in a file is
believed before the bytes are seen to be there; fields that are not in a table
are skipped, and what they nest is not entered. Numbers are read when they are
asked for, and only once: beside them nothing of a file is in memory.
"""

import contextlib
import math

import numpy as np

from keras_alexnet.untrusted_files import MOST_BYTES
from keras_alexnet.untrusted_files import PIECE
from keras_alexnet.untrusted_files import open_regular

# Kinds of fields. A table (dict of number -> (name, kind)) is the kind of a
# message, a list of one kind that of a field that may be repeated.
INT, FLOAT, TEXT, BYTES = "int", "float", "text", "bytes"
INTS, FLOATS, DOUBLES = "ints", "floats", "doubles"  # repeated numbers
DTYPES = {FLOAT: "<f4", FLOATS: "<f4", DOUBLES: "<f8"}
# An AlexNet has some hundreds; a million tiny ones would take seconds.
MOST_FIELDS = 20_000
WIRE_SIZES = {5: 4, 1: 8}  # bytes of the wire types of fixed size
# Names of layers have some tens of bytes. With 4 KB, a file that consists of
# as many texts as may be takes 0.3 GB (a rare character makes each byte four).
MOST_TEXT_BYTES = 2**12
BLOCK = 4096  # bytes that are read for the sake of one
MOST_AXES = 8  # of an array; kernels have four, 3-D convolutions five


@contextlib.contextmanager
def open_message(path, table):
    """The message that a file consists of.

    Args:
        path: Path of the file.
        table: Which fields to read.

    Returns:
        A context manager: a dict of name -> value; what is missing is `None`,
        an empty list, or 0, "" and so on where protobuf means that. Messages
        are dicts, bytes a `Part`, repeated floats `Numbers`; these two can be
        read as long as the file is open.

    Raises:
        ValueError, OSError: if it is damaged, something else or cannot be
            read; the text is for `untrusted_files.refusing`.
    """
    with open_regular(path) as (file, size):
        whole = Part(_Bytes(file), 0, size)
        yield _message(whole, table, [MOST_FIELDS, MOST_BYTES])


class _Bytes:
    """The bytes of an open file, one after the other or by blocks."""

    def __init__(self, file):
        self.file = file
        self._start, self._block = 0, b""

    def read(self, start, size):
        self.file.seek(start)
        data = self.file.read(size)
        if len(data) < size:  # it has been cut off since
            raise ValueError("it ends too early")
        return data

    def byte(self, at):
        if not 0 <= at - self._start < len(self._block):
            self.file.seek(at)
            self._start, self._block = at, self.file.read(BLOCK)
            if not self._block:
                raise ValueError("it ends too early")
        return self._block[at - self._start]


class Part:
    """A part of a file that has not been read.

    Args:
        file: A `_Bytes`.
        start: Where it begins, in bytes.
        size: Its bytes.
    """

    def __init__(self, file, start, size):
        self.file, self.start, self.size = file, start, size

    def __len__(self):
        return self.size

    def part(self, start, size):
        return Part(self.file, self.start + start, size)

    def byte(self, at):
        return self.file.byte(self.start + at)

    def read(self):
        return self.file.read(self.start, self.size)

    def text(self, errors="strict"):
        if self.size > MOST_TEXT_BYTES:
            raise ValueError(f"it has a text of {self.size:,} bytes")
        return self.read().decode(errors=errors)


class Numbers:
    """Numbers in parts of a file, not read yet.

    Args:
        parts: List of pairs: a `Part`, and how many bytes stand before each
            number, the tag of one that is not packed.
        dtype: Their type in the file.
    """

    def __init__(self, parts, dtype):
        self.dtype = np.dtype(dtype)
        self.parts = parts

    def __len__(self):
        width = self.dtype.itemsize
        return sum(len(part) // (tag + width) for part, tag in self.parts)

    def read(self, dtype=None):
        """An array of them; what `dtype` cannot hold becomes infinite."""
        values, end = np.empty(len(self), dtype or self.dtype), 0
        for part, tag in self.parts:
            step = tag + self.dtype.itemsize
            for at in range(0, len(part), PIECE * step):
                size = min(PIECE * step, len(part) - at)
                rows = np.frombuffer(part.part(at, size).read(), "u1")
                rows = np.ascontiguousarray(rows.reshape(-1, step)[:, tag:])
                start, end = end, end + len(rows)
                with np.errstate(over="ignore"):
                    values[start:end] = rows.view(self.dtype)[:, 0]
        return values


def _message(data, table, left):
    found = {name: [] for name, _ in table.values()}
    for number, wire, value in _fields(data, left):
        if number in table:
            name, kind = table[number]
            one = kind[0] if isinstance(kind, list) else kind
            found[name].append(_value(one, wire, value, left, name))
    return {
        name: _joined(found[name], kind, name) for name, kind in table.values()
    }


def _fields(data, left):
    """Yields the number, wire type and raw value of each field."""
    at = 0
    while at < len(data):
        _count(left)
        start = at
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not number:
            raise ValueError("a field has the number 0")
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 2:
            size, at = _varint(data, at)
            if size > len(data) - at:
                raise ValueError("it ends too early")
            value, at = (data.part(at, size), 0), at + size
        elif wire in WIRE_SIZES:
            value, at = _run(data, start, at - start, WIRE_SIZES[wire])
        else:
            raise ValueError(f"a field has the wire type {wire}")
        yield number, wire, value


def _varint(data, at):
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends within a number")
        byte = data.byte(at)
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at
    raise ValueError("a number is longer than ten bytes")


def _run(data, start, tag_size, size):
    """Numbers of fixed size: unpacked ones each behind the same tag."""
    step = tag_size + size
    most = (len(data) - start) // step
    if not most:
        raise ValueError("it ends within a number")
    tag = np.frombuffer(data.part(start, tag_size).read(), "u1")
    count, part = 1, 1
    while count < most:
        if data.byte(start + count * step) != tag[0]:
            break
        part = min(2 * part, most - count, PIECE)
        rows = data.part(start + count * step, part * step).read()
        rows = np.frombuffer(rows, "u1").reshape(-1, step)[:, :tag_size]
        same = (rows == tag).all(axis=1)
        count += part if same.all() else int(same.argmin())
        if not same.all():
            break
    return (data.part(start, count * step), tag_size), start + count * step


def _value(kind, wire, value, left, name):
    """What is read now; of numbers and bytes where they are."""
    part, tag_size = value if wire in (1, 2, 5) else (None, 0)
    if isinstance(kind, dict) and wire == 2:
        return _message(part, kind, left)
    if isinstance(kind, str) and kind in (*DTYPES, BYTES) and part:
        size = WIRE_SIZES.get(wire, 1)
        left[1] -= len(part) // (tag_size + size) * size
        if left[1] < 0:
            raise ValueError("it holds more numbers than an AlexNet")
    if kind == BYTES and wire == 2:
        return part
    if kind == TEXT and wire == 2:
        return part.text()
    if kind == INT and wire == 0:
        return _signed(value)
    if kind == INTS and wire in (0, 2):
        return [_signed(value)] if wire == 0 else _packed_ints(part, left)
    if kind == FLOAT and wire == 5:
        last = part.part(len(part) - 4, 4)
        return float(Numbers([(last, 0)], DTYPES[FLOAT]).read()[0])
    if kind in (FLOATS, DOUBLES) and wire != 0:
        size = np.dtype(DTYPES[kind]).itemsize
        packed = wire == 2 and not len(part) % size
        if packed or WIRE_SIZES.get(wire) == size:
            return part, tag_size
    raise ValueError(f"{name!r} is not of its kind")


def _signed(value):
    return value - 2**64 if value >= 2**63 else value


def _packed_ints(data, left):
    values, at = [], 0
    while at < len(data):
        _count(left)
        value, at = _varint(data, at)
        values.append(_signed(value))
    return values


def _count(left):
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(
            f"it has more than {MOST_FIELDS:,} fields and integers"
        )


def _joined(values, kind, name):
    """One value of all those of a field, as protobuf joins them."""
    if isinstance(kind, list):
        return values
    if kind == INTS:
        return [number for part in values for number in part]
    if kind in (FLOATS, DOUBLES):
        return Numbers(values, DTYPES[kind])
    if isinstance(kind, dict) and len(values) > 1:
        # They would be merged; no program writes that.
        raise ValueError(f"{name!r} is there {len(values)} times")
    return values[-1] if values else None


def check_shape(shape, count):
    """Refuses a shape that is too long, or not that of so many numbers."""
    if len(shape) > MOST_AXES or min(shape, default=0) < 0:
        raise ValueError(f"an array has the shape {_text(shape)}")
    if math.prod(shape) != count:
        raise ValueError(
            f"an array of shape {_text(shape)} has {count:,} values"
        )


def _text(shape):
    more = ", ..." if len(shape) > MOST_AXES else ""
    return f"({', '.join(map(str, shape[:MOST_AXES]))}{more})"
