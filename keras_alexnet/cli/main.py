"""The command line. Keras is imported inside the commands, so that `--help`
answers at once."""

import argparse
import os
import sys
import warnings

from keras_alexnet import __version__
from keras_alexnet.cli import analysis
from keras_alexnet.cli import architectures
from keras_alexnet.cli import data
from keras_alexnet.cli import environment
from keras_alexnet.cli import evaluation
from keras_alexnet.cli import paper
from keras_alexnet.cli import training
from keras_alexnet.cli import web
from keras_alexnet.cli import weights
from keras_alexnet.environment import end_at_once
from keras_alexnet.environment import raised_signals
from keras_alexnet.terminal import printable
from keras_alexnet.terminal import printable_warning
from keras_alexnet.terminal import say

# In the order in which one meets them.
FAMILIES = (
    architectures,
    data,
    training,
    evaluation,
    analysis,
    web,
    weights,
    paper,
    environment,
)


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
    for family in FAMILIES:
        family.add_parsers(commands)
    return parser
