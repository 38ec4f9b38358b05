"""`keras-alexnet env`: what is installed, without importing it."""

import importlib.metadata
import json
import subprocess
import sys

import keras_alexnet as ka
from keras_alexnet.cli.main import main


def test_it_names_versions_and_the_machine(capsys, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    assert main(["env", "--format", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["keras_alexnet"] == ka.__version__
    for name in ("keras", "tensorflow", "numpy", "h5py"):
        assert facts[name] == importlib.metadata.version(name)
    assert facts["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert facts["processors"] >= 1
    assert main(["env", "--format", "markdown"]) == 0
    out = capsys.readouterr().out
    assert f"| keras_alexnet | {ka.__version__} |" in out


def test_what_is_not_there_is_said(capsys, monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setenv("PATH", "")
    assert main(["env", "--format", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["jax"] == facts["torch"] == "not installed"
    assert facts["GPUs"] == "none that nvidia-smi knows"


def test_nothing_heavy_is_imported():
    code = (
        "import sys\n"
        "from keras_alexnet.cli.main import main\n"
        "assert main(['env']) == 0\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'numpy', 'h5py'}\n"
        "sys.exit(str(found) if (found := heavy & {*sys.modules}) else 0)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
