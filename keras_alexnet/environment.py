"""TensorFlow, imported without its notes."""

import importlib
import os

from keras_alexnet.signals import raised_signals


def load_tensorflow():
    """Import TensorFlow without its notes about oneDNN and CUDA.

    It writes them before it reads any setting, so the channel is closed.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, if they came here.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        with raised_signals():
            importlib.import_module("keras")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
