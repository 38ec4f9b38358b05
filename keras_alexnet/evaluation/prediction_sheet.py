"""A picture of images and what is seen in them, as the paper's figure 4 (left).

Under each image stand its true class, where it is known, and bars for the most
probable classes; that of the true class has another color.
"""

from matplotlib.figure import Figure

from keras_alexnet.data import transforms
from keras_alexnet.data.decode import read_image
from keras_alexnet.evaluation.predict import true_class
from keras_alexnet.files import replacing
from keras_alexnet.terminal import shortened

COLUMNS = 4, 6  # as in the paper, and of more images than its eight
SIDE = 256  # pixels that an image is drawn with, Section 2's square
# Of Okabe & Ito's colors the two that black letters are read best on.
OTHER, RIGHT = "#56B4E9", "#E69F00"
LETTERS = 26  # that fit on a line under an image
MOST_BARS = 10  # more cannot be told apart


def plot_predictions(predictions, class_names, to_file, channels=3):
    """Draw images with bars for their most probable classes.

    Args:
        predictions: List of `Prediction`, some two dozen at most if one is
            to see much; those with an error are left out.
        class_names: Names of the network's classes.
        to_file: Path of the picture to write: .png, .svg or .pdf.
        channels: 3, or 1 for a network that sees gray.

    Raises:
        ValueError: if there is no image to draw, or the picture cannot be
            written.
    """
    predictions = [p for p in predictions if not p.error]
    if not predictions:
        raise ValueError("There is no image to draw: none could be used.")
    columns = min(COLUMNS[len(predictions) > 8], len(predictions))
    rows = -(-len(predictions) // columns)
    bars = max(len(prediction.top) for prediction in predictions)
    bars = min(bars, MOST_BARS)
    height = 2.65 + 0.2 * bars
    figure = Figure(
        figsize=(2.3 * columns + 0.3, height * rows), layout="constrained"
    )
    grid = figure.subplots(
        2 * rows,
        columns,
        squeeze=False,
        height_ratios=[2, 0.2 * bars] * rows,
    )
    for axis in grid.flat:
        axis.set_axis_off()
    for place, prediction in enumerate(predictions):
        row, column = divmod(place, columns)
        label = true_class(prediction.file, class_names)
        _draw_image(grid[2 * row, column], prediction.file, channels)
        _draw_bars(grid[2 * row + 1, column], prediction.top, label, bars)
    # Room for the label between image and bars.
    figure.get_layout_engine().set(hspace=0.02, wspace=0.06)
    with replacing(to_file) as path:
        figure.savefig(path, dpi=150)


def _draw_image(axis, file, channels):
    image = read_image(file, channels)
    image = transforms.resize_short_side(image, SIDE)
    square = transforms.center_crop(image, SIDE)
    axis.imshow(square, cmap="gray", vmin=0, vmax=255)


def _draw_bars(axis, top, label, bars):
    for place, (name, probability) in enumerate(top[:bars]):
        is_right = name == label
        axis.barh(place, probability, color=RIGHT if is_right else OTHER)
        axis.text(
            0.02,
            place,
            shortened(name, LETTERS),
            va="center",
            size=8,
            weight="bold" if is_right else "normal",
            parse_math=False,  # "$" is a letter like others
        )
        axis.text(
            1,
            place,
            f"{100 * probability:.0f} %",
            va="center",
            ha="right",
            size=7,
        )
    title = shortened(label or "", LETTERS)
    axis.set_title(title, size=10, pad=3, parse_math=False)
    axis.set_xlim(0, 1)
    axis.set_ylim(bars - 0.5, -0.5)
