"""`train(recipe, workdir)`: from a recipe to a run folder."""

import os
import pathlib
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_alexnet import charts
from keras_alexnet.architectures import get_architecture
from keras_alexnet.arithmetic import trace
from keras_alexnet.checkpoint import Run
from keras_alexnet.color import IMAGENET_2012
from keras_alexnet.diagrams import plot_model
from keras_alexnet.distribution import training_strategy
from keras_alexnet.evaluation import count_answers
from keras_alexnet.files import replacing
from keras_alexnet.images import load_examples
from keras_alexnet.images import match_classes
from keras_alexnet.optimization import PaperSGD
from keras_alexnet.optimization import metrics
from keras_alexnet.optimization import rate_at
from keras_alexnet.pipeline import evaluation_batches
from keras_alexnet.pipeline import training_batches
from keras_alexnet.recipes import get_recipe
from keras_alexnet.shards import MEAN_IMAGE
from keras_alexnet.skipping import SkippedFiles
from keras_alexnet.sources import colors_of
from keras_alexnet.tables import summary


def train(
    recipe="fashion",
    workdir=None,
    devices=None,
    examples=None,
    verbose="auto",
):
    """Train a network and leave everything about it in a folder.

    The folder receives `recipe.json`, `classes.json`, `summary.txt`,
    `model.png` (the diagram), `log.csv`, `curves.png`, `model.weights.h5`,
    `results.json` (the exact counts over the test examples) and
    `confusion_matrix.png`; if image files had to be skipped, `skipped.csv`
    with their paths and the reasons; with `mean="image"`, `mean_image.npy`.

    Args:
        recipe: Name of a recipe, one of `recipes.RECIPES`, or a `Recipe`.
        workdir: Path of the run folder, which must not hold a run yet;
            `runs/` and the recipe's name if `None`.
        devices: Number of devices, see `distribution.training_strategy`.
        examples: A pair of `Examples`, for training and for testing, such as
            arrays in memory; read from the recipe's `data` if `None`.
        verbose: As in `keras.Model.fit`.

    Returns:
        The `Run`.

    Raises:
        ValueError: if the recipe, the data or the folder is not usable.

    Example:

    >>> run = train("smoke", workdir="/tmp/smoke")
    >>> run.results["examples"]
    2000
    """
    recipe = get_recipe(recipe)
    if recipe.data not in ("", "fashion"):
        recipe = get_recipe(recipe, data=os.path.abspath(recipe.data))
    train_examples, test_examples = _load(recipe, examples)
    strategy = training_strategy(devices)
    batch_size = _batch_size(
        recipe, len(train_examples), strategy.num_replicas_in_sync
    )
    workdir = workdir or os.path.join("runs", recipe.name)
    run = Run.create(workdir, recipe, train_examples.class_names)
    skipped = SkippedFiles(
        len(train_examples) + len(test_examples),
        recipe.max_bad_ratio,
        run.path("skipped.csv"),
    )
    train_data = _training_data(run, train_examples, batch_size, skipped)
    test_data = evaluation_batches(
        test_examples,
        batch_size=batch_size,
        multiple_of=strategy.num_replicas_in_sync,
        skipped=skipped,
        **run.sizes,
    )
    keras.utils.set_random_seed(recipe.seed)
    with strategy.scope():
        model = run.build_model(classifier_activation=None)
        fed = _fed_with_pixels(run, model, train_data)
        _compile(fed, recipe, len(run.class_names))
    _describe(run, model)
    try:
        fed.fit(
            train_data,
            steps_per_epoch=-(-len(train_examples) // batch_size),
            validation_data=test_data,
            epochs=recipe.epochs,
            shuffle=False,  # the batches are shuffled
            callbacks=_callbacks(run, model),
            verbose=verbose,
        )
    except tf.errors.OpError:
        skipped.check()  # says it in a sentence, where that was the reason
        raise
    return _conclude(run, test_examples, skipped)


def _load(recipe, examples):
    """Examples for training and testing; refuses what cannot be trained on
    before anything is written."""
    train, test = examples or load_examples(
        recipe.data, recipe.validation_fraction, recipe.seed
    )
    test = match_classes(test, train.class_names, "the test examples")
    for part in (train, test):
        if part.are_prepared:
            part.images.check(recipe.resize_pixels, recipe.square)
    side = recipe.crop_pixels
    channels = get_architecture(recipe.variant).input_shape[-1]
    trace(recipe.variant, (side, side, channels), padding=recipe.padding)
    return train, test


def _batch_size(recipe, count, replicas):
    """Images in a step, over all devices; no more than there are."""
    if recipe.batch_size % replicas:
        raise ValueError(
            f"A batch of {recipe.batch_size} images cannot be dealt out evenly "
            f"to {replicas} devices; choose a multiple of {replicas}."
        )
    return min(recipe.batch_size, -(-count // replicas) * replicas)


def _training_data(run, examples, batch_size, skipped):
    recipe = run.recipe
    return training_batches(
        examples,
        batch_size=batch_size,
        square=recipe.square,
        flip=recipe.flip,
        color_noise=recipe.color_noise,
        color_unit=recipe.color_unit,
        color_statistics=_colors(run, examples),
        crop_chunk=recipe.crop_chunk,
        seed=recipe.seed,
        skipped=skipped,
        **run.sizes,
    )


def _colors(run, examples):
    """Whose principal components the color noise follows; the mean image."""
    recipe = run.recipe
    wanted = recipe.color_noise and recipe.color_source == "fitted"
    if not wanted and recipe.mean == "variant":
        return IMAGENET_2012
    colors, mean_image = colors_of(examples, recipe.resize_pixels)
    if recipe.mean == "image":
        with replacing(run.path(MEAN_IMAGE)) as path, open(path, "wb") as file:
            np.save(file, mean_image)
    return colors if wanted else IMAGENET_2012


def _fed_with_pixels(run, model, batches):
    """The model behind the last steps of augmentation, on its device."""
    specs, _, _ = batches.element_spec
    inputs = [
        keras.Input(spec.shape[1:], dtype=spec.dtype.name) for spec in specs
    ]
    return keras.Model(inputs, model(run.pixels_to_input()(*inputs)))


def _compile(model, recipe, classes):
    model.compile(
        PaperSGD(recipe.learning_rate, recipe.momentum, recipe.weight_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=metrics(classes),
    )


def _describe(run, model):
    with replacing(run.path("summary.txt")) as path:
        pathlib.Path(path).write_text(f"{summary(model)}\n")
    try:
        plot_model(model, run.path("model.png"))
    except ValueError as error:  # no renderer: the training is worth more
        warnings.warn(str(error), stacklevel=2)


def _callbacks(run, model):
    recipe = run.recipe

    def rate(epoch, _):
        return rate_at(epoch, recipe.learning_rate, recipe.rate_drops)

    def end_epoch(epoch, logs):
        # Not the loss: on a CPU it can look fine where weights are NaN.
        if not all(np.isfinite(w).all() for w in model.get_weights()):
            raise ValueError(
                f"The training diverged in epoch {epoch + 1}: weights are no "
                "longer finite numbers; choose a smaller learning rate."
            )
        run.save_weights(model)
        run.log_epoch(epoch, logs)

    return [
        keras.callbacks.LearningRateScheduler(rate),
        keras.callbacks.LambdaCallback(on_epoch_end=end_epoch),
    ]


def _conclude(run, test_examples, skipped):
    """Test the weights that were written, and draw what there is to see."""
    evaluation = count_answers(run, test_examples, skipped)
    results = {**evaluation.to_dict(), "skipped_files": len(skipped)}
    run.save_results(**results)
    with replacing(run.path("curves.png")) as path:
        charts.plot_curves(run.path("log.csv"), path)
    with replacing(run.path("confusion_matrix.png")) as path:
        charts.plot_confusion(evaluation.confusion, run.class_names, path)
    return run
