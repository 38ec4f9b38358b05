"""The end of a process in which TensorFlow was: at once, and in order.

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
import io

# Not `isinstance`: some of TensorFlow's objects import modules when asked.
_STREAM = io.IOBase.__base__


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
