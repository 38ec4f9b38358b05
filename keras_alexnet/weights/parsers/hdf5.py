"""A tree of HDF5 groups that a stranger wrote.

HDF5 can name other files, load plugins and claim any size; such links and
claims are refused before they are followed.
"""

import itertools
import math
import re

import h5py
import numpy as np

from keras_alexnet.untrusted_files import PIECE
from keras_alexnet.untrusted_files import room_for
from keras_alexnet.untrusted_files import shown
from keras_alexnet.weights.parsers.hdf5_chunks import BFLOAT16
from keras_alexnet.weights.parsers.hdf5_chunks import Pieces
from keras_alexnet.weights.parsers.hdf5_texts import Texts

NUMBER_BYTES = 4  # what a floating number takes when it is read
MOST_GROUPS = 1_000  # a two-tower AlexNet has 80
# What Keras 3 saves beside the layers' weights.
OTHER_STATES = ("optimizer", "seed_generator")


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
