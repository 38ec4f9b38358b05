"""What the README says is so."""

import re
from pathlib import Path

import pytest
from PIL import Image

import keras_alexnet as ka
from keras_alexnet.visualization.summary import variants_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PICTURES = sorted(path.name for path in (ROOT / "img").iterdir())
BENCHMARKS = sorted(ROOT.glob("benchmarks/**/*.md"))


def test_table_of_variants_is_the_commands_output():
    _, table = variants_table().to_markdown().split("\n\n")
    assert table in README


def test_table_of_measurements_is_the_commands_output():
    headline = pytest.importorskip("benchmarks.headline")
    assert headline.table() in README


def test_tables_by_processor_are_of_the_results():
    headline = pytest.importorskip("benchmarks.headline")
    page = (ROOT / "docs" / "performance.md").read_text()
    for file in headline.RESULTS.glob("benchmarks-*.json"):
        kind = file.stem.removeprefix("benchmarks-")
        assert headline.of_processor(kind) in page, kind


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@[A-Z]+@", README)


def test_pictures_and_links_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 3
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_can_be_made_again(name):
    stem, ending = name.split(".")
    script = (ROOT / "scripts" / "make_pictures.sh").read_text()
    assert f"$img/{name}" in script or f"$img/{stem}.$ending" in script


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_bring_their_ground_for_dark_pages(name):
    path = ROOT / "img" / name
    if path.suffix == ".svg":
        fill = r"<(?:rect|path|polygon)[^>]* [^>]*?fill[:=] ?\"?([#\w]+)"
        first = re.search(fill, path.read_text()).group(1)
        assert first in ("#ffffff", "white", "#292929")
        return
    with Image.open(path) as picture:
        assert picture.convert("RGBA").getpixel((1, 1)) == (255,) * 4


def test_pictures_have_alternative_texts():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *BENCHMARKS]
    texts = re.findall(r"!\[([^\]]*)\]", "".join(p.read_text() for p in pages))
    assert len(texts) > 10
    assert all(len(text) > 5 for text in texts), texts


def test_names_exist():
    for name in set(re.findall(r"ka\.(\w+)", README)):
        assert hasattr(ka, name), name


def in_sections(text):
    return re.split(r"^## .*$", text, flags=re.M)


def commands(text):
    """The blocks of code without their comments, which are translated."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)
    return [(kind, re.sub(r" *#.*", "", code)) for kind, code in blocks]


def test_chinese_readme_says_the_same():
    """Sections, commands, numbers, names, links: all but the words."""
    chinese = (ROOT / "README.zh.md").read_text()
    assert commands(chinese) == commands(README)
    pairs = zip(in_sections(README), in_sections(chinese), strict=True)
    for theirs, ours in pairs:
        for kind in (
            r"\d[\d,.]*\d|\d",  # numbers
            r"`[^`\n]+`",  # names
            r"^\|[ :|-]+\|$",  # what a table looks like
            r"^\| \w+ \|.* M \|",  # the figures of a variant
            r"\]\(([^)]*)\)",  # links
            r"^- \*\*",
        ):
            expected = sorted(re.findall(kind, theirs, re.M))
            found = sorted(re.findall(kind, ours, re.M))
            if kind.endswith(r"\)"):  # each leads to the other
                expected = [x for x in expected if not x.startswith("README")]
                found = [x for x in found if not x.startswith("README")]
            assert found == expected
