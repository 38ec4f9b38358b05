"""Write docs/api.md: every public name, from its docstring.

`python scripts/write_api_page.py`
"""

import inspect
import pathlib
import re

import keras_alexnet as ka

ROOT = pathlib.Path(__file__).parent.parent

TEXT = """# API reference

<!-- Written by scripts/write_api_page.py from the docstrings. -->

`import keras_alexnet as ka`; every name below is `ka.NAME`. Examples with `>>>`
are executed by the tests; in them the name stands without `ka.`, as in its own
module. The commands say what they take with `--help`.

{contents}

{groups}
"""

# In the order in which one meets them.
GROUPS = {
    "Networks": "AlexNet VARIANTS Architecture summary plot_model plot_figure2",
    "Layers": "LocalResponseNormalization Dropout PixelsToInput",
    "Data": "load_examples Examples check_data prepare_data training_batches "
    "evaluation_batches finished preprocess_input preprocessor ten_crops",
    "Training": "train Recipe RECIPES Run fine_tune Plan two_device_alexnet",
    "Parts of a training": "PaperSGD PlateauDrops EndGame "
    "Checkpoints noted_signals Interrupted ImageCounts",
    "Weights": "convert_weights grouped_weights export_model",
    "Answers": "open_trained predict iter_predictions decode_predictions "
    "evaluate write_report",
    "A look inside": "features Features nearest plot_nearest color_scores "
    "plot_kernels plot_activations grad_cam plot_grad_cam dense_form heat_map "
    "plot_heat_map",
    "The paper": "check_paper paper_differences run_experiment",
    "Version": "__version__",
}

# Values have no docstrings.
VALUES = {
    "VARIANTS": "The networks: a mapping of names to `Architecture`s.\n"
    "[Which AlexNet do I want?](which.md) tells them apart.",
    "RECIPES": "The trainings: a mapping of names to `Recipe`s.\n"
    "[Training](training.md#recipes) tells whose they are.",
    "__version__": "The version of this package, a string.",
}

SECTION = re.compile(r"^([A-Z][a-z]+(?: [a-z]+)?):$")


def signature_of(name, thing):
    """`name(...)`, without annotations, a parameter a line where it is long.

    It is no Python (`name=default, *, ...`), hence not in a block of `python`,
    which the tests compile.
    """
    parameters = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in inspect.signature(thing).parameters.values()
        if each.name != "self"
    ]
    line = f"{name}{inspect.Signature(parameters)}".replace("'", '"')
    if len(line) <= 76:
        return line
    starred = [p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters]
    lines = [f"    {each},".replace("'", '"') for each in parameters]
    if True in starred and not any(
        p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters
    ):
        lines.insert(starred.index(True), "    *,")
    return "\n".join([f"{name}(", *lines, ")"])


def sections_of(docstring):
    """Pairs of a section's name ("" for the text on top) and its lines."""
    sections = [("", [])]
    for line in inspect.cleandoc(docstring).splitlines():
        heading = SECTION.match(line)
        if heading:
            sections.append((heading[1], []))
        else:
            sections[-1][1].append(line)
    return sections


def items(lines):
    """The lines of Args and its like as a list in Markdown."""
    text = []
    for line in inspect.cleandoc("\n" + "\n".join(lines)).splitlines():
        item = re.match(r"(\*{0,2}\w+(?:, \w+)*): (.*)", line)
        if item:
            text.append(f"- `{item[1]}`: {item[2]}")
        else:
            text.append(f"  {line.strip()}".rstrip())
    return "\n".join(text)


def examples(lines):
    """Sessions become blocks of `pycon`; blocks stay what they are."""
    text = inspect.cleandoc("\n" + "\n".join(lines))
    if "```" in text:
        return text
    return f"```pycon\n{text}\n```"


def markdown_of(docstring):
    parts = []
    for name, lines in sections_of(docstring):
        if not name:
            parts.append("\n".join(lines).strip())
            continue
        if name == "Example":
            text = examples(lines)
        elif name in ("Args", "Raises", "Attributes", "Call arguments"):
            text = items(lines)
        else:
            text = inspect.cleandoc("\n" + "\n".join(lines)).strip()
        parts.append(f"**{name}**\n\n{text}")
    return "\n\n".join(parts)


def methods_of(name, thing):
    """The documented methods that a class of this package has itself."""
    for key, value in vars(thing).items():
        value = getattr(value, "__func__", value)
        if key.startswith("_") or not getattr(value, "__doc__", None):
            continue
        if isinstance(value, property):
            yield f"#### {name}.{key}\n\n{markdown_of(value.__doc__)}"
        elif inspect.isfunction(value):
            method = signature_of(f"{name}.{key}", value)
            yield (
                f"#### {name}.{key}\n\n```py\n{method}\n```\n\n"
                f"{markdown_of(value.__doc__)}"
            )


def heading(name):
    """What stands above a name; `features` and `Features` are told apart."""
    if name.startswith("_"):
        return f"`{name}`"  # __bold__ otherwise
    return f"class {name}" if inspect.isclass(getattr(ka, name)) else name


def entry(name):
    thing = getattr(ka, name)
    if name in VALUES:
        return f"### {heading(name)}\n\n{VALUES[name]}"
    parts = [
        f"### {heading(name)}",
        f"```py\n{signature_of(name, thing)}\n```",
        markdown_of(inspect.getdoc(thing)),
    ]
    if inspect.isclass(thing):
        parts.extend(methods_of(name, thing))
    return "\n\n".join(parts)


def anchor(name):
    return heading(name).strip("`").lower().replace(" ", "-")


def page():
    """The text of docs/api.md."""
    groups = {title: names.split() for title, names in GROUPS.items()}
    contents = "\n".join(
        f"- {title}: " + ",\n  ".join(f"[`{n}`](#{anchor(n)})" for n in names)
        for title, names in groups.items()
    )
    text = "\n\n".join(
        "\n\n".join([f"## {title}", *map(entry, names)])
        for title, names in groups.items()
    )
    return TEXT.format(contents=contents, groups=text).rstrip() + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "api.md").write_text(page())
