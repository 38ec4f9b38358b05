"""Sheets of small pictures: kernels, maps, photos with captions, heat."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from keras_alexnet.files import replacing
from keras_alexnet.terminal import printable
from keras_alexnet.terminal import printable_lines

FORMATS = (".png", ".svg", ".pdf")
DPI = 150
COLUMNS = 16  # of kernels, as in the paper's figure 3
GAP = 1  # between tiles, in their pixels, where they are not enlarged
PAPER = 255  # white


def own_range(image):
    """Pixels 0..255, the least value black and the largest white.

    One that is the same everywhere is black.
    """
    image = np.asarray(image, "float64")
    least, most = image.min(), image.max()
    scaled = (image - least) / ((most - least) or 1)
    return np.rint(255 * scaled).astype("uint8")


def tiled(images, pixels):
    """Pictures of one size side by side, each about `pixels` wide.

    Args:
        images: `uint8` array `(count, height, width, 1 or 3)`.
        pixels: Each is enlarged by a whole number to at least so many.

    Returns:
        `uint8` array `(height, width, 1 or 3)`.
    """
    times = -(-pixels // images.shape[2])
    images = images.repeat(times, axis=1).repeat(times, axis=2)
    gap = max(GAP, pixels // 16)
    count, height, width, channels = images.shape
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    sheet = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, channels),
        PAPER,
        "uint8",
    )
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def draw_sheets(sheets, titles, heading):
    """A figure of sheets, one below the other, pixel for pixel.

    Args:
        sheets: `uint8` arrays of one width `(height, width, 1 or 3)`.
        titles: A line above each of them.
        heading: A line above all.
    """
    line, margin = 36, 16  # pixels
    width = max(sheet.shape[1] for sheet in sheets)
    width = max(width, 640)  # room for the lines
    height = sum(sheet.shape[0] + line + margin for sheet in sheets) + line
    figure = Figure(figsize=((width + 2 * margin) / DPI, height / DPI), dpi=DPI)
    figure.text(
        margin / (width + 2 * margin), 1 - 0.8 * line / height, heading, size=8
    )
    top = line
    for sheet, title in zip(sheets, titles, strict=True):
        rows, columns = sheet.shape[:2]
        axis = figure.add_axes(
            (
                margin / (width + 2 * margin),
                1 - (top + line + rows) / height,
                columns / (width + 2 * margin),
                rows / height,
            )
        )
        _show(axis, sheet, interpolation="nearest")
        axis.set_title(title, size=8, loc="left", pad=4)
        top += rows + line + margin
    return figure


def draw_rows(rows, heads):
    """A figure of rows of pictures with captions, the first set apart.

    Args:
        rows: Lists of `(image, caption)`, all of the same length.
        heads: What stands above the first and above the second column.
    """
    columns = max(map(len, rows))
    side, caption, head = 1.2, 0.36, 0.3  # inches
    height = head + len(rows) * (side + caption)
    figure = Figure(figsize=(1.05 * side * columns + 0.3, height), dpi=DPI)
    grid = figure.add_gridspec(
        len(rows),
        columns + 1,
        width_ratios=[1, 0.12, *[1] * (columns - 1)],
        left=0.01,
        right=0.99,
        bottom=caption / height,
        top=1 - head / height,
        wspace=0.05,
        hspace=caption / side,
    )
    small = {"size": 5, "labelpad": 2, "parse_math": False}
    for number, row in enumerate(rows):
        for column, (image, caption) in enumerate(row):
            axis = figure.add_subplot(grid[number, column + (column > 0)])
            _show(axis, image)
            axis.set_xlabel(printable_lines(caption), **small)
            if number == 0 and column < len(heads):
                axis.set_title(heads[column], size=8, pad=4)
    return figure


def draw_overlay(image, heat, extent, title, label, smooth=False):
    """A figure of an image, and of the same with heat over it.

    Args:
        image: `uint8` array `(height, width, 1 or 3)`.
        heat: Array `(rows, columns)` of values of 0..1.
        extent: Left, right, bottom and top of the heat in the image's pixels.
        title: A line above.
        label: What the colors stand for.
        smooth: Whether colors pass into each other between the values.
    """
    height, width = image.shape[:2]
    side = 3.6 / max(height, width)
    figure = Figure(
        figsize=(2 * side * width + 1.4, side * height + 0.6),
        dpi=DPI,
        layout="constrained",
    )
    axes = figure.subplots(1, 2)
    for axis in axes:
        _show(axis, image)
    drawn = _lay(axes[1], heat, extent, image.shape, smooth)
    bar = figure.colorbar(drawn, ax=axes, label=label, shrink=0.8)
    bar.solids.set_alpha(1)
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(printable(title), size=9, parse_math=False)
    return figure


def draw_overlaid(image, heat, extent, pixels):
    """A figure of an image with heat over it, and of nothing else.

    Args:
        image: As in `draw_overlay`.
        heat: As in `draw_overlay`; colors pass into each other.
        extent: As in `draw_overlay`.
        pixels: Width of the picture.
    """
    height, width = image.shape[:2]
    size = (pixels / DPI, pixels / DPI * height / width)
    figure = Figure(figsize=size, dpi=DPI)
    axis = figure.add_axes((0, 0, 1, 1))
    _show(axis, image)
    _lay(axis, heat, extent, image.shape, smooth=True)
    return figure


def _lay(axis, heat, extent, shape, smooth):
    """Draw heat over an image, within the image's borders."""
    drawn = axis.imshow(
        heat,
        cmap="inferno",
        alpha=0.6,
        vmin=0,
        vmax=1,
        extent=extent,
        interpolation="bilinear" if smooth else "nearest",
    )
    axis.set_xlim(-0.5, shape[1] - 0.5)
    axis.set_ylim(shape[0] - 0.5, -0.5)
    return drawn


def _show(axis, image, **kwargs):
    gray = image.shape[-1] == 1
    axis.imshow(
        image[..., 0] if gray else image,
        cmap="gray" if gray else None,
        vmin=0,
        vmax=255,
        **kwargs,
    )
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)


def save(figure, to_file):
    """Write a figure.

    Args:
        figure: A figure of Matplotlib's.
        to_file: Path ending in `.png`, `.svg` or `.pdf`.

    Returns:
        The path.

    Raises:
        ValueError: if the ending is another, or it cannot be written.
    """
    path = Path(to_file)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"The ending of {str(to_file)!r} names no format that can be "
            f"drawn; use one of {', '.join(FORMATS)}."
        )
    with (
        matplotlib.rc_context({"svg.hashsalt": "keras_alexnet"}),
        replacing(path) as temporary,
    ):
        figure.savefig(temporary, dpi=DPI)
    return path
