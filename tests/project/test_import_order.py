"""Imports go one way, and the lowest modules need no Keras."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import keras_alexnet

PACKAGE = Path(keras_alexnet.__file__).parent
# Architectures are arithmetic, recipes are values, the paper's are numbers.
STANDARD_LIBRARY_ONLY = (
    "files",
    "architectures.rows",
    "architectures.variants",
    "architectures.modifiers",
    "architectures.arithmetic",
    "runs.recipe",
    "runs.recipes",
    "paper.authors_log",
    "paper.experiments",
    "paper.statement",
)
# What they may import beside each other; rich comes with the first bar.
ALLOWED = (
    *STANDARD_LIBRARY_ONLY,
    "terminal",
    "visualization.table",
    "filelock",  # where something is locked
)


def test_the_contracts_are_kept():
    """pyproject.toml says which package imports from which."""
    command = (
        "from importlinter.cli import lint_imports_command as lint; lint()"
    )
    run = subprocess.run(
        [sys.executable, "-c", command],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


def imported(source):
    """Full names of all modules that a source imports, also in functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=str)
def test_a_module_names_the_module_that_it_imports_from(path):
    """`from keras_alexnet import AlexNet` would hide which."""
    names = imported(path.read_text(encoding="utf-8"))
    hidden = {f"keras_alexnet.{name}" for name in keras_alexnet.__all__}
    assert names & hidden <= {"keras_alexnet.__version__"}


@pytest.mark.parametrize("module", STANDARD_LIBRARY_ONLY)
def test_the_lowest_modules_need_the_standard_library_only(module):
    path = PACKAGE / f"{module.replace('.', '/')}.py"
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            folder = PACKAGE.parent / node.module.replace(".", "/")
            names = {node.module}
            if folder.is_dir():
                names = {f"{node.module}.{a.name}" for a in node.names}
        else:
            continue
        for name in names:
            own = name.removeprefix("keras_alexnet.")
            library = name.split(".")[0] in sys.stdlib_module_names
            assert library or own in ALLOWED, name


@pytest.mark.parametrize("module", ["", *STANDARD_LIBRARY_ONLY, "cli.main"])
def test_importing_does_not_import_keras(module):
    module = f"keras_alexnet.{module}".rstrip(".")
    heavy = ("keras", "tensorflow", "matplotlib")
    code = f"import sys, {module}; print([m for m in {heavy} if m in "
    code += "sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    )
    assert run.stdout.strip() == "[]"
