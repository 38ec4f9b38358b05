"""Keras on JAX or on PyTorch, TensorFlow not installed."""

import configparser
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from on_backend import on_backend
from PIL import Image

from keras_alexnet import environment

ROOT = Path(__file__).parents[2]
# Python then says of TensorFlow what it says of what is not installed.
HIDDEN = "import sys; sys.modules['tensorflow'] = None\n"


def answers(backend, folder):
    """What the networks answer on a backend, in a process of their own."""
    file = folder / f"{backend}.npz"
    said, _ = on_backend(backend, "without_tensorflow.py", file)
    with np.load(file) as arrays:
        return dict(arrays), said


@pytest.fixture(scope="module")
def on_tensorflow(tmp_path_factory):
    return answers("tensorflow", tmp_path_factory.mktemp("tensorflow"))[0]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_all_of_it_works_and_answers_the_same(backend, tmp_path, on_tensorflow):
    found, text = answers(backend, tmp_path)
    assert f"{backend}: all of it works; beside it imported: none" in text
    assert found.keys() == on_tensorflow.keys()
    for name, expected in on_tensorflow.items():
        # Six steps of training make rounding errors larger.
        share = 1e-4 if name in ("loss", "fit", "accumulated") else 5e-6
        limit = share * np.abs(expected).max()
        np.testing.assert_allclose(
            found[name], expected, rtol=0, atol=limit, err_msg=name
        )


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_commands_import_no_other_framework(backend, tmp_path):
    """Where it is installed Keras by itself imports TensorFlow, and JAX."""
    photo = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), "uint8")
    Image.fromarray(pixels).save(photo)
    words = "command_line.py", tmp_path, photo
    said, _ = on_backend(backend, *words, hidden=False)
    assert "imported beside it: none" in said


@pytest.mark.parametrize(
    ("config", "variable", "backend"),
    [
        (None, None, "tensorflow"),
        (None, "torch", "torch"),
        ('{"backend": "jax"}', None, "jax"),
        ('{"backend": "jax"}', "tensorflow", "tensorflow"),
        ('{"floatx": "float64"}', None, "tensorflow"),
        ('{"backend"', None, "tensorflow"),
    ],
)
def test_the_backend_before_keras_is_imported(
    config, variable, backend, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    monkeypatch.setenv("KERAS_HOME", f"~/{tmp_path.name}")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if variable:
        monkeypatch.setenv("KERAS_BACKEND", variable)
    if config:
        (tmp_path / "keras.json").write_text(config)
    assert environment.backend_of_keras() == backend


def test_what_needs_tensorflow_says_so():
    backends = [b for b in ("jax", "torch") if importlib.util.find_spec(b)]
    if not backends:
        pytest.skip("Keras has no other backend here")
    code = HIDDEN + (
        "import keras_alexnet as ka\n"
        "try: ka.two_device_alexnet\n"
        "except ImportError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KERAS_BACKEND": backends[0],
            "PYTHONPATH": str(ROOT),
        },
    )
    assert run.stdout.splitlines() == [
        "`keras_alexnet.two_device_alexnet` needs TensorFlow, which is not "
        "installed; install it by `pip install tensorflow`."
    ]


def test_requirements_are_those_of_the_package_less_tensorflow():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = config["options"]["install_requires"].strip().splitlines()
    lines = (ROOT / "requirements" / "base.txt").read_text().splitlines()
    assert lines[1:] == [w for w in wanted if not w.startswith("tensorflow")]
