"""Long work shows where it is."""

import time

import keras
from rich.console import Console
from rich.progress import BarColumn
from rich.progress import Progress
from rich.progress import TextColumn
from rich.progress import TimeRemainingColumn


class TrainingProgress(keras.callbacks.Callback):
    """A bar for the whole training, a line at its start and for each epoch.

    Args:
        total_steps: Integer, of all epochs.
        first_step: Integer, how many of them were done before.
        batch_size: Images in a step.
        bar: Boolean; without it only the lines are printed.
    """

    def __init__(self, total_steps, first_step, batch_size, bar=True):
        super().__init__()
        self.batch_size = batch_size
        self._start = ""
        if first_step < total_steps:
            self._start = (
                f"step {first_step + 1} of {total_steps}, {batch_size} images "
                "each; after Ctrl-C rerun the same command to resume"
            )
        self.console = Console(soft_wrap=True)
        self._speed, self._compiled = "", False
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not bar or not self.console.is_terminal,
        )
        self._task = self._bar.add_task(
            "training", total=total_steps, completed=first_step, speed=""
        )

    def __enter__(self):
        self._bar.start()
        return self

    def __exit__(self, *_):
        self._bar.stop()

    def on_train_begin(self, logs=None):
        # The first step compiles, which takes long; a pipe shows no bar. An
        # epoch that was begun before is a `fit` of its own.
        if self._start:
            self.console.print(self._start, highlight=False)
        self._start = ""

    def on_epoch_begin(self, epoch, logs=None):
        self._begun, self._compared, self._done = time.perf_counter(), 0, 0
        self._bar.update(self._task, description=f"epoch {epoch + 1}")

    def on_train_batch_end(self, batch, logs=None):
        # Of several steps in one call, Keras counts on beyond the epoch's end.
        done, before = min(batch + 1, self.params["steps"]), self._done
        now, self._done = time.perf_counter(), done
        if self._compiled:
            # From one call to another: on JAX a call comes back before its end.
            images = self.batch_size * (done - self._compared)
            self._speed = f"{images / (now - self._begun):.1f} images/s"
        else:  # the first call also compiles
            self._begun, self._compared, self._compiled = now, done, True
        advance = done - before
        self._bar.update(self._task, advance=advance, speed=self._speed)

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        shown = ", ".join(
            f"{name} {float(logs[key]):.4f}"
            for name, key in (
                ("loss", "loss"),
                ("accuracy", "accuracy"),
                ("test loss", "val_loss"),
                ("test accuracy", "val_accuracy"),
            )
            if key in logs
        )
        shown += f", {self._speed}" if self._speed else ""
        self.console.print(f"epoch {epoch + 1}: {shown}", highlight=False)
