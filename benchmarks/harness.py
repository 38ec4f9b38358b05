"""Rows of columns, measured in turn: each in its own process, all alive."""

import contextlib
import importlib.util
import os
import pathlib
import platform
import statistics
import time
from dataclasses import dataclass
from dataclasses import field

from benchmarks.process import SILENCE
from benchmarks.process import Worker
from keras_alexnet.environment import cpuinfo

# A machine is idle when others take less than this share of it, looked at
# for half a second; after so many seconds it is measured as it is.
IDLE_SHARE, IDLE_SECONDS, PATIENCE = 0.1, 0.5, 60
# The last instructions for vectors that a processor has.
KINDS = {
    "amx_bf16": "amx",
    "avx512_bf16": "avx512-bfloat16",
    "avx512f": "avx512",
    "avx2": "avx2",
}
# What holds every framework to AVX2 on a newer processor; what it gives is
# kept under a name of its own.
HELD_TO = "KERAS_ALEXNET_BENCHMARKS_HELD_TO"
AVX2 = {
    HELD_TO: "held-to-avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}


@dataclass(frozen=True)
class Column:
    """What is compared: a function of this folder that makes a callable.

    Args:
        make: `"module:function"`.
        given: Dict, its arguments, plain values.
        needs: Package without which the column is left out.
        environment: Dict of environment variables.
        amount: How many images a call is about.
        work: What a call does of what limits the row: GFLOP, or GB that it
            reads and writes at least.
        alone: Whether it starts no processes, whose memory nobody adds up.
    """

    make: str
    given: dict = field(default_factory=dict)
    needs: str = ""
    environment: dict = field(default_factory=dict)
    amount: int = 1
    work: float = 0.0
    alone: bool = True


@dataclass(frozen=True)
class Row:
    """What is measured.

    Args:
        name: Its name on the command line.
        title: What it is.
        columns: Dict of name -> `Column`; the first is ours.
        baseline: Name of the column that the others are compared with.
        limit: The column of the row `machine` whose rate it is held against:
            "float32", "bfloat16" or "copying"; none if empty.
        small: Whether `--quick` runs it.
        of_photos: Whether it needs a folder of photos.
    """

    name: str
    title: str
    columns: dict
    baseline: str = ""
    limit: str = ""
    small: bool = False
    of_photos: bool = False


def measure(row, rounds, patience=PATIENCE, told=print, silence=SILENCE):
    """Measure all columns of a row in turn.

    Args:
        row: A `Row`.
        rounds: How many turns each column has.
        patience: Seconds to wait for an idle machine before each; `None` to
            measure at once.
        told: Function that takes a line about what is done.
        silence: Seconds after which a column that says nothing is left out.

    Returns:
        A dict as `benchmarks.json` has it.
    """
    workers, left_out, busy = {}, {}, 0

    def leave_out(name, reason):
        told(f"{row.name}: {name} is left out: {reason}")
        left_out[name] = str(reason).splitlines()[0].rstrip(".")

    with contextlib.ExitStack() as stack:
        for name, column in row.columns.items():
            if column.needs and not _there(column.needs):
                leave_out(name, f"{column.needs} is not installed")
                continue
            told(f"{row.name}: {name} prepares")
            try:
                workers[name] = Worker(column, silence)
                stack.callback(workers[name].kill)
            except RuntimeError as error:
                leave_out(name, error)
        for number in range(rounds):
            for name in list(workers):
                if patience is not None:
                    busy += not wait_until_idle(patience)
                try:
                    workers[name].run()
                except RuntimeError as error:
                    leave_out(name, error)
                    del workers[name]
            told(f"{row.name}: round {number + 1} of {rounds}")
        columns = {
            name: _told(row.columns[name], worker)
            for name, worker in workers.items()
        }
    return {
        "title": row.title,
        "baseline": row.baseline,
        "limit": row.limit,
        "rounds": rounds,
        "busy_turns": None if patience is None else busy,
        "date": time.strftime("%Y-%m-%d"),
        "columns": columns,
        "left_out": left_out,
    }


def _told(column, worker):
    quartiles = statistics.quantiles(worker.seconds * 2, n=4)
    peak = worker.end()
    return {
        "median_seconds": statistics.median(worker.seconds),
        "quartiles_seconds": [quartiles[0], quartiles[2]],
        "fastest_seconds": min(worker.seconds),
        "turns_seconds": worker.seconds,
        "amount": column.amount,
        "work": column.work,
        "peak_memory_bytes": peak if column.alone else None,
        "size_bytes": worker.size_bytes,
        "versions": worker.versions,
    }


def _there(package):
    with contextlib.suppress(ImportError):
        return importlib.util.find_spec(package) is not None
    return False


def wait_until_idle(patience):
    """Wait for the others to end; whether they did in time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before = _ticks()
        time.sleep(IDLE_SECONDS)
        after = _ticks()
        if after[0] - before[0] <= IDLE_SHARE * (after[1] - before[1]):
            return True
    return False


def _ticks():
    """The processors' ticks so far: `(busy, all)`."""
    first = pathlib.Path("/proc/stat").read_text().splitlines()[0]
    ticks = [int(word) for word in first.split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def instructions():
    """The kind of processor: by it results are kept side by side."""
    if held_to := os.environ.get(HELD_TO):
        return held_to
    flags = (cpuinfo("flags") or "").split()
    for flag, name in KINDS.items():
        if flag in flags:
            return name
    return platform.machine()


def machine():
    """What it runs on."""
    return {
        "processor": cpuinfo("model name") or platform.machine(),
        "instructions": instructions(),
        "processors": os.cpu_count(),
        "memory_gib": round(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        ),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
