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
        self._seconds, self._steps = 0.0, 0
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
        self._seconds, self._steps = 0.0, 0
        self._bar.update(self._task, description=f"epoch {epoch + 1}")

    def on_train_batch_begin(self, batch, logs=None):
        self._begun = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if batch:  # the first step also compiles
            self._seconds += time.perf_counter() - self._begun
            self._steps += 1
        self._bar.update(self._task, advance=1, speed=self._speed())

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
        speed = self._speed()
        shown += f", {speed}" if speed else ""
        self.console.print(f"epoch {epoch + 1}: {shown}", highlight=False)

    def _speed(self):
        if not self._seconds:
            return ""
        return f"{self.batch_size * self._steps / self._seconds:.1f} images/s"
