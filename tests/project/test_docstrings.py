"""The examples in the docstrings run and print what they say."""

import doctest
import importlib

import numpy as np
import pytest

import keras_alexnet as ka

# train's example trains; tests/training/test_trainer.py does that.
MODULES = (
    "architectures.arithmetic",
    "paper.authors_log",
    "paper.check_paper",
    "data.preprocessing",
    "models.convert_weights",
    "visualization.plot_model",
    "paper.differences",
    "layers.dropout",
    "visualization.figure2",
    "data.imagenet",
    "analysis.kernels",
    "layers.cuda_convnet",
    "models.alexnet",
    "runs.network",
    "layers.local_response_normalization",
    "training.optimizer",
    "training.schedules",
    "training.checkpoints",
    "analysis.nearest",
    "analysis.dense_form",
    "visualization.summary",
    "training.planning",
    "models.model_parallel",
    "export.convert_file",
    "weights.assign",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"keras_alexnet.{name}")
    failed, _ = doctest.testmod(module, extraglobs={"np": np, "ka": ka})
    assert failed == 0


def test_public_names_stay_what_they_are():
    """Importing a module must not hide a function of the same name."""
    before = {name: getattr(ka, name) for name in ka.__all__}
    for path in [*MODULES, "training", "data", "paper", "cli.main", "export"]:
        importlib.import_module(f"keras_alexnet.{path}")
    after = {name: getattr(ka, name) for name in ka.__all__}
    assert before == after
    assert callable(ka.summary)
    ka.summary("lenet5")
    assert ka.summary("lenet5").name == "lenet5"
