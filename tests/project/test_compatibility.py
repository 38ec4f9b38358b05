"""What is promised stays: public names, their arguments, commands, options.

`python tests/project/test_compatibility.py` writes the snapshot anew, and the
stub that editors read. What is added needs that; what is gone needs a
deprecation first (docs/compatibility.md).
"""

import argparse
import inspect
import json
import warnings
from pathlib import Path

import pytest

import keras_alexnet as ka
from keras_alexnet.cli import main as command_line

SNAPSHOT = Path(__file__).parents[1] / "data" / "public_names.json"
STUB = Path(__file__).parents[2] / "keras_alexnet" / "__init__.pyi"


def parameters(thing):
    """Name -> default of what a function or a class takes, as text."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    return {
        name: "" if p.default is p.empty else repr(p.default)[:60]
        for name, p in signature.parameters.items()
        if name != "self"
    }


def public_names():
    names = {}
    for name in sorted([*ka.__all__, *ka._DEPRECATED]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            thing = getattr(ka, name)
        names[name] = parameters(thing) if callable(thing) else None
        if inspect.isclass(thing):
            for method, function in vars(thing).items():
                if not method.startswith("_") and callable(function):
                    names[f"{name}.{method}"] = parameters(function)
    return names


def commands():
    return dict(sorted(_options(command_line._parser(), "")))


def _options(parser, name):
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for part, inner in action.choices.items():
                yield from _options(inner, f"{name} {part}".strip())
        else:
            key = " ".join(action.option_strings) or action.dest
            choices = action.choices and sorted(map(str, action.choices))
            found[key] = choices or []
    yield name, found


def stub():
    lines = [
        f"from keras_alexnet.{place} import {name} as {name}"
        for name, place in sorted(ka._PLACES.items())
    ]
    lines.sort(key=lambda line: (line.split()[1], line.split()[3].lower()))
    return "\n".join([*lines, "", "__version__: str", "__all__: list[str]", ""])


def test_every_promise_is_kept():
    promised, present = (
        json.loads(SNAPSHOT.read_text(encoding="utf-8")),
        {"names": public_names(), "commands": commands()},
    )
    for kind, things in promised.items():
        missing = things.keys() - present[kind].keys()
        assert not missing, f"{kind} that are gone: {sorted(missing)}"
        for name, arguments in things.items():
            found = present[kind][name]
            if arguments is None:
                continue
            gone = arguments.keys() - found.keys()
            assert not gone, f"{name} no longer takes {sorted(gone)}"
            for argument, value in arguments.items():
                if kind == "commands":
                    assert {*value} <= {*found[argument]}, (name, argument)
                else:
                    assert found[argument] == value, (name, argument)


def test_the_snapshot_has_all_that_is_public():
    promised = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert promised["names"].keys() == public_names().keys(), __doc__
    assert promised["commands"] == commands(), __doc__


@pytest.mark.parametrize(("old", "new"), ka._DEPRECATED.items())
def test_a_name_of_before_is_the_new_one_and_warned_of(old, new):
    with pytest.warns(DeprecationWarning, match=f"`keras_alexnet.{new}` now"):
        assert getattr(ka, old) is getattr(ka, new)
    assert old not in ka.__all__


# Whatever Keras or NumPy takes: arrays, tensors, models, data sets, options.
OPEN = {
    "x",
    "dataset",
    "model",
    "model_or_variant",
    "source",
    "image",
    "signals",
}
OPEN |= {"args", "kwargs", "changes", "self", "cls", "distribute"}


@pytest.mark.parametrize("name", ka.__all__)
def test_public_names_have_types(name):
    """mypy checks them, in .ci/run and the workflow."""
    thing = getattr(ka, name)
    if inspect.isclass(thing):
        thing = vars(thing).get("__init__")
    if not inspect.isfunction(thing):
        return
    parameters = inspect.signature(thing).parameters.values()
    missing = [
        p.name
        for p in parameters
        if p.annotation is p.empty and p.name not in OPEN
    ]
    assert missing == []


def test_the_stub_has_all_names():
    assert STUB.read_text(encoding="utf-8") == stub(), __doc__


if __name__ == "__main__":
    snapshot = {"names": public_names(), "commands": commands()}
    text = json.dumps(snapshot, indent=1) + "\n"
    SNAPSHOT.write_text(text, encoding="utf-8")
    STUB.write_text(stub(), encoding="utf-8")
    print(f"Written: {SNAPSHOT}, {STUB}")
