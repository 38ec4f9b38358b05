"""From a recipe to a run folder; `start` is the door to it."""

import contextlib
import importlib.util
import os
import pathlib
import re
import sys
import tempfile
import warnings

import keras

from keras_alexnet.architectures.arithmetic import trace
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.data.datasets import load_parts
from keras_alexnet.data.datasets import match_classes
from keras_alexnet.data.layout import find_layout
from keras_alexnet.data.shards import is_prepared
from keras_alexnet.data.skipped_files import SkippedFiles
from keras_alexnet.evaluation.evaluate import count_answers
from keras_alexnet.evaluation.held_out import settle_data
from keras_alexnet.files import locked
from keras_alexnet.files import remove_leftovers
from keras_alexnet.files import replacing
from keras_alexnet.models.alexnet_model import steps
from keras_alexnet.models.keras_settings import keras_settings
from keras_alexnet.runs.recipes import same_training
from keras_alexnet.runs.recipes import with_full_paths
from keras_alexnet.runs.run import Run
from keras_alexnet.runs.run_folder import is_finished
from keras_alexnet.terminal import say
from keras_alexnet.training import start
from keras_alexnet.training.distribution import is_chief
from keras_alexnet.training.distribution import leave_together
from keras_alexnet.training.distribution import training_strategy
from keras_alexnet.training.feed import Feed
from keras_alexnet.training.loop import fit
from keras_alexnet.training.pixel_model import build_pixel_model
from keras_alexnet.visualization import charts
from keras_alexnet.visualization.plot_model import plot_model
from keras_alexnet.visualization.summary import summary

# Where they are computed in one call: few enough for a bar that moves and for
# Ctrl-C, many enough that a call (some .1 ms) costs nothing.
STEPS_AT_ONCE = 100
_STATUS = re.compile("[A-Z_]+: ")  # what JAX's own errors begin with


def train(
    recipe,
    workdir,
    *,
    devices,
    examples,
    verbose,
    distribute,
    checkpoint_minutes,
    deterministic,
    tensorboard,
):
    """Train, as `start.train` says, which imports this and TensorFlow."""
    if not checkpoint_minutes >= 0:
        raise ValueError(
            "`checkpoint_minutes` must be at least 0. "
            f"Received: {checkpoint_minutes}"
        )
    _check_tensorboard(tensorboard)
    if deterministic:
        _make_deterministic()
    strategy = training_strategy(distribute, devices)
    chief = is_chief(strategy)
    parts = _load(recipe, examples, chief and verbose)
    # Before a lock, or anything, is written into it.
    Run.check_place(workdir, recipe, parts[0].class_names)
    with (
        _run_folder(workdir, chief) as folder,
        keras_settings(recipe.dtype),
    ):
        shown = chief and verbose in ("auto", 1) and sys.stderr.isatty()
        record, train_data, test_data = settle_data(
            workdir, recipe, parts, shown
        )
        run = Run.create(folder, recipe, train_data.class_names)
        record.write(run.folder)
        skipped = SkippedFiles(
            len(train_data) + len(test_data),
            recipe.max_bad_ratio,
            run.path("skipped.csv"),
        )
        feed = Feed(
            run,
            train_data,
            test_data,
            strategy,
            skipped,
            STEPS_AT_ONCE if checkpoint_minutes else 1,
            shown,
        )
        keras.utils.set_random_seed(recipe.seed)
        with _in_a_sentence(skipped):
            model, network = build_pixel_model(run, feed)
            if chief:
                _describe(run, network)
            fit(
                run,
                model,
                network,
                feed,
                folder=workdir / "checkpoints",
                images=record.fingerprint,
                chief=chief,
                checkpoint_minutes=checkpoint_minutes,
                verbose=verbose if chief else 0,
                tensorboard=tensorboard and chief,
            )
        if chief:
            if verbose:
                say(
                    "The training has ended: its weights are written, tested on"
                    f" {len(test_data):,} images, and pictures are drawn."
                )
            run.save_weights(network)
            _conclude(run, test_data, skipped, shown)
        with _in_a_sentence(skipped):
            leave_together(strategy)
    return run


def _check_tensorboard(wanted):
    """Refuses what cannot be written here."""
    if wanted and not importlib.util.find_spec("tensorboard"):
        raise ValueError(
            "`tensorboard` needs the package of that name; install it with "
            "`pip install 'keras_alexnet[tensorboard]'`."
        )


def _make_deterministic():
    """Have operations repeat bit for bit; those of JAX do so on a CPU."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif backend == "torch":
        import torch

        torch.use_deterministic_algorithms(True)


@contextlib.contextmanager
def _in_a_sentence(skipped):
    """What a backend says of its end, without where in its graph it was."""
    name, failures, context = _failures()
    try:
        with context():
            yield
    except failures as error:
        text = getattr(error, "message", str(error))
        if name == "JAX" and not _STATUS.match(text):
            raise
        skipped.check()  # says it itself, where that was the reason
        noise = ("Detected at", "File ", "Graph execution", "[[", "<stack")
        lines = [line.strip() for line in text.splitlines()]
        messages = [
            line for line in lines if line and not line.startswith(noise)
        ]
        reason = messages[0].rstrip(".") if messages else type(error).__name__
        raise ValueError(
            f"{name} stopped the training: {reason}. The same command, on "
            "all machines if there are several, goes on from the last "
            "checkpoint."
        ) from error


def _failures():
    """A backend's name, what it raises, and a context that explains more."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return "TensorFlow", tf.errors.OpError, steps().one_strategy
    if backend == "jax":
        import jax

        # The second where it waits for values of other machines.
        failures = jax.errors.JaxRuntimeError, ValueError
        return "JAX", failures, contextlib.nullcontext
    return "PyTorch", (), contextlib.nullcontext


@contextlib.contextmanager
def _run_folder(workdir, chief):
    """The folder that this machine writes into: only the chief writes."""
    if chief:
        with locked(workdir):
            yield workdir
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield folder


def _load(recipe, examples, verbose):
    """Examples for training and testing, or all of them and `None`; refuses
    what cannot be trained on before anything is written."""
    if verbose and not examples and os.path.isdir(recipe.data):
        _say_roles(recipe.data)
    train, test = examples or load_parts(recipe.data)
    if test is not None:
        test = match_classes(test, train.class_names, "the test examples")
    for part in (train, test):
        if part is not None and part.are_prepared:
            part.images.check(recipe.resize_pixels, recipe.square)
    side = recipe.crop_pixels
    channels = get_architecture(recipe.variant).input_shape[-1]
    trace(recipe.variant, (side, side, channels), padding=recipe.padding)
    return train, test


def _say_roles(data):
    if not is_prepared(data):
        layout = find_layout(data)
        if layout.train != pathlib.Path(data):
            say(layout.roles)


def _describe(run, model):
    with replacing(run.path("summary.txt")) as path:
        pathlib.Path(path).write_text(f"{summary(model)}\n", encoding="utf-8")
    try:
        plot_model(model, run.path("model.png"))
    except ValueError as error:  # no renderer: the training is worth more
        warnings.warn(str(error), stacklevel=2)


def _conclude(run, test_examples, skipped, shown):
    """Test the weights that were written, and draw what there is to see.

    The results come last: with them the run is finished.
    """
    evaluation = count_answers(run, test_examples, skipped, shown=shown)
    with replacing(run.path("curves.png")) as path:
        charts.plot_curves(run.path("log.csv"), path)
    with replacing(run.path("confusion_matrix.png")) as path:
        charts.plot_confusion(evaluation.confusion, run.class_names, path)
    results = {**evaluation.to_dict(), "skipped_files": len(skipped)}
    for folder in (run.folder, run.path("checkpoints")):
        remove_leftovers(folder)
    run.save_results(**results)


def train_once(recipe, workdir, **options):
    """The finished run of that recipe in a folder, or the one trained now.

    Args:
        recipe: A `Recipe`.
        workdir: Path of the run folder.
        **options: Of `train`.

    Raises:
        ValueError: as `train`; also if the data of a finished run have
            changed.
    """
    recipe, workdir = with_full_paths(recipe), pathlib.Path(workdir)
    if is_finished(workdir):
        run = Run(workdir)
        if same_training(run.recipe, recipe):
            parts = _load(recipe, options.get("examples"), verbose=0)
            settle_data(workdir, recipe, parts, verbose=False)
            return run
    return start.train(recipe, workdir, **options)
