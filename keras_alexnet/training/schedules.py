"""How the rate falls while a network learns."""

import math

import keras
from keras import ops

from keras_alexnet.layers.tracing import callers


def rate_of(optimizer):
    """The current rate, as it was given (float32 has seven digits)."""
    rate = ops.convert_to_numpy(optimizer.learning_rate)
    return float(f"{float(rate):.7g}")


def rate_at(epoch, learning_rate, rate_drops):
    """The rate of an epoch (counted from 0), a tenth after each drop."""
    return learning_rate / 10 ** sum(epoch >= drop for drop in rate_drops)


class PlateauDrops(keras.callbacks.Callback):
    """Divides the rate by ten where the validation error stops falling.

    Epochs that are not validated (`validation_freq`) do not count.

    "The heuristic which we followed was to divide the learning rate by 10
    when the validation error rate stopped improving with the current learning
    rate" (Section 5), three times before the end.

    Args:
        patience: Integer, epochs without improvement that are waited for.
        times: Integer, how often at most.
        monitor: Name of the measure in the logs. More of it is better, of a
            loss or an error less.

    Attributes:
        state: Dict of what a resumed training must know; `Checkpoints` keeps
            it.

    Raises:
        ValueError: if `patience` is less than 1 or `times` less than 0; in
            training, if the optimizer's rate is a schedule, or the measure is
            not measured.

    Reference:
        - [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824)

    Example:

    >>> callbacks = [PlateauDrops(patience=5)]
    """

    def __init__(
        self, patience: int, times: int = 3, monitor: str = "val_accuracy"
    ) -> None:
        super().__init__()
        if patience < 1 or times < 0:
            raise ValueError(
                "`patience` must be at least 1 epoch, and `times` not "
                f"negative. Received: patience={patience}, times={times}"
            )
        self.patience = patience
        self.times = times
        self.monitor = monitor
        less = monitor.endswith(("loss", "error"))
        self._sign = -1 if less else 1
        self.state = {"best": -self._sign * math.inf, "waited": 0, "drops": 0}

    def on_train_begin(self, logs=None):
        rate = getattr(self.model.optimizer, "inner_optimizer", None)
        rate = (rate or self.model.optimizer).get_config()["learning_rate"]
        if not isinstance(rate, float | int):
            raise ValueError(
                "`PlateauDrops` sets the rate, which a schedule sets already; "
                "give the optimizer a number as its rate, or leave out one of "
                "them."
            )

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if self.monitor not in logs:
            self._check_missing(logs)
            return
        state, value = self.state, float(logs[self.monitor])
        if self._sign * value > self._sign * state["best"]:
            state.update(best=value, waited=0)
            return
        state["waited"] += 1
        if state["waited"] >= self.patience and state["drops"] < self.times:
            state.update(waited=0, drops=state["drops"] + 1)
            optimizer = self.model.optimizer
            optimizer.learning_rate = rate_of(optimizer) / 10

    def _check_missing(self, logs):
        """An epoch may not be validated; a name that is nowhere is wrong."""
        validated = any(name.startswith("val_") for name in logs)
        comes = self.monitor.startswith("val_") and _has_validation_data()
        if validated or not comes:
            raise ValueError(
                f"`PlateauDrops` watches {self.monitor!r}, which is not "
                f"measured; there are {', '.join(logs) or 'no measures'}. Give "
                "`fit` validation data, or the name by `monitor`."
            )


def _has_validation_data():
    """Whether the `fit` that calls a callback has any; Keras tells it not."""
    found = (
        frame.f_locals["validation_data"]
        for name, frame in callers()
        if name.startswith("keras.") and "validation_data" in frame.f_locals
    )
    return next(found, None) is not None


class EndGame(keras.callbacks.Callback):
    """What the authors did to conv1 by hand near the end of the 2012 run.

    "epoch 67: set epsw to 0.00001 from 0.0001 on conv1 [...] epoch 72: set
    epsw to 0 on conv1" (layer-params-145.cfg). The color noise, which they
    set to 0 at the first of them, is a matter of the data.

    Args:
        slow_epoch: Integer, epochs before conv1's rate is set to `rate`.
        frozen_epoch: Integer, epochs before conv1 is frozen.
        rate: Float.

    Reference:
        - computerhistory/AlexNet-Source-Code, `layer-params-145.cfg`

    Example:

    >>> callbacks = [EndGame(67, 72)]
    """

    def __init__(
        self, slow_epoch: int, frozen_epoch: int, rate: float = 1e-5
    ) -> None:
        super().__init__()
        self.slow_epoch = slow_epoch
        self.frozen_epoch = frozen_epoch
        self.rate = rate

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.model.optimizer
        if not optimizer.built:  # on one device, Keras does so in a step
            optimizer.build(self.model.trainable_variables)
        # With float16, Keras wraps it in one that scales the loss.
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        if not hasattr(optimizer, "conv1_rate"):
            raise ValueError(
                "`EndGame` needs the optimizer `PaperSGD`, in which conv1 has "
                f"a rate of its own. Received: {type(optimizer).__name__}"
            )
        factor = 1.0
        if epoch >= self.frozen_epoch:
            factor = 0.0
        elif epoch >= self.slow_epoch and rate_of(optimizer):
            factor = self.rate / rate_of(optimizer)
        optimizer.conv1_rate.assign(factor)
