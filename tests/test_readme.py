"""What the README says is so."""

import re
from pathlib import Path

import keras_alexnet as ka
from keras_alexnet.tables import variants_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_table_of_variants_is_the_commands_output():
    _, table = variants_table().to_markdown().split("\n\n")
    assert table in README


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@[A-Z]+@", README)


def test_pictures_and_links_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 3
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_names_exist():
    for name in set(re.findall(r"ka\.(\w+)", README)):
        assert hasattr(ka, name), name
