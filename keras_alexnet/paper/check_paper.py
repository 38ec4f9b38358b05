"""`check_paper()`: every checkable statement, against what is computed."""

from dataclasses import dataclass

from keras_alexnet.paper.architecture_statements import ARCHITECTURE_STATEMENTS
from keras_alexnet.paper.article_statements import ARTICLE_STATEMENTS
from keras_alexnet.paper.measures import forget
from keras_alexnet.paper.statement import AGREES
from keras_alexnet.paper.statement import BROKEN
from keras_alexnet.paper.statement import DIFFERS
from keras_alexnet.paper.statement import Checked
from keras_alexnet.paper.statement import check
from keras_alexnet.paper.training_statements import TRAINING_STATEMENTS
from keras_alexnet.visualization.table import Table


def check_paper():
    """Check what the paper and five articles state about AlexNet.

    Everything is computed when this is called, from the package's own tables,
    layers and recipes: change one of their constants, and the lines that
    speak of it turn `"BROKEN"`.

    Returns:
        A `PaperTable`, which prints as a table.

    Reference:
        - [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824)

    Example:

    >>> table = check_paper()
    >>> table.broken
    ()
    """
    statements = (
        *ARCHITECTURE_STATEMENTS,
        *TRAINING_STATEMENTS,
        *ARTICLE_STATEMENTS,
    )
    try:
        return PaperTable(tuple(check(each) for each in statements))
    finally:
        forget()


@dataclass(frozen=True, repr=False)
class PaperTable(Table):
    """Statements, what was computed, and the verdicts.

    Args:
        lines: `Checked` statements.
    """

    lines: tuple[Checked, ...]

    _header = ("where", "what", "printed", "computed", "verdict", "why")
    _right = (2, 3)

    @property
    def broken(self):
        """The lines in which this package is wrong."""
        return tuple(line for line in self.lines if line.verdict == BROKEN)

    def to_dict(self):
        """The table as plain values."""
        return {
            "statements": [
                {
                    "where": line.statement.where,
                    "what": line.statement.what,
                    "printed": line.statement.printed,
                    "computed": line.computed,
                    "verdict": line.verdict,
                    "why": line.statement.why,
                }
                for line in self.lines
            ]
        }

    def _heading(self):
        verdicts = [line.verdict for line in self.lines]
        return (
            f"{len(verdicts)} statements: {verdicts.count(AGREES)} agree, "
            f"{verdicts.count(DIFFERS)} differ for a known reason, "
            f"{verdicts.count(BROKEN)} are broken"
        )

    def _cells(self):
        return [
            (
                line.statement.where,
                line.statement.what,
                _text(line.statement.printed),
                _text(line.computed),
                line.verdict,
                line.statement.why,
            )
            for line in self.lines
        ]


def _text(value):
    if isinstance(value, list):
        return " / ".join(map(_text, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.7g}"
    return str(value) or "none"
