"""The process: TensorFlow without its notes and with oneDNN, signals, the end.

When Python ends, it looks through all objects for cycles, several times;
TensorFlow's modules alone make that take seconds, and on a busy machine many.
What it finds it destroys while no other thread may run Python any more: the
iterator of a data set then waits for threads that wait for Python, and the
connection to other machines waits for one that has died, up to half a minute.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pathlib
import re
import signal
import sys
import threading

# Not `isinstance`: some of TensorFlow's objects import modules when asked.
_STREAM = io.IOBase.__base__

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
# A processor with one of these has TensorFlow turn oneDNN on by itself, on
# Linux (DefaultOneDnnPolicy in its tensorflow/core/util/port.cc).
_TURN_ON = {
    "avx512_vnni",
    "avx512_bf16",
    "avx_vnni",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
}


class Interrupted(KeyboardInterrupt):
    """A training was asked to stop, and has saved its state.

    Args:
        number: Of the signal.
        message: What was saved.

    Attributes:
        exit_code: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class Signals:
    """The first of Ctrl-C and SIGTERM that came, or `None`."""

    number = None


@contextlib.contextmanager
def raised_signals():
    """Raise `Interrupted` where Ctrl-C or SIGTERM comes, whatever runs.

    Where it comes in the middle of an import it may be lost, or become
    another error; then it is raised at the end of the block. In other threads
    than the main one, which gets no signals, nothing is done; what is ignored
    stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = Signals()

    def stop(number, _):
        signals.number = number
        raise Interrupted(number, "interrupted")

    before = {
        number: signal.signal(number, stop)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
        if signals.number:
            raise Interrupted(signals.number, "interrupted")
    except Interrupted:
        raise
    except BaseException as error:
        if signals.number:
            raise Interrupted(signals.number, "interrupted") from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextlib.contextmanager
def deferred_signals():
    """Note Ctrl-C and SIGTERM instead of obeying; the second is obeyed.

    In other threads than the main one, which gets no signals, nothing is
    noted.
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def obey_again():
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

    def note(number, _):
        signals.number = number
        obey_again()

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield signals
    finally:
        obey_again()


def cpuinfo(name):
    """A line of what Linux tells of its first processor; elsewhere `None`."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            found = re.search(rf"^{name}\s*: (.+)$", file.read(), re.M)
    except OSError:
        return None
    return found and found[1]


@functools.cache
def leaves_out_onednn():
    """Whether TensorFlow by itself does without oneDNN, which is faster here.

    So it does on all processors with AVX2 but the newer ones.
    """
    flags = set((cpuinfo("flags") or "").split())
    return "avx2" in flags and not flags & _TURN_ON


@contextlib.contextmanager
def onednn(setting=None):
    """Have TensorFlow compute by oneDNN, if it is imported in the block.

    It looks at the variable once, when it is imported. Afterwards that is gone
    again: what this process starts chooses for itself. What the user has set
    stays.

    Args:
        setting: `"1"`, `"0"` or `""`, what TensorFlow does by itself; what is
            fastest if `None`.
    """
    if "tensorflow" in sys.modules or ONEDNN in os.environ:
        yield
        return
    if setting is None and leaves_out_onednn():
        setting = "1"
    if setting:
        os.environ[ONEDNN] = setting
    try:
        yield
    finally:
        os.environ.pop(ONEDNN, None)


def import_part(module, wanted, setting=None):
    """A module of this package, which may be what imports TensorFlow.

    Args:
        module: Its name within the package.
        wanted: The public name that it is imported for.
        setting: As of `onednn`.

    Raises:
        ImportError: if it needs TensorFlow, which is not installed.
    """
    try:
        with onednn(setting):
            return importlib.import_module(f"keras_alexnet.{module}")
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise ImportError(
            f"`keras_alexnet.{wanted}` needs TensorFlow, which is not "
            "installed; install it by `pip install tensorflow`."
        ) from error


def keras_home():
    """The folder of what Keras keeps between its runs, as Keras finds it."""
    home = os.path.expanduser("~")
    if not os.access(home, os.W_OK):
        home = "/tmp"
    named = os.environ.get("KERAS_HOME") or os.path.join(home, ".keras")
    return pathlib.Path(os.path.expanduser(named))


def backend_of_keras():
    """The backend that Keras will have, before it is imported."""
    name = os.environ.get("KERAS_BACKEND")
    with contextlib.suppress(OSError, ValueError, AttributeError):
        text = (keras_home() / "keras.json").read_text(encoding="utf-8")
        name = name or json.loads(text).get("backend")
    return name or "tensorflow"


@contextlib.contextmanager
def without_jax():
    """Keep Keras from importing JAX where it computes by another backend.

    Wherever JAX is installed `import keras` does so, and takes a second more.
    """
    # Keras' NumPy takes its Fourier transforms from JAX.
    needed = backend_of_keras() not in ("tensorflow", "torch")
    if needed or "jax" in sys.modules:
        yield
        return
    sys.modules["jax"] = None  # as if it were not installed
    try:
        yield
    finally:
        del sys.modules["jax"]


def load_tensorflow(setting=None):
    """Import Keras and its backend, without TensorFlow's notes of oneDNN, CUDA.

    It writes them before it reads any setting, so the channel is closed.

    Args:
        setting: As of `onednn`.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, if they came here.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        with raised_signals(), onednn(setting), without_jax():
            importlib.import_module("keras")
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@functools.cache
def end_at_once():
    """Have Python not look for cycles once the `atexit` handlers were run.

    Handlers that were registered later run earlier, those before later; all
    are run, files are flushed, and what no cycle holds is destroyed as ever.
    Python promises no more for objects that live to the end.
    """
    atexit.register(_leave)


def _leave():
    for thing in gc.get_objects():
        if _STREAM in type(thing).__mro__:
            with contextlib.suppress(Exception):  # closed, or for reading
                thing.flush()
    gc.freeze()
