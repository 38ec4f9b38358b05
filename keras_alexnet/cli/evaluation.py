"""The commands that ask trained networks: `evaluate` and `predict`."""

import contextlib
import csv
import io
import itertools
import json
import os
import sys

from keras_alexnet.cli.arguments import NETWORK
from keras_alexnet.cli.arguments import add_bad_ratio
from keras_alexnet.cli.arguments import add_command
from keras_alexnet.cli.arguments import add_format
from keras_alexnet.cli.arguments import load_keras
from keras_alexnet.cli.arguments import picture
from keras_alexnet.cli.arguments import positive
from keras_alexnet.environment import Interrupted
from keras_alexnet.environment import deferred_signals
from keras_alexnet.terminal import counted
from keras_alexnet.terminal import printable
from keras_alexnet.terminal import say
from keras_alexnet.terminal import say_lines

LARGEST_SHEET = 24  # images; more cannot be read on a page
TEN_CROPS = "average the predictions for ten crops, as the paper does"


def add_parsers(commands):
    """Add `evaluate` and `predict`."""
    text = "test trained networks: top-1 and top-5 error, class by class"
    _add_evaluate(add_command(commands, "evaluate", _evaluate, text))
    text = "name what is seen in image files"
    _add_predict(add_command(commands, "predict", _predict, text))


def _add_evaluate(parser):
    parser.add_argument(
        "networks",
        metavar="RUN",
        nargs="+",
        help=f"{NETWORK}; the predictions of several are averaged",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="other images than the run's own: folder of class folders, or "
        "of val/...",
    )
    parser.add_argument("--ten-crops", action="store_true", help=TEN_CROPS)
    parser.add_argument(
        "--confusion",
        type=picture,
        metavar="FILE",
        help="draw the confusion matrix: .png, .svg or .pdf",
    )
    add_bad_ratio(parser)
    add_format(parser)


def _evaluate(options):
    from keras_alexnet.runs.run_folder import check_trained

    for path in options.networks:
        check_trained(path)
    if options.data is not None:
        from keras_alexnet.data.datasets import check_folder

        check_folder(options.data)
    load_keras()
    from keras_alexnet.evaluation.evaluate import evaluate
    from keras_alexnet.runs.network import open_trained

    evaluation = evaluate(
        [open_trained(path) for path in options.networks],
        options.data,
        options.max_bad_ratio,
        options.ten_crops,
    )
    if options.format == "json":
        # A line for each figure; the matrix of 1,000 classes is one of them.
        results = evaluation.to_dict().items()
        lines = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in results]
        print("{\n" + ",\n".join(lines) + "\n}")
    elif options.format == "markdown":
        say_lines(evaluation.to_markdown())
    else:
        say_lines(evaluation)
    if options.confusion:
        evaluation.plot_confusion(options.confusion)
        say(options.confusion, file=sys.stderr)


def _add_predict(parser):
    parser.add_argument("network", metavar="RUN", help=NETWORK)
    parser.add_argument(
        "images",
        metavar="IMAGES",
        nargs="+",
        help="image files, folders of them, or quoted patterns such as "
        "'photos/**/*.jpg'",
    )
    parser.add_argument(
        "--top",
        type=positive,
        default=5,
        metavar="N",
        help="how many classes to name; default: 5",
    )
    parser.add_argument("--ten-crops", action="store_true", help=TEN_CROPS)
    parser.add_argument(
        "--format",
        choices=("text", "json", "csv"),
        default="text",
        help="json: an array, an image a line; csv: an image a row",
    )
    parser.add_argument(
        "--to-file",
        type=picture,
        metavar="FILE",
        help=f"draw up to {LARGEST_SHEET} of the images with bars for their "
        "classes: .png, .svg or .pdf",
    )


def _predict(options):
    from keras_alexnet.data.folders import find_images
    from keras_alexnet.runs.run_folder import check_trained

    check_trained(options.network)
    files = find_images(options.images)
    if options.format == "text" and not any(map(os.path.lexists, files)):
        for file in files:  # which nobody has to be asked about
            say(f"{file}: there is no such file", file=sys.stderr)
        return _unusable(len(files), len(files))
    load_keras()
    from keras_alexnet.evaluation.predict import iter_predictions
    from keras_alexnet.runs.network import open_trained

    if hasattr(sys.stdout, "reconfigure"):
        # Names of files need not be UTF-8; a program gets their own bytes.
        exact = options.format == "csv"
        errors = "surrogateescape" if exact else "backslashreplace"
        sys.stdout.reconfigure(errors=errors)
    total, bad, drawn = len(files), 0, []
    evenly = {i * total // LARGEST_SHEET for i in range(LARGEST_SHEET)}
    trained = open_trained(options.network)
    top = min(options.top, len(trained.class_names))
    predictions = iter_predictions(trained, files, top, options.ten_crops)
    # A bar for many, and only where somebody looks.
    shown = total > trained.recipe.batch_size and sys.stderr.isatty()
    with (
        counted("images", total, shown, transient=True) as advance,
        _printer(options.format, top) as show,
    ):
        for place, prediction in enumerate(predictions):
            show(prediction)
            advance()
            if prediction.error:
                bad += 1
            elif place in evenly:
                drawn.append(prediction)
    code = _unusable(bad, total)
    if options.to_file and drawn:
        _draw(drawn, trained, options.to_file)
    return code


def _draw(predictions, trained, path):
    from keras_alexnet.evaluation.prediction_sheet import plot_predictions

    names, channels = trained.class_names, trained.channels
    plot_predictions(predictions, names, path, channels)
    say(f"{path}: {len(predictions)} images", file=sys.stderr)


def _unusable(bad, total):
    """Say how many files could not be used; the exit code."""
    if bad:
        text = f"{bad:,} of {total:,} files cannot be used."
        say(f"keras-alexnet: {text}", file=sys.stderr)
    return 1 if bad else 0


@contextlib.contextmanager
def _printer(form, top):
    """A function that prints a prediction; what it printed is whole, always."""
    head, between, tail = {
        "text": ("", "", ""),
        "csv": (_csv_line(_columns(top)), "", ""),
        "json": ("[\n", ",\n", "\n]\n"),
    }[form]
    line = {"text": _text, "csv": _csv_row(top), "json": _json}[form]
    begun = False

    def show(prediction):
        nonlocal begun
        if form == "text" and prediction.error:
            text = f"{prediction.file}: {prediction.error}"
            say(text, file=sys.stderr)
            return
        text = (between if begun else head) + line(prediction)
        with _uninterrupted():
            sys.stdout.write(text)
            begun = True

    try:
        yield show
    finally:
        if begun:
            with _uninterrupted():
                sys.stdout.write(tail)


@contextlib.contextmanager
def _uninterrupted():
    """Something is written as a whole, and Ctrl-C obeyed behind it."""
    with deferred_signals() as signals:
        yield
        sys.stdout.flush()
    if signals.number:
        raise Interrupted(signals.number, "interrupted")


def _text(prediction):
    lines = [
        f"  {100 * probability:5.1f} %  {printable(name)}"
        for name, probability in prediction.top
    ]
    return "\n".join([printable(prediction.file), *lines]) + "\n"


def _json(prediction):
    return json.dumps(prediction._asdict())


def _columns(top):
    pairs = [(f"class_{i}", f"probability_{i}") for i in range(1, top + 1)]
    return ["file", *itertools.chain(*pairs), "error"]


def _csv_row(top):
    def row(prediction):
        cells = [cell for pair in prediction.top for cell in pair]
        cells += [""] * (2 * top - len(cells))
        return _csv_line([prediction.file, *cells, prediction.error or ""])

    return row


def _csv_line(cells):
    if sys.stdout.isatty():  # a program gets what the names are
        cells = [printable(cell) for cell in cells]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
