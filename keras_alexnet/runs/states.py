"""States of a training on disk: one file each, complete or not there.

A state is a safetensors file, `state-000001234.safetensors` after step 1,234:
the arrays of all variables by place and name, and in the file's metadata

- `format`: `keras_alexnet state, version 1`;
- `facts`: JSON of what is not an array;
- `sha256`: of the facts and the arrays, so that a flipped bit is found.

It is written beside its place, brought to the disk, and renamed. States are
found by their number, never by a time or a list.
"""

import contextlib
import hashlib
import json
import pathlib
import re
import warnings

import safetensors

from keras_alexnet.files import check_newer
from keras_alexnet.files import check_room
from keras_alexnet.files import remove_leftovers
from keras_alexnet.files import replacing
from keras_alexnet.weights.safetensors_file import bytes_of_array
from keras_alexnet.weights.safetensors_file import write_tensors

MARGIN_BYTES = 1 << 20  # beside the values themselves
VERSION = 1
FORMAT = "keras_alexnet state, version "
KEPT = 2  # the newest, and the one before it
_NAME = re.compile(r"state-(\d+)\.safetensors")
_UNREADABLE = (
    safetensors.SafetensorError,
    KeyError,
    TypeError,
    ValueError,
    RecursionError,
)
_NAME_BEFORE = re.compile(r"state-(\d+)\.index")


class StateFolder:
    """The last two states of a training, in a folder for nothing else.

    A state that was not looked at is never removed.

    Args:
        folder: Path.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self._kept = []
        self._superseded = set()

    def newest(self):
        """The newest state that can be read.

        Returns:
            A pair, the facts saved with it and the list of its arrays; `None`
            if there is no state.

        Raises:
            ValueError: if there are states, but none can be read, or the
                newest was written by a newer version of this package.
        """
        failures = []
        states = self._found(_NAME), self._found(_NAME_BEFORE)
        for path in (path for found in states for path in found):
            try:
                facts, arrays = read_state(path)
            except OSError as error:  # not looked at
                failures.append(f"{path}: {error.strerror or error}")
                continue
            except DamagedState as error:
                failures.append(f"{path}: {error}")
                self._superseded.add(path)
                continue
            for failure in failures:
                warnings.warn(
                    f"A damaged checkpoint was passed over: {failure}",
                    stacklevel=3,
                )
            self._kept = [path]
            self._superseded |= {p for p in states[0] if _is_state(p)}
            return facts, arrays
        if failures:
            raise ValueError(
                "No checkpoint can be read; put one back, or delete the "
                f"folder {str(self.folder)!r} to begin anew: {failures[0]}"
            )
        return None

    def glance(self):
        """The facts of the newest state, not compared with its checksum.

        Returns:
            Dict, empty if none can be read so; `None` if there is no state.
        """
        states = self._found(_NAME)
        for path in states:
            # What is damaged `newest` tells of.
            with contextlib.suppress(OSError, *_UNREADABLE):
                return dict(json.loads(_metadata(path)["facts"]))
        return {} if states or self._found(_NAME_BEFORE) else None

    def save(self, step, arrays, facts):
        """Save a state.

        Args:
            step: Integer, the steps that were done.
            arrays: Dict of names to arrays; read back in the order of the
                names.
            facts: What JSON can hold.

        Raises:
            OSError: if it cannot be written.
            ValueError: the same, found when the file is created.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder)
        needed = sum(array.nbytes for array in arrays.values())
        check_room(self.folder, needed + MARGIN_BYTES)
        path = self.folder / f"state-{step:09}.safetensors"
        write_state(path, arrays, facts)
        kept = [kept for kept in self._kept if kept != path]
        self._kept = [*kept, path][-KEPT:]
        self._superseded |= {*kept}
        for old in self._superseded - {*self._kept}:
            # Legacy states are left to their owner.
            if _NAME.fullmatch(old.name) and old.name < self._kept[0].name:
                old.unlink(missing_ok=True)
                self._superseded.discard(old)

    def _found(self, form):
        """Paths of the states, the last step first."""
        if not self.folder.is_dir():
            return []
        found = []
        for path in self.folder.iterdir():
            match = form.fullmatch(path.name)
            if match:
                found.append((int(match[1]), path))
        return [path for _, path in sorted(found, reverse=True)]


class DamagedState(ValueError):
    """A state cannot be used; the text says why."""


def write_state(path, arrays, facts):
    """Write a state's file, as described above.

    Args:
        path: Path of the file.
        arrays: Dict of names to arrays.
        facts: What JSON can hold.
    """
    text = json.dumps(facts)
    metadata = {
        "format": f"{FORMAT}{VERSION}",
        "facts": text,
        "sha256": _digest(text, arrays),
    }
    with replacing(path) as temporary:
        write_tensors(arrays, temporary, metadata)


def read_state(path):
    """The facts and the arrays of a state's file.

    Args:
        path: Path of a file of this version, or of the `.index` of a
            checkpoint that version 0.1.0 wrote by `tf.train.Checkpoint`.

    Raises:
        DamagedState: if it is damaged.
        OSError: if it cannot be read.
        ValueError: if it was written by a newer version of this package.
    """
    if path.suffix == ".index":
        return _read_tensorflow(path)
    with open(path, "rb"):  # says why it cannot be read
        pass
    try:
        with safetensors.safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            form = metadata["format"]
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        check_newer(form.removeprefix(FORMAT), VERSION, path)
        if form != f"{FORMAT}{VERSION}":
            raise DamagedState("it is no state")
        if _digest(metadata["facts"], arrays) != metadata["sha256"]:
            raise DamagedState("it does not have its checksum")
        facts = json.loads(metadata["facts"])
    except (safetensors.SafetensorError, KeyError, TypeError) as error:
        raise DamagedState(first_line(error)) from error
    return facts, [arrays[name] for name in sorted(arrays)]


def _is_state(path):
    """Whether a file says that it is a state; its arrays are not read."""
    try:
        return _metadata(path).get("format") == f"{FORMAT}{VERSION}"
    except (OSError, safetensors.SafetensorError):
        return False


def _metadata(path):
    with safetensors.safe_open(path, "numpy") as file:
        return file.metadata() or {}


def _digest(facts, arrays):
    digest = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        digest.update(bytes_of_array(array))
    return digest.hexdigest()


def _read_tensorflow(path):
    """A checkpoint of version 0.1.0: a list `variables`, and JSON `state`."""
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(path.with_suffix("")))
        kinds = reader.get_variable_to_dtype_map()
        places = [
            f"variables/{place}/.ATTRIBUTES/VARIABLE_VALUE"
            for place in range(sum(k.startswith("variables/") for k in kinds))
        ]
        facts = json.loads(reader.get_tensor("state/.ATTRIBUTES/py_state"))
        return facts, [reader.get_tensor(place) for place in places]
    except Exception as error:  # TensorFlow raises nearly anything
        raise DamagedState(first_line(error)) from error


def first_line(error):
    """The first line of what an error says."""
    return str(error).strip().partition("\n")[0]
