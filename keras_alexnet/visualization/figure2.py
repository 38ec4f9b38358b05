"""`plot_figure2(...)`: figure 2 of the paper, from the real shapes."""

from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from keras_alexnet.architectures import rows as kinds
from keras_alexnet.architectures.arithmetic import trace
from keras_alexnet.architectures.modifiers import with_padding
from keras_alexnet.architectures.variants import Architecture
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.files import AnyPath
from keras_alexnet.files import replacing

# All lengths are in inches.
LARGEST = 1.9  # side of the largest block
DEPTH = (0.42, 0.30)  # where one inch into the paper is drawn
GAP = 0.55  # between columns
LINE = 0.15  # from one line of text to the next
CHARACTER = 0.062  # width of one, at 7.5 points
MARGIN = 0.25

# Okabe & Ito's, which color-blind people can tell apart; blocks lighter.
FILLS = {"image": "#DDDDDD", "a": "#B5D8EF", "b": "#F6D9A0", None: "#BFE3D6"}
INK, OWN, CROSS = "#222222", "#666666", "#D55E00"

FORMATS = (".png", ".svg", ".pdf")


@dataclass
class Stage:
    """One column: a layer with weights, or the image, and what follows it.

    `sees` is the size of the maps that it looks at, in values; `groups` is 1
    where each tower sees all maps.
    """

    name: str
    shape: tuple
    sees: int = 0
    kernel: int = 0
    towers: int = 1
    groups: int = 1
    words: str = ""
    notes: list = field(default_factory=list)


@dataclass(frozen=True)
class Block:
    """Where a block stands: its front's lower left corner and extents."""

    x: float
    y: float
    width: float
    height: float
    side: float  # into the paper

    def point(self, right, up, deep=0.0):
        """A point by its shares of width, height and side."""
        return (
            self.x + right * self.width + deep * self.side * DEPTH[0],
            self.y + up * self.height + deep * self.side * DEPTH[1],
        )


def _extents(stage, largest):
    """Width, height and side of a stage's blocks."""
    channels = stage.shape[-1] / stage.towers
    if len(stage.shape) == 1:
        return 0.14, max(LARGEST * (channels / 4096) ** 0.4, 0.2), 0.2
    height = LARGEST * (stage.shape[0] / largest) ** 0.4
    return 0.05 * channels**0.5, height, height


def _layout(stages):
    """The blocks of each stage and the width of it all.

    A column is as wide as its text or its blocks, whichever is wider.
    """
    largest = max(stages[0].shape[:2])
    extents = [_extents(stage, largest) for stage in stages]
    rows = [
        height + side * DEPTH[1]
        for stage, (_, height, side) in zip(stages, extents, strict=True)
        if stage.towers == 2
    ]
    apart = (max(rows) + 3 * LINE) / 2 if rows else 0
    x, columns = MARGIN + 3 * LINE, []
    for stage, (width, height, side) in zip(stages, extents, strict=True):
        drawn = width + side * DEPTH[0]
        letters = max(map(len, [stage.name, stage.words, *stage.notes]))
        room = max(drawn, letters * CHARACTER)
        left = x + (room - drawn) / 2
        bottom = -(height + side * DEPTH[1]) / 2
        centers = (apart, -apart) if stage.towers == 2 else (0,)
        columns.append(
            [Block(left, bottom + y, width, height, side) for y in centers]
        )
        x += room + GAP
    return columns, x - GAP + MARGIN


def draw_blocks(stages):
    """A figure of the stages, from left to right."""
    columns, width = _layout(stages)
    blocks = [block for column in columns for block in column]
    top = max(b.point(0, 1, 1)[1] for b in blocks) + 2 * LINE
    bottom = min(b.y for b in blocks) - 3 * LINE
    crossed = any(map(_crosses, stages[1:], columns, columns[1:]))
    notes = max(len(stage.notes) for stage in stages)
    low = bottom - (notes + 2 * crossed) * LINE
    high = top + 2 * LINE
    figure = Figure(figsize=(width, high - low))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(low, high)
    for stage, column in zip(stages, columns, strict=True):
        _draw_column(axes, stage, column, top, bottom)
    for i in range(1, len(stages)):
        _draw_links(axes, stages[i], columns[i - 1], columns[i])
    _draw_tower_names(axes, columns)
    if crossed:
        _draw_key(axes, low + LINE)
    return figure


def _draw_column(axes, stage, column, top, bottom):
    center = column[0].x + column[0].point(1, 0, 1)[0]
    lines = [stage.words] if stage.words else []
    _text(axes, center / 2, top + LINE, stage.name, weight="bold")
    for i, line in enumerate(lines):
        _text(axes, center / 2, top - i * LINE, line)
    for i, line in enumerate(stage.notes):
        _text(axes, center / 2, bottom - i * LINE, line, style="italic")
    for block, tower in zip(column, _towers(stage, column), strict=True):
        _draw_block(axes, block, FILLS[tower])
        _draw_sizes(axes, stage, block, below=tower == "b")


def _towers(stage, column):
    if len(column) == 2:
        return "a", "b"
    return ("image",) if stage.name == "image" else (None,)


def _draw_block(axes, block, fill):
    """Front, top and right side, the latter a little darker."""
    front = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
    roof = [(0, 1, 0), (1, 1, 0), (1, 1, 1), (0, 1, 1)]
    right = [(1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0)]
    for face, shade in ((front, 1.0), (roof, 1.04), (right, 0.92)):
        rgb = matplotlib.colors.to_rgb(fill)
        axes.fill(
            *zip(*(block.point(*corner) for corner in face), strict=True),
            facecolor=[min(1.0, shade * value) for value in rgb],
            edgecolor=INK,
            linewidth=0.7,
            joinstyle="round",
        )


def _draw_sizes(axes, stage, block, below):
    """The numbers of maps, and the height and width of one."""
    # A white rim, where a link passes close by.
    rim = {"path_effects": [withStroke(linewidth=2, foreground="white")]}
    x, y = block.point(0.5, 0)
    maps = stage.shape[-1] // stage.towers
    _text(axes, x, y - 0.1, f"{maps}", **rim)
    if len(stage.shape) == 3:
        # Beside the left edge, away from the links that come in.
        x, y = block.point(0, 0 if below else 1)
        y += 0.08 if below else -0.08
        _text(axes, x - 0.04, y, f"{stage.shape[0]}", ha="right", **rim)
        x, y = block.point(1, 0, 0.3)
        _text(axes, x + 0.05, y - 0.07, f"{stage.shape[1]}", ha="left", **rim)


def _crosses(stage, sources, targets):
    """Whether each tower of a stage sees both of the stage before it."""
    return len(sources) == len(targets) == 2 and stage.groups == 1


def _draw_links(axes, stage, sources, targets):
    """Who sees whom: kernels for maps, arrows for fully connected layers."""
    pairs = len(sources) == len(targets) == 2
    for i, source in enumerate(sources):
        if stage.kernel:
            _draw_kernel(axes, stage, source, below=i == 1)
        for j, target in enumerate(targets):
            if pairs and i != j and not _crosses(stage, sources, targets):
                continue
            color = CROSS if pairs and i != j else OWN
            if stage.kernel:
                _draw_view(axes, stage, source, target, color)
            else:
                start, end = source.point(1, 0.5, 0.5), target.point(0, 0.5)
                _arrow(axes, start, end, color)


def _kernel_corners(stage, block):
    """The kernel in the middle of the side that shows one map."""
    half = max(stage.kernel / stage.sees, 0.2) / 2
    low, high = 0.5 - half, 0.5 + half
    return [
        block.point(1, up, deep)
        for deep, up in ((low, low), (high, low), (high, high), (low, high))
    ]


def _draw_kernel(axes, stage, block, below):
    corners = _kernel_corners(stage, block)
    axes.fill(
        *zip(*corners, strict=True),
        facecolor="white",
        edgecolor=INK,
        linewidth=0.9,
        zorder=5,
    )
    if stage.kernel > 0.4 * stage.sees:  # has room for its number
        x, y = (sum(values) / 4 for values in zip(*corners, strict=True))
    else:  # away from the other tower, where the links go
        x, y = corners[0] if below else corners[2]
        y += -0.08 if below else 0.08
    _text(axes, x, y, f"{stage.kernel}", fontsize=6.5)


def _draw_view(axes, stage, source, target, color):
    """Two lines from a kernel's outline to one value of the next block."""
    corners = _kernel_corners(stage, source)
    end = target.point(min(0.3, 0.12 / target.width), 0.5)
    rise = end[1] - source.point(1, 0.5, 0.5)[1]
    # The corners between which the others lie, as seen from the end.
    outline = (1, 2) if abs(rise) < 0.3 else (1, 3) if rise > 0 else (0, 2)
    for i in outline:
        _line(axes, corners[i], end, color, linestyle=(0, (3, 2)))


def _line(axes, start, end, color, **style):
    xs, ys = zip(start, end, strict=True)
    axes.plot(xs, ys, color=color, linewidth=0.8, zorder=4, **style)


def _arrow(axes, start, end, color):
    style = {"arrowstyle": "-|>", "color": color, "linewidth": 0.8}
    style |= {"shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=style, zorder=4)


def _draw_tower_names(axes, columns):
    pair = next((column for column in columns if len(column) == 2), ())
    for block, name in zip(pair, "AB", strict=False):
        y = block.y + (block.height + block.side * DEPTH[1]) / 2
        _text(axes, MARGIN, y, f"Tower {name}", rotation=90, weight="bold")


def _draw_key(axes, y):
    """What the colors of the links mean."""
    for x, color, words in (
        (MARGIN, OWN, "sees its own tower"),
        (MARGIN + 2.1, CROSS, "sees the other tower too"),
    ):
        _line(axes, (x, y), (x + 0.35, y), color)
        _text(axes, x + 0.45, y, words, ha="left")


def _text(axes, x, y, words, **style):
    style = {"fontsize": 7.5, "ha": "center", "va": "center", **style}
    axes.text(x, y, words, color=INK, zorder=6, **style)


def plot_figure2(
    variant: str | Architecture = "alexnet",
    to_file: AnyPath = "img/figure2.png",
    *,
    padding: str | tuple[str, str] | None = None,
    input_shape: tuple[int, ...] | None = None,
    classes: int | None = None,
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
    layers = trace(architecture, shape, classes)
    figure = draw_blocks(_stages(architecture.rows, layers, tuple(shape)))
    # Without a salt and with a date, no two runs would write the same text.
    date = {"CreationDate" if path.suffix.lower() == ".pdf" else "Date": None}
    metadata = {} if path.suffix.lower() == ".png" else date
    with (
        matplotlib.rc_context({"svg.hashsalt": "keras_alexnet"}),
        replacing(path) as temporary,
    ):
        figure.savefig(temporary, dpi=150, metadata=metadata)
    return path


def _stages(rows, layers, shape):
    """The columns, from the rows and the shapes between them."""
    stages = [Stage("image", shape)]
    two = False  # whether the fully connected layers are halved too
    for row, layer in zip(rows, layers, strict=True):
        stage = Stage(row.name, layer.output_shape, sees=shape[0])
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
        shape = layer.output_shape
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
