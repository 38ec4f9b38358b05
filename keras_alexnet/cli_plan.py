"""The command `plan`: what larger machines need, by arithmetic."""

import argparse
import math

# The options, as `Plan` has them, and what to say of each.
COUNTS = {
    "machines": "among which the GPUs are divided evenly; default: 1",
    "batch_per_gpu": "images that a GPU takes in a step; default: 128",
    "cores": "CPU cores of each machine; default: 32",
}
SPEEDS = {
    "disk_gigabytes": "a second, that each machine reads; default: 2",
    "link_gigabytes": "a second, from GPU to GPU in a machine; default: 25",
    "network_gigabits": "a second, from machine to machine; default: 25",
}


def add_plan(parser, positive, add_format, show):
    """Give the parser of `plan` its options.

    Args:
        parser: The parser.
        positive: Function that reads a positive whole number.
        add_format: Function that adds `--format` to a parser.
        show: Function that prints a table in such a format.
    """

    def command(options):
        from keras_alexnet.planning import Plan

        names = ("gpus", "images_per_second_per_gpu", *COUNTS, *SPEEDS)
        given = {name: getattr(options, name) for name in names}
        given = {k: v for k, v in given.items() if v is not None}
        show(Plan(**given), options.format)

    parser.set_defaults(command=command)
    parser.add_argument("--gpus", required=True, type=positive, metavar="N")
    parser.add_argument(
        "--images-per-second-per-gpu",
        required=True,
        type=_speed,
        metavar="RATE",
        help="what one GPU trains alone, as measured",
    )
    for told, kind, metavar in (
        (COUNTS, positive, "N"),
        (SPEEDS, _speed, "RATE"),
    ):
        for name, text in told.items():
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(option, type=kind, metavar=metavar, help=text)
    add_format(parser, "text", "markdown", "json")


def _speed(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(
            f"{text[:20]!r} is not a positive number"
        )
    return value
