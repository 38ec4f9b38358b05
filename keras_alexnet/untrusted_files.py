"""Open untrusted files safely, their zip archives too.

Nothing in them is trusted: no length before it is compared with what is
there, no name before it is looked at.
"""

import contextlib
import io
import os
import stat
import zipfile

# PyTorch and Keras write some twenty records, each with 50 to 100 bytes in
# the list of an archive.
MOST_LIST_BYTES = 2**20
# AlexNet in float64 with both moments of Adam takes 1.5 GB.
MOST_FILE_BYTES = 2**31
# What is read of a file: AlexNet's float32 take 244 MB, with the 21,841
# classes of all of ImageNet 586 MB, in float64 488 MB.
MOST_BYTES = 5 * 2**27
# What may come out of a packed file of any size: an AlexNet in float32.
LEAST_ROOM = 2**28
# And of a larger one for each of its bytes: trained weights can be packed by
# a tenth, pruned ones by nine tenths.
MOST_EXPANSION = 10
PIECE = 2**20  # bytes that are unpacked at a time


class Refusal(ValueError):
    """The whole sentence why a file is refused."""


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
    except Refusal:  # of a reader within
        raise
    except Exception as error:  # Damaged files end in errors of every kind.
        reason = str(error).strip(" .\n") or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        elif not isinstance(error, ValueError):
            reason = f"it is damaged ({shown(reason)})"
        name = os.fspath(path)
        reason = "".join(x if x.isprintable() else " " for x in reason[:300])
        raise Refusal(
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


def room_for(size):
    """Bytes that may be made of a file, whatever it claims to hold."""
    return min(MOST_BYTES, LEAST_ROOM + MOST_EXPANSION * size)


def read_text(path, most=2**24):
    """The text of a small file, such as a list of names.

    Args:
        path: Path of the file.
        most: Bytes that it may have at most.

    Returns:
        The text.

    Raises:
        ValueError, OSError: if it cannot be read, is larger or no UTF-8.
    """
    with open_regular(path) as (file, _):
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return data.decode("utf-8")


def open_records(file, size):
    """The records of a zip archive as PyTorch, Keras and NumPy write it.

    They store them as they are, or deflate them; what is deflated must claim
    no more than `room_for` such a file, and gives no more than it claims.

    Args:
        file: A binary file object.
        size: Its size in bytes.

    Returns:
        A dict: name of the record -> function that reads it, with its
        checksum, into an `io.BytesIO`.

    Raises:
        ValueError, zipfile.BadZipFile: if the archive cannot be trusted.
    """
    careful = _CarefulFile(file, MOST_LIST_BYTES)
    archive = zipfile.ZipFile(careful)
    careful.most = size
    records, stored, unpacked = {}, size, room_for(size)
    for info in archive.infolist():
        name = shown(info.filename)
        parts = info.filename.replace("\\", "/").split("/")
        if parts[0] == "" or ".." in parts or ":" in parts[0]:
            raise ValueError(f"its record {name} leads out of it")
        if info.filename in records:
            raise ValueError(f"it has two records {name}")
        if info.compress_type == zipfile.ZIP_STORED:
            stored -= max(info.file_size, info.compress_size)
        elif info.compress_type == zipfile.ZIP_DEFLATED:
            stored -= info.compress_size
            unpacked -= info.file_size
        else:
            raise ValueError(f"its record {name} is packed in an unknown way")
        if min(stored, unpacked) < 0:
            raise ValueError(
                f"its record {name} claims to be larger than the file can be"
            )
        records[info.filename] = lambda info=info: _unpacked(archive, info)
    return records


def _unpacked(archive, info):
    """A record, piece by piece: zipfile would inflate all that comes."""
    data = io.BytesIO()
    with archive.open(info) as record:
        while piece := record.read(PIECE):
            data.write(piece)
    if data.tell() != info.file_size:
        raise ValueError(f"its record {shown(info.filename)} is cut")
    data.seek(0)
    return data


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
