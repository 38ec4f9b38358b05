"""Training through the public door: what the run folder holds."""

import csv
import json
import os
import subprocess
import sys

import keras
import matplotlib.image
import numpy as np
import pytest

import keras_alexnet as ka
from keras_alexnet.files import replacing
from keras_alexnet.images import load_examples
from keras_alexnet.recipes import get_recipe

FILES = {
    "classes.json",
    "confusion_matrix.png",
    "curves.png",
    "log.csv",
    "model.png",
    "model.weights.h5",
    "recipe.json",
    "results.json",
    "summary.txt",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    recipe = get_recipe("smoke", epochs=2, resize_pixels=28, crop_pixels=28)
    return ka.train(recipe, folder, verbose=0)


def test_run_folder_is_complete_and_opens(run):
    assert {p.name for p in run.folder.iterdir()} == FILES
    for name in ("model.png", "curves.png", "confusion_matrix.png"):
        assert matplotlib.image.imread(run.path(name)).std() > 0.01
    with open(run.path("log.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert "conv1" in run.path("summary.txt").read_text()
    assert json.loads(run.path("classes.json").read_text())[1] == "Trouser"


def test_results_are_those_of_the_written_weights(run):
    again = ka.Run(run.folder)
    assert again.results == run.results
    evaluation = ka.evaluate(again)
    assert evaluation.to_dict() == again.results
    # Counted here once more, from the images and the plain model.
    _, test = load_examples("fashion")
    x = np.repeat(test.images[..., None], 3, axis=-1)
    x = ka.preprocess_input(x, again.recipe.variant)
    predicted = again.load_model().predict(x, verbose=0).argmax(axis=1)
    assert again.results["examples"] == 2000
    accuracy = (predicted == test.labels).mean()
    np.testing.assert_allclose(again.results["accuracy"], accuracy, atol=0.002)
    assert accuracy > 0.4  # ten classes, two epochs


def test_predictions_are_probabilities_of_named_classes(run, tmp_path):
    _, test = load_examples("fashion")
    files = []
    for index in (0, 5):
        files.append(tmp_path / f"{index}.png")
        keras.utils.save_img(files[-1], test.images[index][..., None])
    predictions = ka.predict(run, files, top=10)
    assert len(predictions) == 2
    for top in predictions:
        names, probabilities = zip(*top, strict=True)
        assert sorted(names) == sorted(run.class_names)
        assert list(probabilities) == sorted(probabilities, reverse=True)
        np.testing.assert_allclose(sum(probabilities), 1, atol=1e-5)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    small = get_recipe("smoke", batch_size=500)
    weights = [
        ka.train(small, tmp_path / name, verbose=0).load_model().get_weights()
        for name in ("one", "two")
    ]
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_folder_is_not_trained_into_twice(run):
    with pytest.raises(ValueError, match="There is a run in"):
        ka.train("smoke", run.folder)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("recipe.json", "{", "is damaged"),
        ("recipe.json", '{"name": "x", "colour": 1}', "is damaged"),
        ("recipe.json", '{"name": "x", "padding": 5}', "padding"),
        ("classes.json", None, "is not a run folder"),
        ("classes.json", "[1, 2]", "is damaged"),
        ("classes.json", '"ab"', "is damaged"),
        ("results.json", "", "is damaged"),
        ("model.weights.h5", "not HDF5", "is damaged"),
        ("model.weights.h5", None, "has no weights yet"),
    ],
)
def test_damaged_runs_are_refused(run, tmp_path, name, content, sentence):
    for file in run.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=sentence):
        ka.Run(tmp_path).load_model()


def test_photos_in_class_folders(class_folders, tmp_path):
    folder = class_folders({"blue": 12, "red": 12, "crimson": 3})
    recipe = get_recipe(
        "smoke", data=str(folder), batch_size=4, epochs=1, seed=5
    )
    run = ka.train(recipe, tmp_path / "run", verbose=0)
    assert run.class_names == ("blue", "crimson", "red")
    assert run.results["examples"] == 5  # a fifth of each class, at least one
    evaluation = ka.evaluate(run, data=folder)
    assert evaluation.examples == 27


def test_gray_networks_read_every_format(class_folders, tmp_path):
    folder = class_folders({"blue": 4, "red": 4})
    for name in ("blue", "red"):
        image = keras.utils.load_img(folder / name / "000.png")
        image.save(folder / name / "more.gif")
        image.save(folder / name / "more.bmp")
        image.convert("CMYK").save(folder / name / "more.jpg")
    recipe = get_recipe("smoke", data=folder, variant="lenet5", batch_size=4)
    run = ka.train(recipe, tmp_path / "run", verbose=0)
    files = sorted((folder / "red").iterdir())
    assert len(ka.predict(run, files)) == 7


def test_a_refused_training_leaves_no_folder(tmp_path):
    recipe = get_recipe("smoke", variant="alexnet")
    with pytest.raises(ValueError, match="67x67"):
        ka.train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_divergence_is_refused(tmp_path):
    recipe = get_recipe("smoke", learning_rate=1e6, batch_size=1000)
    with pytest.raises(ValueError, match="diverged in epoch 1"):
        ka.train(recipe, tmp_path / "run", verbose=0)


def test_an_unreadable_image_is_named(class_folders, tmp_path):
    folder = class_folders({"blue": 6, "red": 6})
    (folder / "red" / "broken.png").write_bytes(b"not an image")
    recipe = get_recipe("smoke", data=str(folder), batch_size=4)
    with pytest.raises(ValueError, match="broken.png' is not an image"):
        ka.train(recipe, tmp_path / "run", verbose=0)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        with open(temporary, "w") as file:
            file.write("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_two_devices_give_the_weights_of_one(tmp_path):
    script = """
import sys
import numpy as np
import keras_alexnet as ka
from keras_alexnet.recipes import get_recipe

recipe = get_recipe("smoke", batch_size=500)
run = ka.train(recipe, sys.argv[1], devices=int(sys.argv[2]), verbose=0)
np.savez(sys.argv[3], *run.load_model().get_weights())
"""
    files = []
    for devices in ("1", "2"):
        files.append(tmp_path / f"{devices}.npz")
        subprocess.run(
            [
                sys.executable,
                "-c",
                script,
                tmp_path / devices,
                devices,
                files[-1],
            ],
            check=True,
        )
    one, two = (np.load(file) for file in files)
    for name in one:
        np.testing.assert_allclose(one[name], two[name], atol=1e-5)
    results = [ka.Run(tmp_path / d).results for d in ("1", "2")]
    assert abs(results[0]["accuracy"] - results[1]["accuracy"]) < 0.002
