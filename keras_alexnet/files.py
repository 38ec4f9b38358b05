"""Writing files so that they are there as a whole or not at all."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile


@contextlib.contextmanager
def replacing(path):
    """A temporary path that takes the place of `path` at the end.

    A kill leaves the old file or the new one, never half of one. The folder
    is made if missing.

    Raises:
        ValueError: if the file cannot be written there.
    """
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Keras tells formats by the whole name: "model.weights.h5".
        handle, temporary = tempfile.mkstemp(
            prefix=".", suffix=f".{path.name}", dir=path.parent
        )
        os.close(handle)
    except OSError as error:
        raise ValueError(
            f"{str(path)!r} cannot be written: {error.strerror}."
        ) from error
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise ValueError(
            f"{str(path)!r} cannot be written: {error.strerror or error}."
        ) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


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


@contextlib.contextmanager
def locked(folder):
    """A folder that no other process writes into at the same time.

    Raises:
        ValueError: if another one does.
    """
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ValueError(
            f"{str(folder)!r} cannot be written: {error.strerror}."
        ) from error
    try:
        # Some network drives cannot lock folders; then nothing is locked.
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ValueError(
                    f"Another training is writing into {str(folder)!r}; wait "
                    "for its end or choose another folder."
                ) from error
        yield
    finally:
        os.close(handle)
