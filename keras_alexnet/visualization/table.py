"""A table as text, Markdown or JSON."""

import re

from keras_alexnet.terminal import printable
from keras_alexnet.terminal import printable_lines
from keras_alexnet.visualization.html import paragraph
from keras_alexnet.visualization.html import table


class Table:
    """Prints as an aligned table, and as a real one in a notebook.

    `_heading()` is a line of text, `_header` names the columns, `_cells()`
    gives the lines as strings; `_right` are the columns to align right.
    """

    def __str__(self):
        lines = [self._header, *self._printable_cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["-" * width for width in widths])
        text = []
        for line in lines:
            cells = [
                cell.ljust(w) for cell, w in zip(line, widths, strict=True)
            ]
            for i in self._right:
                cells[i] = line[i].rjust(widths[i])
            text.append("  ".join(cells).rstrip())
        return "\n".join([printable_lines(self._heading()), "", *text])

    def _printable_cells(self):
        """The lines; names of classes and layers may hold anything."""
        return [tuple(map(printable, line)) for line in self._cells()]

    def __repr__(self):
        return str(self)

    def to_markdown(self):
        """The table in Markdown."""
        rule = [
            "--:" if i in self._right else ":--"
            for i in range(len(self._header))
        ]
        cells = [map(_plain, line) for line in self._printable_cells()]
        lines = [self._header, rule, *cells]
        table = [f"| {' | '.join(line)} |" for line in lines]
        heading = _plain(printable_lines(self._heading()))
        return "\n".join([heading, "", *table])

    _repr_markdown_ = to_markdown

    def to_html(self):
        """The table in HTML, as a part of a page."""
        heading = self._heading()
        cells = table(heading, self._header, self._cells(), self._right)
        return paragraph(heading) + cells


def _plain(text):
    """A text that is neither the border of a cell nor HTML to Markdown."""
    return re.sub("<(?=[A-Za-z/!?])", "&lt;", text.replace("|", "\\|"))
