"""The checker of the paper: it agrees, and it can disagree."""

import dataclasses
import functools
import json
import math
import pathlib
from types import MappingProxyType

import pytest

import keras_alexnet as ka
from keras_alexnet.architectures import variants as architectures
from keras_alexnet.architectures.rows import Conv
from keras_alexnet.architectures.rows import Dense
from keras_alexnet.architectures.rows import Dropout
from keras_alexnet.architectures.rows import LocalResponseNorm
from keras_alexnet.architectures.rows import MaxPool
from keras_alexnet.cli.main import main
from keras_alexnet.paper import measures
from keras_alexnet.paper.authors_log import LOG
from keras_alexnet.paper.authors_log import points

DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def table():
    return ka.check_paper()


def by_what(table):
    return {
        (line.statement.where, line.statement.what): line
        for line in table.lines
    }


def test_every_document_is_in_it_and_nothing_is_broken(table):
    assert len(table.lines) >= 45
    assert table.broken == ()
    places = " ".join(line.statement.where for line in table.lines)
    for place in (
        *("Abstract", "Figure 2", "Table 1", "Table 2"),
        *(f"Section 3.{n}" for n in range(2, 6)),
        "Looking back at a classic",
        "AlexNet's architecture explained",
        "Notes on the AlexNet paper",
        "The classic paper AlexNet",
        "AlexNet in PyTorch",
    ):
        assert place in places
    assert len(by_what(table)) == len(table.lines)


@pytest.mark.parametrize(
    ("where", "what", "printed", "computed"),
    [
        ("Figure 2", "neurons of conv1", 253_440, 55 * 55 * 96),
        (
            "Section 3.5",
            "values of the 224x224x3 input",
            150_528,
            227 * 227 * 3,
        ),
        (
            "Looking back at a classic",
            "parameters in all",
            60_964_224,
            60_965_224,
        ),
        (
            "Looking back at a classic, listing",
            "parameters, about",
            60_000_000,
            96 * (11 * 11 * 3 + 1)
            + 256 * (5 * 5 * 96 + 1)
            + 384 * (3 * 3 * 256 + 1)
            + 384 * (3 * 3 * 384 + 1)
            + 256 * (3 * 3 * 384 + 1)
            + 4096 * (9216 + 1)
            + 4096 * 4097
            + 1000 * 4097,
        ),
        (
            "Section 4.1",
            "crops and reflections of an image",
            2048,
            2 * (256 - 224 + 1) ** 2,
        ),
        (
            "AlexNet's architecture explained",
            "smallest image of which conv1 makes 55x55 maps, 224 being a slip",
            227,
            next(n for n in range(300) if 1 + math.ceil((n - 11) / 4) == 55),
        ),
    ],
)
def test_what_is_known_to_differ(table, where, what, printed, computed):
    line = by_what(table)[where, what]
    assert line.statement.printed == printed
    assert line.computed == computed
    assert line.verdict == "differs"
    assert line.statement.why


def changed(monkeypatch, variant, kind, **fields):
    """The package with another value in all rows of a kind."""
    known = architectures.VARIANTS[variant]
    rows = tuple(
        dataclasses.replace(row, **fields)
        if isinstance(row, kind) and not hasattr(row, "units")
        else row
        for row in known.rows
    )
    changed = dataclasses.replace(known, rows=rows)
    variants = {**architectures.VARIANTS, variant: changed}
    monkeypatch.setattr(architectures, "VARIANTS", MappingProxyType(variants))


@pytest.mark.parametrize(
    ("kind", "fields", "broken"),
    [
        (LocalResponseNorm, {"alpha": 2e-5}, ("alpha", "a response of 100")),
        (
            LocalResponseNorm,
            {"alpha_mode": "mean"},
            ("a response of 100 among",),
        ),
        (LocalResponseNorm, {"k": 1.0}, ("k", "a response of 100")),
        (LocalResponseNorm, {"size": 9}, ("n", "a response of 100")),
        (LocalResponseNorm, {"beta": 0.5}, ("beta", "a response of 100")),
        (MaxPool, {"size": 2}, ("pooling windows",)),
        (MaxPool, {"padding": "same"}, ("parameters of fc6", "parameters")),
        (Dropout, {"rate": 0.4}, ("part that dropout leaves",)),
        (Conv, {"groups": 1}, ("layer 4 takes", "conv2's kernels")),
        (Conv, {"bias_init": 0.1}, ("biases that begin at 1",)),
        (Conv, {"kernel_init": 0.03}, ("initial weights of conv1",)),
        (Conv, {"padding": "valid"}, ("neurons of conv2", "neurons in all")),
        (Conv, {"filters": 96}, ("conv2's kernels", "parameters of conv3")),
        (Conv, {"activation": None}, ("layers without ReLU",)),
    ],
)
def test_a_changed_constant_turns_its_lines_red(
    monkeypatch, kind, fields, broken
):
    changed(monkeypatch, "alexnet", kind, **fields)
    smaller = functools.partial(  # sixty million numbers take their time
        ka.AlexNet, input_shape=(131, 131, 3), classes=8
    )
    monkeypatch.setattr(measures, "AlexNet", smaller)
    table = ka.check_paper()
    found = [line.statement.what for line in table.broken]
    for what in broken:
        assert any(name.startswith(what) for name in found), (what, found)


def test_a_wrong_update_is_noticed(monkeypatch):
    step = ka.PaperSGD.update_step

    def twice(self, gradient, variable, learning_rate):
        step(self, gradient, variable, 2 * learning_rate)

    monkeypatch.setattr(ka.PaperSGD, "update_step", twice)
    assert (
        by_what(ka.check_paper())[
            "Section 5", "w = 1, v = .5 after a step with gradient 2"
        ].verdict
        == "BROKEN"
    )


def test_what_breaks_in_computing_is_a_line_too(monkeypatch):
    def broken(*_):
        raise RuntimeError("no such layer")

    monkeypatch.setattr(measures, "layer_facts", broken)
    table = ka.check_paper()
    line = by_what(table)["Figure 2", "neurons of conv1"]
    assert line.verdict == "BROKEN"
    assert "no such layer" in line.computed
    assert "broken" in str(table)


def test_the_log_gives_the_papers_points():
    """Sections 3.2 to 3.4: 1.7 and 1.2, 1.4 and 1.2, .4 and .3."""
    assert points("145-half", "145-2010") == [1.7, 1.2]
    assert points("148", "145") == [1.4, 1.2]
    assert points("147", "145") == [0.4, 0.3]
    assert LOG["145"][1:3] == (40.664, 18.210)


# --- the command ------------------------------------------------------------


def test_the_command_prints_the_table(capsys):
    assert main(["paper", "--format", "json"]) == 0
    lines = json.loads(capsys.readouterr().out)["statements"]
    assert {line["verdict"] for line in lines} == {"agrees", "differs"}
    for part, words in (
        ("differences", "crosses towers"),
        ("log", "40.664"),
    ):
        assert main(["paper", part, "--format", "markdown"]) == 0
        assert words in capsys.readouterr().out


def test_a_broken_number_is_exit_code_1(monkeypatch, capsys):
    changed(monkeypatch, "alexnet", MaxPool, size=2)
    assert main(["paper"]) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_the_page_is_what_the_commands_print(table):
    page = (DOCS / "paper.md").read_text(encoding="utf-8")
    for part in (
        table.to_markdown(),
        ka.paper_differences().to_markdown(),
    ):
        assert part in page


def test_the_dense_rows_are_those_of_the_paper():
    units = [
        row.units
        for row in ka.VARIANTS["alexnet"].rows
        if isinstance(row, Dense)
    ]
    assert units == [4096, 4096, None]
