"""The features of images, and the file that keeps them."""

import shutil
import zipfile
from dataclasses import dataclass

import numpy as np

from keras_alexnet.files import replacing
from keras_alexnet.opening import open_regular
from keras_alexnet.opening import refusing


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
        with (
            refusing(file, expected),
            open_regular(file) as (stream, _),
            np.load(stream) as arrays,
        ):
            values, layer = arrays["features"], str(arrays["layer"])
            files, labels = arrays.get("files"), arrays.get("labels")
            names = tuple(arrays["class_names"].tolist())
        return cls(values, files, layer, labels, names, {})


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
