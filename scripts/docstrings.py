"""Docstrings in Keras' form, as mkdocstrings reads them; see mkdocs.yml."""

import re
import textwrap

import griffe

# A parameter in "Call arguments", which Google's form does not know.
ITEM = re.compile(r"^    (\*{0,2}\w+): ", re.M)


class KerasForm(griffe.Extension):
    """Writes the sections as Markdown that Google's form does not have."""

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring is None:
            return
        parts = re.split(r"^(?=\S[^\n]*:$)", obj.docstring.value, flags=re.M)
        for place, part in enumerate(parts):
            if part.startswith("Example:"):
                parts[place] = _example(part.removeprefix("Example:"))
            elif part.startswith("Call arguments:"):
                parts[place] = ITEM.sub(r"    - `\1`: ", part)
        obj.docstring.value = "".join(parts)


def _example(text):
    """A session is a block of code; what is one already stays so."""
    text = textwrap.dedent(text).strip()
    if ">>>" in text:
        text = f"```pycon\n{text}\n```"
    return f"**Example**\n\n{text}\n"
