"""`python -m benchmarks`: that it runs and reckons right, never how fast."""

import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys

import pytest

pytest.importorskip("benchmarks", reason="only in the repository")
from benchmarks.harness import Column
from benchmarks.harness import Row
from benchmarks.harness import measure
from benchmarks.markdown import page
from benchmarks.markdown import table

ROOT = pathlib.Path(__file__).parents[1]
COPY = "benchmarks.machine_columns:copy"


def quiet(text):
    pass


def benchmarks(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def test_columns_in_turn():
    columns = {
        "small": Column(COPY, {"megabytes": 1}, amount=4),
        "large": Column(COPY, {"megabytes": 64}),
        "missing": Column(COPY, {"megabytes": 1}, needs="no_such_package"),
        "wrong": Column(COPY, {"megabytes": None}),
    }
    result = measure(Row("copy", "Copying", columns, "large"), 3, 0, quiet)
    small, large = (result["columns"][x] for x in ("small", "large"))
    assert len(small["turns_seconds"]) == len(large["turns_seconds"]) == 3
    assert small["median_seconds"] == statistics.median(small["turns_seconds"])
    assert small["fastest_seconds"] == min(small["turns_seconds"])
    # Source and target, at least.
    assert large["peak_memory_bytes"] > 2 * 64 * 2**20
    assert small["peak_memory_bytes"] < large["peak_memory_bytes"]
    assert result["busy_turns"] == 6
    assert "numpy" in small["versions"]
    assert set(result["left_out"]) == {"missing", "wrong"}
    assert "not installed" in result["left_out"]["missing"]
    assert "TypeError" in result["left_out"]["wrong"]


def dying():
    """What a worker calls: twice to compile, then once more."""
    calls = itertools.count()
    return lambda: next(calls) < 2 or os._exit(3)


def test_what_hangs_or_dies_is_left_out():
    columns = {
        # With a child that holds the pipe open.
        "hangs": Column("subprocess:run", {"args": ["sleep", "600"]}),
        "ends": Column("os:_exit", {"status": 3}),
        "dies": Column("tests.test_benchmarks:dying"),
        "small": Column(COPY, {"megabytes": 1}),
    }
    told = []
    result = measure(Row("row", "", columns), 1, 0, told.append, silence=30)
    assert list(result["columns"]) == ["small"]
    assert result["left_out"] == {
        "hangs": "silent for 30 s",
        "ends": "ended with 3",
        "dies": "ended with 3",
    }
    # Where it hung is told.
    assert any("in communicate" in x or "in wait" in x for x in told)


def test_the_table_divides_right():
    def column(seconds, amount=1):
        return {
            "median_seconds": seconds,
            "quartiles_seconds": [seconds, seconds],
            "fastest_seconds": seconds,
            "turns_seconds": [seconds],
            "amount": amount,
            "peak_memory_bytes": 2_000_000_000,
            "versions": {"numpy": "2"},
        }

    row = {
        "title": "A step",
        "baseline": "plain",
        "gflop": 5.0,
        "columns": {"ours": column(0.5, 32), "plain": column(2.0, 32)},
        "left_out": {"other": "not there"},
    }
    machine = {
        "title": "Machine",
        "baseline": "",
        "gflop": 0,
        "columns": {"matrices": column(0.25, 100), "copying": column(0.001, 9)},
        "left_out": {},
    }
    # 32 images in .5 s are 64 images/s, 320 of the machine's 400 GFLOP/s.
    ours = "| ours | 500 | 500 to 500 | 2.00 | 64.0 | 4.00 | 80% |"
    assert ours in table("step", row, 400.0).splitlines()
    text = page(
        {
            "machine": {
                "processors": 2,
                "processor": "P",
                "memory_gib": 23,
                "python": "3.11",
            },
            "rows": {"machine": machine, "step": row},
        }
    )
    assert ours in text.splitlines()
    assert "other is left out: not there." in text


def test_the_command_measures_and_goes_on(tmp_path):
    file = tmp_path / "results.json"
    done = benchmarks(
        *("--quick", "normalization-conv2", "--to-file", str(file)),
        # Not what other environments left there.
        TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "compiled"),
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(file.read_text())
    columns = results["rows"]["normalization-conv2"]["columns"]
    assert {"keras_alexnet", "tf.nn.local_response_normalization"} <= set(
        columns
    )
    assert all(x["median_seconds"] > 0 for x in columns.values())
    assert results["machine"]["processors"] >= 1
    assert "Normalization" in file.with_suffix(".md").read_text()


def test_the_rows_have_names():
    names = benchmarks("--list", "--photos", "x").stdout.split()
    assert "step-alexnet-128-bfloat16" in names
    assert {"feeding", "training", "start", "machine"} <= set(names)
    done = benchmarks("no-such-row")
    assert done.returncode == 2
    assert "no row is called so" in done.stderr
