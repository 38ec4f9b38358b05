"""The notebooks run, their twins are equal, what is kept is presentable."""

import base64
import importlib.util
import io
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import jupytext
import numpy as np
import pytest
from on_backend import on_backend
from PIL import Image

import keras_alexnet as ka

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
# The executed ones must say these too: text in an output, by notebook.
RESULTS = {
    "01_architecture": (
        "total   60,965,224",
        "62,378,344 parameters",
        "conv1: printed 253,440, right 290,400",
        "all: 659,272",
        "shapes, parameters and neurons by hand equal ka.summary's",
        "together: 1,413,120",
    ),
    "02_pictures": (
        "224: 33^2 * 2 = 2,178",
        "227: 30^2 * 2 = 1,800",
        "equal to view 7: True",
        "(10000, 28, 28) (2000, 28, 28)",
    ),
    "03_training": (
        "['/device:CPU:0', '/device:CPU:1']",
        "alexnet will hardly learn from these images",
        "of 1,000",
    ),
    "04_inside": ("32 maps of 32x32", "trained on color photos: mean 0.307"),
    "05_paper": (
        "{'agrees': 103, 'differs': 21}",
        "broken: ()",
        "by hand 23.237, alpha_mode='sum' 23.237",
        "by hand 43.869, alpha_mode='mean' 43.869",
        "response normalization: 1.37 / 1.15 points; the paper: 1.4 / 1.2",
    ),
    "06_weights": (
        "61,100,840 parameters, 244 MB",
        "weights equal, bit for bit: True",
        "answers equal: True",
        "16 tensors, all as they were: True",
        "it ran: False",
        "ONNX:",
    ),
}
RESULTS["01_architecture.zh"] = RESULTS["01_architecture"]
# On other backends; the Chinese one has the code of the English.
ELSEWHERE = [name for name in NAMES if not name.endswith(".zh")]
LEFT_OUT = {
    ("03_training", "jax"): "its two devices are tf.distribute's",
    ("03_training", "torch"): "its two devices are tf.distribute's",
    # It was run on 640 of its images.
    ("04_inside", "torch"): "its training takes PyTorch ten minutes and more",
}


def outputs(path):
    notebook = json.loads(path.read_text())
    return [o for cell in notebook["cells"] for o in cell.get("outputs", [])]


def printed(path):
    return "".join("".join(output.get("text", "")) for output in outputs(path))


def pictures(path):
    for output in outputs(path):
        for kind, data in output.get("data", {}).items():
            if kind.startswith("image/"):
                yield Image.open(io.BytesIO(base64.b64decode("".join(data))))


def numbers(pattern, text):
    found = re.search(pattern, text)
    assert found, f"{pattern!r} is not in {text!r}"
    return [float(number.replace(",", "")) for number in found.groups()]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Executes a notebook as the script does that keeps the outputs."""
    folder = tmp_path_factory.mktemp("executed")

    def execute(name):
        # A process of its own: Jupyter's warnings are not this package's, and
        # pytest turns them into errors.
        script = ROOT / "scripts" / "keep_notebooks.py"
        done = subprocess.run(
            [sys.executable, script, "--to", folder, name],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return folder / f"{name}.ipynb"

    return execute


def test_all_are_there():
    assert sorted(RESULTS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_runs_from_top_to_bottom_without_the_network(executed, name):
    path = executed(name)
    text = printed(path)
    for result in RESULTS[name]:
        assert result in text
    kept = [picture.format for picture in pictures(FOLDER / f"{name}.ipynb")]
    assert [picture.format for picture in pictures(path)] == kept
    if name == "03_training":
        check_training(text)
    if name == "06_weights":
        check_weights(text)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("name", ELSEWHERE)
def test_runs_on_other_backends(name, backend, tmp_path, monkeypatch):
    """The twin, TensorFlow hidden; figures are drawn and not shown."""
    if (name, backend) in LEFT_OUT:
        pytest.skip(LEFT_OUT[name, backend])
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    text, _ = on_backend(backend, FOLDER / f"{name}.py")
    for result in RESULTS[name]:
        if result != "ONNX:" or can_write_onnx(backend):
            assert result in text
    if name == "06_weights":
        check_weights(text)


def can_write_onnx(backend):
    converter = {"jax": "jax2onnx", "torch": "onnx"}[backend]
    return importlib.util.find_spec(converter) is not None


def check_training(text):
    lost = [
        numbers(rf"lost by {who}: +([\d.]+)", text)[0]
        for who in ("hand", "PaperSGD", "Keras SGD")
    ]
    np.testing.assert_allclose(lost[0], lost[1], atol=2e-6)
    assert lost[2] < lost[0] / 5
    for who in ("two devices", "one, batches back to front"):
        first, last = numbers(rf"{who}: first step (\S+), last (\S+)", text)
        assert first < 1e-7
        assert last < 1e-2
    one, two = numbers(r"images right: (\d+) and (\d+) of 1,000", text)
    assert min(one, two) > 600
    assert abs(one - two) < 30


def check_weights(text):
    (tuned,) = numbers(r"fine-tuned: +([\d.]+)", text)
    (scratch,) = numbers(r"from scratch: +([\d.]+)", text)
    assert tuned > scratch > 0.3


def test_the_network_is_closed(tmp_path):
    """By the file that Python imports at its start."""
    script = runpy.run_path(str(ROOT / "scripts" / "keep_notebooks.py"))
    (tmp_path / "sitecustomize.py").write_text(script["NO_NETWORK"])
    code = (
        "import urllib.request\nurllib.request.urlopen('http://198.51.100.1')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "no_proxy": "*"},
    )
    assert "the notebooks have no network" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_twins_are_equal(name):
    notebook = jupytext.read(FOLDER / f"{name}.ipynb")
    twin = jupytext.read(FOLDER / f"{name}.py")
    cells = [
        [(c.cell_type, c.source) for c in n.cells] for n in (notebook, twin)
    ]
    assert cells[0] == cells[1]
    assert notebook.metadata.jupytext.formats == "ipynb,py:percent"
    assert twin.metadata.jupytext.formats == "ipynb,py:percent"


@pytest.mark.parametrize("name", NAMES)
def test_kept_outputs_are_presentable(name):
    path = FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < 700_000
    code = [
        cell
        for cell in json.loads(path.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]
    numbered = [cell["execution_count"] for cell in code]
    assert numbered == list(range(1, len(code) + 1))  # from top to bottom
    assert {o["output_type"] for o in outputs(path)} <= {
        "stream",
        "display_data",
    }
    assert {o.get("name", "stdout") for o in outputs(path)} == {"stdout"}
    text = json.dumps(
        [
            {
                k: v
                for k, v in output.get("data", output).items()
                if not k.startswith("image/")
            }
            for output in outputs(path)
        ]
    )
    for private in ("Traceback", "/tmp", "/root", "/home", "/work", "0000 00:"):
        assert private not in text
    for result in RESULTS[name]:
        assert result in printed(path)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_stand_on_white(name):
    """A viewer's dark page would swallow black letters."""
    found = list(pictures(FOLDER / f"{name}.ipynb"))
    assert found
    for picture in found:
        red, green, blue, alpha = picture.convert("RGBA").getpixel((1, 1))
        assert alpha == 255
        assert min(red, green, blue) > 250


def test_hand_worked_shapes_are_the_summarys():
    text = (FOLDER / "01_architecture.ipynb").read_text()
    for layer in ka.summary("alexnet").to_dict()["layers"]:
        if layer["name"].startswith(("conv", "pool", "flatten", "fc")):
            shape = tuple(layer["output_shape"])
            assert f"'{layer['name']}': {shape}" in text


def test_chinese_one_has_the_same_code_and_another_prose():
    english, chinese = (
        jupytext.read(FOLDER / f"01_architecture{ending}.py")
        for ending in ("", ".zh")
    )
    assert len(english.cells) == len(chinese.cells)
    for one, other in zip(english.cells, chinese.cells, strict=True):
        assert one.cell_type == other.cell_type
        if one.cell_type == "code":
            assert one.source == other.source
        else:
            assert re.search(r"[\u4e00-\u9fff]", other.source)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    text = (FOLDER / f"{name}.py").read_text()
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("https://") or (FOLDER / link).exists(), link
