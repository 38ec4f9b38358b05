"""The command `plan`: what larger machines need, by arithmetic."""

import argparse
from dataclasses import MISSING
from dataclasses import fields

from keras_alexnet.training.planning import Plan

HELP = {
    "gpus": "of all machines together",
    "images_per_second_per_gpu": "what one GPU trains alone, as measured",
    "machines": "among which the GPUs are divided evenly",
    "batch_per_gpu": "images that a GPU takes in a step",
    "cores": "CPU cores of each machine",
    "disk_gigabytes": "a second, that each machine reads",
    "link_gigabytes": "a second, from GPU to GPU in a machine",
    "network_gigabits": "a second, from machine to machine",
}


def add_plan(parser, positive, add_format, show):
    """Give the parser of `plan` its options, which are the fields of `Plan`.

    Args:
        parser: The parser.
        positive: Function that reads a positive whole number.
        add_format: Function that adds `--format` to a parser.
        show: Function that prints a table in such a format.
    """

    def command(options):
        given = {name: getattr(options, name) for name in HELP}
        show(Plan(**given), options.format)

    parser.set_defaults(command=command)
    for field in fields(Plan):
        whole, required = field.type is int, field.default is MISSING
        text = HELP[field.name]
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            required=required,
            default=None if required else field.default,
            type=positive if whole else _speed,
            metavar="N" if whole else "RATE",
            help=text if required else f"{text}; default: {field.default:g}",
        )
    add_format(parser, "text", "markdown", "json")


def _speed(text):
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:20]!r} is not a number"
        ) from None
