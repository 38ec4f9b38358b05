"""From a run back to the command that repeats it."""

import shlex

from keras_alexnet.runs.recipe import OPTIONS
from keras_alexnet.runs.recipe import Recipe
from keras_alexnet.runs.recipes import RECIPES


def repeating_text(run):
    """What trains the same again, or goes on with a run that is not finished.

    Args:
        run: A `Run`.

    Returns:
        A command for the shell; where it has no options for what the recipe
        says, lines of Python.
    """
    options = _options(run.recipe)
    if options is None:
        return _python(run)
    if not run.results:
        options["run-dir"] = str(run.folder)
    lines = [
        f"--{name} {shlex.quote(text)}" if text else f"--{name}"
        for name, text in options.items()
    ]
    return " \\\n  ".join(["keras-alexnet train", *lines])


def _options(recipe):
    """The options of `train`, or `None` if they cannot say it."""
    if recipe.name not in RECIPES or not recipe.data:
        return None
    options = {"recipe": recipe.name}
    known = dict(vars(RECIPES[recipe.name]))
    if recipe.variant != known["variant"]:
        known["initialization"] = None  # as `get_recipe` does
    for name, value in _differences(recipe, known).items():
        if name not in OPTIONS or value in (None, ()) or value is False:
            return None
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        text = "" if value is True else text  # which is said by the option
        options[name.replace("_", "-")] = text
    return options


def _python(run):
    recipe = run.recipe
    plain = vars(Recipe(recipe.name))
    values = [repr(recipe.name)]
    values += [f"{k}={v!r}" for k, v in _differences(recipe, plain).items()]
    folder = f"{run.folder}-again" if run.results else str(run.folder)
    call = f"run = ka.train(recipe, {folder!r}"
    lines = [
        "import keras_alexnet as ka",
        "",
        "recipe = ka.Recipe(",
        *(f"    {value}," for value in values),
        ")",
        call + ")",
    ]
    if not recipe.data:  # it was trained on arrays
        lines[-1] = f"{call}, examples=(train, test))"
    return "\n".join(lines)


def _differences(recipe, known):
    return {
        name: value
        for name, value in vars(recipe).items()
        if value != known[name]
    }
