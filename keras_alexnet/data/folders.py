"""Folders of images: which files are images, which folders classes and parts.

The one walker: training, testing, `check-data`, `prepare-data`, `predict`,
`features` and `nearest` see the same files in a folder.
"""

import glob
import os
import pathlib

from keras_alexnet.data.decode import EXTENSIONS
from keras_alexnet.data.decode import UNREAD_EXTENSIONS

# What macOS and Synology leave in archives and folders; other hidden folders
# begin with a dot.
HIDDEN = ("__MACOSX", "@eaDir")


def is_hidden(name):
    """Whether a file or a folder is not for us, by its name."""
    return name[0] == "." or name in HIDDEN


def is_image(path):
    """Whether a file is taken for an image, by its name.

    Images of formats that are not read count as well, so that they are named
    wherever they lie and not passed over.
    """
    path = pathlib.PurePath(path)
    endings = (*EXTENSIONS, *UNREAD_EXTENSIONS)
    return path.suffix.lower() in endings and not is_hidden(path.name)


def files_below(folder):
    """All files in a folder and below, hidden ones left out.

    Links to folders are not followed: they may go around in circles.

    Args:
        folder: Path of the folder.

    Returns:
        Sorted list of paths, as texts that begin with that of the folder.
    """
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [os.path.join(parent, n) for n in names if not is_hidden(n)]
    return sorted(found)


def images_below(folder):
    """As `files_below`, the images alone."""
    return [path for path in files_below(folder) if is_image(path)]


def images_in(folder):
    """The images in a folder, not below it, as sorted texts."""
    names = os.listdir(folder)
    paths = [os.path.join(folder, name) for name in names if is_image(name)]
    return sorted(path for path in paths if not os.path.isdir(path))


def class_folders(folder):
    """The folders in a folder, hidden ones left out, by name."""
    return sorted(
        path
        for path in pathlib.Path(folder).iterdir()
        if path.is_dir() and not is_hidden(path.name)
    )


def find_images(words):
    """The image files that paths, folders and patterns stand for.

    Args:
        words: A path, or a list of them. Of a folder all images in it and
            below are taken, sorted, as they are for a training: by their
            endings, hidden ones left out. Of a pattern as `photos/**/*.jpg`
            the images that match, sorted, and those in the folders that do.

    Returns:
        List of paths. What a path does not find, a file or the images of a
        folder, is in it as well, so that it is told about.

    Raises:
        ValueError: if there are only folders and patterns without images.
    """
    if isinstance(words, str | os.PathLike):
        words = [words]
    words = [os.fspath(word) for word in words]
    found = [_images(word) for word in words]
    if not any(found):
        named = ", ".join(repr(word) for word in words) or "nothing"
        raise ValueError(
            f"There are no images in {named}; expected image files, folders "
            f"with files that end in {', '.join(EXTENSIONS)}, or patterns."
        )
    pairs = zip(words, found, strict=True)
    return [file for word, files in pairs for file in files or [word]]


def _images(word):
    if os.path.isdir(word):
        return images_below(word)
    if not os.path.lexists(word) and glob.has_magic(word):
        files = set()
        named = set(pathlib.PurePath(word).parts)
        for path in glob.iglob(word, recursive=True):
            parts = {*pathlib.PurePath(path).parts} - named
            if any(map(is_hidden, parts)):
                continue
            if os.path.isdir(path):
                files.update(images_below(path))
            elif is_image(path):
                files.add(path)
        return sorted(files)
    return [word]
