"""All recipes as a table."""

from dataclasses import asdict

from keras_alexnet.runs.recipes import ABOUT
from keras_alexnet.runs.recipes import RECIPES
from keras_alexnet.visualization.summary import Table


class RecipesTable(Table):
    """The recipes: what they train, how, and what that gave."""

    _header = (
        "recipe",
        "variant",
        "batch",
        "rate",
        "falls after epoch",
        "epochs",
        "command",
        "source",
        "hardware",
        "time",
        "result",
    )
    _right = (2, 3, 5)

    def to_dict(self):
        """The table as plain values."""
        return {
            "recipes": [
                {**asdict(recipe), **ABOUT[name]._asdict()}
                for name, recipe in RECIPES.items()
            ]
        }

    def _heading(self):
        return f"{len(RECIPES)} recipes"

    def _cells(self):
        return [
            (
                name,
                recipe.variant,
                str(recipe.batch_size),
                f"{recipe.learning_rate:g}",
                _falls(recipe),
                str(recipe.epochs),
                _command(name, recipe),
                *ABOUT[name],
            )
            for name, recipe in RECIPES.items()
        ]


def _falls(recipe):
    if recipe.plateau_epochs:
        return f"plateaus of {recipe.plateau_epochs}"
    return ", ".join(map(str, recipe.rate_drops)) or "never"


def _command(name, recipe):
    data = "" if recipe.data else " --data DIR"
    return f"keras-alexnet train --recipe {name}{data}"
