"""A reader of pickles that can build plain values and nothing else.

A pickle is a program: "push this, call that". Python's own reader runs any of
it, and even with a list of allowed names it can be made to fill the memory
(a memo of 2**32 places) or to crash (keys of a million nested tuples). The
machine here knows the steps that tensors need, and counts them.
"""

import pickle
import pickletools
import re
import struct

from keras_alexnet.untrusted_files import MOST_BYTES
from keras_alexnet.untrusted_files import shown

# AlexNet's state dict takes 700 steps, with Adam's state 2,100; so many as this
# take a fifth of a second.
MOST_STEPS = 100_000
MOST_NAME_BYTES = 500


# What training scripts save beside the weights: arguments, paths, dates,
# counts, their own classes, and objects of PyTorch's. Each becomes an `Inert`;
# no file can have more of it done than that.
INERT = re.compile(
    r"(argparse|easydict|ml_collections|omegaconf|yacs|__main__)\.[\w.]+"
    r"|(torch\.(nn|optim|utils\.data)|numpy\.random|pathlib)\.[\w.]+"
    r"|(datetime|decimal|fractions|types\.SimpleNamespace|uuid|zoneinfo)[\w.]*"
    r"|collections\.(Counter|deque)"
    r"|(__builtin__|builtins)\.(Ellipsis|bool|bytearray|complex|dict|float"
    r"|frozenset|int|list|object|x?range|set|slice|str|tuple)"
    r"|torch\.(device|dtype|Generator|Size|b?float\d*|half|double|bool|long"
    r"|u?int\d*|strided|contiguous_format|channels_last)"
    r"|torch\._utils\.torch\.\w+|torch\.(torch_)?version\.TorchVersion"
    r"|copy_?reg\._reconstructor"
)


class Inert:
    """Stands for an object that is no weight: nothing of it is kept."""

    def __call__(self, *_):
        return Inert()

    def set_state(self, _):
        """What it would hold."""


class Unpickler:
    """Reads pickles from a file that a stranger may have written.

    Args:
        file: A binary file object; it is read from where it stands.
        size: Its size in bytes.
        allowed: Dict: a full name, such as "collections.OrderedDict" -> the
            function of ours that is called in its place.
        load_persistent: Function of a tuple, for what the pickle keeps
            outside itself.

    Raises:
        ValueError: `load`, for all that is not known here.
    """

    def __init__(self, file, size, allowed, load_persistent=None):
        self.file = file
        self.left = size - file.tell()
        self.room = MOST_BYTES
        self.allowed = allowed
        self.load_persistent = load_persistent

    def load(self):
        """The value of the next pickle in the file."""
        self.stack, self.stacks, self.memo = [], [], {}
        for _ in range(MOST_STEPS):
            code = self.read(1)
            if code == pickle.STOP:
                return self.stack.pop()
            if code not in STEPS:
                raise ValueError(f"its pickle has the step {_named(code)}")
            STEPS[code](self)
        raise ValueError(f"its pickle has more than {MOST_STEPS:,} steps")

    def read(self, count):
        self.left -= count
        self.room -= count
        if count < 0 or self.left < 0:
            raise ValueError("its pickle ends in the middle")
        if self.room < 0:
            raise ValueError("its pickle is larger than an AlexNet")
        data = self.file.read(count)
        if len(data) < count:
            raise ValueError("its pickle ends in the middle")
        return data

    def skip(self, count):
        """Over what is no pickle."""
        if not 0 <= count <= self.left:
            raise ValueError("it ends in the middle")
        self.left -= count
        self.file.seek(count, 1)

    def number(self, form):
        (value,) = struct.unpack(form, self.read(struct.calcsize(form)))
        return value

    def text(self, form):
        data = self.read(self.number(form))
        # Bytes as Python 3 writes them for Python 2, all below 256; a single
        # character beyond would make the text four times as large.
        if len(data) > MOST_NAME_BYTES and re.search(b"[\xc4-\xff]", data):
            raise ValueError("its pickle has a long text, no bytes")
        # As Python writes half of a pair of surrogates.
        return data.decode("utf-8", "surrogatepass")

    def line(self):
        line = self.file.readline(MOST_NAME_BYTES)
        self.left -= len(line)
        if not line.endswith(b"\n"):
            raise ValueError("its pickle has a name without an end")
        return line[:-1].decode("utf-8")

    def find(self, module, name):
        """What stands for a name; nothing is imported."""
        full = f"{short_text(module)}.{short_text(name)}"
        if full in self.allowed:
            return self.allowed[full]
        if INERT.fullmatch(full):
            return Inert()
        raise ValueError(
            f"it asks for {shown(full)}, which weights do not need and which "
            "was not run"
        )

    def mark(self):
        self.stacks.append(self.stack)
        self.stack = []

    def pop_marked(self):
        values, self.stack = self.stack, self.stacks.pop()
        return values

    def pop(self, count):
        values = self.stack[-count:]
        if len(values) < count:
            raise ValueError("its pickle lacks values")
        del self.stack[-count:]
        return values

    def append(self, values):
        if type(self.stack[-1]) is Inert:
            return
        if type(self.stack[-1]) is not list:
            raise ValueError("its pickle appends to what is no list")
        self.stack[-1].extend(values)

    def set_items(self, items):
        set_items(self.stack[-1], zip(items[::2], items[1::2], strict=True))

    def call(self):
        arguments, function = self.stack.pop(), self.stack.pop()
        # Only what `find` gave can be called; all else here is plain data.
        if type(arguments) is not tuple or not callable(function):
            raise ValueError("its pickle calls what cannot be called")
        self.stack.append(function(*arguments))

    def add_items(self):
        self.pop_marked()
        if type(self.stack[-1]) is not Inert:
            raise ValueError("its pickle adds to what is no set")

    def frozen_set(self):
        self.pop_marked()
        self.stack.append(Inert())

    def call_with_names(self):
        self.stack.pop()
        self.call()

    def build(self):
        state, value = self.stack.pop(), self.stack[-1]
        # Attributes of dicts and of parameters ("_metadata") are not needed.
        if hasattr(value, "set_state"):
            value.set_state(state)

    def put(self, place):
        self.memo[place] = self.stack[-1]

    def load_outside(self):
        if self.load_persistent is None:
            raise ValueError("its pickle refers to something outside itself")
        return self.load_persistent(self.stack.pop())

    def find_on_stack(self):
        name, module = self.stack.pop(), self.stack.pop()
        return self.find(module, name)

    def old_instance(self):
        self.find(self.line(), self.line())
        raise ValueError("its pickle has the step INST")


def set_items(table, pairs):
    """Fills a dict, whose keys may be text or numbers only.

    Hashing what is nested can take forever or crash Python. Numbers become
    text: Python hashes text by a secret, but numbers in a way that anybody
    can make collide, and 49,000 of those take a minute.
    """
    if type(table) is Inert:
        return
    if type(table) is not dict:
        raise ValueError("its pickle sets items of what is no dict")
    for key, value in pairs:
        if type(key) is Inert:  # of a table that holds no weights by name
            continue
        if type(key) in (str, bytes):
            key = short_text(key)
        elif type(key) not in (int, float, bool, type(None)):
            kind = type(key).__name__
            raise ValueError(f"its pickle has a key of type {kind}")
        table[str(key)] = value


def short_text(value):
    """A name; the `str` of Python 2 as that of Python 3."""
    if type(value) not in (str, bytes) or len(value) > MOST_NAME_BYTES:
        raise ValueError("its pickle has a name that is no short text")
    return value if type(value) is str else value.decode("latin-1")


def _push(get):
    def step(machine):
        value = get(machine)  # which may put another stack in place
        machine.stack.append(value)

    return step


def _named(code):
    # All steps have names but for damaged ones.
    known = pickletools.code2op.get(code.decode("latin-1"))
    return known.name if known else f"{code[0]:#04x}"


STEPS = {
    pickle.PROTO: lambda machine: machine.read(1),
    pickle.FRAME: lambda machine: machine.read(8),
    pickle.NONE: _push(lambda machine: None),
    pickle.NEWTRUE: _push(lambda machine: True),
    pickle.NEWFALSE: _push(lambda machine: False),
    pickle.BININT: _push(lambda machine: machine.number("<i")),
    pickle.BININT1: _push(lambda machine: machine.number("<B")),
    pickle.BININT2: _push(lambda machine: machine.number("<H")),
    pickle.BINFLOAT: _push(lambda machine: machine.number(">d")),
    pickle.LONG1: _push(
        lambda machine: int.from_bytes(
            machine.read(machine.number("<B")), "little", signed=True
        )
    ),
    pickle.SHORT_BINSTRING: _push(lambda m: m.read(m.number("<B"))),
    pickle.BINSTRING: _push(lambda m: m.read(m.number("<i"))),
    pickle.SHORT_BINBYTES: _push(lambda m: m.read(m.number("<B"))),
    pickle.BINBYTES: _push(lambda m: m.read(m.number("<I"))),
    pickle.BINBYTES8: _push(lambda m: m.read(m.number("<Q"))),
    pickle.SHORT_BINUNICODE: _push(lambda machine: machine.text("<B")),
    pickle.BINUNICODE: _push(lambda machine: machine.text("<I")),
    pickle.BINUNICODE8: _push(lambda machine: machine.text("<Q")),
    pickle.EMPTY_DICT: _push(lambda machine: {}),
    pickle.EMPTY_LIST: _push(lambda machine: []),
    pickle.EMPTY_TUPLE: _push(lambda machine: ()),
    pickle.TUPLE1: _push(lambda machine: tuple(machine.pop(1))),
    pickle.TUPLE2: _push(lambda machine: tuple(machine.pop(2))),
    pickle.TUPLE3: _push(lambda machine: tuple(machine.pop(3))),
    pickle.TUPLE: _push(lambda machine: tuple(machine.pop_marked())),
    pickle.MARK: Unpickler.mark,
    pickle.APPEND: lambda machine: machine.append(machine.pop(1)),
    pickle.APPENDS: lambda machine: machine.append(machine.pop_marked()),
    pickle.SETITEM: lambda machine: machine.set_items(machine.pop(2)),
    pickle.SETITEMS: lambda machine: machine.set_items(machine.pop_marked()),
    pickle.BINPUT: lambda machine: machine.put(machine.number("<B")),
    pickle.LONG_BINPUT: lambda machine: machine.put(machine.number("<I")),
    pickle.MEMOIZE: lambda machine: machine.put(len(machine.memo)),
    pickle.BINGET: _push(lambda machine: machine.memo[machine.number("<B")]),
    pickle.LONG_BINGET: _push(lambda m: m.memo[m.number("<I")]),
    pickle.GLOBAL: _push(lambda m: m.find(m.line(), m.line())),
    pickle.STACK_GLOBAL: _push(Unpickler.find_on_stack),
    pickle.INST: Unpickler.old_instance,
    pickle.EMPTY_SET: _push(lambda machine: Inert()),
    pickle.ADDITEMS: Unpickler.add_items,
    pickle.FROZENSET: Unpickler.frozen_set,
    pickle.NEWOBJ_EX: Unpickler.call_with_names,
    pickle.REDUCE: Unpickler.call,
    pickle.NEWOBJ: Unpickler.call,
    pickle.BUILD: Unpickler.build,
    pickle.BINPERSID: _push(Unpickler.load_outside),
}
