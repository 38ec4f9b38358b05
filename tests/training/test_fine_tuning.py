"""Fine-tuning: what is taken over, what is new, what is frozen."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from untrained import random_run

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.training.fine_tuning import stages
from keras_alexnet.training.loop import start_from

LAYERS = ("conv1", "conv2", "conv3", "fc10")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A trained run of ten classes."""
    return ka.train("smoke", tmp_path_factory.mktemp("runs") / "source")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes of noise, each in a color of its own."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4)):
        for channel, name in enumerate(("blue", "green", "red")):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 60, (40, 40, 3), "uint8")
                pixels[..., 2 - channel] += 150
                image = Image.fromarray(pixels)
                image.save(folder / split / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def tuned(source, photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    given = {"head_epochs": 20, "epochs": 5, "batch_size": 6}
    given["learning_rate"] = 0.0002
    run = ka.fine_tune(
        source.folder, photos, folder, frozen=("conv1",), **given
    )
    return folder, run, given


def kernels(run):
    return {
        name: pair[0]
        for name, pair in ka.grouped_weights(run.load_model()).items()
    }


@pytest.mark.parametrize(
    ("source", "rate"), [("cifar10", 0.001), ("alexnet.keras", 0.01)]
)
def test_the_rate_is_that_of_the_networks_own_recipe(
    source, rate, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    if source != "cifar10":
        ka.AlexNet(input_shape=(67, 67, 3)).save(source)
    head, whole = stages(source, "photos", 5, 20)
    assert (head.learning_rate, whole.learning_rate) == (rate, rate / 10)
    head, _ = stages(source, "photos", 5, 20, learning_rate=0.5)
    assert head.learning_rate == 0.5


def test_first_the_last_layer_learns_then_all(source, tuned):
    folder, run, _ = tuned
    start, head, whole = map(kernels, (source, ka.Run(folder / "head"), run))
    for name in LAYERS[:-1]:
        np.testing.assert_array_equal(start[name], head[name])
    assert start["fc10"].shape[-1] == 10 and head["fc10"].shape[-1] == 3
    np.testing.assert_array_equal(head["conv1"], whole["conv1"])
    for name in LAYERS[1:]:
        assert not np.array_equal(head[name], whole[name])


def test_the_rate_falls_and_it_learns(tuned):
    folder, run, _ = tuned
    head = ka.Run(folder / "head")
    assert run.recipe.learning_rate == head.recipe.learning_rate / 10
    assert run.results["accuracy"] > 0.5  # by chance: 1/3


@pytest.mark.parametrize("same", [True, False])
def test_the_last_layer_is_taken_over_if_the_classes_are_the_same(
    same, tuned, tmp_path
):
    folder, run, _ = tuned
    names = run.class_names if same else ("x", "y", "z")
    other = ka.Run.create(tmp_path, run.recipe, names)
    network = other.build_model()
    random = ka.grouped_weights(network)["fc10"][0]
    start_from(folder / "head", network, other)
    weights, head = (
        ka.grouped_weights(network),
        kernels(ka.Run(folder / "head")),
    )
    for name in LAYERS[:-1]:
        np.testing.assert_array_equal(weights[name][0], head[name])
    expected = head["fc10"] if same else random
    np.testing.assert_array_equal(weights["fc10"][0], expected)


def test_the_same_call_again_returns_the_same_run(
    source, photos, tuned, monkeypatch
):
    folder, run, given = tuned
    before = (folder / "all/model.weights.h5").stat().st_mtime_ns
    again = ka.fine_tune(
        source.folder, photos, folder, frozen=("conv1",), **given
    )
    assert again.results == run.results
    # From where the paths are short, by the command.
    monkeypatch.chdir(photos)
    words = ["fine-tune", os.path.relpath(source.folder), "--data", "."]
    words += ["--run-dir", os.path.relpath(folder), "--frozen", "conv1"]
    words += ["--head-epochs", "20", "--epochs", "5", "--batch-size", "6"]
    assert main([*words, "--learning-rate", "0.0002"]) == 0
    assert (folder / "all/model.weights.h5").stat().st_mtime_ns == before


def test_a_file_of_weights_is_a_source_too(source, photos, tmp_path):
    path = tmp_path / "source.keras"
    source.load_model().save(path)
    recipe = ka.Recipe(
        "tuned",
        data=str(photos),
        variant="cifar10_18pct",
        weights=path,
        frozen=LAYERS[:-1],
        resize_pixels=32,
        crop_pixels=32,
        color_noise=0.0,
        batch_size=6,
        epochs=1,
    )
    run = ka.train(recipe, tmp_path / "run")
    for name in LAYERS[:-1]:
        np.testing.assert_array_equal(kernels(run)[name], kernels(source)[name])


def test_frozen_layers_on_two_devices(source, photos, tmp_path):
    words = ["train", "--data", str(photos), "--variant", "cifar10_18pct"]
    words += ["--weights", str(source.folder), "--frozen", "conv1,conv3"]
    words += ["--resize-pixels", "32", "--crop-pixels", "32", "--epochs", "1"]
    words += ["--batch-size", "6", "--color-noise", "0", "--devices", "2"]
    words = [sys.executable, "-m", "keras_alexnet", *words]
    subprocess.run([*words, "--run-dir", tmp_path / "run"], check=True)
    start, end = kernels(source), kernels(ka.Run(tmp_path / "run"))
    for name in LAYERS[:-1]:
        same = np.array_equal(start[name], end[name])
        assert same == (name in ("conv1", "conv3"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"frozen": ("conv9",)}, "`frozen` takes some of conv1, .*conv9"),
        ({"frozen": LAYERS}, "not all of them"),
        ({"frozen": "conv1"}, "`frozen` must be a list"),
        ({"weights": 3}, "`weights` must be a path"),
    ],
)
def test_what_a_recipe_refuses(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        ka.Recipe("x", data="", variant="cifar10_18pct", **changes)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nothing.pth", "There is no file 'nothing.pth'"),
        (".", "is not a run folder"),
    ],
)
def test_a_source_that_is_none(source, sentence, photos, tmp_path, capsys):
    words = ["fine-tune", source, "--data", str(photos)]
    assert main([*words, "--run-dir", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_source_of_another_shape(source, photos, tmp_path):
    recipe = ka.Recipe(
        "x",
        data=str(photos),
        variant="cifar10_13pct",
        weights=source.folder,
        resize_pixels=32,
        crop_pixels=32,
        color_noise=0.0,
    )
    with pytest.raises(ValueError, match="has 5 layers.*the source has 4"):
        ka.train(recipe, tmp_path / "run")


@pytest.mark.parametrize("variant", ["caffe_alexnet", "single_tower"])
def test_a_mean_image_is_made_up_for(variant, tmp_path):
    """One color all over: then the answers stay what they were, exactly."""
    color = np.array([150.0, 90.0, 30.0])
    changes = {"variant": variant, "resize_pixels": 70, "crop_pixels": 67}
    names = tuple("abc")
    source = random_run(
        tmp_path / "source",
        names,
        mean="image",
        color_noise=0.0,
        mean_image=np.full((70, 70, 3), color),
        **changes,
    )
    run = random_run(tmp_path / "run", names, seed=1, **changes)
    network = run.build_model()
    with pytest.warns(UserWarning, match="mean color"):
        start_from(source.folder, network, run)
    photo = np.random.default_rng(0).integers(0, 256, (67, 67, 3), "uint8")
    images = photo[np.newaxis], np.zeros(1, "uint8"), np.zeros((1, 3))
    expected = source.load_model()(source.pixels_to_input()(*images))
    found = network(run.pixels_to_input()(*images))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.std(expected) > 0.01
