"""Which folders of a data set are trained on and tested on, and which not."""

import pathlib
from dataclasses import dataclass
from dataclasses import field

from keras_alexnet.data.folders import class_folders
from keras_alexnet.data.folders import images_below
from keras_alexnet.data.folders import images_in
from keras_alexnet.data.label_lists import LISTS
from keras_alexnet.data.label_lists import find_list
from keras_alexnet.data.label_lists import is_flat

# Names of the parts of a data set, in any case. Of those to test on the first
# that has class folders is taken; of flat ones rather one of the later names,
# as ImageNet's own test images have no labels.
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation", "dev")


@dataclass(frozen=True)
class Layout:
    """What the folders of a data set are.

    Args:
        train: Path of the folder of class folders to train on, or `None`.
        test: Path of the folder to test on, or `None`.
        left: Dict: path of what else is there -> why it is left alone.
    """

    train: pathlib.Path | None
    test: pathlib.Path | None = None
    left: dict = field(default_factory=dict)

    @property
    def roles(self):
        """What each folder is taken for, a sentence."""
        if self.test is None:
            return f"{self.train} is trained on, and tested on a part of it."
        return f"{self.train} is trained on, {self.test} is tested on."

    @property
    def leftovers(self):
        """What is left alone, a list of sentences."""
        return [
            f"{path} is left alone: {why}." for path, why in self.left.items()
        ]


def find_layout(root):
    """What the folders in a folder are, by their usual names in any case.

    Args:
        root: Path of class folders, or of a folder of them named as one of
            `TRAIN_NAMES`, perhaps with one of `TEST_NAMES` beside it.

    Returns:
        A `Layout`.

    Raises:
        ValueError: if two folders have the same part to play.
    """
    root = pathlib.Path(root)
    folders = class_folders(root)
    train = _one_of(root, [f for f in folders if _is_train(f, folders)])
    if train is None:
        _check_classes(root, folders)
        return Layout(root, None, _loose_images(root))
    return _with_test(root, folders, train)


def find_test_layout(root):
    """As `find_layout`, of a data set that is only to be tested on.

    Args:
        root: Path of class folders, or of a folder of them named as one of
            `TEST_NAMES`.
    """
    root = pathlib.Path(root)
    folders = class_folders(root)
    train = [f for f in folders if _is_train(f, folders)]
    layout = _with_test(root, folders, next(iter(train), None))
    return layout if layout.test else Layout(None, root, _loose_images(root))


def _with_test(root, folders, train):
    """The `Layout` of folders of which one is trained on, if any."""
    test, left = _test_folder(folders)
    for folder in folders:
        if folder not in (train, test) and folder not in left:
            left[folder] = "it has none of the usual names"
            if not images_below(folder):
                del left[folder]
    return Layout(train, test, {**left, **_loose_images(root)})


def _is_train(folder, folders):
    """A class may be called "train": then images lie in it, as in others."""
    if folder.name.lower() not in TRAIN_NAMES:
        return False
    others = [
        other
        for other in folders
        if other.name.lower() not in (*TRAIN_NAMES, *TEST_NAMES)
    ]
    return bool(class_folders(folder)) or not others


def _one_of(root, folders):
    if len(folders) > 1:
        names = " and ".join(repr(folder.name) for folder in folders)
        raise ValueError(
            f"{root} holds {names}; expected one folder to train on."
        )
    return folders[0] if folders else None


def _check_classes(root, folders):
    if folders and all(f.name.lower() in TEST_NAMES for f in folders):
        names = ", ".join(folder.name for folder in folders)
        raise ValueError(
            f"{root} holds {names}, and no folder `train`; expected one beside "
            "them, or class folders."
        )


def _test_folder(folders):
    """The one to test on, and why others are left alone."""

    def place(folder):
        return TEST_NAMES.index(folder.name.lower())

    named = [f for f in folders if f.name.lower() in TEST_NAMES]
    named.sort(key=place)
    flat = [folder for folder in named if is_flat(folder)]
    labeled = [folder for folder in flat if find_list(folder)]
    with_classes = [f for f in named if f not in flat and class_folders(f)]
    # Of ImageNet's names those of validation images come first.
    labeled.sort(key=lambda folder: place(folder) < 2)
    test = next(iter(with_classes + labeled), None)
    left = {}
    for folder in named:
        if folder in flat and folder not in labeled:
            left[folder] = (
                "its images lie in no class folders, and no list of their "
                f"classes ({', '.join(LISTS)}) is in it or beside it"
            )
        elif folder != test:
            empty = folder not in (*flat, *with_classes)
            why = "it is empty" if empty else f"{test.name} is tested on"
            left[folder] = why
    return test, left


def _loose_images(root):
    count = len(images_in(root))
    if not count or not class_folders(root):
        return {}
    name = root / ("1 image" if count == 1 else f"{count:,} images")
    return {name: "beside folders there should be none"}
