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
from keras_alexnet.diagrams import plot_model
from keras_alexnet.distribution import training_strategy
from keras_alexnet.evaluation import evaluate
from keras_alexnet.files import replacing
from keras_alexnet.images import load_examples
from keras_alexnet.optimization import PaperSGD
from keras_alexnet.optimization import metrics
from keras_alexnet.optimization import rate_at
from keras_alexnet.pipeline import evaluation_batches
from keras_alexnet.pipeline import training_batches
from keras_alexnet.prediction import check_image
from keras_alexnet.recipes import get_recipe
from keras_alexnet.tables import summary


def train(recipe="fashion", workdir=None, devices=None, verbose="auto"):
    """Train a network and leave everything about it in a folder.

    The folder receives `recipe.json`, `classes.json`, `summary.txt`,
    `model.png` (the diagram), `log.csv`, `curves.png`, `model.weights.h5`,
    `results.json` (the exact counts over the test examples) and
    `confusion_matrix.png`.

    Args:
        recipe: Name of a recipe, one of `recipes.RECIPES`, or a `Recipe`.
        workdir: Path of the run folder, which must not hold a run yet;
            `runs/` and the recipe's name if `None`.
        devices: Number of devices, see `distribution.training_strategy`.
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
    train_examples, test_examples = load_examples(
        recipe.data, recipe.validation_fraction, recipe.seed
    )
    # Refuses images that are too small, before anything is written.
    side = recipe.crop_pixels
    channels = get_architecture(recipe.variant).input_shape[-1]
    trace(recipe.variant, (side, side, channels), padding=recipe.padding)
    strategy = training_strategy(devices)
    replicas = strategy.num_replicas_in_sync
    batch_sizes = (
        _batch_size(recipe, len(train_examples), replicas),
        _test_batch_size(len(test_examples), recipe.batch_size, replicas),
    )
    workdir = workdir or os.path.join("runs", recipe.name)
    run = Run.create(workdir, recipe, train_examples.class_names)
    keras.utils.set_random_seed(recipe.seed)
    with strategy.scope():
        model = run.build_model(classifier_activation=None)
        _compile(model, recipe, len(run.class_names))
    _describe(run, model)
    try:
        model.fit(
            **_batches(run, train_examples, test_examples, *batch_sizes),
            epochs=recipe.epochs,
            shuffle=False,  # the batches are shuffled
            callbacks=_callbacks(run, model),
            verbose=verbose,
        )
    except tf.errors.OpError:
        # TensorFlow does not name the file that it could not decode.
        _check_images(train_examples)
        _check_images(test_examples)
        raise
    return _conclude(run)


def _compile(model, recipe, classes):
    model.compile(
        PaperSGD(recipe.learning_rate, recipe.momentum, recipe.weight_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=metrics(classes),
    )


def _describe(run, model):
    with replacing(run.path("summary.txt")) as path:
        pathlib.Path(path).write_text(f"{summary(model)}\n")
    try:
        plot_model(model, run.path("model.png"))
    except ValueError as error:  # no renderer: the training is worth more
        warnings.warn(str(error), stacklevel=2)


def _batch_size(recipe, examples, replicas):
    """Images in a training step, over all devices."""
    batch_size = min(recipe.batch_size, examples)
    if batch_size % replicas:
        raise ValueError(
            f"A batch of {batch_size} images cannot be dealt out evenly to "
            f"{replicas} devices; choose a multiple of {replicas}."
        )
    return batch_size


def _batches(run, train_examples, test_examples, batch_size, test_batch_size):
    """What `fit` is fed with."""
    recipe = run.recipe
    sizes = {
        "resize_pixels": recipe.resize_pixels,
        "crop_pixels": recipe.crop_pixels,
        "channels": run.channels,
    }
    return {
        "x": training_batches(
            train_examples,
            recipe.variant,
            batch_size=batch_size,
            flip=recipe.flip,
            seed=recipe.seed,
            **sizes,
        ),
        "steps_per_epoch": len(train_examples) // batch_size,
        "validation_data": evaluation_batches(
            test_examples,
            recipe.variant,
            batch_size=test_batch_size,
            **sizes,
        ),
    }


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


def _test_batch_size(count, batch_size, replicas):
    """The largest batch that leaves no replica without an example."""
    for size in range(batch_size, replicas - 1, -1):
        if count >= replicas and (
            count % size == 0 or count % size >= replicas
        ):
            return size
    raise ValueError(
        f"{count} test images cannot be dealt out to {replicas} devices so "
        "that none is left without; use fewer devices or other test images."
    )


def _conclude(run):
    """Test the weights that were written, and draw what there is to see."""
    evaluation = evaluate(run)
    run.save_results(**evaluation.to_dict())
    with replacing(run.path("curves.png")) as path:
        charts.plot_curves(run.path("log.csv"), path)
    with replacing(run.path("confusion_matrix.png")) as path:
        charts.plot_confusion(evaluation.confusion, run.class_names, path)
    return run


def _check_images(examples):
    if examples.images.dtype.kind == "U":
        for file in examples.images:
            check_image(file)
