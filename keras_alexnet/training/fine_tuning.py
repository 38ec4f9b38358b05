"""Starting from trained weights: a new last layer, then all layers."""

import pathlib
from dataclasses import replace

from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.architectures.variants import layer_names
from keras_alexnet.files import AnyPath
from keras_alexnet.runs.network import open_trained
from keras_alexnet.runs.recipes import RECIPES
from keras_alexnet.runs.recipes import with_full_paths
from keras_alexnet.runs.run import Run
from keras_alexnet.training.trainer import train_once


def fine_tune(
    source: AnyPath,
    data: AnyPath,
    workdir: AnyPath,
    *,
    head_epochs: int = 5,
    epochs: int = 20,
    verbose: str | int = "auto",
    **changes,
) -> Run:
    """Train a network on other images, in two stages.

    First a new last layer learns behind the frozen others; then all learn,
    at a tenth of the rate, which falls once more after two thirds of the
    epochs. Each stage is a training of its own, in the folders `head` and
    `all`, and goes on where it was if the same is called again.

    Args:
        source: Path of a run folder or of a file of weights, or the alias of
            a published one.
        data: As in `datasets.load_examples`.
        workdir: Path of the folder for both stages.
        head_epochs: Integer, epochs of the first stage; 0 leaves it out.
        epochs: Integer, epochs of the second.
        verbose: As in `train`.
        **changes: Fields of the `Recipe` in both stages, such as `frozen`
            (in the second) or `learning_rate` (of the first; by default that
            of the recipe that has the variant's name, .001 for the nets of
            CIFAR-10, or else .01).

    Returns:
        The `Run` of the second stage.

    Raises:
        ValueError: as `train` and `open_trained` do.

    Reference:
        - [Yosinski et al., 2014](https://arxiv.org/abs/1411.1792)
    """
    head, whole = stages(source, data, head_epochs, epochs, **changes)
    folder = pathlib.Path(workdir)
    if head_epochs:
        run = train_once(head, folder / "head", verbose=verbose)
        whole = replace(whole, weights=str(run.folder.resolve()))
    return train_once(whole, folder / "all", verbose=verbose)


def stages(source, data, head_epochs, epochs, **changes):
    """The recipes of both stages; the second's `weights` are the source's."""
    known = open_trained(source).recipe
    same = {
        name: getattr(known, name)
        for name in (
            "variant",
            "padding",
            "variations",
            "resize_pixels",
            "crop_pixels",
        )
    }
    recipe = RECIPES["fine_tune"]
    same["learning_rate"] = RECIPES.get(known.variant, recipe).learning_rate
    recipe = replace(recipe, data=data, weights=source, **{**same, **changes})
    recipe = with_full_paths(recipe)
    *layers, _ = layer_names(get_architecture(recipe.variant))
    head = replace(recipe, frozen=layers, epochs=max(head_epochs, 1))
    whole = replace(
        recipe,
        epochs=epochs,
        learning_rate=recipe.learning_rate / 10,
        rate_drops=(max(2 * epochs // 3, 1),),
    )
    return head, whole
