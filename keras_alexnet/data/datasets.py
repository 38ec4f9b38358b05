"""Where examples come from: folders, prepared shards, the bundled set."""

import pathlib
import warnings
from dataclasses import dataclass
from importlib import resources

import numpy as np

from keras_alexnet.data.decode import EXTENSIONS
from keras_alexnet.data.folders import class_folders
from keras_alexnet.data.folders import images_below
from keras_alexnet.data.folders import images_in
from keras_alexnet.data.label_lists import is_flat
from keras_alexnet.data.label_lists import read_label_list
from keras_alexnet.data.layout import TRAIN_NAMES
from keras_alexnet.data.layout import find_layout
from keras_alexnet.data.layout import find_test_layout
from keras_alexnet.data.shards import Shards
from keras_alexnet.data.shards import is_prepared
from keras_alexnet.data.shards import read_dataset
from keras_alexnet.files import AnyPath


@dataclass(frozen=True)
class Examples:
    """Labeled images.

    Args:
        images: `uint8` array of gray images `(count, height, width)` or of
            RGB images `(count, height, width, 3)`, values 0..255; or array
            of the paths of image files; or the `Shards` of a prepared folder.
        labels: Array of indices into `class_names`.
        class_names: Names of the classes.

    Raises:
        ValueError: if the arrays do not fit each other.
    """

    images: np.ndarray | Shards
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self):
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if not isinstance(self.images, Shards):
            object.__setattr__(self, "images", np.asarray(self.images))
            _check_images(self.images)
        labels = np.asarray(self.labels)
        if labels.shape != (len(self.images),):
            raise ValueError(
                f"There are {len(self.images)} images, but the labels have "
                f"the shape {labels.shape}; expected one label an image."
            )
        classes = len(self.class_names)
        if len(labels) and not (
            labels.dtype.kind in "iu"
            and 0 <= labels.min() <= labels.max() < classes
        ):
            raise ValueError(
                f"Labels must be integers from 0 to {classes - 1}, the places "
                f"of the {classes} class names. Received: {labels.dtype}, "
                f"{labels.min()} to {labels.max()}"
            )
        object.__setattr__(self, "labels", labels.astype("int64"))

    def __len__(self):
        return len(self.labels)

    @property
    def are_files(self) -> bool:
        """Whether the images are still to be read from image files."""
        if isinstance(self.images, Shards):
            return False
        return self.images.dtype.kind == "U"

    @property
    def are_prepared(self) -> bool:
        """Whether the images are those of a prepared folder."""
        return isinstance(self.images, Shards)


def _check_images(images):
    gray = images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 1)
    rgb = images.ndim == 4 and images.shape[-1] == 3
    files = images.ndim == 1 and images.dtype.kind == "U"
    if not files and not (images.dtype == "uint8" and (gray or rgb)):
        raise ValueError(
            "Images must be a uint8 array (count, height, width) or (count, "
            "height, width, 3) of 0..255, or an array of paths. Received: "
            f"{images.dtype} {images.shape}"
        )


def load_examples(
    data: AnyPath, validation_fraction: float = 0.2, seed: int = 0
) -> tuple[Examples, Examples]:
    """The training and the test examples of a data set.

    Args:
        data: `"fashion"` (10,000 and 2,000 bundled images of Fashion-MNIST),
            or the path of a folder that `prepare_data` has written, or the
            path of a folder of photos. That holds class folders, or a folder
            `train` of class folders and a folder `test`, `val` or
            `validation` of the same or, as ImageNet has it, of images and a
            list of their classes (see `label_lists.read_label_list`). The
            usual other names, in any case, will do (see `layout`); what is
            left alone is warned of.
        validation_fraction: Part of each class that becomes the test
            examples where there is no folder for them.
        seed: Of the choice of that part.

    Returns:
        A pair of `Examples`.

    Raises:
        ValueError: if there is no such folder, or it is not as above.
    """
    train, test = load_parts(data)
    if test is None:
        return split(train, validation_fraction, seed)
    return train, test


def load_parts(data):
    """As `load_examples`, without holding out what is not a part of its own.

    Returns:
        A pair of `Examples`; all of them and `None` where the data have no
        part to test on.

    Raises:
        ValueError: as `load_examples`.
    """
    if data == "fashion":
        return _bundled("train"), _bundled("test")
    check_folder(data)
    root = pathlib.Path(data)
    if is_prepared(root):
        train, test = (_prepared(root, part) for part in ("train", "test"))
        return train, test if len(test) else None
    layout = find_layout(root)
    for sentence in layout.leftovers:
        warnings.warn(sentence, stacklevel=2)
    train = _folder(layout.train)
    if layout.test is None:
        return train, None
    return train, _test_folder(layout.test, train.class_names, match_classes)


def check_folder(data):
    """Refuses data that are not there.

    Raises:
        ValueError: in a sentence.
    """
    if data != "fashion" and not (data and pathlib.Path(data).is_dir()):
        raise ValueError(
            f"There is no folder {str(data)!r}; expected a folder that holds "
            "one folder of images for each class."
        )


def test_examples(data, class_names, match=None):
    """The examples of another data set, for a network that knows its classes.

    Args:
        data: As in `load_examples`; of a folder with a folder `test`, `val`
            or `validation` that one is taken, and what else is there is
            warned of; else the whole.
        class_names: Classes of the network, matched by name.
        match: What matches them, if not `match_classes`.
    """
    match = match or match_classes
    if data == "fashion":
        return match(_bundled("test"), class_names, "Fashion-MNIST")
    check_folder(data)
    root = pathlib.Path(data)
    if is_prepared(root):
        splits = (_prepared(root, split) for split in ("test", "train"))
        found = next(examples for examples in splits if len(examples))
        return match(found, class_names, root)
    layout = find_test_layout(root)
    for sentence in layout.leftovers:
        warnings.warn(sentence, stacklevel=2)
    return _test_folder(layout.test, class_names, match)


def _test_folder(folder, class_names, match):
    if is_flat(folder):
        paths, labels = read_label_list(folder, class_names)
        return Examples(paths, labels, class_names)
    return match(_folder(folder), class_names, folder)


def _prepared(root, split):
    dataset = read_dataset(root)
    names = dataset["shards"][split]
    shards = Shards(root, names, dataset["resize_pixels"], dataset["square"])
    return Examples(shards, shards.labels, tuple(dataset["class_names"]))


def match_classes(examples, class_names, where):
    """The same examples, labeled with the places of their classes' names.

    Raises:
        ValueError: if a class is missing, or is not among `class_names`.
    """
    known, found = set(class_names), set(examples.class_names)
    if known != found:
        missing, extra = sorted(known - found), sorted(found - known)
        raise ValueError(
            f"The classes in {where} are not those of the training: missing "
            f"{', '.join(missing) or 'none'}; unknown "
            f"{', '.join(extra) or 'none'}."
        )
    places = [class_names.index(name) for name in examples.class_names]
    labels = np.asarray(places)[examples.labels]
    return Examples(examples.images, labels, tuple(class_names))


def _bundled(split):
    assets = resources.files("keras_alexnet") / "assets"
    with (
        resources.as_file(assets / "fashion_mnist_subset.npz") as path,
        np.load(path) as arrays,
    ):
        return Examples(
            arrays[f"{split}_images"],
            arrays[f"{split}_labels"].astype("int64"),
            tuple(arrays["class_names"].tolist()),
        )


def _folder(root):
    folders = class_folders(root)
    files = [images_below(folder) for folder in folders]
    if len(folders) < 2:
        raise ValueError(
            f"{root} holds {len(folders)} folders; expected one folder of "
            "images for each class, and at least two classes"
            f"{_hint(root, folders)}."
        )
    empty = [
        folder.name
        for folder, paths in zip(folders, files, strict=True)
        if not paths
    ]
    if empty:
        raise ValueError(
            f"{root} has class folders without images: {', '.join(empty)}; "
            f"expected files that end in {', '.join(EXTENSIONS)}."
        )
    counts = [len(paths) for paths in files]
    return Examples(
        np.array([path for paths in files for path in paths]),
        np.repeat(np.arange(len(folders)), counts),
        tuple(folder.name for folder in folders),
    )


def _hint(root, folders):
    """Where the class folders may be instead: one up, or one down."""
    if images_in(root):
        return " (it holds images itself: one folder up?)"
    for folder in folders:
        inside = class_folders(folder)
        names = {inner.name.lower() for inner in inside}
        if len(inside) > 1 or names & {*TRAIN_NAMES}:
            return f" ({folder} holds such folders: is it meant?)"
    return ""


def split(examples, fraction, seed):
    """Hold out the same part of every class, at least one image."""
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(examples), bool)
    for label, name in enumerate(examples.class_names):
        members = np.flatnonzero(examples.labels == label)
        if len(members) < 2:
            raise ValueError(
                f"The class {name!r} has a single image; at least two are "
                "needed, one to train on and one to test on."
            )
        count = max(1, round(fraction * len(members)))
        count = min(count, len(members) - 1)  # one to train on
        held_out[generator.permutation(members)[:count]] = True
    return tuple(
        Examples(
            examples.images[np.flatnonzero(chosen)],
            examples.labels[chosen],
            examples.class_names,
        )
        for chosen in (~held_out, held_out)
    )
