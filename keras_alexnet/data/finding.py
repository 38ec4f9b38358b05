"""Image files, from what is said on a command line."""

import glob
import os
import pathlib

from keras_alexnet.data.decode import EXTENSIONS


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
        return sorted(_images_below(word))
    if not os.path.lexists(word) and glob.has_magic(word):
        files = set()
        for path in glob.iglob(word, recursive=True):
            if os.path.isdir(path):
                files |= _images_below(path)
            elif _is_image(path):
                files.add(path)
        return sorted(files)
    return [word]


def _images_below(folder):
    """Links to folders are not followed: they may go around in circles."""
    found = set()
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "."]
        paths = (os.path.join(parent, name) for name in names)
        found.update(path for path in paths if _is_image(path))
    return found


def _is_image(path):
    path = pathlib.PurePath(path)
    return path.suffix.lower() in EXTENSIONS and path.name[0] != "."
