"""A training's whole state on disk, so that it goes on as if never stopped."""

import contextlib
import time
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_alexnet.environment import ONEDNN
from keras_alexnet.environment import Interrupted
from keras_alexnet.environment import Signals
from keras_alexnet.environment import leaves_out_onednn
from keras_alexnet.files import AnyPath
from keras_alexnet.models.keras_private import onednn_is_on
from keras_alexnet.runs.states import StateFolder
from keras_alexnet.runs.states import first_line
from keras_alexnet.terminal import say
from keras_alexnet.training.schedules import rate_of

_WITH = {True: "with", False: "without"}


class Diverged(ValueError):
    """A weight or a logged value became NaN or infinite."""


class Checkpoints(keras.callbacks.Callback):
    """Saves a training in `fit`, and brings it back to where it was.

    A checkpoint holds weights, velocities, the states of all random numbers,
    the position in the epoch, the log, and what other callbacks know. It is
    complete or not there; the one before it stays until it is. Weights that
    are not finite are never saved: the training stops instead.

    Args:
        folder: Path of a folder for nothing else.
        model: The compiled model.
        minutes: Float, how often to save; 0 for after every step.
        callbacks: Callbacks with a dict `state` that JSON can hold, such as
            `PlateauDrops`.
        counts: `ImageCounts` of the model, brought back in mid-epoch; other
            metrics begin anew there.
        writes: Boolean, `False` for all machines but the chief.
        signals: `Signals`; once one is noted, the training is saved and
            `Interrupted` is raised.

    Attributes:
        step: Steps that were done.
        log: List of dicts, the logs of each epoch.

    Reference:
        - `keras.callbacks.BackupAndRestore`, which keeps neither the states of
          random numbers nor the position in the epoch

    Example:

    >>> model = ka.AlexNet("lenet5")
    >>> model.compile(ka.PaperSGD(), "mse")
    >>> checkpoints = Checkpoints("checkpoints", model)
    >>> checkpoints.restore()  # steps that were done
    0
    """

    def __init__(
        self,
        folder: AnyPath,
        model: keras.Model,
        minutes: float = 5.0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        counts: keras.metrics.Metric | None = None,
        writes: bool = True,
        signals=None,
    ) -> None:
        super().__init__()
        self.step = 0
        self.log: list[dict] = []
        self.minutes = minutes
        self.writes = writes
        self._callbacks = list(callbacks)
        self._counts = counts
        self._signals = signals or Signals()
        self._restored_sums = self._sums = None
        self._saved_step: int | None = None
        self._saved_log: int | None = None
        self._scope = _scope_of(model)
        with self._scope():
            if not model.optimizer.built:
                model.optimizer.build(model.trainable_variables)
        self._variables = [*model.variables, *model.optimizer.variables]
        self._model = model
        self._states = StateFolder(folder)
        self._saved_at = time.monotonic()

    def restore(self) -> int:
        """Bring back the newest checkpoint that can be read.

        Returns:
            The number of steps that were done, 0 without a checkpoint.

        Raises:
            ValueError: if there are checkpoints, but none can be read.
        """
        state = self._states.newest()
        if state:
            self._take_over(*state)
        return self.step

    @property
    def has_state(self) -> bool:
        """Whether a state is on the disk, restored or saved."""
        return self._saved_step is not None

    def _take_over(self, facts, arrays):
        shapes = [(a.shape, _kind(a.dtype)) for a in arrays]
        wanted = [(v.shape, _kind(v.dtype)) for v in self._variables]
        if shapes != wanted:
            raise ValueError(
                f"The checkpoints in {str(self._states.folder)!r} are of "
                "another network or optimizer; choose another folder, or "
                "delete it to begin anew."
            )
        with self._scope():
            for variable, array in zip(self._variables, arrays, strict=True):
                variable.assign(_placed(array.astype(variable.dtype), variable))
        self._say_changes(facts)
        self.step = self._saved_step = facts["step"]
        self.log = facts["log"]
        self._saved_log = len(self.log)
        self._restored_sums = self._sums = facts["sums"]
        for callback, known in zip(
            self._callbacks, facts["callbacks"], strict=True
        ):
            callback.state = known

    def _say_changes(self, facts):
        now = keras.backend.backend()
        before = facts.get("backend", "tensorflow")
        if before != now:
            say(
                f"The training goes on with {now} from a checkpoint of "
                f"{before}: the same weights and batches, other noise in "
                "dropout and other rounding."
            )
            return
        # States without a record are of a TensorFlow that was left to itself.
        by_itself = False if leaves_out_onednn() else None
        before, now = facts.get("onednn", by_itself), onednn_is_on()
        if [before, now] in ([True, False], [False, True]):
            say(
                f"The training goes on {_WITH[now]} TensorFlow's oneDNN "
                f"operations from a checkpoint made {_WITH[before]} them: the "
                "same weights and batches, other rounding; bit for bit it goes "
                f"on with {ONEDNN}={int(before)} in the environment."
            )

    def _sync(self):
        """Put into the variables what JAX has given away during `fit`."""
        if hasattr(self._model, "jax_state_sync"):
            self._model.jax_state_sync()

    def save(self) -> None:
        """Save now.

        Raises:
            ValueError: if a weight is not finite, or the disk is full.
        """
        self.check({"loss": self._sums[0]} if self._sums else None)
        facts = {
            "backend": keras.backend.backend(),
            "onednn": onednn_is_on(),
            "step": self.step,
            "log": self.log,
            "sums": self._sums,
            "callbacks": [callback.state for callback in self._callbacks],
        }
        try:
            if self.writes:  # else the chief does, at the same intervals
                self._states.save(self.step, self._arrays(), facts)
        except (OSError, ValueError) as error:
            raise ValueError(
                "The training cannot be saved in "
                f"{str(self._states.folder)!r}: {first_line(error)}. "
                f"{self._kept()}; make room and run the same again."
            ) from error
        self._saved_step, self._saved_log = self.step, len(self.log)
        self._saved_at = time.monotonic()

    def _arrays(self):
        self._sync()
        # Two layers may have the same name; their places differ.
        return {
            f"{place:04}/{variable.path}": ops.convert_to_numpy(variable)
            for place, variable in enumerate(self._variables)
        }

    def finish(self) -> None:
        """Save the end, if it is not saved."""
        self._stop_if_asked()
        if self._saved_step != self.step or self._saved_log != len(self.log):
            self.save()

    def check(self, logs: dict | None = None) -> None:
        """Stop if a weight, a velocity or a logged value is not finite.

        Not the loss alone: on a CPU it can look fine where weights are NaN.

        Raises:
            Diverged: with the name of what it is.
        """
        self._sync()
        bad = [
            variable.path
            for variable in self._variables
            if "float" in variable.dtype
            and not bool(ops.all(ops.isfinite(variable.value)))
        ]
        bad += [
            name
            for name, value in (logs or {}).items()
            if not np.isfinite(value).all()
        ]
        if bad:
            more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
            raise Diverged(
                f"The training diverged, found after step {self.step}: "
                f"{bad[0]}{more} is NaN or infinite. {self._kept()}; choose a "
                "smaller learning rate."
            )

    def _kept(self):
        if self._saved_step is None:
            return "There is no checkpoint yet"
        return f"The last checkpoint, of step {self._saved_step}, is kept"

    def on_epoch_begin(self, epoch, logs=None):
        self._first = self.step
        self._learning_rate = rate_of(self.model.optimizer)
        if self._restored_sums and self._counts:
            self._counts.sums.assign(self._restored_sums)
        self._restored_sums = None

    def on_train_batch_end(self, batch, logs=None):
        # The last of several steps in one call; Keras counts on beyond the end.
        steps = self.params["steps"]
        done = batch + 1 if steps is None else min(batch + 1, steps)
        self.step = self._first + done
        due = time.monotonic() - self._saved_at >= 60 * self.minutes
        if due or self._signals.number or done == steps:
            # Kept also for a stop in the validation, which counts anew.
            if self._counts:
                self._sync()
                sums = ops.convert_to_numpy(self._counts.sums)
                self._sums = sums.tolist()
            self._stop_or_save(due)

    def on_test_batch_end(self, batch, logs=None):
        self._stop_or_save(due=False)

    def _stop_or_save(self, due):
        self._stop_if_asked()
        if due:
            self.save()

    def _stop_if_asked(self):
        if self._signals.number:
            self.save()
            text = "The training was stopped and saved"
            if not self.writes:
                text = "This machine, which is not the chief, was stopped"
            raise Interrupted(
                self._signals.number,
                f"{text} after step {self.step}; rerun the same command to "
                "resume.",
            )

    def on_epoch_end(self, epoch, logs=None):
        logs = {
            name: np.asarray(value, "float64").tolist()  # a measure may have
            for name, value in (logs or {}).items()  # a value for each class
        }
        self.check(logs)
        self._sums = None
        row = {"epoch": epoch, **logs, "learning_rate": self._learning_rate}
        self.log.append(row)
        if time.monotonic() - self._saved_at >= 60 * self.minutes:
            self.save()


def _scope_of(model):
    """What variables are assigned in: a strategy's scope, or nothing."""
    if keras.backend.backend() == "tensorflow":
        return model.distribute_strategy.scope
    return contextlib.nullcontext


def _placed(array, variable):
    """An array, on several machines of JAX where the variable's values lie.

    JAX compares what machines assign, and waits for ever where one of them has
    another state, or none; `check_agreement` says that in a sentence.
    """
    if keras.backend.backend() != "jax":
        return array
    import jax

    place = variable.value.sharding
    if place.is_fully_addressable:
        return array
    return jax.make_array_from_callback(
        array.shape, place, lambda part: array[part]
    )


def _kind(dtype):
    """Of a variable; each backend has its own integers for random seeds."""
    kind = np.dtype(keras.backend.standardize_dtype(dtype))
    return "integer" if kind.kind in "iu" else kind
