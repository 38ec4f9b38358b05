"""What strangers have named does nothing to a terminal."""

import ast
import io
import pathlib
import subprocess
import sys
import unicodedata
import warnings

import numpy as np
import pytest

import keras_alexnet
from keras_alexnet.cli.main import main
from keras_alexnet.data.skipped_files import SkippedFiles
from keras_alexnet.evaluation import evaluate
from keras_alexnet.terminal import printable
from keras_alexnet.terminal import printable_lines
from keras_alexnet.terminal import printable_warning
from keras_alexnet.terminal import say
from keras_alexnet.visualization import html

PACKAGE = pathlib.Path(keras_alexnet.__file__).parent
ESC = "\x1b[31m"


def test_every_character():
    for number in range(0x110000):
        letter = chr(number)
        kind = unicodedata.category(letter)
        bad = kind in ("Cc", "Cs", "Zl", "Zp")
        bad = bad or unicodedata.bidirectional(letter) in (
            *("LRE", "RLE", "PDF", "LRO", "RLO"),
            *("LRI", "RLI", "FSI", "PDI"),
        )
        shown = printable(letter)
        assert (shown != letter) == bad, hex(number)
        if bad:
            assert shown.isascii()
            assert shown.isprintable()
            assert ast.literal_eval(f"'{shown}'") == letter


def test_lines_stay_lines():
    assert printable_lines(f"a\nb{ESC}\r\n") == "a\nb\\x1b[31m\\r\n"


def test_streams_that_have_not_all_letters():
    file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    say("\xe4 \u732b \udcff", file)
    assert (
        file.buffer.getvalue()
        == rb"\xe4 \u732b \udcff".replace(rb"\xe4", b"\xe4") + b"\n"
    )


def test_commands_print_by_nothing_else():
    """But for JSON, in which all is escaped."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "print"
                and path.stem != "terminal"
            ):
                assert "json.dumps" in ast.unparse(node) or (
                    ast.unparse(node.args[0]).startswith("'{\\n'")
                ), f"{path.name}: {ast.unparse(node)}"


@pytest.mark.parametrize(
    "words",
    [
        ["predict", f"a{ESC}\nb", "c"],
        ["check-data", f"a{ESC}\nb"],
        ["check-data", "/", f"-{ESC}\nb"],
        ["summary", f"a{ESC}\nb"],
        ["report", f"a{ESC}\nb\udcff"],
        ["plot", "lenet5", "--to-file", f"/proc/{ESC}\n/x.svg"],
    ],
)
def test_sentences_are_one_line(words, capsys):
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    errors = capsys.readouterr().err
    assert code == 2
    assert errors.count("\n") == 1
    assert "\x1b" not in errors
    assert r"\x1b[31m" in errors


def test_sentences_name_the_file():
    skipped = SkippedFiles(1, 0.0)
    skipped.add(f"a\nb{ESC}.jpg", "is empty")
    with pytest.raises(
        ValueError, match=r"first: a\\nb\\x1b\[31m\.jpg is empty"
    ):
        skipped.check()


def test_tables_and_pages():
    names = (f"a{ESC}\nb", "[red]", "<img src=x>|", "\u732b \udcff")
    found = evaluate.Evaluation(names, np.ones((4, 4), int), 16)
    lines = str(found).splitlines()
    assert len(lines) == 2 + 2 + 4
    assert lines[4].startswith(r"a\x1b[31m\nb ")
    assert lines[5].startswith("[red] ")
    assert lines[7].startswith("\u732b \\udcff ")
    assert [*found.to_dict()["accuracy_per_class"]] == [*names]
    markdown = found.to_markdown().splitlines()
    assert len(markdown) == 2 + 2 + 4
    for line in markdown[2:]:
        assert line.replace("\\|", "").count("|") == 6
    assert "<" not in markdown[6]
    page = found.to_html()
    assert "<img" not in page
    assert "\x1b" not in page
    page.encode()
    assert html.escape("a\n<b>\udcff") == "a\n&lt;b&gt;\\udcff"


def test_warnings(capsys, monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    assert main(["variants"]) == 0
    assert warnings.formatwarning is printable_warning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # As an application sees it: pytest's own recording is put aside.
        text = warnings.formatwarning(f"a{ESC}", UserWarning, "file.py", 1)
        of_code = warnings.formatwarning(f"a{ESC}", FutureWarning, "a.py", 1)
    assert text == "keras-alexnet: warning: a\\x1b[31m\n"
    assert r"a.py:1: FutureWarning: a\x1b[31m" in of_code
    assert "\x1b" not in of_code


def test_a_terminal_of_few_letters(tmp_path):
    """Names that its encoding has no letters for are shown, too."""
    (tmp_path / "\u732b").mkdir()
    (tmp_path / "\u732b" / "\xe4.jpg").touch()
    result = subprocess.run(
        [sys.executable, "-m", "keras_alexnet", "check-data", str(tmp_path)],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(PACKAGE.parent)},
        check=False,
    )
    assert result.returncode == 1, result.stderr
    assert rb"\u732b/\xe4.jpg: is empty" in result.stdout
