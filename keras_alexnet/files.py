"""Writing files so that they are there as a whole or not at all."""

import contextlib
import fcntl
import os
import pathlib
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
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


@contextlib.contextmanager
def locked(folder):
    """A folder that no other process writes into at the same time.

    Raises:
        ValueError: if another one does.
    """
    path = pathlib.Path(folder) / ".lock"
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(path, "a"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"Another training is writing into {str(folder)!r}; wait for "
                "its end or choose another folder."
            ) from error
        except OSError as error:
            raise ValueError(
                f"{str(path)!r} cannot be written: {error.strerror}."
            ) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
