"""The command that serves a page to try a network: `demo`."""

import argparse
import sys

from keras_alexnet.cli.evaluation import NETWORK
from keras_alexnet.environment import load_tensorflow
from keras_alexnet.terminal import say

HOST, PORT = "127.0.0.1", 7860


def add_demo(parser):
    """Give the parser of `demo` its options."""
    parser.set_defaults(command=_demo)
    parser.add_argument("network", metavar="RUN", help=NETWORK)
    parser.add_argument(
        "--port",
        type=_port,
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


def _port(text):
    digits = text.isascii() and text.isdecimal() and len(text) < 6
    if not digits or int(text) > 65535:
        raise argparse.ArgumentTypeError(
            f"{text[:20]!r} is not a whole number from 0 to 65,535"
        )
    return int(text)


def _demo(options):
    load_tensorflow()
    from keras_alexnet.runs.open_trained import open_trained
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
