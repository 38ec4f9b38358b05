"""The documentation: its links lead somewhere, and what it shows is so."""

import ast
import contextlib
import doctest
import importlib
import importlib.util
import inspect
import io
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import test_docstrings
from PIL import Image

import keras_alexnet as ka

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *DOCS,
    *sorted((ROOT / "benchmarks").rglob("*.md")),
]
# Their sessions (```pycon) are executed.
EXECUTED = ("quick-start", "which", "traps", "listing", "troubleshooting")


def name_of(path):
    return str(path.relative_to(ROOT))


def load_script(name):
    path = ROOT / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def without_code(text):
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`]*`", lambda m: m[0].replace("](", "] ("), text)


def blocks(text, *languages):
    """The fenced blocks in one of these languages, with their line numbers."""
    kinds = "|".join(languages)
    fence = re.compile(rf"^( *)```(?:{kinds})\n(.*?)^\1```", re.M | re.S)
    for match in fence.finditer(text):
        line = text[: match.start(2)].count("\n")
        yield line, textwrap.dedent(match[2])


def anchors(path):
    """The anchors of a page's headings, as GitHub makes them."""
    found = []
    for heading in re.findall(
        r"^#+ (.*)$", without_code(path.read_text()), re.M
    ):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.append(slug.replace(" ", "-"))
    return found


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_and_pictures_exist(path):
    text = without_code(path.read_text())
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        place, _, anchor = link.partition("#")
        target = path.parent / place if place else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_code_compiles(path):
    text = path.read_text()
    for line, code in blocks(text, "python"):
        ast.parse(code, f"{path.name}, line {line}")
    for line, code in blocks(text, "pycon"):
        for example in doctest.DocTestParser().get_examples(code):
            ast.parse(example.source, f"{path.name}, line {line}")


@pytest.mark.parametrize("name", EXECUTED)
def test_sessions_print_what_they_say(name, tmp_path, monkeypatch):
    """All sessions of a page are one, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / f"{name}.md").read_text()
    namespace = {"__name__": "__main__"}
    parser = doctest.DocTestParser()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    sessions = list(blocks(text, "pycon"))
    assert sessions
    report = io.StringIO()
    for line, session in sessions:
        test = parser.get_doctest(session, namespace, name, name, line)
        runner.run(test, out=report.write, clear_globs=False)
        namespace = test.globs
    assert runner.failures == 0, report.getvalue()


def test_listing_in_seeds_is_the_articles_and_runs_when_mended():
    """Its two mistakes mended, it is `AlexNet("single_tower")`."""
    text = (ROOT / "docs" / "listing.md").read_text()
    (listing, *_) = [code for _, code in blocks(text, "python")]
    for diff in [code for _, code in blocks(text, "diff")]:
        wrong, right = (line[1:] for line in diff.splitlines())
        assert listing.count(f"{wrong}\n") == 1
        listing = listing.replace(f"{wrong}\n", f"{right}\n")
    drawn = []
    listing = re.sub(r"^from tensorflow\S+utils .*$", "", listing, flags=re.M)
    namespace = {"plot_model": lambda *_, **given: drawn.append(given)}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(listing, namespace)
    theirs, ours = namespace["model"], ka.AlexNet("single_tower")
    assert drawn == [{"to_file": "img/AlexNet.png", "show_shapes": True}]
    assert theirs.count_params() == ours.count_params()
    for a, b in zip(theirs.layers, ours.layers, strict=True):
        assert type(a).__name__ == type(b).__name__  # Dropout is ours
        assert a.output.shape == b.output.shape
        assert [w.shape for w in a.weights] == [w.shape for w in b.weights]


def test_api_page_has_every_public_name():
    """Values under a heading, the others as mkdocstrings finds them."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    entry = re.compile(r"^::: keras_alexnet\.(\w+)$|^### `?(\w+)`?$", re.M)
    names = entry.findall(page)
    assert sorted(map("".join, names)) == sorted(ka.__all__)


def test_every_session_in_a_docstring_is_executed():
    """`train`'s is by test_training.py; the other needs TFDS."""
    for name in ka.__all__:
        thing = getattr(ka, name)
        module = getattr(thing, "__module__", "")
        if inspect.isroutine(thing) or inspect.isclass(thing):
            others = ("training.start", "data.prepare_data")
            executed = (*test_docstrings.MODULES, *others)
            name_in_package = module.removeprefix("keras_alexnet.")
            assert ">>>" not in thing.__doc__ or name_in_package in executed


def test_examples_that_need_a_run_are_executed(tmp_path, monkeypatch):
    """The blocks in docstrings about `runs/photos` and `photos/`."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name in ("daisy/1", "daisy/2", "tulips/1", "tulips/2"):
        path = tmp_path / "photos" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 255, (90, 110, 3), "uint8")
        Image.fromarray(pixels).save(path)
    shutil.copy(path, "a.jpg")
    shutil.copy(path, "field.jpg")
    recipe = ka.Recipe(
        "photos",
        data="photos",
        variant="half",
        resize_pixels=70,
        crop_pixels=67,
        epochs=1,
        batch_size=2,
    )
    # As if it had been trained; which takes time.
    run = ka.Run.create("runs/photos", recipe, ("daisy", "tulips"))
    run.save_weights(run.build_model())
    for name in ka.__all__:
        docstring = inspect.getdoc(getattr(ka, name)) or ""
        for _, code in blocks(docstring, "python"):
            with contextlib.redirect_stdout(io.StringIO()):
                exec(code, {"ka": ka})


def test_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip(
        "mkdocs", reason='MkDocs is not installed: pip install ".[docs]"'
    )
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"]
        + ["--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(DOCS)
    for page in pages:
        text = page.read_text()
        loaded = re.findall(
            r"<(?:script|img|link|iframe)[^>]*?(?:src|href)=\"([^\"]+)", text
        )
        assert not [place for place in loaded if "//" in place], page
        # Pictures and style sheets came along.
        for place in loaded:
            place = place.partition("?")[0].partition("#")[0]
            assert (page.parent / place).exists() or page.name == "404.html", (
                page,
                place,
            )
