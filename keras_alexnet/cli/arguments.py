"""What the commands share: kinds of arguments, options, printing of tables."""

import argparse
import json
import pathlib

from keras_alexnet.environment import load_tensorflow
from keras_alexnet.terminal import say_lines
from keras_alexnet.weights.published import PUBLISHED

PICTURES = (".png", ".svg", ".pdf")
NETWORK = "run folder, or file of weights that `convert` reads"

SOURCES = (
    "file of weights (.keras, .h5, .pth, .safetensors, .caffemodel, .onnx, "
    f".npy), run folder, cifar10, or one of {', '.join(PUBLISHED)}, which are "
    "downloaded"
)


def add_command(commands, name, function, text):
    """The parser of a command, which calls a function with its options."""
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=function)
    return parser


def add_format(parser, *choices):
    """The option `--format`; the first is the default, of a table's three."""
    choices = choices or ("text", "markdown", "json")
    parser.add_argument("--format", choices=choices, default=choices[0])


def load_keras(onednn=None):
    """Import Keras and its backend, and nothing of other backends.

    Args:
        onednn: As of `environment.load_tensorflow`.
    """
    load_tensorflow(onednn)
    from keras_alexnet.models.keras_private import leave_out_tensorflow

    leave_out_tensorflow()


def print_table(table, form):
    """Print a `Table` as text, Markdown or JSON."""
    if form == "json":
        print(json.dumps(table.to_dict(), indent=2))
    else:
        say_lines(table.to_markdown() if form == "markdown" else table)


def positive(text):
    """A whole number from 1 on."""
    digits = text.isascii() and text.isdecimal() and len(text) < 10
    if not digits or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text[:20]!r} is not a whole number from 1 to 999,999,999"
        )
    return int(text)


def ratio(text):
    """A part of a whole, as a number of 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(
            f"{text[:20]!r} is not a number from 0 to 1"
        )
    return value


def add_bad_ratio(parser):
    """The options on how many bad files are borne."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--max-bad-ratio",
        type=ratio,
        metavar="R",
        help="part of the image files that may be unreadable and is skipped; "
        "default: 0.01, in evaluate the training's",
    )
    group.add_argument(
        "--strict",
        action="store_const",
        const=0.0,
        dest="max_bad_ratio",
        help="stop at the first",
    )


def picture(text):
    """The path of a picture that can be written."""
    if pathlib.PurePath(text).suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(
            f"{text!r} does not end in {', '.join(PICTURES)}"
        )
    return text


def minutes(text):
    """A number of minutes, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(
            f"{text[:20]!r} is not a number of minutes"
        )
    return value


def names(text):
    """The names in a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def port(text):
    """The number of a port; 0 for any that is free."""
    digits = text.isascii() and text.isdecimal() and len(text) < 6
    if not digits or int(text) > 65535:
        raise argparse.ArgumentTypeError(
            f"{text[:20]!r} is not a whole number from 0 to 65,535"
        )
    return int(text)
