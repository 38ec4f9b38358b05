"""What an image holds, as a digest: the same under any name, in any folder."""

import hashlib
import os

import numpy as np

from keras_alexnet.data.decode import LARGEST_FILE


def digest_of(image):
    """SHA-256 of an image file's bytes, or of pixels and their shape.

    Args:
        image: Path of a file, or array `(height, width)` or `(height, width,
            channels)`.

    Returns:
        Hexadecimal digits; "" for what cannot be read, or is larger than what
        is read.
    """
    if not isinstance(image, str):
        pixels = np.ascontiguousarray(image)
        shape = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
        digest = hashlib.sha256(f"{pixels.dtype} {shape}\n".encode())
        digest.update(pixels)
        return digest.hexdigest()
    try:
        if not os.path.isfile(image):  # a pipe would never end
            return ""
        if os.path.getsize(image) > LARGEST_FILE:
            return ""
        with open(image, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):  # a path with a null byte
        return ""


def stamp_of(path):
    """What changes whenever a file's contents do, without reading them.

    Size, place on the disk, and two times: that of the last change of the
    file's entry is the kernel's, and cannot be set.

    Returns:
        Text; "" for what is not there.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return ""
    times = f"{status.st_mtime_ns}-{status.st_ctime_ns}"
    return f"{status.st_size}-{status.st_ino}-{times}"
