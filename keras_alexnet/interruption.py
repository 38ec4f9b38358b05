"""Ctrl-C and SIGTERM, noted and answered where nothing is half done."""

import contextlib
import signal
import threading


class Interrupted(KeyboardInterrupt):
    """A training was asked to stop, and has saved its state.

    Args:
        number: Of the signal.
        message: What was saved.

    Attributes:
        exit_code: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, number, message):
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
def noted_signals():
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
