"""A module imports only from lower levels, and the lowest need no Keras."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import keras_alexnet

PACKAGE = Path(keras_alexnet.__file__).parent
LEVELS = {
    "__init__": -1,  # imports the others at the first use
    "rows": 0,
    "recipe": 0.7,
    "recipes": 0.8,
    "interruption": 0,
    "progress": 0,
    "printing": -0.5,
    "quiet": 0.1,
    "dropout": 1,
    "counting": 1,
    "steps": 1,
    "content": 0.1,
    "files": 0,
    "pages": 0,
    "imagenet": 0.2,
    "published": 0.2,
    "safetensors_file": 0.2,
    "torch_files": 0.3,
    "wire": 0.05,
    "protobuf_tables": 0.1,
    "protobufs": 0.2,
    "opening": 0,
    "arrays": 0.1,
    "unpickling": 0.1,
    "stand_ins": 0.2,
    "pickles": 0.3,
    "hdf5_texts": 0.1,
    "hdf5_chunks": 0,
    "hdf5_tree": 0.15,
    "model_configs": 0.1,
    "hdf5": 0.2,
    "color": 0,
    "reading": 0,
    "sampling": 0,
    "skipping": 0.1,
    "threads": 0.1,
    "geometry": 0.2,
    "labels": 0.5,
    "shards": 0.5,
    "architectures": 0.5,
    "variations": 0.6,
    "arithmetic": 1,
    "images": 1,
    "data_record": 1.5,
    "lrn": 0.9,
    "normalization": 1,
    "signal": 1,
    "blocks": 1,
    "graphs": 1.5,
    "layers": 1.5,
    "building": 1.8,
    "model": 2,
    "pixels": 1.5,
    "sources": 1.5,
    "pipeline": 2,
    "listing": 2,
    "preparation": 3,
    "inspection": 3,
    "layouts": 0.1,
    "weight_files": 1,
    "alexnet_model": 1.95,
    "weights": 1.9,
    "conversion": 3,
    "trained": 4.2,
    "tables": 3,
    "planning": 3.1,
    "experiment_table": 3.1,
    "cli_plan": 5.8,
    "diagrams": 3,
    "figure2": 3,
    "recipe_table": 3.5,
    "optimization": 3,
    "rates": 3,
    "distribution": 3,
    "saving": 0.5,
    "resuming": 3.5,
    "two_devices": 3.5,
    "charts": 3,
    "checkpoint": 4,
    "starting": 4.4,
    "feeding": 4.5,
    "fitting": 5,
    "training": 5.5,
    "fine_tuning": 5.7,
    "evaluation": 5,
    "prediction": 5,
    "prediction_sheet": 5.2,
    "held_out": 4.6,
    "scoring": 4.6,
    "finding": 0.1,
    "cli_predict": 5.9,
    "sheets": 3,
    "feature_files": 1,
    "one_image": 4.5,
    "extraction": 5,
    "similarity": 5.1,
    "kernels": 5,
    "activations": 5.1,
    "sliding": 5.2,
    "demo": 5.2,
    "demo_server": 5.3,
    "cli_demo": 5.95,
    "cli_inside": 5.95,
    "confidence": 5,
    "repeating": 5,
    "sections": 5.92,
    "report": 5.93,
    "cli_report": 5.95,
    "formats": 0,
    "serving": 2,
    "runtimes": 2.5,
    "verifying": 3,
    "onnx_writing": 3,
    "export": 5,
    "cli_export": 5.8,
    "cli_data": 5.8,
    "cli_train": 5.9,
    "weight_writing": 5.7,
    "cli_weights": 5.8,
    "authors_log": 0,
    "experiments": 0.9,
    "statement": 0,
    "measures": 4,
    "architecture_statements": 4.1,
    "training_statements": 4.1,
    "seed_statements": 4.1,
    "paper": 4.2,
    "differences": 4,
    "reproduction": 5.7,
    "cli_paper": 5.8,
    "cli": 6,
    "__main__": 6.5,
}
STANDARD_LIBRARY_ONLY = (
    "files",
    "__init__",
    "rows",
    "recipe",
    "recipes",
    "architectures",
    "variations",
    "arithmetic",
    "authors_log",
    "experiments",
    "statement",
)
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def imported(source):
    """Full names of all modules that a source imports, also in functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            if node.module == "keras_alexnet":
                own = {
                    a.name.replace("__version__", "__init__")
                    for a in node.names
                }
                names |= {f"keras_alexnet.{name}" for name in own}
            else:
                names.add(node.module)
    return names


def imports_of(module):
    return imported((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


def test_imports_are_found_wherever_they_stand():
    source = (
        "import keras.ops\n"
        "from keras_alexnet import rows as kinds, arithmetic\n"
        "def f():\n    from keras_alexnet.model import AlexNet\n"
    )
    assert imported(source) == {
        "keras.ops",
        "keras_alexnet.rows",
        "keras_alexnet.arithmetic",
        "keras_alexnet.model",
    }


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_lower_levels(module):
    assert module in LEVELS, f"{module} has no level yet: add it to LEVELS"
    own = {n for n in imports_of(module) if n.startswith("keras_alexnet.")}
    for name in own:
        below = name.split(".")[1]
        # Not `from keras_alexnet import AlexNet`, which hides the module.
        assert below in LEVELS, f"{module} imports {name}: name its module"
        assert LEVELS[below] < LEVELS[module], f"{module} imports {below}"


@pytest.mark.parametrize(
    "module", [m for m in STANDARD_LIBRARY_ONLY if m in MODULES]
)
def test_the_lowest_modules_need_the_standard_library_only(module):
    allowed = {f"keras_alexnet.{m}" for m in STANDARD_LIBRARY_ONLY}
    for name in imports_of(module) - allowed:
        assert name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.parametrize(
    "module",
    ["keras_alexnet"]
    + [
        f"keras_alexnet.{m}"
        for m in (*STANDARD_LIBRARY_ONLY[1:], "cli")
        if m in MODULES
    ],
)
def test_importing_does_not_import_keras(module):
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
