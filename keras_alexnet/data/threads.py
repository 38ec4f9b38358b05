"""Threads of Python behind TensorFlow's input pipelines, and their end.

TensorFlow calls Python to load a batch, from threads of its own and ahead of
time. One that calls while the interpreter shuts down never returns, and the
process never ends (seen with TensorFlow 2.21). So at the exit calls are
answered at once with nothing, until no more come; of a batch that is being
made, the images that are missing are left out.
"""

import atexit
import functools
import multiprocessing.pool
import os
import threading
import time

from keras_alexnet.environment import end_at_once

PATIENCE_SECONDS = 1.0  # for one image that takes long to read

end_at_once()


class _Calls:
    """Counts the calls from TensorFlow."""

    def __init__(self):
        self.lock = threading.Lock()
        self.entered = self.running = 0
        self.closing = False

    def enter(self):
        with self.lock:
            self.entered += 1
            self.running += 1

    def leave(self):
        with self.lock:
            self.running -= 1

    def close(self):
        self.closing = True
        before = None
        until = time.monotonic() + PATIENCE_SECONDS
        while (
            self.running or before != self.entered
        ) and time.monotonic() < until:
            before = self.entered
            time.sleep(0.1)


_calls = _Calls()


def called_by_tensorflow(function, nothing):
    """The function, but what `nothing` returns while Python shuts down."""

    @functools.wraps(function)
    def guarded(*args):
        _calls.enter()
        try:
            return nothing() if _calls.closing else function(*args)
        finally:
            _calls.leave()

    return guarded


def share_out(task, items):
    """Call `task` with each item, on all processors; wait for the end.

    While Python shuts down, items that nobody has begun with are left out.
    """

    def unless_closing(item):
        if not _calls.closing:
            task(item)

    _pool().map(unless_closing, items, chunksize=1)


@functools.cache
def _pool():
    """Threads, as many as processors, shared by all data sets."""
    pool = multiprocessing.pool.ThreadPool(os.cpu_count())
    atexit.register(pool.terminate)
    # Registered later, runs earlier.
    atexit.register(_calls.close)
    return pool
