"""What the terminal shows: sentences, made printable, and a progress bar.

Names of files and classes and the texts in their files may hold anything.
Without Keras, whose import takes seconds.
"""

import contextlib
import re
import sys
import warnings

_FORMAT = warnings.formatwarning
# Control characters move the cursor, color or clear a terminal, and end lines;
# marks of direction let the rest of a line be read backwards; surrogates stand
# for bytes that are not UTF-8. Letters of all scripts stay as they are.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text):
    r"""A text as it may stand within a line, on a terminal or in a page.

    Args:
        text: A text, or what `str` makes one of.

    Returns:
        The text; what cannot be printed is written as in Python's source.

    Example:

    >>> print(printable("a\nb\x1b[31m 猫"))
    a\nb\x1b[31m 猫
    """
    return UNPRINTABLE.sub(_escaped, str(text))


def shortened(text, letters):
    """As `printable`, cut to so many letters, the last of them dots."""
    text = printable(text)
    return text if len(text) <= letters else text[: letters - 3] + "..."


def printable_lines(text):
    """As `printable`, of a text whose lines stay lines."""
    return "\n".join(map(printable, str(text).split("\n")))


def say(text, file=None):
    """Print a line; all of it must fit on one.

    Args:
        text: A text, or what `str` makes one of.
        file: The stream; standard output if `None`.
    """
    _print(printable(text), file or sys.stdout)


def say_lines(text):
    """Print a table or another text of several lines."""
    _print(printable_lines(text), sys.stdout)


def _print(text, file):
    """Letters that a stream has no bytes for are escaped, too."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    print(text, file=file, flush=True)


def _escaped(found):
    return found[0].encode("unicode_escape").decode()


def printable_warning(message, category, filename, lineno, line=None):
    """In the place of `warnings.formatwarning`: for a person, a sentence."""
    if category is UserWarning:
        return f"keras-alexnet: warning: {printable(str(message))}\n"
    text = _FORMAT(message, category, filename, lineno, line)
    return printable_lines(text)


@contextlib.contextmanager
def counted(description, total, verbose=True, transient=False):
    """A bar on stderr, and the function that advances it by a count.

    Args:
        description: What is done.
        total: How many times; `None` if that is not known.
        verbose: Whether it is shown.
        transient: Whether it goes away at the end.
    """
    from rich.console import Console
    from rich.progress import BarColumn
    from rich.progress import MofNCompleteColumn
    from rich.progress import Progress
    from rich.progress import TextColumn
    from rich.progress import TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not verbose,
        # What goes into a file must not be led to the terminal.
        redirect_stdout=sys.stdout.isatty(),
        transient=transient,
    ) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count=1: bar.advance(task, count)
