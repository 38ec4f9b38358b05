"""`train(recipe, workdir)`: looks into the run folder before Keras is there."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

from keras_alexnet.environment import import_part
from keras_alexnet.files import AnyPath
from keras_alexnet.runs.recipe import Recipe
from keras_alexnet.runs.recipes import get_recipe
from keras_alexnet.runs.recipes import with_full_paths
from keras_alexnet.runs.run_folder import onednn_of

if TYPE_CHECKING:
    from keras_alexnet.data.datasets import Examples
    from keras_alexnet.runs.run import Run


def train(
    recipe: str | Recipe = "fashion",
    workdir: AnyPath | None = None,
    devices: int | None = None,
    examples: tuple[Examples, Examples] | None = None,
    verbose: str | int = "auto",
    *,
    distribute: str | object = "auto",
    checkpoint_minutes: float = 5.0,
    deterministic: bool = False,
    tensorboard: bool = False,
) -> Run:
    """Train a network and leave everything about it in a folder.

    The folder receives `recipe.json`, `classes.json`, `summary.txt`,
    `model.png` (the diagram), `log.csv`, `curves.png`, `model.weights.h5`,
    `results.json` (the exact counts over the test examples),
    `confusion_matrix.png` and `checkpoints`; if image files had to be
    skipped, `skipped.csv` with their paths and the reasons; with
    `mean="image"`, `mean_image.npy`.

    A training that was interrupted, killed or out of disk space goes on
    where its last checkpoint was if the same is called again.

    Args:
        recipe: Name of a recipe, one of `recipes.RECIPES`, or a `Recipe`.
        workdir: Path of the run folder, new or of the same recipe's
            unfinished run; `runs/` and the recipe's name if `None`. Several
            machines must share it.
        devices: Number of devices, see `distribution.training_strategy`.
        examples: A pair of `Examples`, for training and for testing, such as
            arrays in memory; read from the recipe's `data` if `None`.
        verbose: 0 for silence, 1 for a progress bar, 2 for a line for each
            epoch; `"auto"` for a bar in a terminal.
        distribute: `"auto"`, `"none"`, `"mirrored"`, `"multiworker"` or a
            `tf.distribute.Strategy`, see `distribution.training_strategy`.
        checkpoint_minutes: Float, how often all is saved; 0 for every step.
        deterministic: Boolean, whether TensorFlow's operations must repeat
            bit for bit.
        tensorboard: Boolean, whether to write what TensorBoard shows.

    Returns:
        The `Run`.

    Raises:
        ValueError: if the recipe, the data or the folder is not usable, if
            the training diverges, or if it cannot be saved.
        Interrupted: after Ctrl-C or SIGTERM, when all is saved.

    Example:

    >>> run = train("smoke", workdir="/tmp/smoke")
    >>> run.results["examples"]
    2000
    """
    chosen = with_full_paths(get_recipe(recipe))
    workdir = pathlib.Path(workdir or os.path.join("runs", chosen.name))
    trainer = import_part("training.trainer", "train", onednn_of(workdir))
    return trainer.train(
        chosen,
        workdir,
        devices=devices,
        examples=examples,
        verbose=verbose,
        distribute=distribute,
        checkpoint_minutes=checkpoint_minutes,
        deterministic=deterministic,
        tensorboard=tensorboard,
    )
