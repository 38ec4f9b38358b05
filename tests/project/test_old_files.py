"""Files of earlier versions stay readable; those of newer ones are named."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.data.datasets import load_examples
from keras_alexnet.files import LOCK

OLD = Path(__file__).parents[1] / "data" / "c5d05b9"  # made by its make.py
NEWER = "written by a newer keras_alexnet"


@pytest.fixture
def old(tmp_path):
    """A copy, whose runs know where their photos are."""
    shutil.copytree(OLD, tmp_path / "old")
    for name in ("finished", "interrupted"):
        path = tmp_path / "old" / name / "recipe.json"
        recipe = json.loads(path.read_text())
        recipe["data"] = str(tmp_path / "old" / "photos")
        path.write_text(json.dumps(recipe))
    return tmp_path / "old"


def weights_of(run):
    return run.load_model().get_weights()


def resume(old):
    run = ka.Run(old / "interrupted")
    return ka.train(run.recipe, run.folder, verbose=0, deterministic=True)


def test_an_interrupted_run_goes_on_to_its_end(old):
    finished, run = ka.Run(old / "finished"), resume(old)
    start = ka.Run(old / "finished").build_model().get_weights()
    for one, other, first in zip(
        weights_of(run), weights_of(finished), start, strict=True
    ):
        # Another processor rounds otherwise.
        bound = 1e-4 * abs(other - first).max()
        np.testing.assert_allclose(one, other, atol=bound)
    assert len(run.log_rows()) == 6
    for one, other in zip(run.log_rows(), finished.log_rows(), strict=True):
        np.testing.assert_allclose(
            list(one.values()), list(other.values()), atol=1e-4
        )
    assert run.results["examples"] == finished.results["examples"] == 6
    assert ka.evaluate(run).changes == ()  # from now on with a record


# Where Keras comes first TensorFlow is left to itself, as by version 0.1.0.
GO_ON = """
import sys

import keras_alexnet as ka
from keras_alexnet import environment
from keras_alexnet.runs.recipes import from_json

_, word, folder = sys.argv
if word == "keras":
    import keras
else:  # on a processor that TensorFlow leaves oneDNN out on
    environment.leaves_out_onednn = lambda: True
with open(f"{folder}/recipe.json", encoding="utf-8") as file:
    recipe = from_json(file.read())
ka.train(recipe, folder, verbose=0, deterministic=True)
"""


def test_it_goes_on_as_it_began(old, tmp_path, monkeypatch):
    """To the last bit, whether or not the package would choose oneDNN now."""
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    shutil.copytree(old / "interrupted", tmp_path / "keras")
    folders = {"keras": tmp_path / "keras", "package": old / "interrupted"}
    for who, folder in folders.items():
        command = [sys.executable, "-W", "ignore", "-c", GO_ON, who, folder]
        said = subprocess.run(command, check=True, capture_output=True)
        assert b"oneDNN" not in said.stdout
    one, other = (ka.Run(folder) for folder in folders.values())
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_finished_run_is_evaluated(old):
    run = ka.Run(old / "finished")
    evaluation = ka.evaluate(run)
    assert evaluation.confusion.tolist() == run.results["confusion"]
    assert main(["report", str(run.folder)]) == 0
    with pytest.raises(ValueError, match="already, and it is finished"):
        ka.train(run.recipe, run.folder)


def contents(folder):
    """Path -> bytes of all files but the one that says who writes there."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != LOCK]
    return {path: path.read_bytes() for path in files}


@pytest.mark.parametrize("change", ["add", "remove"])
def test_without_a_record_other_counts_are_refused(old, change, capsys):
    """Even where as many images as before would be held out."""
    photos = old / "photos" / "dots"
    if change == "add":
        shutil.copy(photos / "3.jpg", photos / "3a.jpg")
    else:
        (photos / "3.jpg").unlink()
    _, test = load_examples(old / "photos")
    assert len(test) == 6
    before = contents(old)
    with pytest.raises(ValueError, match="images to train on: they have chang"):
        resume(old)
    assert main(["evaluate", str(old / "finished")]) == 2
    assert "they have changed since" in capsys.readouterr().err
    assert contents(old) == before


def test_models_are_read(old):
    run = ka.Run(old / "finished")
    expected = weights_of(run)
    for name in ("lenet5.keras", "lenet5.weights.h5"):
        kwargs = {"variant": "lenet5"} if name.endswith("h5") else {}
        model = ka.convert_weights(old / name, **kwargs)
        for one, other in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    model = keras.saving.load_model(old / "lenet5.keras")
    assert model.class_names == list(run.class_names)
    images = np.zeros((1, 32, 32, 1), "float32")
    served = tf.saved_model.load(str(old / "lenet5_saved_model"))
    assert served.signatures
    assert model.predict(images, verbose=0).shape == (1, 3)


@pytest.mark.parametrize("name", ["prepared", "prepared_whole"])
def test_shards_are_trained_on(old, name, tmp_path):
    recipe = ka.Run(old / "finished").recipe
    from dataclasses import replace

    recipe = replace(
        recipe,
        data=str(old / name),
        epochs=1,
        rate_drops=(),
        square=name == "prepared",
    )
    run = ka.train(recipe, tmp_path / "run", verbose=0)
    assert run.results["examples"] == 6
    assert ka.evaluate(run).examples == 6
    assert main(["check-data", str(old / name)]) == 0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("recipe.json", {"format": 2, "colors": 4}),
        ("results.json", {"format": 2}),
        ("results.json", {"format": 99, "confusion": None}),
    ],
)
def test_newer_runs_are_not_called_damaged(old, name, change, capsys):
    path = old / "finished" / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    for words in (
        ["evaluate", old / "finished"],
        ["report", old / "finished"],
        ["predict", old / "finished", old / "photos"],
        ["train", "--data", old / "photos", "--run-dir", old / "finished"],
    ):
        assert main([str(word) for word in words]) == 2
        (sentence,) = capsys.readouterr().err.splitlines()
        assert NEWER in sentence or "already" in sentence
        assert "damaged" not in sentence
        if words[0] != "train":
            assert NEWER in sentence
