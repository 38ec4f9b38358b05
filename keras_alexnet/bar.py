"""The bar that long counts show; without Keras, whose import takes seconds."""

import contextlib

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import MofNCompleteColumn
from rich.progress import Progress
from rich.progress import TextColumn
from rich.progress import TimeRemainingColumn


@contextlib.contextmanager
def counted(description, total, verbose=True):
    """A bar on stderr, and the function that advances it by a count.

    Args:
        description: What is done.
        total: How many times; `None` if that is not known.
        verbose: Whether it is shown.
    """
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not verbose,
    ) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count=1: bar.advance(task, count)
