"""The command `paper`: check its numbers, rerun its experiments."""

import pathlib

from keras_alexnet.cli.arguments import add_command
from keras_alexnet.cli.arguments import add_format
from keras_alexnet.cli.arguments import load_keras
from keras_alexnet.cli.arguments import print_table
from keras_alexnet.paper.experiments import EXPERIMENTS
from keras_alexnet.paper.experiments import default_folder
from keras_alexnet.terminal import say_lines


def add_parsers(commands):
    """Add `paper` with its parts `differences`, `log` and `run`."""
    text = "check the paper's statements; differences, log, run: see there"
    parser = add_command(commands, "paper", _printing(_checked), text)
    add_format(parser)
    parts = parser.add_subparsers(title="more", metavar="PART")
    for name, make, text in (
        ("differences", _differences, "the text against the code that won"),
        ("log", _log, "the authors' own log of trainings"),
    ):
        add_format(add_command(parts, name, _printing(make), text))
    text = "train what an experiment compares; goes on where it was stopped"
    _add_run(add_command(parts, "run", _run, text))


def _printing(make):
    def command(options):
        table = make()
        print_table(table, options.format)
        return int(bool(getattr(table, "broken", ())))

    return command


def _add_run(parser):
    parser.add_argument(
        "experiment",
        choices=EXPERIMENTS,
        metavar="EXPERIMENT",
        help="; ".join(
            f"{e.name}: {e.title}" for e in EXPERIMENTS.values()
        ).replace("%", "%%"),
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="DIR",
        help="folder of photos, or one that prepare-data has written",
    )
    parser.add_argument(
        "--folder",
        metavar="DIR",
        help="default: runs/EXPERIMENT, or runs/EXPERIMENT-quick",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="two epochs of 512 images, to see that it runs",
    )


def _checked():
    load_keras()
    from keras_alexnet.paper.check_paper import check_paper

    return check_paper()


def _differences():
    from keras_alexnet.paper.differences import paper_differences

    return paper_differences()


def _log():
    from keras_alexnet.paper.authors_log import LogTable

    return LogTable()


def _run(options):
    from keras_alexnet.runs.run_folder import onednn_of

    name, quick = options.experiment, options.quick
    folder = pathlib.Path(options.folder or default_folder(name, quick))
    load_keras(onednn_of(*sorted(folder.glob("*/*"))))
    from keras_alexnet.paper.run_experiment import run_experiment

    say_lines(run_experiment(name, options.data, folder, quick=quick))
