"""Prepared images: large files of pixels that are read at any place.

A prepared folder holds `dataset.json` (class names, sizes, checksums) and for
each shard

- `train-00000.npy`: the pixels, `uint8`, of squares `(images, side, side, 3)`,
  of rectangles one after the other in one row; `np.load` opens it;
- `train-00000.json`: paths, labels, heights and widths, what was left out and
  why, and the SHA-256 of the pixels.
"""

import bisect
import copy
import hashlib
import json
import pathlib
import threading

import numpy as np

from keras_alexnet.color import ColorStatistics
from keras_alexnet.files import replacing

FORMAT = "keras_alexnet shards, version 1"
MEAN_IMAGE = "mean_image.npy"
# NumPy reads a header with Python's parser, which fails now and then when two
# threads are in it (CPython 3.11.7, python/cpython#106905).
_opening = threading.Lock()


class Shards:
    """The images of one split of a prepared folder; opened as they are used.

    Args:
        folder: Path of the prepared folder.
        names: Names of the shards, without their endings.
        resize_pixels: What the short sides were resized to.
        square: Whether only the central squares were kept.

    Attributes:
        labels: Array of labels.
        paths: List of the files that the images were made from.
    """

    def __init__(self, folder, names, resize_pixels, square):
        self.folder = pathlib.Path(folder)
        self.resize_pixels = resize_pixels
        self.square = square
        self.names = list(names)
        indices = [read_index(self.folder, name) for name in self.names]
        labels = [label for index in indices for label in index["labels"]]
        self.labels = np.array(labels, "int64")
        self.paths = [path for index in indices for path in index["paths"]]
        counts = [len(index["labels"]) for index in indices]
        self._firsts = np.concatenate([[0], np.cumsum(counts)]).tolist()
        self._shapes = [
            np.array([index["heights"], index["widths"]], "int64").T
            for index in indices
        ]
        self._starts = [
            np.concatenate([[0], np.cumsum(3 * shapes.prod(axis=1))])
            for shapes in self._shapes
        ]
        self._pixels = [None] * len(self.names)
        self._chosen = np.arange(self._firsts[-1])

    def __len__(self):
        return len(self._chosen)

    def __getitem__(self, index):
        """The pixels of an image, `(height, width, 3)`, or `Shards` of some
        images for an array of places."""
        if isinstance(index, np.ndarray | slice):
            index = np.arange(len(self))[index]  # of a mask too
            some = copy.copy(self)
            some._chosen = self._chosen[index]
            some.labels = self.labels[index]
            some.paths = [self.paths[i] for i in index]
            return some
        index = int(self._chosen[index])
        shard = bisect.bisect_right(self._firsts, index) - 1
        place = index - self._firsts[shard]
        pixels = self._pixels[shard]
        if pixels is None:
            pixels = self._pixels[shard] = self._open(shard)
        if pixels.ndim == 4:
            return pixels[place]
        start, end = self._starts[shard][place : place + 2]
        shape = (*self._shapes[shard][place], 3)
        return pixels[start:end].reshape(shape)

    def check(self, resize_pixels, square):
        """Refuse shards of another size than is asked for.

        Args:
            resize_pixels: The short side that is asked for.
            square: Whether central squares will do; `None` if that does not
                matter.

        Raises:
            ValueError: with what is there and what was asked for.
        """
        if self.resize_pixels != resize_pixels:
            raise ValueError(
                f"The images in {str(self.folder)!r} were prepared with a "
                f"short side of {self.resize_pixels} pixels; asked for are "
                f"{resize_pixels}."
            )
        if self.square and square is False:
            raise ValueError(
                f"{str(self.folder)!r} keeps the central squares only; crops "
                "from all of an image need `prepare-data --whole`."
            )

    def _open(self, shard):
        path = self.folder / f"{self.names[shard]}.npy"
        try:
            with _opening:
                pixels = np.load(path, mmap_mode="r")
        except (OSError, EOFError, ValueError) as error:
            raise ValueError(
                f"{str(path)!r} cannot be opened: {error}; run keras-alexnet "
                "prepare-data again, it writes what is missing."
            ) from error
        if pixels.size != self._starts[shard][-1] or pixels.dtype != "uint8":
            raise ValueError(
                f"{str(path)!r} holds {pixels.size} values, not the "
                f"{self._starts[shard][-1]} of its images: it is damaged."
            )
        return pixels


def write_shard(folder, name, images, index):
    """Write the pixels and the index of a shard, the index last.

    Args:
        folder: Path of the prepared folder.
        name: Name of the shard.
        images: List of `uint8` arrays `(height, width, 3)`.
        index: Dict with at least `paths` and `labels`, in the same order.
    """
    folder = pathlib.Path(folder)
    shapes = {image.shape for image in images}
    if len(shapes) == 1:
        pixels = np.stack(images)
    else:
        flat = [image.reshape(-1) for image in images]
        pixels = np.concatenate([np.zeros(0, "uint8"), *flat])
    with replacing(folder / f"{name}.npy") as path:
        with open(path, "wb") as file:
            np.save(file, pixels)
        digest = checksum(path)
    index = {
        **index,
        "heights": [image.shape[0] for image in images],
        "widths": [image.shape[1] for image in images],
        "sha256": digest,
    }
    with replacing(folder / f"{name}.json") as path:
        pathlib.Path(path).write_text(json.dumps(index))


def read_index(folder, name):
    """The index of a shard.

    Raises:
        ValueError: if it is missing or damaged.
    """
    path = pathlib.Path(folder) / f"{name}.json"
    try:
        index = json.loads(path.read_text())
        columns = [index[key] for key in _COLUMNS]
        if len({len(column) for column in columns}) != 1:
            raise ValueError("its columns differ in length")
        return index
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} is missing or damaged ({error}); run "
            "keras-alexnet prepare-data again, it writes what is missing."
        ) from error


_COLUMNS = ("paths", "labels", "heights", "widths")


def is_whole(folder, name):
    """Whether a shard is there and its pixels have their checksum."""
    try:
        index = read_index(folder, name)
        path = pathlib.Path(folder) / f"{name}.npy"
        sizes = zip(index["heights"], index["widths"], strict=True)
        values = 3 * sum(height * width for height, width in sizes)
        if checksum(path) != index["sha256"]:
            return False
        with _opening:
            return np.load(path, mmap_mode="r").size == values
    except (OSError, EOFError, KeyError, TypeError, ValueError):
        return False


def checksum(path):
    """SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_prepared(folder):
    """Whether a folder is a prepared one."""
    return (pathlib.Path(folder) / "dataset.json").is_file()


def read_dataset(folder):
    """What `dataset.json` says.

    Raises:
        ValueError: if it is damaged or of another version.
    """
    path = pathlib.Path(folder) / "dataset.json"
    try:
        facts = json.loads(path.read_text())
        if facts["format"] != FORMAT:
            raise ValueError(f"its format is {facts['format']!r}")
        for key in ("class_names", "shards", "resize_pixels", "square"):
            facts[key]  # noqa: B018 - is it there
        return facts
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} cannot be read: {error}; expected what "
            "keras-alexnet prepare-data writes."
        ) from error


def read_colors(folder):
    """Color statistics and mean image of the training images of a folder."""
    facts = read_dataset(folder)
    path = pathlib.Path(folder) / MEAN_IMAGE
    try:
        colors = {key: _tuples(v) for key, v in facts["color"].items()}
        return ColorStatistics(**colors), np.load(path)
    except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(folder)!r} does not tell the colors of its images "
            f"({error}); run keras-alexnet prepare-data again."
        ) from error


def _tuples(values):
    return tuple(map(_tuples, values)) if isinstance(values, list) else values
