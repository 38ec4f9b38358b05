"""A statement that can be checked, and what became of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class Statement:
    """Something that the paper or an article says.

    Args:
        where: Where it stands.
        what: What it speaks of.
        printed: What it says: a number or a text.
        compute: Function that gives what this package computes.
        right: Where the printed value is wrong, the right one.
        why: Why they differ, or what the number means.
        within: How far a rounded number may be off, as a part of it.
    """

    where: str
    what: str
    printed: object
    compute: Callable
    right: object = None
    why: str = ""
    within: float = 0.0


def stated(where, what, printed, compute, *arguments, **kwargs):
    """A `Statement` whose function is called with these arguments."""
    return Statement(
        where, what, printed, partial(compute, *arguments), **kwargs
    )


AGREES, DIFFERS, BROKEN = "agrees", "differs", "BROKEN"


@dataclass(frozen=True)
class Checked:
    """A statement, what was computed, and the verdict.

    `"agrees"`: computed as printed. `"differs"`: not as printed, but as is
    known to be right, for the reason that `why` gives. `"BROKEN"`: neither;
    then it is this package that is wrong.
    """

    statement: Statement
    computed: object
    verdict: str


def check(statement):
    """Compute what a statement says.

    Returns:
        A `Checked`.
    """
    try:
        computed = statement.compute()
    except Exception as error:  # what is broken may break anywhere
        return Checked(statement, f"{type(error).__name__}: {error}", BROKEN)
    if statement.right is not None and _equal(computed, statement.right, 0):
        return Checked(statement, computed, DIFFERS)
    agrees = statement.right is None and _equal(
        computed, statement.printed, statement.within
    )
    return Checked(statement, computed, AGREES if agrees else BROKEN)


def _equal(one, other, within):
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers):
        return math.isclose(one, other, rel_tol=within, abs_tol=1e-12)
    return one == other
