"""Files of strangers: opened with care, their zip archives too.

Nothing in them is trusted: no length before it is compared with what is
there, no name before it is looked at.
"""

import contextlib
import os
import stat
import zipfile

# PyTorch and Keras write some twenty records, each with 50 to 100 bytes in
# the list of an archive.
MOST_LIST_BYTES = 2**20
# AlexNet in float64 with both moments of Adam takes 1.5 GB.
MOST_FILE_BYTES = 2**31


@contextlib.contextmanager
def refusing(path, expected):
    """Turns whatever goes wrong inside into a `ValueError` of one sentence.

    Args:
        path: The file that is read inside.
        expected: What it should have been, for the sentence.

    Raises:
        ValueError: with the reason.
    """
    try:
        yield
    except Exception as error:  # Damaged files end in errors of every kind.
        reason = str(error).strip(" .\n") or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        elif not isinstance(error, ValueError):
            reason = f"it is damaged ({shown(reason)})"
        name = os.fspath(path)
        reason = "".join(x if x.isprintable() else " " for x in reason[:300])
        raise ValueError(
            f"{name!r} cannot be read: {reason}; expected {expected}."
        ) from error


@contextlib.contextmanager
def open_regular(path):
    """An open file and its size; no folder, no pipe, no device.

    Args:
        path: Path of the file.

    Returns:
        A context manager: a binary file object, its size in bytes.

    Raises:
        ValueError, OSError: if it cannot be opened.
    """
    if stat.S_ISDIR(os.stat(path).st_mode):
        raise ValueError("it is a folder")
    # Opening a pipe would wait for its writer.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is not a regular file")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise ValueError("it is empty")
        if size > MOST_FILE_BYTES:
            raise ValueError(f"it is larger than {MOST_FILE_BYTES:,} bytes")
        yield file, size


def open_records(file, size):
    """The records of a zip archive as PyTorch and Keras write it.

    Both store records as they are, so one that is compressed is refused, and
    none can be a bomb.

    Args:
        file: A binary file object.
        size: Its size in bytes.

    Returns:
        A dict: name of the record -> function that reads it, with its
        checksum.

    Raises:
        ValueError, zipfile.BadZipFile: if the archive cannot be trusted.
    """
    careful = _CarefulFile(file, MOST_LIST_BYTES)
    archive = zipfile.ZipFile(careful)
    careful.most = size
    records, total = {}, 0
    for info in archive.infolist():
        name = shown(info.filename)
        parts = info.filename.replace("\\", "/").split("/")
        if parts[0] == "" or ".." in parts or ":" in parts[0]:
            raise ValueError(f"its record {name} leads out of it")
        if info.filename in records:
            raise ValueError(f"it has two records {name}")
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(
                f"its record {name} is compressed, which neither PyTorch nor "
                "Keras does"
            )
        total += info.file_size
        if info.file_size != info.compress_size or total > size:
            raise ValueError(
                f"its record {name} claims to be larger than the file"
            )
        records[info.filename] = lambda info=info: archive.read(info)
    return records


class _CarefulFile:
    """A file that gives `most` bytes at once, as zipfile asks for any number.

    Args:
        file: A binary file object.
        most: Integer.
    """

    def __init__(self, file, most):
        self.file = file
        self.most = most
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, count=-1):
        wanted = self.most + 1 if count < 0 else count
        data = self.file.read(min(wanted, self.most + 1))
        if len(data) > self.most:
            raise ValueError("its list of records is too long")
        return data


def shown(text, most=80):
    """A stranger's text for a message: short, without control characters."""
    text = str(text)
    return repr(text if len(text) <= most else f"{text[:most]}...")
