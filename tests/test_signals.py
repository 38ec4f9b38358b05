"""Signals that come where a training cannot stop at once."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from keras_alexnet.environment import Interrupted
from keras_alexnet.environment import deferred_signals
from keras_alexnet.environment import raised_signals

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def obeyed():
    """Handlers of this test, and the list of the signals that they got."""
    numbers = []
    before = {number: signal.getsignal(number) for number in BOTH}
    for number in BOTH:
        signal.signal(number, lambda number, _: numbers.append(number))
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


def handlers():
    return [signal.getsignal(number) for number in BOTH]


@pytest.mark.parametrize("first", BOTH)
@pytest.mark.parametrize("second", BOTH)
def test_the_first_is_noted_and_the_second_obeyed(obeyed, first, second):
    with deferred_signals() as signals:
        assert signals.number is None
        os.kill(os.getpid(), first)
        assert signals.number == first
        assert obeyed == []
        os.kill(os.getpid(), second)
        assert obeyed == [second]
        assert signals.number == first


@pytest.mark.parametrize("number", [None, *BOTH])
def test_afterwards_all_is_as_before(obeyed, number):
    before = handlers()
    with pytest.raises(RuntimeError), deferred_signals():
        assert handlers() != before
        if number:
            os.kill(os.getpid(), number)
        raise RuntimeError
    assert handlers() == before
    os.kill(os.getpid(), signal.SIGTERM)
    assert obeyed == [signal.SIGTERM]


def test_in_another_thread_nothing_is_noted(obeyed):
    before = handlers()
    found = []

    def work():
        with deferred_signals() as signals:
            found.append(handlers() == before)
            os.kill(os.getpid(), signal.SIGTERM)
            found.append(signals.number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True, None]
    assert obeyed == [signal.SIGTERM]  # by the main thread, as ever


def test_what_is_ignored_stays_ignored(obeyed):
    """A shell's background jobs ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred_signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.number is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.number == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert obeyed == []


def test_one_training_after_another_notes_anew(obeyed):
    for number in BOTH:
        with deferred_signals() as signals:
            os.kill(os.getpid(), number)
            assert signals.number == number
    assert obeyed == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_exit_codes_are_a_shells(number, code):
    stop = Interrupted(number, "saved")
    assert isinstance(stop, KeyboardInterrupt)
    assert (stop.exit_code, str(stop)) == (code, "saved")


@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("swallow", [False, True])
def test_what_raises_cannot_be_swallowed(obeyed, number, swallow):
    """An import may lose it, or make another error of it."""
    before = handlers()
    caught = pytest.raises(Interrupted, match="interrupted")
    with caught as stop, raised_signals():
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            if not swallow:
                raise ImportError from None
    assert stop.value.exit_code == 128 + number
    assert handlers() == before
    assert obeyed == []


def test_other_errors_and_other_threads_are_left_alone(obeyed):
    with pytest.raises(ImportError), raised_signals():
        raise ImportError
    found = []

    def work():
        before = handlers()
        with raised_signals():
            found.append(handlers() == before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True]


ENDING = """
import atexit
import gc
import sys

atexit.register(lambda: print("before:", gc.get_freeze_count() > 0))
import keras_alexnet.data.threads
atexit.register(lambda: print("after:", gc.get_freeze_count() > 0))


class Cycle:
    def __init__(self, path):
        self.me = self
        self.file = open(path, "w")
        self.file.write("all")


kept = Cycle(sys.argv[1])
Cycle(sys.argv[2])
sys.exit(7)
"""


def test_the_end_is_quick_and_in_order(tmp_path):
    """Handlers are run, files are written, the exit code stays; only cycles
    are not looked for any more."""
    paths = [tmp_path / "kept", tmp_path / "garbage"]
    done = subprocess.run(
        [sys.executable, "-c", ENDING, *paths], capture_output=True, text=True
    )
    assert done.returncode == 7, done.stderr
    assert done.stdout.split("\n") == ["after: False", "before: True", ""]
    assert [path.read_text() for path in paths] == ["all", "all"]
    assert done.stderr == ""
