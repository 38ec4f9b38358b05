"""Where examples come from: folders of class folders, the bundled set."""

import pathlib
from dataclasses import dataclass
from importlib import resources

import numpy as np

# What tf.io.decode_image reads.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
TEST_FOLDERS = ("test", "val", "validation")


@dataclass(frozen=True)
class Examples:
    """Labeled images.

    Args:
        images: Array of gray images `(count, height, width)` of 0..255, or
            array of the paths of image files.
        labels: Array of indices into `class_names`.
        class_names: Names of the classes.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self):
        return len(self.labels)


def load_examples(data, validation_fraction=0.2, seed=0):
    """The training and the test examples of a data set.

    Args:
        data: `"fashion"` (10,000 and 2,000 bundled images of Fashion-MNIST)
            or the path of a folder. It holds class folders, or a folder
            `train` of class folders and a folder `test`, `val` or
            `validation` of the same.
        validation_fraction: Part of each class that becomes the test
            examples where there is no folder for them.
        seed: Of the choice of that part.

    Returns:
        A pair of `Examples`.

    Raises:
        ValueError: if there is no such folder, or it is not as above.
    """
    if data == "fashion":
        return _bundled("train"), _bundled("test")
    root = pathlib.Path(data)
    if not data or not root.is_dir():
        raise ValueError(
            f"There is no folder {str(data)!r}; expected a folder that holds "
            "one folder of images for each class."
        )
    if not (root / "train").is_dir():
        return _split(_folder(root), validation_fraction, seed)
    train = _folder(root / "train")
    for name in TEST_FOLDERS:
        if (root / name).is_dir():
            return train, match_classes(
                _folder(root / name), train.class_names, root / name
            )
    return _split(train, validation_fraction, seed)


def test_examples(data, class_names):
    """The examples of another data set, for a network that knows its classes.

    Args:
        data: As in `load_examples`; of a folder with a folder `test`, `val`
            or `validation` that one is taken, else the whole.
        class_names: Classes of the network, matched by name.
    """
    if data == "fashion":
        return match_classes(_bundled("test"), class_names, "Fashion-MNIST")
    root = pathlib.Path(data)
    if not data or not root.is_dir():
        raise ValueError(f"There is no folder {str(data)!r}.")
    tests = (root / name for name in TEST_FOLDERS)
    root = next((folder for folder in tests if folder.is_dir()), root)
    return match_classes(_folder(root), class_names, root)


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
    folders = sorted(
        p for p in root.iterdir() if p.is_dir() and p.name[0] != "."
    )
    files = [
        sorted(
            str(path)
            for path in folder.rglob("*")
            if path.suffix.lower() in EXTENSIONS
            and path.name[0] != "."
            and path.is_file()
        )
        for folder in folders
    ]
    if len(folders) < 2:
        raise ValueError(
            f"{root} holds {len(folders)} folders; expected one folder of "
            "images for each class, and at least two classes."
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


def _split(examples, fraction, seed):
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
        held_out[generator.permutation(members)[:count]] = True
    return tuple(
        Examples(
            examples.images[chosen],
            examples.labels[chosen],
            examples.class_names,
        )
        for chosen in (~held_out, held_out)
    )
