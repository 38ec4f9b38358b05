"""The command line. Keras is imported inside the commands, so that `--help`
answers at once."""

import argparse
import json
import os
import sys
import warnings

from keras_alexnet import __version__
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.cli import analysis
from keras_alexnet.cli import data
from keras_alexnet.cli import demo
from keras_alexnet.cli import evaluation
from keras_alexnet.cli import export
from keras_alexnet.cli import paper
from keras_alexnet.cli import plan
from keras_alexnet.cli import training
from keras_alexnet.cli import web
from keras_alexnet.cli import weights
from keras_alexnet.environment import load_tensorflow
from keras_alexnet.signals import end_at_once
from keras_alexnet.signals import raised_signals
from keras_alexnet.terminal import printable
from keras_alexnet.terminal import printable_warning
from keras_alexnet.terminal import say
from keras_alexnet.terminal import say_lines


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage lines."""

    def error(self, message):
        text = f"{self.prog}: {message}; see `{self.prog} --help`"
        self.exit(2, f"{printable(text)}\n")


def main(arguments=None):
    """Run the command line.

    Args:
        arguments: List of words; those of the process if `None`.

    Returns:
        The exit code: 0, 1 if `check-data` found what would stop a training,
        `predict` a file that cannot be used or `paper` a number that is
        broken, 2 for what the sentence on
        stderr says, 130 after Ctrl-C, 143 after SIGTERM (a training is then
        saved and goes on by the same command).
    """
    end_at_once()
    options = _parser().parse_args(arguments)
    # What Pillow warns of, bombs and broken EXIF, we refuse or bear.
    warnings.filterwarnings("ignore", module="PIL")
    warnings.formatwarning = printable_warning
    try:
        with raised_signals():
            return options.command(options) or 0
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        sentence = " ".join(str(error).split())
        if isinstance(error, OSError) and error.filename:
            sentence = f"{str(error.filename)!r}: {error.strerror}."
        say(f"keras-alexnet: {sentence}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        say(f"keras-alexnet: {str(stop) or 'interrupted'}", file=sys.stderr)
        return getattr(stop, "exit_code", 130)


def _parser():
    parser = _Parser(
        prog="keras-alexnet",
        description="AlexNet for Keras: look at it, train it, use it.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    _variants_parser(commands)
    _summary_parser(commands)
    _plot_parser(commands)
    text = "train a network; without options: the bundled Fashion-MNIST images"
    training.add_train(_command(commands, "train", None, text), _positive)
    text = "list the recipes: whose they are, what they take and what they gave"
    _format(
        _command(commands, "recipes", training.list_recipes, text),
        "text",
        "markdown",
        "json",
    )
    text = "test trained networks: top-1 and top-5 error, class by class"
    evaluation.add_evaluate(_command(commands, "evaluate", None, text))
    text = "write a page about a run: all that is known of it, in one file"
    web.add_report(_command(commands, "report", None, text))
    text = "name what is seen in image files"
    predict = _command(commands, "predict", None, text)
    evaluation.add_predict(predict, _positive)
    analysis.add_commands(commands, _command, _positive)
    text = "serve a local page to try a network: drop a photo, see Grad-CAM"
    demo.add_demo(_command(commands, "demo", None, text))
    text = "write a trained network for another runtime, and prove it there"
    export.add_export(_command(commands, "export", None, text))
    text = "turn weights of others into a Keras model, or ours into theirs"
    weights.add_convert(_command(commands, "convert", None, text))
    text = "train a trained network on other images: the last layer, then all"
    parser_of_tuning = _command(commands, "fine-tune", None, text)
    weights.add_fine_tune(parser_of_tuning, _positive)
    text = "resize photos once, into shards that are read several times faster"
    prepare = _command(commands, "prepare-data", None, text)
    data.add_prepare_data(prepare, _positive)
    text = "check the paper's statements; differences, log, run: see there"
    checked = _command(commands, "paper", None, text)
    paper.add_paper(checked, _format, _print)
    text = "compute what GPUs and machines of a given speed need"
    planned = _command(commands, "plan", None, text)
    plan.add_plan(planned, _positive, _format, _print)
    text = "read every image of a folder and tell what would stop a training"
    check = _command(commands, "check-data", None, text)
    data.add_check_data(check)
    return parser


def _command(commands, name, function, text):
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=function)
    return parser


def _format(parser, *choices):
    parser.add_argument("--format", choices=choices, default=choices[0])


def _print(table, form):
    if form == "json":
        print(json.dumps(table.to_dict(), indent=2))
    else:
        say_lines(table.to_markdown() if form == "markdown" else table)


def _variants_parser(commands):
    text = "list all networks, one line each"
    parser = _command(commands, "variants", _variants, text)
    _format(parser, "text", "markdown", "json")


def _variants(options):
    from keras_alexnet.visualization.summary import variants_table

    _print(variants_table(), options.format)


def _architecture_options(parser):
    parser.add_argument("variant", choices=VARIANTS, metavar="VARIANT")
    parser.add_argument(
        "--padding",
        help="valid, same or ceil; or two of them as conv1/pools, same/valid",
    )
    parser.add_argument(
        "--input-size",
        type=_positive,
        metavar="PIXELS",
        help="side of the image",
    )
    parser.add_argument("--classes", type=_positive, metavar="N")


def _positive(text):
    digits = text.isascii() and text.isdecimal() and len(text) < 10
    if not digits or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text[:20]!r} is not a whole number from 1 to 999,999,999"
        )
    return int(text)


def _architecture_arguments(options):
    padding = options.padding
    if padding and "/" in padding:
        padding = tuple(padding.split("/"))
    shape = None
    if options.input_size is not None:
        channels = VARIANTS[options.variant].input_shape[-1]
        shape = (options.input_size, options.input_size, channels)
    return {
        "padding": padding,
        "input_shape": shape,
        "classes": options.classes,
    }


def _summary_parser(commands):
    text = "print shapes, neurons, parameters and multiply-adds of a network"
    parser = _command(commands, "summary", _summary, text)
    _architecture_options(parser)
    _format(parser, "text", "markdown", "json")


def _summary(options):
    from keras_alexnet.visualization.summary import summary

    arguments = _architecture_arguments(options)
    _print(summary(options.variant, **arguments), options.format)


def _plot_parser(commands):
    text = "draw a network (PNG, SVG; PDF where Graphviz is installed)"
    parser = _command(commands, "plot", _plot, text)
    _architecture_options(parser)
    parser.add_argument(
        "--to-file", metavar="FILE", help="default: img/VARIANT.png"
    )
    parser.add_argument(
        "--figure2",
        action="store_true",
        help="draw the towers as blocks, like the paper's figure 2",
    )


def _plot(options):
    arguments = _architecture_arguments(options)
    if options.figure2:
        from keras_alexnet.visualization.figure2 import plot_figure2

        to_file = options.to_file or f"img/{options.variant}_figure2.png"
        say(plot_figure2(options.variant, to_file, **arguments))
        return
    load_tensorflow()
    from keras_alexnet.models.alexnet import AlexNet
    from keras_alexnet.visualization.plot_model import plot_model

    to_file = options.to_file or f"img/{options.variant}.png"
    say(plot_model(AlexNet(options.variant, **arguments), to_file))
