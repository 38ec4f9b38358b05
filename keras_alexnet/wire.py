"""Protocol buffers from a file, by tables that say which fields to read.

The format is protobuf.dev/programming-guides/encoding. No length in a file is
believed before the bytes are seen to be there; fields that are not in a table
are skipped, and what they nest is not entered.
"""

import mmap

import numpy as np

from keras_alexnet.opening import MOST_BYTES
from keras_alexnet.opening import open_regular

# Kinds of fields. A table (dict of number -> (name, kind)) is the kind of a
# message, a list of one kind that of a field that may be repeated.
INT, FLOAT, TEXT, BYTES = "int", "float", "text", "bytes"
INTS, FLOATS, DOUBLES = "ints", "floats", "doubles"  # repeated numbers
DTYPES = {FLOAT: "<f4", FLOATS: "<f4", DOUBLES: "<f8"}
# An AlexNet has some hundreds; a million tiny ones would take seconds.
MOST_FIELDS = 20_000
WIRE_SIZES = {5: 4, 1: 8}  # bytes of the wire types of fixed size


def read_message(path, table):
    """The message that a file consists of.

    Args:
        path: Path of the file.
        table: Which fields to read.

    Returns:
        A dict of name -> value; what is missing is `None`, an empty list, or
        0, "" and so on where protobuf means that. Messages are dicts.

    Raises:
        ValueError, OSError: if it is damaged, something else or cannot be
            read; the text is for `opening.refusing`.
    """
    with open_regular(path) as (file, _):
        # Only what is read gets into memory, whatever size a file claims.
        # The map lives as long as a view of it.
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return _message(memoryview(data), table, [MOST_FIELDS, MOST_BYTES])


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
            value, at = data[at : at + size], at + size
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
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at
    raise ValueError("a number is longer than ten bytes")


def _run(data, start, tag_size, size):
    """Numbers of fixed size: unpacked ones each behind the same tag."""
    tag = data[start : start + tag_size]
    step = tag_size + size
    most = (len(data) - start) // step
    if not most:
        raise ValueError("it ends within a number")
    count, part = 1, 1
    while count < most:
        at = start + count * step
        if data[at : at + tag_size] != tag:
            break
        part = min(2 * part, most - count)
        rows = _rows(data, at, part, step)[:, :tag_size]
        same = (rows == np.frombuffer(tag, "u1")).all(axis=1)
        count += part if same.all() else int(same.argmin())
    rows = _rows(data, start, count, step)[:, tag_size:]
    return memoryview(rows.tobytes()), start + count * step


def _rows(data, at, count, step):
    rows = np.frombuffer(data, "u1", count * step, at)
    return rows.reshape(count, step)


def _value(kind, wire, value, left, name):
    if isinstance(kind, dict) and wire == 2:
        return _message(value, kind, left)
    if isinstance(kind, str) and kind in (*DTYPES, BYTES):
        left[1] -= len(value) if wire else 0
        if left[1] < 0:
            raise ValueError("it holds more numbers than an AlexNet")
    if kind == BYTES and wire == 2:
        return value
    if kind == TEXT and wire == 2:
        return bytes(value).decode()
    if kind == INT and wire == 0:
        return _signed(value)
    if kind == INTS and wire in (0, 2):
        return [_signed(value)] if wire == 0 else _packed_ints(value, left)
    if kind in (FLOAT, FLOATS, DOUBLES) and wire != 0:
        size = np.dtype(DTYPES[kind]).itemsize
        packed = wire == 2 and kind != FLOAT and not len(value) % size
        if packed or WIRE_SIZES.get(wire) == size:
            return np.frombuffer(value, DTYPES[kind])
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
        if len(values) == 1:
            return values[0]
        return np.concatenate([np.zeros(0, DTYPES[kind]), *values])
    if isinstance(kind, dict) and len(values) > 1:
        # They would be merged; no program writes that.
        raise ValueError(f"{name!r} is there {len(values)} times")
    if not values:
        return None
    return float(values[-1][-1]) if kind == FLOAT else values[-1]
