"""Recipes: values, refused mistakes, JSON."""

import dataclasses

import pytest

from keras_alexnet import recipes


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
    ],
)
def test_mistakes_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        recipes.get_recipe("fashion", **changes)


def test_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no recipe 'fashon'.*fashion"):
        recipes.get_recipe("fashon")
