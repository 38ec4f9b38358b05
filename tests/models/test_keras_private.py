"""Keras' private names stand in one module, which knows what is missing."""

import ast
from pathlib import Path

import keras
import pytest

import keras_alexnet
from keras_alexnet.models import keras_private

PACKAGE = Path(keras_alexnet.__file__).parent
NAMEDTUPLES = {"_asdict", "_fields", "_replace"}


def test_this_version_of_keras_has_them_all():
    assert keras_private.missing() == []
    of_tensorflow = keras.backend.backend() == "tensorflow"
    assert len(keras_private.names()) == (10 if of_tensorflow else 6)


def test_a_version_that_was_not_tried_is_warned_of(monkeypatch):
    keras_private.warn_if_untried("3.15.9")
    text = r"tried with Keras 3\.15; this is 3\.99\.0: all it needs is there"
    with pytest.warns(UserWarning, match=text):
        keras_private.warn_if_untried("3.99.0")
    have = keras_private.names()
    monkeypatch.setattr(
        keras_private, "names", lambda: [*have, (object(), "_gone")]
    )
    assert keras_private.missing() == ["_gone"]
    with pytest.warns(UserWarning, match="it lacks _gone"):
        keras_private.warn_if_untried("4.0.0")


def private_names(tree):
    """Those that a module has of its own, and those it asks others for."""
    own, asked = set(NAMEDTUPLES), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.Attribute) and node.attr[:1] == "_":
            if isinstance(node.ctx, ast.Store):
                own.add(node.attr)
            elif node.attr[:2] != "__":
                asked.add(node.attr)
    return own, asked


def test_no_other_module_uses_private_names_of_others():
    found = [
        private_names(ast.parse(path.read_text(encoding="utf-8")))
        for path in PACKAGE.rglob("*.py")
        if path.name != "keras_private.py"
    ]
    own = set().union(*(names for names, _ in found))
    asked = set().union(*(names for _, names in found))
    assert asked - own == set()
