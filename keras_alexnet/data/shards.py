"""Prepared images: large files of pixels that are read at any place.

A prepared folder holds `dataset.json` (class names, sizes, checksums) and for
each shard

- `train-00000.npy`: the pixels, `uint8`, of squares `(images, side, side, 3)`,
  of rectangles one after the other in one row; `np.load` opens it;
- `train-00000.json`: paths, labels, heights and widths, the digests of what
  the images were made from, what was left out and why, the SHA-256 of the
  pixels file, and the SHA-256 of all this. Commit c5d05b9 and earlier wrote
  neither the digests nor the last.
"""

import bisect
import copy
import hashlib
import json
import math
import os
import pathlib
import re
import stat

import numpy as np

from keras_alexnet.data.color import ColorStatistics
from keras_alexnet.data.content import digest_of
from keras_alexnet.files import NewerVersion
from keras_alexnet.files import check_newer
from keras_alexnet.files import replacing

VERSION = 1
_FORM = "keras_alexnet shards, version "
FORMAT = f"{_FORM}{VERSION}"
MEAN_IMAGE = "mean_image.npy"
# What `np.save` writes before such pixels, whatever their number (NumPy's
# numpy/lib/format.py, version 1.0).
HEADER_BYTES = 128
# 512 of the longest paths take 12 MB; more is no index, and is not read.
LARGEST_JSON = 2**26
LARGEST_SIDE = 2**24


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
            with open_file(path) as file:
                size = os.fstat(file.fileno()).st_size
                if size != expected:
                    raise OSError(f"it has {size} bytes, not {expected}")
                file.seek(HEADER_BYTES + start)
                data = file.read(end - start)
            if len(data) != end - start:
                raise OSError("it was cut off")
            return np.frombuffer(data, "uint8")
        except OSError as error:
            raise ValueError(
                f"{path!r} cannot be read: {error}; run keras-alexnet "
                "prepare-data again, it writes what is missing."
            ) from error


def write_shard(folder, name, images, index):
    """Write the pixels and the index of a shard.

    The index takes its place first: it says whose the pixels beside it are.

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
        index = {
            **index,
            "heights": [image.shape[0] for image in images],
            "widths": [image.shape[1] for image in images],
            "sha256": checksum(path),
        }
        index["index_sha256"] = _digest_of_index(index)
        with replacing(folder / f"{name}.json") as index_path:
            pathlib.Path(index_path).write_text(
                json.dumps(index), encoding="utf-8"
            )


def _digest_of_index(index):
    rest = {k: v for k, v in index.items() if k != "index_sha256"}
    return hashlib.sha256(json.dumps(rest).encode()).hexdigest()


def read_index(folder, name, classes=None):
    """The index of a shard.

    Args:
        folder: Path of the prepared folder.
        name: Name of the shard.
        classes: How many there are; `None` if labels may be any.

    Raises:
        ValueError: if it is missing or damaged.
    """
    path = pathlib.Path(folder) / f"{name}.json"
    try:
        index = read_json(path)
        _check_index(index, math.inf if classes is None else classes)
        return index
    except (*_ERRORS, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is missing or damaged ({error}); run "
            "keras-alexnet prepare-data again, it writes what is missing."
        ) from error


_ERRORS = (OSError, KeyError, TypeError, ValueError)
_COLUMNS = ("paths", "labels", "heights", "widths")
_HEX = re.compile("[0-9a-f]{64}")


def _check_index(index, classes):
    """Refuse what `write_shard` does not write.

    Raises:
        KeyError, TypeError or ValueError: with what is wrong.
    """
    if not isinstance(index, dict):
        raise ValueError("it is not a JSON object")
    columns = [index[key] for key in _COLUMNS]
    columns.append(index.get("digests", index["paths"]))
    if not all(isinstance(column, list) for column in columns):
        raise ValueError("its columns are not lists")
    if len(set(map(len, columns))) != 1:
        raise ValueError("its columns differ in length")
    if not all(isinstance(path, str) for path in index["paths"]):
        raise ValueError("its paths are not text")
    if not all(map(_is_digest, index.get("digests", ()))):
        raise ValueError("its digests are not such")
    if not all(_is_within(label, 0, classes - 1) for label in index["labels"]):
        raise ValueError("its labels are not those of classes")
    sides = index["heights"] + index["widths"]
    if not all(_is_within(side, 1, LARGEST_SIDE) for side in sides):
        raise ValueError("its heights and widths are not those of images")
    for key in ("skipped", "skipped_digests"):
        reasons = index.get(key, {})
        if not isinstance(reasons, dict) or not all(
            isinstance(text, str) for text in reasons.values()
        ):
            raise ValueError(f"its {key} are not names and texts")
    if "digests" in index and (
        index["skipped"].keys() != index["skipped_digests"].keys()
    ):
        raise ValueError("it does not have the digests of what was skipped")
    if index.get("index_sha256") not in (None, _digest_of_index(index)):
        raise ValueError("it does not have its checksum")


def _is_within(value, least, most):
    # Labels without a known number of classes: NumPy's integers end there.
    return type(value) is int and least <= value <= min(most, 2**31)


def _is_digest(value):
    return isinstance(value, str) and bool(_HEX.fullmatch(value))


def is_whole(folder, name, classes=None):
    """Whether a shard is there and its pixels have their checksum.

    Args:
        folder: Path of the prepared folder.
        name: Name of the shard.
        classes: As in `read_index`.
    """
    try:
        index = read_index(folder, name, classes)
        path = pathlib.Path(folder) / f"{name}.npy"
        sizes = zip(index["heights"], index["widths"], strict=True)
        values = 3 * sum(height * width for height, width in sizes)
        if path.stat().st_size != HEADER_BYTES + values:
            return False  # before gigabytes of something else are read
        return checksum(path) == index["sha256"]
    except _ERRORS:
        return False


def open_file(path):
    """A file opened for reading; no pipe or device, which may never end.

    Raises:
        OSError: if there is no such file.
    """

    def opener(path, flags):
        handle = os.open(path, flags | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError("it is not a file")
        return handle

    return open(path, "rb", buffering=0, opener=opener)


def read_json(path):
    """What a JSON file holds.

    Raises:
        OSError or ValueError: if it is missing, too large or not JSON.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_JSON:
            raise ValueError(f"it has {size:,} bytes, too many")
        data = file.readall()
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def checksum(path):
    """SHA-256 of a file, as hexadecimal digits."""
    with open_file(path) as file:
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
        dataset = read_json(path)
        refuse_newer(path, dataset)
        _check_dataset(dataset)
        return dataset
    except NewerVersion:
        raise
    except _ERRORS as error:
        raise ValueError(
            f"{str(path)!r} cannot be read: {error}; expected what "
            "keras-alexnet prepare-data writes."
        ) from error


def refuse_newer(path, dataset):
    """Refuse what a later version has written, whatever it holds.

    Args:
        path: Of the file, for the sentence.
        dataset: What its JSON holds.

    Raises:
        NewerVersion: if its format is newer.
    """
    form = dataset.get("format") if isinstance(dataset, dict) else None
    if isinstance(form, str):
        check_newer(form.removeprefix(_FORM), VERSION, path)


def _check_dataset(dataset):
    """Refuse what `prepare_data` does not write.

    Raises:
        KeyError, TypeError or ValueError: with what is wrong.
    """
    if not isinstance(dataset, dict):
        raise ValueError("it is not a JSON object")
    if dataset["format"] != FORMAT:
        raise ValueError(f"its format is {str(dataset['format'])[:60]!r}")
    names = dataset["class_names"]
    if not isinstance(names, list) or not names:
        raise ValueError("its class names are not a list")
    if not all(isinstance(name, str) for name in names):
        raise ValueError("its class names are not text")
    if not _is_within(dataset["resize_pixels"], 1, LARGEST_SIDE):
        raise ValueError("its resize_pixels are not a number of pixels")
    if not isinstance(dataset["square"], bool):
        raise ValueError("its square is not true or false")
    shards = dataset["shards"]
    if not isinstance(shards, dict) or shards.keys() != {"train", "test"}:
        raise ValueError("its shards are not those of train and test")
    for split, listed in shards.items():
        if not isinstance(listed, list) or not all(
            isinstance(name, str)
            and re.fullmatch(rf"{split}-[0-9]{{5,}}", name)
            for name in listed
        ):
            raise ValueError(f"its shards of {split} have other names")
        if len(set(listed)) != len(listed):
            raise ValueError(f"its shards of {split} come twice")


def read_colors(folder):
    """Color statistics and mean image of the training images of a folder."""
    dataset = read_dataset(folder)
    path = pathlib.Path(folder) / MEAN_IMAGE
    try:
        colors = {
            key: _numbers(dataset["color"][key], shape)
            for key, shape in _COLORS.items()
        }
        mean_image = _read_mean_image(path, dataset["resize_pixels"])
        return ColorStatistics(**colors), mean_image
    except (*_ERRORS, EOFError, OverflowError) as error:
        raise ValueError(
            f"{str(folder)!r} does not tell the colors of its images "
            f"({error}); run keras-alexnet prepare-data again."
        ) from error


_COLORS = {"mean": (3,), "deviations": (3,), "components": (3, 3)}


def _numbers(values, shape):
    numbers = np.array(values)
    if (
        numbers.shape != shape
        or numbers.dtype.kind not in "if"
        or not np.isfinite(numbers).all()
    ):
        raise ValueError("its colors are not finite numbers")
    return _tuples(values)


def _read_mean_image(path, pixels):
    """What `np.save` wrote; the header alone may ask for any memory."""
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size != HEADER_BYTES + 12 * pixels**2:
            raise ValueError(f"{MEAN_IMAGE} has another size")
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{MEAN_IMAGE} is of another version")
        header = np.lib.format.read_array_header_1_0(file)
        if header != ((pixels, pixels, 3), False, np.dtype("float32")):
            raise ValueError(f"{MEAN_IMAGE} is no array of {pixels} pixels")
        data = file.read()
    return np.frombuffer(data, "float32").reshape(pixels, pixels, 3).copy()


def _tuples(values):
    return tuple(map(_tuples, values)) if isinstance(values, list) else values
