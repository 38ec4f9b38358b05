"""What an experiment gave, as a table."""

import statistics
from dataclasses import dataclass

from keras_alexnet.paper.experiments import Experiment
from keras_alexnet.visualization.summary import Table


@dataclass(frozen=True, repr=False)
class ExperimentTable(Table):
    """What an experiment's ways gave, one line each.

    Args:
        experiment: The `Experiment`.
        rows: A dict for each training.
        hardware: What it ran on.
    """

    experiment: Experiment
    rows: tuple
    hardware: str

    _right = (1, 2, 3, 4)

    @property
    def _header(self):
        if self.experiment.counts_epochs:
            error = 100 * (1 - self.experiment.recipe.stop_accuracy)
            measure = f"epochs to {error:.0f} % training error"
            compared = f"so many times faster than {self._first}"
        else:
            measure = "test error, %"
            compared = f"points more than {self._first}"
        return ("", "rate", f"{measure}, by seed", "mean", compared)

    @property
    def _first(self):
        return next(iter(self.experiment.arms))

    def values(self, arm):
        """The measure of each training of one way."""
        key = "top1_error_percent"
        if self.experiment.counts_epochs:
            key = "epochs"
        return [row[key] for row in self.rows if row["arm"] == arm]

    def compared(self, arm):
        """Each training against the first way's of the same seed."""
        pairs = zip(self.values(self._first), self.values(arm), strict=False)
        if self.experiment.counts_epochs:
            return [other / value for other, value in pairs]
        return [value - other for other, value in pairs]

    def to_dict(self):
        """All trainings, as plain values."""
        return {
            "experiment": self.experiment.name,
            "paper": self.experiment.says,
            "data": self.experiment.data,
            "hardware": self.hardware,
            "trainings": list(self.rows),
        }

    def _heading(self):
        minutes = sum(row["minutes"] for row in self.rows)
        return (
            f"{self.experiment.title}. {self.experiment.says}. "
            f"Measured on {self.hardware}, {minutes:.0f} minutes in all."
        )

    def _cells(self):
        cells = []
        for arm in dict.fromkeys(row["arm"] for row in self.rows):
            rows = [row for row in self.rows if row["arm"] == arm]
            values = [
                self._text(value, row["reached"])
                for value, row in zip(self.values(arm), rows, strict=True)
            ]
            compared = self.compared(arm)
            told = "" if arm == self._first else self._spread(compared)
            cells.append(
                (
                    arm,
                    f"{rows[0]['learning_rate']:g}",
                    ", ".join(values),
                    f"{statistics.mean(self.values(arm)):.2f}",
                    told,
                )
            )
        return cells

    def _text(self, value, reached):
        if not self.experiment.counts_epochs:
            return f"{value:.2f}"
        return str(value) if reached else f"more than {value}"

    def _spread(self, values):
        sign = "" if self.experiment.counts_epochs else "+"
        mean, least, most = (
            f"{value:{sign}.2f}"
            for value in (statistics.mean(values), min(values), max(values))
        )
        return f"{mean} ({least} to {most})"
