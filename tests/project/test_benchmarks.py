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

ROOT = pathlib.Path(__file__).parents[2]
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
        "dies": Column("tests.project.test_benchmarks:dying"),
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


def result(**given):
    return {
        "title": "A row",
        "baseline": "",
        "limit": "",
        "rounds": 7,
        "busy_turns": 0,
        "date": "2026-11-23",
        "left_out": {},
        **given,
    }


def column(seconds, amount=1, work=0.0, peak=2_000_000_000, size=None):
    return {
        "median_seconds": seconds,
        "quartiles_seconds": [seconds, seconds],
        "fastest_seconds": seconds,
        "turns_seconds": [seconds],
        "amount": amount,
        "work": work,
        "peak_memory_bytes": peak,
        "size_bytes": size,
        "versions": {"numpy": "2"},
    }


MACHINE = {
    "instructions": "none",
    "processor": "P",
    "processors": 2,
    "memory_gib": 23,
}


def test_the_page_divides_right():
    step = result(
        baseline="plain",
        limit="float32",
        busy_turns=3,
        columns={
            "ours": column(0.5, 32, 160.0),
            "plain": column(2.0, 32, 160.0, peak=None),
        },
        left_out={"other": "not there"},
    )
    narrow = result(limit="bfloat16", columns={"ours": column(0.5, 32, 200.0)})
    moved = result(limit="copying", columns={"ours": column(0.1, work=0.45)})
    machine = result(
        columns={
            "NumPy": column(0.3, 100, 100.0),
            "TensorFlow": column(0.25, 100, 100.0),
            "TensorFlow, bfloat16": column(0.125, 100, 100.0),
            "copying": column(0.001, 0.009, 0.009),
        }
    )
    files = {"keras": column(0.2), "onnx": column(0.1, size=243_800_000)}
    rows = {"machine": machine, "step": step, "narrow": narrow, "moved": moved}
    rows["export"] = result(columns=files)
    text = page({"machine": {**MACHINE, "python": "3.11"}, "rows": rows})
    lines = text.splitlines()
    # 160 GFLOP in .5 s are 320 of the machine's 400 GFLOP/s.
    assert "| ours | 500 | 500 to 500 | 2.00 | 64.0 | 4.00 | 80% |" in lines
    assert "| plain | 2,000 | 2,000 to 2,000 |  | 16.0 | 1.00 | 20% |" in lines
    # 400 of 800, 4.5 of 9 GB/s.
    assert "| ours | 500 | 500 to 500 | 2.00 | 64.0 | 50% |" in lines
    assert "| ours | 100 | 100 to 100 | 2.00 | 50% |" in lines
    assert "| onnx | 100 | 100 to 100 | 2.00 | 243.8 |" in lines
    assert "| keras | 200 | 200 to 200 | 2.00 |  |" in lines
    assert "2026-11-23, 7 rounds, 3 turns on a busy machine." in lines
    assert "other is left out: not there." in lines


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
    assert results["rows"]["normalization-conv2"]["busy_turns"] is None
    assert results["machine"]["processors"] >= 1
    # Rows measured before stay, also those that this call cannot measure.
    kept = {"columns": {"kept": column(1.0)}}
    results["rows"].update(feeding=result(**kept), other=result(**kept))
    file.write_text(json.dumps(results))
    again = ("--quick", "start", "--to-file", str(file))
    assert benchmarks(*again).returncode == 0
    rows = list(json.loads(file.read_text())["rows"])
    assert rows == ["normalization-conv2", "feeding", "start", "other"]
    text = file.with_suffix(".md").read_text()
    assert "without waiting for an idle machine" in text
    start = json.loads(file.read_text())["rows"]["start"]["columns"]
    assert {x["peak_memory_bytes"] for x in start.values()} == {None}


@pytest.mark.parametrize(
    "words, told",
    [
        (("no-such-row",), "no row is called 'no-such-row'"),
        (("machine", "nosuch"), "no row is called 'nosuch'"),
        (("--quick", "machine"), "--quick runs no 'machine', only"),
        (("feeding",), "'feeding' needs photos"),
        (("feeding", "--photos", "/nosuch"), "no folder '/nosuch'"),
        (("feeding", "--photos", "{tmp}"), "no photos in"),
        (("machine", "--rounds", "0"), "positive whole number"),
        (("machine", "--to-file", "{tmp}"), "not a file of this command's"),
        (("machine", "--to-file", "{tmp}/x.md"), "must end in .json"),
        (("machine", "--to-file", "/proc/x.json"), "cannot be written"),
        (("machine", "--to-file", "{tmp}/list.json"), "not a file of this"),
        (("machine", "--to-file", "{tmp}/other.json"), "another machine"),
    ],
)
def test_what_the_command_refuses(tmp_path, words, told):
    (tmp_path / "list.json").write_text("[]")
    other = {"machine": MACHINE, "rows": {}}
    (tmp_path / "other.json").write_text(json.dumps(other))
    done = benchmarks(*(word.format(tmp=tmp_path) for word in words))
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "other.json").read_text()) == other


def test_the_rows_have_names():
    names = benchmarks("--list").stdout.split()
    assert "step-alexnet-128-bfloat16" in names
    assert {"feeding", "training", "start", "machine"} <= set(names)


def test_committed_figures_are_those_of_their_files():
    """With `--data` the networks answer, too; they are not here."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.recompute"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    lines = run.stdout.splitlines()
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(lines) > 15
    assert all(line.startswith("agrees") for line in lines)
