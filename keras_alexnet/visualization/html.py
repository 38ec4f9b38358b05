"""Parts of an HTML page that needs no network and no script.

Whatever a run says of itself is text: it goes through `escape`.
"""

import base64
import html
import pathlib
import string
from importlib import resources

from keras_alexnet.terminal import printable_lines

TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg"}


def escape(text):
    """Text as it stands in HTML."""
    return html.escape(printable_lines(text))


def paragraph(text, kind=""):
    """A paragraph of text, of the class `kind`."""
    start = f'<p class="{kind}">' if kind else "<p>"
    return f"{start}{escape(text)}</p>\n"


def description_list(values, kind=""):
    """Names and values, side by side where there is room.

    Args:
        values: Dict of text.
        kind: Class of the list.
    """
    start = f'<dl class="{kind}">' if kind else "<dl>"
    pairs = [
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in values.items()
    ]
    return "\n".join([start, *pairs, "</dl>\n"])


def box(label, content, kind=""):
    """What scrolls by itself where the page is too narrow for it.

    Args:
        label: What a screen reader says of it.
        content: HTML.
        kind: Further classes.
    """
    return (
        f'<div class="{f"box {kind}".strip()}" role="region" tabindex="0" '
        f'aria-label="{escape(label)}">\n{content}</div>\n'
    )


def code(label, text):
    """Lines to be copied."""
    return box(label, f"<pre><code>{escape(text)}</code></pre>\n")


def table(label, header, rows, right=()):
    """A table whose first column names the rows.

    Args:
        label: What a screen reader says of it.
        header: Names of the columns.
        rows: Tuples of text, one a line.
        right: Places of the columns to align right.
    """

    def cell(name, scope, place, text):
        align = ' class="number"' if place in right else ""
        return f"<{name}{scope}{align}>{escape(text)}</{name}>"

    head = [cell("th", ' scope="col"', *each) for each in enumerate(header)]
    lines = [f"<thead><tr>{''.join(head)}</tr></thead>", "<tbody>"]
    for first, *others in rows:
        cells = [cell("td", "", *each) for each in enumerate(others, 1)]
        cells.insert(0, cell("th", ' scope="row"', 0, first))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines = "\n".join([*lines, "</tbody>"])
    return box(label, f"<table>\n{lines}\n</table>\n", "rows")


def image(data, ending, alt, kind=""):
    """A picture that is part of the page.

    Args:
        data: Bytes of a file.
        ending: Of the file's name: `.png`, `.svg` or `.jpg`.
        alt: What is seen, for those who do not.
        kind: Class of the element.
    """
    text = base64.b64encode(data).decode()
    start = f'<img class="{kind}"' if kind else "<img"
    return (
        f'{start} alt="{escape(alt)}" src="data:{TYPES[ending]};base64,{text}">'
    )


def page(title, lead, sections):
    """A whole page.

    Args:
        title: Text of the title and of the first heading.
        lead: HTML under it.
        sections: Dict of headings and HTML.

    Returns:
        The text of the page.
    """
    links, parts = [], []
    for heading, content in sections.items():
        name = heading.lower().replace(" ", "-")
        links.append(f'<li><a href="#{name}">{escape(heading)}</a></li>')
        parts.append(
            f'<section aria-labelledby="{name}">\n'
            f'<h2 id="{name}">{escape(heading)}</h2>\n{content}</section>'
        )
    file = resources.files("keras_alexnet") / "assets" / "report.html"
    return string.Template(file.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        lead=lead,
        links="\n".join(links),
        sections="\n".join(parts),
    )


def file_image(path, alt, kind=""):
    """As `image`, of a file."""
    path = pathlib.Path(path)
    return image(path.read_bytes(), path.suffix, alt, kind)
