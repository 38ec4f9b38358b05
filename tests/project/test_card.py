"""`python -m benchmarks.card`: what it writes, how it ends; never how fast."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("benchmarks", reason="only in the repository")
from benchmarks.card import Session
from benchmarks.card import write
from benchmarks.card_page import page
from benchmarks.card_plan import OURS
from benchmarks.card_plan import PLAIN
from benchmarks.card_plan import plan
from benchmarks.process import Process

ROOT = Path(__file__).parents[2]
STEP = "step of `alexnet`, 128, bfloat16"
PEER = "PyTorch compiled, channels first"


def results(**more):
    return {
        "machine": {"processors": 2, "processor": "P", "python": "3.12"},
        "keras_alexnet": "1",
        "date": "2026-11-28",
        "seconds": 280.0,
        "small": False,
        "frameworks": {},
        "figures": [],
        "left_out": {},
        **more,
    }


class Card:
    """A process that answers, fails or finds no memory."""

    def __init__(self, told, is_accelerator=True):
        self.told, self.killed = list(told), False
        self.ready = {
            "device": "NVIDIA X",
            "is_accelerator": is_accelerator,
            "versions": {"jax": "9"},
        }

    def ask(self, line):
        self.task = json.loads(line)
        answer = self.told.pop(0)
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return {"seconds": answer, "facts": {}}

    def kill(self):
        self.killed = True


def session(kept, *cards, seconds=1000.0):
    """One for which both frameworks are installed."""
    cards = list(cards)
    made = Session(
        kept, time.monotonic() + seconds, lambda name, limit: cards.pop(0)
    )
    made.missing = {}
    return made


def test_a_figure_that_fails_costs_its_line_and_its_process():
    first, second = plan()[f"{STEP}: {OURS}"], plan()[f"{STEP}: {PLAIN}"]
    broken = Card([[0.3, 0.1, 0.2], "ended with -11\nlast\nwords"])
    kept, mended = results(), Card([[0.5, 0.5]])
    now = session(kept, broken, mended)
    for figure in (first, second, second):
        now.measure(figure)
    assert broken.killed and not mended.killed
    good, bad, again = kept["figures"]
    assert good["median_seconds"] == statistics.median([0.3, 0.1, 0.2])
    assert bad["error"] == "ended with -11: words"
    assert again["median_seconds"] == 0.5
    assert "failed: ended with -11: words" in page(kept)
    now.stop()
    assert mended.killed


def test_without_memory_it_is_tried_once_more_alone():
    ours, peer = plan()[f"{STEP}: {OURS}"], plan()[f"{STEP}: {PEER}"]
    full = "OutOfMemoryError: CUDA out of memory."
    cards = Card([[0.1]]), Card([full]), Card([[0.2]])
    now = session(results(), *cards)
    assert "error" not in now.measure(ours)
    assert now.measure(peer)["median_seconds"] == 0.2
    assert cards[0].killed and cards[1].killed
    # Alone already: it is a result.
    now = session(results(), Card([full]))
    assert now.measure(ours)["error"] == full


def test_what_is_left_out_is_said():
    ours, peer = plan()[f"{STEP}: {OURS}"], plan()[f"{STEP}: {PEER}"]
    kept = results()
    session(kept, seconds=0).measure(ours)
    now = session(kept, Card([], is_accelerator=False))
    assert now.measure(ours) is None
    now.missing = {"torch": "torch is not installed"}
    assert now.measure(peer) is None
    assert set(kept["left_out"]) == {
        "the time was up",
        "jax sees no accelerator (on a processor: --small)",
        "torch is not installed",
    }
    text = page(kept)
    assert f"- the time was up: 1 of the figures ({STEP})" in text
    assert "- torch is not installed: 1 of the figures" in text
    assert "## Left out, of 280 s" in text


def test_what_is_cut_off_by_time_has_not_failed():
    kept = results()
    ours = plan()[f"{STEP}: {OURS}"]
    now = session(kept, Card([]), seconds=0.01)

    def late(line):
        time.sleep(0.02)
        raise RuntimeError("silent for 15 s")

    now._process("jax").ask = late
    now.measure(ours)
    assert kept["left_out"] == {"the time was up": [ours.name]}
    assert not kept["figures"]


def row(form, seconds, work=STEP, **more):
    return {
        "work": work,
        "form": form,
        "amount": 128,
        "unit": "images",
        "median_seconds": seconds,
        "quartiles_seconds": [seconds, 2 * seconds],
        "facts": {},
        **more,
    }


def test_the_page_sets_ours_against_the_best(tmp_path):
    failed = {"work": STEP, "form": "PyTorch compiled, channels last"}
    kept = results(
        frameworks={"jax": {"device": "NVIDIA X", "versions": {"jax": "9"}}},
        figures=[
            row(OURS, 0.004),
            row(PLAIN, 0.006),
            row("PyTorch eager, channels first", 0.01),
            row(PEER, 0.008),
            {**failed, "amount": 128, "unit": "images", "error": "A | b"},
            row("on blocks", 0.001, "conv1", amount=0, facts={"off": 0.5}),
        ],
    )
    write(tmp_path / "x.json", kept)
    assert json.loads((tmp_path / "x.json").read_text()) == kept
    lines = (tmp_path / "x.md").read_text().splitlines()
    assert lines[0] == "# What NVIDIA X does"
    assert any("jax 9 on NVIDIA X" in line for line in lines)
    best = "compiled, channels first"
    # Of plain Keras' 6 ms.
    assert f"| {STEP} | 4 | 6 | 8 | {best} | 1.50 |" in lines
    assert f"| {STEP} | {OURS} | 4 | 4 to 8 | 32,000 images |  |" in lines
    assert f"| {STEP} | {failed['form']} |  |  |  | failed: A \\| b |" in lines
    assert "| conv1 | on blocks | 1 | 1 to 2 |  | off 0.5 |" in lines
    # Nothing that ours is not compared in.
    assert sum(line.startswith("| conv1") for line in lines) == 1


def test_the_most_important_comes_first():
    names = list(plan())
    assert names[0] == f"{STEP}: {OURS}"
    assert STEP in names[1] and STEP in names[2]
    several = plan(cifar="/cifar")
    assert names.index(f"{STEP}: {PEER}") < 6
    place = next(i for i, name in enumerate(several) if "all epochs" in name)
    assert place < 20
    assert len(names) == len(several)
    assert json.dumps([figure.given for figure in plan().values()])
    for variant in ("alexnet", "single_tower", "torchvision"):
        for batch in (128, 1024):
            for precision in ("TF32", "bfloat16"):
                for kind in ("step", "inference"):
                    work = f"{kind} of `{variant}`, {batch}, {precision}: "
                    assert sum(name.startswith(work) for name in names) == 6


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_the_process_measures_and_ends_after_an_error(framework):
    pytest.importorskip(framework)
    module = {"jax": "card_columns", "torch": "torch_columns"}[framework]
    process = Process(
        ("benchmarks.card_worker", framework), {"KERAS_BACKEND": "jax"}
    )
    try:
        assert process.ready["versions"][framework]
        task = {
            "make": f"benchmarks.{module}:matrices",
            "precision": "tensorfloat32",
            "given": {"size": 16, "precision": "tensorfloat32"},
        }
        answer = process.ask(json.dumps(task))
        assert len(answer["seconds"]) >= 5
        task["given"]["size"] = -1
        with pytest.raises(RuntimeError, match="Error: "):
            process.ask(json.dumps(task))
        assert process.process.wait(30) == 0
    finally:
        process.kill()


def test_the_command_ends_when_its_time_is_up(tmp_path):
    words = ("--to-file", "card.json", "--seconds", "0")

    def card():
        return subprocess.run(
            [sys.executable, "-m", "benchmarks.card", *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    done = card()
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "card.json").read_text())
    assert not kept["figures"]
    assert sum(map(len, kept["left_out"].values())) == len(plan())
    assert (tmp_path / "card.md").read_text() in done.stdout
    again = card()
    assert again.returncode == 2 and "must name a new file" in again.stderr
