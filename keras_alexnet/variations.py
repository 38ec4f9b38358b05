"""An architecture with one thing changed.

Standard library only.
"""

from dataclasses import replace

from keras_alexnet.rows import PADDINGS
from keras_alexnet.rows import AveragePool
from keras_alexnet.rows import Conv
from keras_alexnet.rows import Dropout
from keras_alexnet.rows import MaxPool
from keras_alexnet.rows import ZeroPad


def with_padding(architecture, padding):
    """The same network with other rounding in conv1 and the pools.

    Args:
        padding: `None` (unchanged), "valid", "same", "ceil", or a pair of
            them: one for the first convolution, one for all pools. Zeros
            before the first convolution are dropped, since the new rounding
            takes their place.

    Raises:
        ValueError: if `padding` is none of these.
    """
    if padding is None:
        return architecture
    pair = (padding, padding) if isinstance(padding, str) else padding
    fits = isinstance(pair, tuple | list) and len(pair) == 2
    if not fits or not all(p in PADDINGS for p in pair):
        raise ValueError(
            "`padding` must be None, 'valid', 'same', 'ceil' or a pair of "
            f"them (first convolution, pools). Received: padding={padding!r}"
        )
    first = next(r for r in architecture.rows if isinstance(r, Conv))
    rows = []
    for row in architecture.rows:
        if row is first:
            row = replace(row, padding=pair[0])
        elif isinstance(row, MaxPool | AveragePool):
            row = replace(row, padding=pair[1])
        if not isinstance(row, ZeroPad):
            rows.append(row)
    return replace(architecture, rows=tuple(rows))


def with_initialization(architecture, other):
    """The same network with the initial values of another's rows.

    Args:
        architecture: `Architecture`.
        other: `Architecture` with rows of the same names.

    Raises:
        ValueError: if a row has no namesake.
    """
    values = {
        row.name: (row.kernel_init, row.bias_init)
        for row in other.rows
        if hasattr(row, "kernel_init")
    }
    rows = []
    for row in architecture.rows:
        if hasattr(row, "kernel_init"):
            if row.name not in values:
                raise ValueError(
                    f"{other.name} has no {row.name} whose initial values "
                    f"{architecture.name} could take."
                )
            kernel_init, bias_init = values[row.name]
            row = replace(row, kernel_init=kernel_init, bias_init=bias_init)
        rows.append(row)
    return replace(architecture, rows=tuple(rows))


def with_dropout(architecture, rate):
    """The same network with another rate of all its dropout layers."""
    rows = tuple(
        replace(row, rate=rate) if isinstance(row, Dropout) else row
        for row in architecture.rows
    )
    return replace(architecture, rows=rows)
