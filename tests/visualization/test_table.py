"""Tables of names that may hold anything."""

from keras_alexnet.visualization.table import Table


class Answers(Table):
    _header = ("class", "right")
    _right = (1,)

    def _heading(self):
        return "of \x1b[2Jclasses"

    def _cells(self):
        return [("red\x1b[31m", "1"), ("a|b", "10"), ("two\nlines", "2")]


def test_names_cannot_write_to_the_terminal_or_break_a_table():
    text, markdown = str(Answers()), Answers().to_markdown()
    assert "\x1b" not in text + markdown
    assert len(text.splitlines()) == 2 + 2 + 3
    assert len(markdown.splitlines()) == 2 + 2 + 3
    assert "a\\|b" in markdown


def test_columns_of_numbers_are_aligned_to_the_right():
    *_, one, ten, two = str(Answers()).splitlines()
    assert len(one) == len(ten) == len(two)
    assert (one[-2:], ten[-2:]) == (" 1", "10")
