"""The features of images, and the file that keeps them."""

import shutil
import zipfile
from dataclasses import dataclass

import numpy as np

from keras_alexnet.files import replacing
from keras_alexnet.untrusted_files import open_records
from keras_alexnet.untrusted_files import open_regular
from keras_alexnet.untrusted_files import refusing
from keras_alexnet.weights.arrays import read_array

# What stands beside the values: kinds of NumPy's types, number of axes.
COLUMNS = {
    "layer": ("U", 0),
    "class_names": ("U", 1),
    "files": ("U", 1),
    "labels": ("iu", 1),
}


@dataclass(frozen=True)
class Features:
    """The outputs of a layer for images.

    Args:
        values: `float32` array, `(images, ...)`.
        files: Paths of the images, or `None` of images in memory.
        layer: Name of the layer.
        labels: Indices into `class_names`, or `None` where the images do not
            lie in class folders.
        class_names: Names of the class folders, sorted.
        skipped: File -> the reason why it could not be read.
    """

    values: np.ndarray
    files: np.ndarray | None
    layer: str
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    skipped: dict[str, str]

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype, copy=copy)

    def __len__(self):
        return len(self.values)

    def save(self, to_file):
        """Write an `.npz` file: `features`, `files`, `layer`, `labels`, ...

        Args:
            to_file: Path of the file.
        """
        with replacing(to_file) as path, open(path, "wb") as file:
            columns = columns_of(self.files, self.layer, self.labels)
            names = np.array(self.class_names, str)
            np.savez(file, features=self.values, class_names=names, **columns)

    @classmethod
    def load(cls, file):
        """Read what `save` or the command `features` has written.

        Args:
            file: Path of the file.

        Returns:
            `Features`.

        Raises:
            ValueError: if it is not such a file.
        """
        expected = "what `keras-alexnet features` has written"
        with refusing(file, expected), open_regular(file) as (stream, size):
            records = open_records(stream, size)
            arrays = {
                name: read_array(records[f"{name}.npy"]())
                for name in ("features", *COLUMNS)
                if f"{name}.npy" in records
            }
            _check(arrays)
        return cls(
            arrays["features"],
            arrays.get("files"),
            str(arrays["layer"]),
            arrays.get("labels"),
            tuple(arrays["class_names"].tolist()),
            {},
        )


def _check(arrays):
    """Refuses what `save` would not have written."""
    for name in ("features", "layer", "class_names"):
        if name not in arrays:
            raise ValueError(f"it lacks `{name}`")
    values = arrays["features"]
    if values.dtype.kind != "f" or values.ndim < 2:
        raise ValueError("its `features` are no rows of numbers")
    for name, (kinds, axes) in COLUMNS.items():
        column = arrays.get(name)
        if column is None:
            continue
        if column.dtype.kind not in kinds or column.ndim != axes:
            raise ValueError(f"its `{name}` are of another kind")
        if name in ("files", "labels") and len(column) != len(values):
            raise ValueError(
                f"it has {len(values)} features and {len(column)} `{name}`"
            )
        column.tolist()  # are these characters?
    labels = arrays.get("labels", np.zeros(0, int))
    if labels.size and not (
        0 <= labels.min() <= labels.max() < len(arrays["class_names"])
    ):
        raise ValueError("it has labels without a class")


def columns_of(files, layer, labels):
    """What stands beside the values, where it is known."""
    columns = {"layer": np.array(layer), "files": files, "labels": labels}
    return {name: a for name, a in columns.items() if a is not None}


def write_npz(path, raw, shape, columns):
    """What `numpy.savez` writes, the array `features` copied from a file.

    Args:
        path: Path of the file to write.
        raw: A binary file of the float32 values alone, at its beginning.
        shape: Shape of their array.
        columns: Name -> array, what stands beside it.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("features.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array_header_1_0(entry, header)
            shutil.copyfileobj(raw, entry, 2**22)
        for name, array in columns.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
