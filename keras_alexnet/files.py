"""Writing files so that they are there as a whole or not at all."""

import contextlib
import errno
import os
import pathlib
import re
import secrets
import shutil

AnyPath = str | os.PathLike[str]
# What `locked` leaves in a folder.
LOCK = ".keras_alexnet.lock"


@contextlib.contextmanager
def replacing(path):
    """A temporary path that takes the place of `path` at the end.

    A kill leaves the old file or the new one, never half of one, and a
    temporary file that the next write of the same file removes. The folder is
    made if missing.

    Raises:
        ValueError: if the file cannot be written there.
    """
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name)
        temporary = _create_beside(path)
    except OSError as error:
        raise ValueError(
            f"{str(path)!r} cannot be written: {error.strerror}."
        ) from error
    try:
        yield temporary
        with open(temporary, "r+b") as file:  # Windows wants it so
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise ValueError(
            f"{str(path)!r} cannot be written: {error.strerror or error}."
        ) from error
    finally:
        _in_use.discard(os.path.basename(temporary))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


# The temporary files of this process. A process number alone does not tell
# whether a file is in use: containers give out the same ones again.
_in_use: set[str] = set()
_TEMPORARY = re.compile(r"\.keras_alexnet-(\d+)-[0-9a-f]{8}\.(.+)", re.DOTALL)


def _create_beside(path):
    """An empty file of a new name, with the rights that the umask leaves."""
    temporary = _name_beside(path)
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


def _name_beside(path):
    # Keras tells formats by the whole name: "model.weights.h5".
    name = f".keras_alexnet-{os.getpid()}-{secrets.token_hex(4)}.{path.name}"
    _in_use.add(name)
    return str(path.parent / name)


@contextlib.contextmanager
def folder_beside(path):
    """A temporary folder on the disk of `path`, removed at the end.

    What a kill leaves is removed by the next that is made for `path`.

    Raises:
        OSError: if it cannot be made.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    temporary = _name_beside(path)
    os.mkdir(temporary)
    try:
        yield pathlib.Path(temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _in_use.discard(os.path.basename(temporary))


def _sync_folder(folder):
    """Have the new name on the disk, too, where folders can be synced."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def is_temporary(name):
    """Whether a file's name is one that `replacing` gives."""
    return bool(_TEMPORARY.fullmatch(name))


def holds_only(folder, names=()):
    """Whether a folder is missing, empty, or holds files of ours alone.

    Args:
        folder: Path of the folder.
        names: Names of the files that are ours, beside the one of `locked`
            and those that killed processes have left. A link or a folder of
            such a name is not.

    Raises:
        OSError: if it cannot be read.
    """
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return True
    with entries:
        return all(
            entry.is_file(follow_symlinks=False)
            and (entry.name in (*names, LOCK) or is_temporary(entry.name))
            for entry in entries
        )


def remove_leftovers(folder, name=None):
    """Remove the temporary files that killed processes have left.

    Args:
        folder: Path of the folder.
        name: Name of the file that they were to become; of any if `None`.
    """
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if not match or name not in (None, match[2]):
                continue
            if _is_written(entry.path, int(match[1])):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _is_written(temporary, process):
    """Whether a temporary file belongs to a process that lives."""
    if process == os.getpid():
        return os.path.basename(temporary) in _in_use
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def check_room(folder, needed):
    """Refuses to begin what a disk has no room for.

    Args:
        folder: Path of an existing folder.
        needed: Bytes.

    Raises:
        OSError: if fewer are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"it needs {-(-needed // 2**20)} MB and {free // 2**20} MB are free"
        )


class NewerVersion(ValueError):
    """A file was written by a newer version of this package."""


def check_newer(version, newest, path):
    """Refuse a file of a later format than this version knows.

    Args:
        version: What the file says, a number or its digits; whatever is no
            number is left to whoever reads the file.
        newest: Integer, the last version that can be read.
        path: Path of the file.

    Raises:
        NewerVersion: if the version is a later one.
    """
    number = re.match(r"\d+(\.\d+)?", str(version))
    if number and float(number[0]) > newest:
        raise NewerVersion(
            f"{str(path)!r} was written by a newer keras_alexnet (format "
            f"{str(version)[:60]}, this one reads up to {newest}); update "
            "keras_alexnet."
        )


@contextlib.contextmanager
def locked(folder, what="training"):
    """A folder that no other process writes into at the same time.

    A file, `.keras_alexnet.lock`, stays in it.

    Args:
        folder: Path of the folder, which is made if missing.
        what: What the other process does, for the sentence.

    Raises:
        ValueError: if another one does.
    """
    import filelock  # takes a while, and few commands lock anything

    folder = pathlib.Path(folder)
    lock = filelock.FileLock(folder / LOCK, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Some network drives cannot lock; then nothing is locked.
        with contextlib.suppress(NotImplementedError):
            _take(lock)
    except filelock.Timeout as error:
        raise ValueError(
            f"Another {what} is writing into {str(folder)!r}; wait for its "
            "end or choose another folder."
        ) from error
    except OSError as error:
        raise ValueError(
            f"{str(folder)!r} cannot be written: {error.strerror}."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _take(lock):
    try:
        lock.acquire(timeout=0)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        raise NotImplementedError from error
