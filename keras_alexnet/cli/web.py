"""The command that writes a page about a run: `report`."""

from keras_alexnet.environment import load_tensorflow
from keras_alexnet.terminal import say


def add_report(parser):
    """Give the parser of `report` its options."""
    parser.set_defaults(command=_report)
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="where the run's own data are now, if they have moved",
    )
    parser.add_argument(
        "--to-file", metavar="FILE", help="default: RUN/report.html"
    )


def _report(options):
    load_tensorflow()
    from keras_alexnet.runs.run import Run
    from keras_alexnet.web.report import write_report

    say(write_report(Run(options.run), options.to_file, options.data))
