"""`features(...)`: what a layer of a trained network makes of images."""

import os
import pathlib
import shutil
import tempfile
import zipfile
from dataclasses import dataclass

import keras
import numpy as np

from keras_alexnet.data.arrays import read_array
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.folders import find_images
from keras_alexnet.data.pipeline import read_batches
from keras_alexnet.data.skipped_files import SkippedFiles
from keras_alexnet.files import AnyPath
from keras_alexnet.files import replacing
from keras_alexnet.models.builder import has_channels_first
from keras_alexnet.runs.network import Network
from keras_alexnet.runs.network import Trained
from keras_alexnet.runs.preprocessor import AnyImages
from keras_alexnet.runs.preprocessor import are_paths
from keras_alexnet.runs.preprocessor import each_image
from keras_alexnet.untrusted_files import open_records
from keras_alexnet.untrusted_files import open_regular
from keras_alexnet.untrusted_files import refusing

# What stands beside the values: kinds of NumPy's types, number of axes.
COLUMNS = {
    "layer": ("U", 0),
    "class_names": ("U", 1),
    "files": ("U", 1),
    "labels": ("iu", 1),
}


def features(
    trained: Trained, images: AnyImages | Examples, layer: str = "fc7"
) -> "Features":
    """What a layer of a trained network makes of images.

    Each image is read as for a test: its short side resized, its center
    cut out. Files that cannot be read are left out and named in `skipped`.

    Args:
        trained: What `open_trained` gives or takes, or a Keras model with
            trained weights, as in `preprocessor`.
        images: Path of an image, of a folder (of all in it and below; the
            folders in it are the classes) or a pattern, or a list of them;
            or images in memory, as `preprocessor` takes them; or `Examples`.
        layer: Name of the layer, as the paper's: `"fc7"`, `"fc6"`,
            `"pool5"`, `"conv1"`, ...; of two towers the maps of both. What
            the layer hands on counts, its own activation included; `"fc8"`
            gives probabilities.

    Returns:
        `Features`, whose `values` hold a row for each image.

    Raises:
        ValueError: if there is no such layer, or no image can be read.

    Example:

    ```python
    run = ka.open_trained("runs/photos")
    found = ka.features(run, "photos/")
    found.values.shape  # (images, 4096)
    found.save("features.npz")
    ```
    """
    examples, labeled = examples_of(images, trained)
    skipped = SkippedFiles(len(examples), 1.0)
    values, first = np.empty(0, "float32"), 0
    were_read: list[np.ndarray] = []
    for batch, read in _batches(trained, examples, layer, skipped):
        if not were_read:  # once, not twice as large at the end
            values = np.empty((len(examples), *batch.shape[1:]), "float32")
        values[first : first + len(batch)] = batch
        first += len(batch)
        were_read.append(read)
    good = np.concatenate(were_read)
    return Features(
        values[:first],
        examples.images[good] if examples.are_files else None,
        layer,
        examples.labels[good] if labeled else None,
        examples.class_names if labeled else (),
        skipped.reasons,
    )


def write_features(
    trained: Trained,
    images: AnyImages | Examples,
    to_file: AnyPath,
    layer: str = "fc7",
) -> tuple[tuple[int, ...], dict[str, str]]:
    """The same, straight into a file, so that memory does not grow.

    Args:
        trained: As in `features`.
        images: Paths, as in `features`.
        to_file: Path of the `.npz` file, as `Features.save` writes it.
        layer: As in `features`.

    Returns:
        The shape of the values, and file -> reason for those left out.

    Raises:
        ValueError: as in `features`, or if the file cannot be written.
    """
    examples, labeled = examples_of(images, trained)
    skipped = SkippedFiles(len(examples), 1.0)
    batches = _batches(trained, examples, layer, skipped)
    # How many can be read is known at the end only, and an array's length
    # stands in front of it: so the values wait in a file without one.
    with (
        replacing(to_file) as path,
        tempfile.TemporaryFile(dir=pathlib.Path(to_file).parent) as raw,
    ):
        good = []
        for batch, read in batches:
            raw.write(np.ascontiguousarray(batch).data)
            good.append(read)
        shape = (int(np.concatenate(good).sum()), *batch.shape[1:])
        columns = columns_of(
            examples.images[np.concatenate(good)],
            layer,
            examples.labels[np.concatenate(good)] if labeled else None,
        )
        columns["class_names"] = np.array(
            examples.class_names if labeled else (), str
        )
        raw.seek(0)
        write_npz(path, raw, shape, columns)
    return shape, skipped.reasons


def _batches(trained, examples, layer, skipped):
    """For each batch the values, and which of its images could be read."""
    network = Network.of(trained)
    model, to_input = network.model, network.to_input
    layers = keras.Model(model.input, layer_output(model, layer))
    batches = read_batches(
        examples,
        batch_size=network.recipe.batch_size,
        skipped=skipped,
        **network.sizes,
    )

    def run():
        left = len(examples)
        for inputs, _, weights in batches:
            read = weights[:left] > 0
            left -= len(read)
            values = layers.predict_on_batch(to_input(*inputs))[: len(read)]
            yield np.asarray(values[read], "<f4"), read
        if len(skipped) and len(skipped) == len(set(map(str, examples.images))):
            file, reason = next(iter(skipped.reasons.items()))
            raise ValueError(
                f"None of the {len(skipped)} images can be used; the first: "
                f"{file!r}: {reason}."
            )

    return run()


def layer_output(model, name):
    """What a layer hands on; of two towers, the maps of A and then of B.

    Args:
        model: A model made by `AlexNet`.
        name: The paper's name ("conv2"), or a layer's own ("conv2a").

    Raises:
        ValueError: if there is no such layer.
    """
    outputs = {
        layer.name: layer.output
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
        and keras.backend.is_keras_tensor(layer.output)
    }
    towers = [outputs.get(name + letter) for letter in "ab"]
    if name in outputs:
        return outputs[name]
    if None not in towers:
        maps_first = has_channels_first(model) and len(towers[0].shape) == 4
        axis = 1 if maps_first else -1
        return keras.layers.Concatenate(axis=axis, name=name)(towers)
    pairs = {key[:-1] for key in outputs if key[:-1] + "b" in outputs}
    known = dict.fromkeys(
        key[:-1] if key[:-1] in pairs else key for key in outputs
    )
    raise ValueError(
        f"{model.name} has no layer {name!r}; its layers are "
        f"{', '.join(known)}."
    )


def examples_of(images, trained=None):
    """Images of any of the kinds that `features` takes.

    Args:
        images: As in `features`.
        trained: The network that they are for, which says to what size images
            in memory are resized.

    Returns:
        `Examples`, and whether their labels are classes.

    Raises:
        ValueError: if there are none.
    """
    if isinstance(images, Examples):
        return images, True
    images = each_image(images)
    if not are_paths(images):
        squares = Network.of(trained).preprocessor.squares(images)
        return Examples(squares, np.zeros(len(squares), int), ("",)), False
    files = find_images(images)
    folders = [os.path.abspath(path) for path in images if os.path.isdir(path)]
    classes = [_class_folder(os.path.abspath(f), folders) for f in files]
    names = tuple(sorted(set(classes)))
    labels = [names.index(name) for name in classes]
    return Examples(np.array(files, str), labels, names), all(classes)


def _class_folder(file, folders):
    """The folder in one of those searched that a file lies in, or ""."""
    for folder in folders:
        if file.startswith(os.path.join(folder, "")):
            parts = os.path.relpath(file, folder).split(os.sep)
            if len(parts) > 1:
                return parts[0]
    return ""


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

    def save(self, to_file: AnyPath) -> None:
        """Write an `.npz` file: `features`, `files`, `layer`, `labels`, ...

        Args:
            to_file: Path of the file.
        """
        with replacing(to_file) as path, open(path, "wb") as file:
            columns = columns_of(self.files, self.layer, self.labels)
            names = np.array(self.class_names, str)
            np.savez(file, features=self.values, class_names=names, **columns)

    @classmethod
    def load(cls, file: AnyPath) -> "Features":
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
