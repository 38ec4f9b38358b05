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
import os
import pathlib

import numpy as np

from keras_alexnet.color import ColorStatistics
from keras_alexnet.content import digest_of
from keras_alexnet.files import replacing

FORMAT = "keras_alexnet shards, version 1"
MEAN_IMAGE = "mean_image.npy"
# What `np.save` writes before such pixels, whatever their number (NumPy's
# numpy/lib/format.py, version 1.0).
HEADER_BYTES = 128


class Shards:
    """The images of one split of a prepared folder; read as they are used.

    Args:
        folder: Path of the prepared folder.
        names: Names of the shards, without their endings.
        resize_pixels: What the short sides were resized to.
        square: Whether only the central squares were kept.

    Attributes:
        labels: Array of labels.
        paths: List of the files that the images were made from.
        digests: List of the digests of their contents (`content.digest_of`).
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
        # Filled when asked for; subsets share it.
        self._digests = [
            digest
            for index in indices
            for digest in index.get("digests", [None] * len(index["paths"]))
        ]
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
        return self._pixels(int(self._chosen[index]))

    @property
    def digests(self):
        """For each image the digest of what it was made from, as a list.

        Shards of earlier versions do not tell: that of the prepared pixels.
        """
        for index in self._chosen.tolist():
            if self._digests[index] is None:
                self._digests[index] = digest_of(self._pixels(index))
        return [self._digests[index] for index in self._chosen.tolist()]

    def _pixels(self, index):
        shard = bisect.bisect_right(self._firsts, index) - 1
        place = index - self._firsts[shard]
        start, end = self._starts[shard][place : place + 2].tolist()
        height, width = self._shapes[shard][place].tolist()
        return self._read(shard, start, end).reshape(height, width, 3)

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

    def _read(self, shard, start, end):
        """Some of the pixels of a shard, in one row.

        No file stays open or mapped: ImageNet's 2,503 are more than a process
        may have open by default, and a mapped file that is cut off kills it.
        """
        path = f"{self.folder}/{self.names[shard]}.npy"
        expected = HEADER_BYTES + int(self._starts[shard][-1])
        try:
            with open(path, "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if size != expected:
                    raise OSError(f"it has {size} bytes, not {expected}")
                file.seek(HEADER_BYTES + start)
                return np.frombuffer(file.read(end - start), "uint8")
        except OSError as error:
            raise ValueError(
                f"{path!r} cannot be read: {error}; run keras-alexnet "
                "prepare-data again, it writes what is missing."
            ) from error


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
        return path.stat().st_size == HEADER_BYTES + values
    except (OSError, KeyError, TypeError, ValueError):
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
