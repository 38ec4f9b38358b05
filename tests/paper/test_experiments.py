"""The experiments: what they train, how they go on, what they report."""

import csv
import json
import statistics
from dataclasses import replace
from types import MappingProxyType

import matplotlib.image
import pytest
from untrained import write_photos

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.paper import run_experiment as reproduction
from keras_alexnet.paper.experiments import EXPERIMENTS
from keras_alexnet.runs.recipes import to_json
from keras_alexnet.training import trainer
from keras_alexnet.training.checkpoints import Diverged

CLASSES = dict.fromkeys("abcd", 12)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), CLASSES)


@pytest.fixture(scope="module")
def small():
    """Experiments of two tiny trainings each."""
    arms = {"tanh": {"variations": ("tanh",)}, "ReLU": {}}
    recipe = replace(
        EXPERIMENTS["section3"].recipe,
        epochs=2,
        rate_drops=(),
        batch_size=16,
    )
    errors = replace(
        EXPERIMENTS["section3"],
        name="errors",
        recipe=recipe,
        arms=MappingProxyType(arms),
        seeds=2,
    )
    epochs = replace(
        EXPERIMENTS["figure1"],
        name="epochs",
        recipe=replace(recipe, stop_accuracy=0.999, name="epochs"),
        arms=MappingProxyType(arms),
        seeds=1,
        rates=(0.0001, 1e9),
    )
    return {"errors": errors, "epochs": epochs}


@pytest.fixture
def with_small(monkeypatch, small):
    monkeypatch.setattr(reproduction, "EXPERIMENTS", MappingProxyType(small))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_ways_differ_in_what_they_say(name):
    experiment = EXPERIMENTS[name]
    recipes = [
        replace(experiment.recipe, data="x", **changes)
        for changes in experiment.arms.values()
    ]
    assert len({to_json(recipe) for recipe in recipes}) == len(experiment.arms)
    assert {recipe.epochs for recipe in recipes} == {experiment.recipe.epochs}
    assert {r.learning_rate for r in recipes} == {
        experiment.recipe.learning_rate
    }


def test_test_errors_of_each_seed_and_how_it_goes_on(
    with_small, photos, tmp_path, monkeypatch
):
    folder, trained = tmp_path / "errors", []
    train = trainer.train

    def stopped_at_the_third(recipe, place, **options):
        trained.append(place)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return train(recipe, place, **options)

    monkeypatch.setattr(trainer, "train", stopped_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        ka.run_experiment("errors", photos, folder, verbose=0)
    table = ka.run_experiment("errors", photos, folder, verbose=0)
    assert len(trained) == 5  # the third twice
    again = ka.run_experiment("errors", photos, folder, verbose=0)
    assert len(trained) == 5
    assert again.rows == table.rows
    assert [row["arm"] for row in table.rows] == ["tanh"] * 2 + ["ReLU"] * 2
    runs = [ka.Run(folder / "ReLU" / f"seed-{seed}") for seed in (1, 2)]
    errors = [run.results["top1_error_percent"] for run in runs]
    assert table.values("ReLU") == errors
    assert [run.recipe.seed for run in runs] == [1, 2]
    others = table.values("tanh")
    differences = [a - b for a, b in zip(errors, others, strict=True)]
    assert f"{statistics.mean(differences):+.2f}" in str(table)
    assert json.loads((folder / "results.json").read_text())["trainings"]
    assert (folder / "results.md").read_text().strip() == table.to_markdown()
    assert matplotlib.image.imread(folder / "results.png").ndim == 3


def test_epochs_are_counted_at_each_ways_own_rate(with_small, photos, tmp_path):
    """A rate of a billion diverges and is not chosen."""
    folder = tmp_path / "epochs"
    table = ka.run_experiment("epochs", photos, folder, verbose=0)
    assert {row["learning_rate"] for row in table.rows} == {0.0001}
    for row in table.rows:
        assert row["searched_errors_percent"].keys() == {0.0001}
    for row in table.rows:
        log = folder / row["arm"] / f"seed-{row['seed']}" / "log.csv"
        with open(log, newline="") as file:
            accuracies = [float(r["accuracy"]) for r in csv.DictReader(file)]
        assert row["epochs"] == len(accuracies)
        assert row["reached"] == (accuracies[-1] >= 0.999)
        assert all(accuracy < 0.999 for accuracy in accuracies[:-1])
    assert "0 % training error" in str(table)


def test_the_rate_that_gets_there_first_is_the_best(small):
    recipe = replace(small["epochs"].recipe, stop_accuracy=0.75)
    by_rate = {
        0.1: [60, 40, 24.9],
        0.2: [60, 25.0],  # first at an error of 25 %
        0.3: [60, 50, 40, 26],
        0.4: [60, 50, 40, 25.1],
    }
    order = sorted(
        by_rate, key=lambda x: reproduction._slowness(by_rate[x], recipe)
    )
    assert order == [0.2, 0.1, 0.4, 0.3]


def test_what_is_not_reached_is_said(small):
    row = {
        "arm": "tanh",
        "seed": 1,
        "learning_rate": 0.1,
        "epochs": 2,
        "reached": False,
        "minutes": 1.0,
    }
    rows = (row, row | {"arm": "ReLU", "reached": True, "epochs": 1})
    table = reproduction.ExperimentTable(small["epochs"], rows, "a machine")
    assert "more than 2" in str(table)
    assert table.compared("ReLU") == [2.0]


def test_a_training_that_diverges_is_no_error_of_the_search(
    with_small, photos, tmp_path, monkeypatch
):
    def diverges(*_, **__):
        raise Diverged("NaN")

    monkeypatch.setattr(trainer, "train", diverges)
    with pytest.raises(ValueError, match="none of the rates"):
        ka.run_experiment("epochs", photos, tmp_path / "x", verbose=0)


def test_a_folder_of_others_is_left_alone(photos, tmp_path, capsys):
    (tmp_path / "ReLU").mkdir()
    (tmp_path / "results.json").write_text("mine")
    words = ["--data", str(photos), "--quick", "--folder", str(tmp_path)]
    assert main(["paper", "run", "figure1", *words]) == 2
    assert "holds no training of this experiment" in capsys.readouterr().err
    assert (tmp_path / "results.json").read_text() == "mine"
    assert len(list(tmp_path.rglob("*"))) == 2


def test_the_command_tries_each_experiment_quickly(
    photos, tmp_path, capsys, monkeypatch
):
    quick = {"epochs": 1, "rate_drops": ()}
    monkeypatch.setattr(reproduction, "QUICK", quick)
    words = ["--data", str(photos), "--quick", "--folder", str(tmp_path)]
    assert main(["paper", "run", "figure1", *words]) == 0
    assert "25 % training error" in capsys.readouterr().out
    assert (tmp_path / "results.png").exists()


def test_few_images_are_of_all_classes_in_turn(photos):
    train, test = ka.load_examples(photos)
    few, _ = reproduction._few(train, test)
    assert len(few) == len(train)  # there are not more
    images = ka.Examples(
        train.images.repeat(40), train.labels.repeat(40), train.class_names
    )
    few, fewer = reproduction._few(images, images)
    assert (len(few), len(fewer)) == (512, 128)
    assert {(few.labels == label).sum() for label in range(4)} == {128}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "figure9", "--data", "x"], "invalid choice"),
        (["run", "figure1"], "--data"),
        (["run", "figure1", "--data", "nowhere"], "expected a folder that"),
    ],
)
def test_mistakes_are_one_sentence(words, sentence, capsys):
    try:
        code = main(["paper", *words])
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert sentence in error and "Traceback" not in error


def test_unknown_experiments_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="figure1, section3"):
        ka.run_experiment("figure9", "x")
