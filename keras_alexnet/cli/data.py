"""The commands about data: `prepare-data` and `check-data`. No TensorFlow."""

import json
import sys

from keras_alexnet.cli.arguments import add_bad_ratio
from keras_alexnet.cli.arguments import add_command
from keras_alexnet.cli.arguments import add_format
from keras_alexnet.cli.arguments import positive
from keras_alexnet.cli.arguments import ratio
from keras_alexnet.terminal import say
from keras_alexnet.terminal import say_lines


def add_parsers(commands):
    """Add `prepare-data` and `check-data`."""
    text = "resize photos once, into shards that are read several times faster"
    _add_prepare_data(
        add_command(commands, "prepare-data", _prepare_data, text)
    )
    text = "read every image of a folder; report what would abort training"
    _add_check_data(add_command(commands, "check-data", _check_data, text))


def _add_prepare_data(parser):
    parser.add_argument(
        "source", metavar="SRC", help="folder of class folders, or of train/..."
    )
    parser.add_argument("out", metavar="OUT", help="folder to write")
    parser.add_argument(
        "--resize-pixels",
        type=positive,
        default=256,
        metavar="N",
        help="short side of the prepared images; default: 256",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="keep all of each image, not only the central square",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--validation-fraction",
        type=ratio,
        default=0.2,
        metavar="R",
        help="held out of each class where there is no folder for testing",
    )
    add_bad_ratio(parser)


def _prepare_data(options):
    from keras_alexnet.data.prepare_data import prepare_data

    dataset = prepare_data(
        options.source,
        options.out,
        resize_pixels=options.resize_pixels,
        square=not options.whole,
        validation_fraction=options.validation_fraction,
        seed=options.seed,
        max_bad_ratio=_bad_ratio(options),
    )
    images = dataset["images"]
    for file, reason in dataset["skipped"].items():
        say(f"skipped {file}: {reason}", file=sys.stderr)
    say(
        f"{images['train']} training and {images['test']} test images of "
        f"{len(dataset['class_names'])} classes are in {options.out}, "
        f"{len(dataset['skipped'])} were skipped."
    )


def _add_check_data(parser):
    parser.add_argument("folder", metavar="DIR")
    add_format(parser, "text", "json")
    add_bad_ratio(parser)


def _check_data(options):
    from keras_alexnet.data.check_data import check_data

    inspection, ratio = check_data(options.folder), _bad_ratio(options)
    safe = inspection.is_safe(ratio)
    if options.format == "json":
        print(json.dumps({**inspection.to_dict(), "safe": safe}, indent=2))
    else:
        verdict = "would go through" if safe else "would stop"
        allowed = f"A training that allows {ratio:.1%} unreadable files"
        say_lines(f"{inspection}\n{allowed} {verdict}.")
    return 0 if safe else 1


def _bad_ratio(options):
    return 0.01 if options.max_bad_ratio is None else options.max_bad_ratio
