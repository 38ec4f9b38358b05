"""Variables and a few facts, saved together, complete or not at all."""

import contextlib
import json
import pathlib
import shutil
import warnings

import tensorflow as tf

from keras_alexnet.files import check_room

MARGIN_BYTES = 1 << 20  # beside the values themselves


class StateFolder:
    """The last two states of some variables, in a folder for nothing else.

    Args:
        folder: Path.
        variables: List of `tf.Variable`.
        writes: Boolean, whether it may be changed from here.

    Reference:
        - `tf.train.CheckpointManager`
    """

    def __init__(self, folder, variables, writes=True):
        self.folder = pathlib.Path(folder)
        self._needed = MARGIN_BYTES + bytes_of(variables)
        self._facts = _Facts()
        self._checkpoint = tf.train.Checkpoint(
            variables=variables, state=self._facts
        )
        if writes:
            _list_again(self.folder)
        # Made now: on several machines, all must be there when it is made.
        self._checkpoint.save_counter.assign(0)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self.folder), 2, checkpoint_name="state"
        )

    def restore(self):
        """Bring back the newest state that can be read.

        Returns:
            The facts saved with it; `None` if there is no state.

        Raises:
            ValueError: if there are states, but none can be read.
        """
        failures = []
        for path in reversed(self._manager.checkpoints):
            try:
                self._checkpoint.restore(path).assert_consumed()
            except Exception as error:  # TensorFlow raises nearly anything
                failures.append(f"{path}: {first_line(error)}")
                continue
            for failure in failures:
                warnings.warn(
                    f"A damaged checkpoint was passed over: {failure}",
                    stacklevel=3,
                )
            return self._facts.value
        if failures:
            raise ValueError(
                "No checkpoint can be read; delete the folder "
                f"{str(self.folder)!r} to begin anew: {failures[0]}"
            )
        return None

    def save(self, facts):
        """Save the variables, and facts that JSON can hold.

        Raises:
            OSError: if they cannot be written.
            tf.errors.OpError: the same, found by TensorFlow.
        """
        self._facts.value = facts
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            check_room(self.folder, self._needed)
            self._manager.save()
        except (OSError, tf.errors.OpError):
            self._remove_leftovers()
            raise

    def _remove_leftovers(self):
        """What a kill in the middle of a save has left."""
        kept = [pathlib.Path(path).name for path in self._manager.checkpoints]
        for path in self.folder.glob("state-*"):
            if path.name.partition(".")[0].partition("_")[0] not in kept:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def bytes_of(variables):
    """How many bytes the values of `tf.Variable`s take."""
    return sum(v.dtype.size * v.shape.num_elements() for v in variables)


def _list_again(folder):
    """Mend a list of checkpoints that was lost or damaged."""
    with contextlib.suppress(ValueError):
        if tf.train.get_checkpoint_state(folder):
            return
    found = {
        int(path.stem.removeprefix("state-")): str(path.with_suffix(""))
        for path in folder.glob("state-*.index")
        if path.stem.removeprefix("state-").isdecimal()
    }
    (folder / "checkpoint").unlink(missing_ok=True)
    if found:
        paths = [found[number] for number in sorted(found)]
        tf.compat.v1.train.update_checkpoint_state(folder, paths[-1], paths)


class _Facts(tf.train.experimental.PythonState):
    """What a checkpoint holds beside the variables."""

    value = None

    def serialize(self):
        return json.dumps(self.value)

    def deserialize(self, text):
        self.value = json.loads(text)


def first_line(error):
    """The first line of what an error says."""
    return str(error).strip().partition("\n")[0]
