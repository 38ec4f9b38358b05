"""Recipes: values, refused mistakes, JSON."""

import dataclasses
import json

import pytest

from keras_alexnet.cli import training
from keras_alexnet.cli.main import main
from keras_alexnet.runs import recipes
from keras_alexnet.runs.recipe import OPTIONS


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_json_round_trip(name):
    recipe = recipes.RECIPES[name]
    assert recipes.from_json(recipes.to_json(recipe)) == recipe


def test_changes_make_another_recipe():
    recipe = recipes.get_recipe("fashion", epochs=3)
    assert recipe.epochs == 3
    assert recipe == dataclasses.replace(recipes.RECIPES["fashion"], epochs=3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epochs": 0}, "`epochs` must be a number, at least 1"),
        ({"batch_size": 2.5}, "`batch_size`"),
        ({"learning_rate": -1.0}, "`learning_rate`"),
        ({"crop_pixels": 300}, "must not be larger"),
        ({"colour": 1}, "no field colour"),
        ({"learning_rate": float("nan")}, "`learning_rate`"),
        ({"learning_rate": float("inf")}, "`learning_rate`"),
        ({"learning_rate": "0.1"}, "`learning_rate`"),
        ({"epochs": True}, "`epochs`"),
        ({"momentum": 1.0}, "`momentum` must be .*, at most 0.9999"),
        ({"bias_rate": -1}, "`bias_rate`"),
        ({"bias_decay": 1}, "`bias_decay` is true or false"),
        ({"square": None}, "`square` is true or false"),
        ({"training_divisor": 0.5}, "`training_divisor`"),
        ({"crop_chunk": 0}, "`crop_chunk`"),
        ({"accumulation_steps": 0}, "`accumulation_steps`"),
        ({"smallest_crop_area": 0}, "`smallest_crop_area`"),
        ({"smallest_crop_area": 1.1}, "`smallest_crop_area`"),
        ({"global_clipnorm": 0.0}, "`global_clipnorm`"),
        ({"plateau_epochs": 0, "rate_drops": ()}, "`plateau_epochs`"),
        ({"plateau_epochs": 2.0, "rate_drops": ()}, "`plateau_epochs`"),
        ({"plateau_drops": -1}, "`plateau_drops`"),
        ({"rate_drops": (0,)}, "`rate_drops`"),
        ({"rate_drops": (1.5,)}, "`rate_drops`"),
        ({"end_game": (3, 2)}, "first not after the second"),
        ({"end_game": (3,)}, "two epochs"),
        ({"end_game": (0, 1)}, "`end_game`"),
        ({"color_unit": "sigma"}, "one of deviation, eigenvalue"),
        ({"color_source": "photos"}, "one of imagenet, fitted"),
        ({"mean": "none"}, "one of variant, image"),
        ({"precision": "int8"}, "one of float32, bfloat16, float16"),
        ({"max_bad_ratio": 1.5}, "`max_bad_ratio`"),
        ({"validation_fraction": 1.0}, "`validation_fraction`"),
        ({"seed": 2**32}, "`seed`"),
        ({"data": None}, "`data` must be a path"),
        ({"variations": ("none",)}, "`variations` takes a list of some of"),
        ({"variations": "tanh"}, "`variations` takes a list"),
        ({"variations": (["tanh"],)}, "`variations` takes a list"),
        ({"layer_decay": ("fc8", 0.1)}, "`layer_decay` takes a list of pairs"),
        ({"layer_decay": {"fc8": 0.1}}, "`layer_decay` takes a list of pairs"),
        ({"layer_decay": (("fc9", 0.1),)}, "`layer_decay` takes a list"),
        ({"layer_decay": (("fc8",),)}, "`layer_decay` takes a list"),
        ({"layer_decay": (("fc8", -1),)}, "`layer_decay` must be a number"),
        ({"stop_accuracy": 1.5}, "`stop_accuracy`"),
        ({"variant": "alexnot"}, "no variant 'alexnot'"),
        ({"initialization": "xavier"}, "no variant 'xavier'"),
        ({"variant": "lenet5", "color_noise": 0.1}, "gray images"),
        ({"variant": "lenet5", "mean": "image"}, "gray images"),
    ],
)
def test_mistakes_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        recipes.get_recipe("fashion", **changes)


def test_another_variant_brings_its_own_initial_values():
    recipe = recipes.get_recipe("flowers", variant="torchvision")
    assert recipe.initialization is None
    recipe = recipes.get_recipe(
        "flowers", variant="half", initialization="caffenet"
    )
    assert recipe.initialization == "caffenet"
    recipe = recipes.get_recipe("flowers", variant="alexnet")
    assert recipe.initialization == "caffe_alexnet"


def test_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no recipe 'fashon'.*fashion"):
        recipes.get_recipe("fashon")


def test_the_rate_falls_after_epochs_or_on_plateaus_not_both():
    with pytest.raises(ValueError, match="either .* or on a plateau"):
        recipes.get_recipe("fashion", plateau_epochs=5)
    with pytest.raises(ValueError, match="either .* or on a plateau"):
        recipes.get_recipe("paper", rate_drops=(30,))
    recipe = recipes.get_recipe("fashion", plateau_epochs=5, rate_drops=())
    assert recipe.plateau_epochs == 5


def test_lists_of_json_become_tuples():
    recipe = recipes.get_recipe("smoke", rate_drops=[1, 2], end_game=[1, 1])
    assert (recipe.rate_drops, recipe.end_game) == ((1, 2), (1, 1))
    assert hash(recipe) == hash(recipes.from_json(recipes.to_json(recipe)))


def test_every_recipe_says_where_it_comes_from():
    assert list(recipes.ABOUT) == list(recipes.RECIPES)
    for about in recipes.ABOUT.values():
        assert all(about)


def test_recipes_of_the_literature_take_its_values():
    paper, caffe = recipes.RECIPES["paper"], recipes.RECIPES["caffe"]
    assert (paper.batch_size, paper.epochs) == (128, 90)
    assert (paper.momentum, paper.weight_decay) == (0.9, 0.0005)
    assert (caffe.batch_size, caffe.bias_rate) == (256, 2.0)
    authors = recipes.RECIPES["alexnet_2012"]
    assert (authors.rate_drops, authors.end_game) == ((25, 51, 79), (67, 72))
    torchvision = recipes.RECIPES["torchvision"]
    assert torchvision.bias_decay
    assert torchvision.weight_decay == 1e-4


def test_recipes_are_listed_as_text(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{len(recipes.RECIPES)} recipes"
    names = [line.split(" ")[0] for line in lines[-len(recipes.RECIPES) :]]
    assert names == list(recipes.RECIPES)
    (paper,) = (line for line in lines if line.startswith("paper "))
    assert "plateaus of 5" in paper
    assert "keras-alexnet train --recipe paper --data DIR" in paper
    (fashion,) = (line for line in lines if line.startswith("fashion "))
    assert "--data" not in fashion


def test_recipes_are_listed_as_markdown(capsys):
    assert main(["recipes", "--format", "markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(recipes.RECIPES)
    assert len({line.count("|") for line in table}) == 1


def test_recipes_are_listed_as_json_and_can_be_made_of_it(capsys):
    assert main(["recipes", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)["recipes"]
    assert [facts["name"] for facts in listed] == list(recipes.RECIPES)
    for facts in listed:
        about = {name: facts.pop(name) for name in recipes.About._fields}
        assert recipes.About(**about) == recipes.ABOUT[facts["name"]]
        assert recipes.Recipe(**facts) == recipes.RECIPES[facts["name"]]


def test_the_command_has_an_option_for_each_field_that_says_so():
    names = {name.replace("-", "_") for name, *_ in training.CHANGES}
    flags = {"max_bad_ratio", "scaled_decoding"}
    assert names | flags == set(OPTIONS)
