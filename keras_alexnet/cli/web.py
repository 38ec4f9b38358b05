"""The commands that make pages: `report` and `demo`."""

import sys

from keras_alexnet.cli.arguments import NETWORK
from keras_alexnet.cli.arguments import add_command
from keras_alexnet.cli.arguments import load_keras
from keras_alexnet.cli.arguments import port
from keras_alexnet.terminal import say

HOST, PORT = "127.0.0.1", 7860


def add_parsers(commands):
    """Add `report` and `demo`."""
    text = "write a page about a run: all that is known of it, in one file"
    _add_report(add_command(commands, "report", _report, text))
    text = "serve a local page to try a network: drop a photo, see Grad-CAM"
    _add_demo(add_command(commands, "demo", _demo, text))


def _add_report(parser):
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
    from keras_alexnet.runs.run_folder import check_run

    check_run(options.run)
    load_keras()
    from keras_alexnet.runs.run import Run
    from keras_alexnet.web.report import write_report

    say(write_report(Run(options.run), options.to_file, options.data))


def _add_demo(parser):
    parser.add_argument("network", metavar="RUN", help=NETWORK)
    parser.add_argument(
        "--port",
        type=port,
        default=PORT,
        metavar="N",
        help=f"0 for any that is free; default: {PORT}",
    )
    parser.add_argument(
        "--host",
        default=HOST,
        metavar="ADDRESS",
        help=f"where to listen; default: {HOST}, this machine only; 0.0.0.0 "
        "or ::, all its addresses. Browsers must name an address, this "
        "machine's own name, or the one that is given here",
    )


def _demo(options):
    from keras_alexnet.runs.run_folder import check_trained

    check_trained(options.network)
    load_keras()
    from keras_alexnet.runs.network import open_trained
    from keras_alexnet.web.demo import Demo
    from keras_alexnet.web.demo_server import DemoServer

    demo = Demo(open_trained(options.network))
    with DemoServer(demo, options.host, options.port) as server:
        if not server.is_local:
            say(
                "keras-alexnet: warning: whoever can reach this machine can "
                "use the page; it asks for no password and encrypts nothing.",
                file=sys.stderr,
            )
        say(f"{server.address} (Ctrl-C ends it)")
        try:
            server.serve_forever()
        finally:
            demo.finish()
