"""The command `paper`: check its numbers, rerun its experiments."""

from keras_alexnet.environment import load_tensorflow
from keras_alexnet.paper.experiments import EXPERIMENTS
from keras_alexnet.terminal import say_lines


def add_paper(parser, add_format, show):
    """Give the parser of `paper` its options.

    Args:
        parser: The parser.
        add_format: Function that adds `--format` to a parser.
        show: Function that prints a table in such a format.
    """

    def printing(make):
        def command(options):
            load_tensorflow()
            table = make()
            show(table, options.format)
            return int(bool(getattr(table, "broken", ())))

        return command

    forms = ("text", "markdown", "json")
    add_format(parser, *forms)
    parser.set_defaults(command=printing(_checked))
    parts = parser.add_subparsers(title="more", metavar="PART")
    for name, make, text in (
        ("differences", _differences, "the text against the code that won"),
        ("log", _log, "the authors' own log of trainings"),
    ):
        part = parts.add_parser(name, help=text, description=text)
        part.set_defaults(command=printing(make))
        add_format(part, *forms)
    text = "train what an experiment compares; goes on where it was stopped"
    _add_run(parts.add_parser("run", help=text, description=text))


def _add_run(parser):
    parser.set_defaults(command=_run)
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
    from keras_alexnet.paper.check_paper import check_paper

    return check_paper()


def _differences():
    from keras_alexnet.paper.differences import paper_differences

    return paper_differences()


def _log():
    from keras_alexnet.paper.check_paper import LogTable

    return LogTable()


def _run(options):
    load_tensorflow()
    from keras_alexnet.paper.run_experiment import run_experiment

    say_lines(
        run_experiment(
            options.experiment,
            options.data,
            options.folder,
            quick=options.quick,
        )
    )
