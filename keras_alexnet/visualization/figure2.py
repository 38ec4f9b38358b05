"""`plot_figure2(...)`: figure 2 of the paper, from the real shapes."""

from pathlib import Path

import matplotlib

from keras_alexnet.architectures import rows as kinds
from keras_alexnet.architectures.arithmetic import trace
from keras_alexnet.architectures.modifiers import with_padding
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.files import replacing
from keras_alexnet.visualization.blocks import Stage
from keras_alexnet.visualization.blocks import draw_blocks

FORMATS = (".png", ".svg", ".pdf")


def plot_figure2(
    variant="alexnet",
    to_file="img/figure2.png",
    *,
    padding=None,
    input_shape=None,
    classes=None,
):
    """Draw a network as figure 2 of the paper does, to its real shapes.

    Each block is what a layer makes: maps side by side, of the written size.
    On its side is the next layer's kernel. Two towers are two rows, linked
    where a layer sees both. Sides are drawn as the power 0.4 of their size.

    Args:
        variant: Name of a variant, or an `Architecture`.
        to_file: Path of the picture, ending in `.png`, `.svg` or `.pdf`. The
            folder is made if missing.
        padding: See `AlexNet`.
        input_shape: `(height, width, channels)` in pixels.
        classes: Number of classes.

    Returns:
        The path of the picture.

    Raises:
        ValueError: if there is no such variant or the ending is unknown.

    Example:

    >>> plot_figure2("alexnet", "img/figure2.svg")
    PosixPath('img/figure2.svg')
    """
    path = Path(to_file)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"The ending of {str(to_file)!r} names no format that can be "
            f"drawn; use one of {', '.join(FORMATS)}."
        )
    architecture = with_padding(get_architecture(variant), padding)
    shape = input_shape or architecture.input_shape
    facts = trace(architecture, shape, classes)
    figure = draw_blocks(_stages(architecture.rows, facts, tuple(shape)))
    # Without a salt and with a date, no two runs would write the same text.
    date = {"CreationDate" if path.suffix.lower() == ".pdf" else "Date": None}
    metadata = {} if path.suffix.lower() == ".png" else date
    with (
        matplotlib.rc_context({"svg.hashsalt": "keras_alexnet"}),
        replacing(path) as temporary,
    ):
        figure.savefig(temporary, dpi=150, metadata=metadata)
    return path


def _stages(rows, facts, shape):
    """The columns, from the rows and the shapes between them."""
    stages = [Stage("image", shape)]
    two = False  # whether the fully connected layers are halved too
    for row, fact in zip(rows, facts, strict=True):
        stage = Stage(row.name, fact.output_shape, sees=shape[0])
        match row:
            case kinds.Conv():
                two = row.towers == 2 if len(stages) == 1 else two
                stage.kernel, stage.words = row.kernel, _window(row)
                stage.towers, stage.groups = row.towers, row.groups
                stages.append(stage)
            case kinds.LocallyConnected():
                stage.kernel, stage.words = row.kernel, f"{_window(row)} local"
                stages.append(stage)
            case kinds.Dense():
                # Half of fc6 and fc7 for each tower, each seeing all, is the
                # same layer, and what the paper draws.
                stage.towers = 2 if two and row.units else 1
                stage.words = "dense"
                stages.append(stage)
            case _:
                stages[-1].notes += _notes(row)
        shape = fact.output_shape
    return stages


def _window(row):
    size = row.kernel if hasattr(row, "kernel") else row.size
    stride = getattr(row, "strides", 1)
    return f"{size}x{size}" + (f", stride {stride}" if stride > 1 else "")


def _notes(row):
    """What a row without weights does, as lines of text."""
    match row:
        case kinds.ZeroPad():
            return [f"zeros, {row.pixels} px"]
        case kinds.LocalResponseNorm(window="within_map"):
            return ["norm in map"]
        case kinds.LocalResponseNorm():
            return ["norm"]
        case kinds.MaxPool():
            return ["max pool", _window(row)]
        case kinds.AveragePool():
            return ["average pool", _window(row)]
        case kinds.AdaptiveAveragePool():
            return ["average pool", f"to {row.size}x{row.size}"]
        case kinds.Activation():
            return [row.function]
        case kinds.Dropout():
            return [f"dropout {row.rate:g}"]
    return []
