"""From the first step, or the last checkpoint, to the last step of a run."""

import contextlib
import os
import warnings

import keras

from keras_alexnet.environment import deferred_signals
from keras_alexnet.models.onednn import warn_if_left_out
from keras_alexnet.runs.network import open_trained
from keras_alexnet.runs.run import Run
from keras_alexnet.runs.run import has_begun
from keras_alexnet.training.checkpoints import Checkpoints
from keras_alexnet.training.distribution import check_agreement
from keras_alexnet.training.progress import TrainingProgress
from keras_alexnet.training.schedules import EndGame
from keras_alexnet.training.schedules import PlateauDrops
from keras_alexnet.training.schedules import rate_at
from keras_alexnet.weights.assign import fold_preprocessing
from keras_alexnet.weights.assign import grouped_weights
from keras_alexnet.weights.assign import put_weights


def fit(
    run,
    model,
    network,
    feed,
    *,
    folder,
    images,
    chief,
    checkpoint_minutes,
    verbose,
    tensorboard,
):
    """Train to the end, from wherever the last checkpoint is.

    Args:
        run: The `Run`.
        model: The compiled `PixelModel`.
        network: The network in it.
        feed: The `Feed`.
        folder: Path of the checkpoints, which all machines can read.
        images: Integer, the fingerprint of the images.
        chief: Boolean, whether this machine writes.
        checkpoint_minutes: Float.
        verbose: As in `train`.
        tensorboard: Boolean.
    """
    recipe = run.recipe
    plateau = []
    if recipe.plateau_epochs:
        plateau = [PlateauDrops(recipe.plateau_epochs, recipe.plateau_drops)]
    with deferred_signals() as signals:
        checkpoints = Checkpoints(
            folder,
            model,
            minutes=checkpoint_minutes,
            callbacks=plateau,
            counts=model.counts,
            writes=chief,
            signals=signals,
        )
        step = checkpoints.restore()
        _check_epoch(checkpoints, feed.steps)
        check_agreement(feed.strategy, step, images)
        if not checkpoints.has_state:
            _check_nothing_is_lost(run, folder)
            if recipe.weights is not None:
                start_from(recipe.weights, network, run)
            warn_if_left_out()
            checkpoints.save()  # from now on, no state means a lost one
        progress = TrainingProgress(
            feed.steps * recipe.epochs,
            step,
            feed.batch_size,
            bar=verbose in ("auto", 1),
        )
        if chief:
            run.write_log(checkpoints.log)
        callbacks = [*_rates(recipe), *plateau, checkpoints]
        callbacks += _reports(run, checkpoints, chief, tensorboard)
        if verbose:
            callbacks.append(progress)
        callbacks = keras.callbacks.CallbackList(
            callbacks, add_history=True, model=model
        )
        with progress, feed.strategy.scope(), _ended(callbacks):
            _epochs(model, feed, recipe, checkpoints, callbacks)
        checkpoints.finish()


def _check_nothing_is_lost(run, folder):
    """Refuse to begin anew what had begun, and lost its states."""
    if has_begun(run.folder):
        raise ValueError(
            f"There is no checkpoint in {str(folder)!r}, but the training had "
            "begun; put the checkpoints back, or delete the run folder to "
            "begin anew."
        )


def _check_epoch(checkpoints, steps):
    """Refuse data of which an epoch has another number of steps."""
    step, epoch = checkpoints.step, len(checkpoints.log)
    if not epoch * steps <= step <= (epoch + 1) * steps:
        raise ValueError(
            f"The checkpoint of step {step} is of epoch {epoch + 1}, but "
            f"epochs have {steps} steps now: the images or the batches have "
            "changed since the run began. Put them back as they were."
        )


@contextlib.contextmanager
def _ended(callbacks):
    """Tell callbacks that the training ends also where it is stopped.

    `fit` does not, and TensorBoard's last figures would be lost.
    """
    try:
        yield
    except BaseException:
        # What stopped the training is what is told of.
        with contextlib.suppress(Exception):
            callbacks.on_train_end()
        raise


def _reports(run, checkpoints, chief, tensorboard):
    """What follows the log after each epoch."""
    callbacks = [_StopWhereLearned(run.recipe, checkpoints.log)]
    if chief:
        callbacks.append(_log_writer(run, checkpoints))
    if tensorboard:
        board = keras.callbacks.TensorBoard(run.path("tensorboard"))
        callbacks.append(board)
    return callbacks


class _StopWhereLearned(keras.callbacks.Callback):
    def __init__(self, recipe, log):
        super().__init__()
        self.recipe = recipe
        self.log = log

    def on_epoch_end(self, epoch, logs=None):
        if _has_learned(self.recipe, self.log):
            self.model.stop_training = True


def _rates(recipe):
    """What sets the rate at the beginning of each epoch."""

    def rate(epoch, _):
        return rate_at(epoch, recipe.learning_rate, recipe.rate_drops)

    callbacks = []
    if not recipe.plateau_epochs:
        callbacks.append(keras.callbacks.LearningRateScheduler(rate))
    if recipe.end_game:
        callbacks.append(EndGame(*recipe.end_game))
    return callbacks


def _has_learned(recipe, log):
    """Whether the accuracy is reached that the training is to stop at."""
    wanted = recipe.stop_accuracy
    return bool(wanted and log and log[-1]["accuracy"] >= wanted)


def _log_writer(run, checkpoints):
    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: run.write_log(checkpoints.log)
    )


def _epochs(model, feed, recipe, checkpoints, callbacks):
    """All epochs that are missing; the first may have begun already."""
    test_data = feed.validation()
    epochs, epoch = recipe.epochs, len(checkpoints.log)
    missing = (epoch + 1) * feed.steps - checkpoints.step
    if missing <= 0:
        _validate(model, test_data, feed.test_steps, epoch, callbacks)
        epoch, missing = epoch + 1, feed.steps
    parts = [(epoch, epochs, missing)]
    if missing < feed.steps:
        parts = [(epoch, epoch + 1, missing), (epoch + 1, epochs, feed.steps)]
    for first, last, steps in parts:
        if first < last and not _has_learned(recipe, checkpoints.log):
            callbacks.set_params({"epochs": last, "steps": steps})
            callbacks.set_model(model)  # TensorBoard opens its files again
            model.fit(
                feed.training(checkpoints.step),
                steps_per_epoch=steps,
                validation_data=test_data,
                validation_steps=feed.test_steps,
                initial_epoch=first,
                epochs=last,
                shuffle=False,  # the batches are shuffled
                callbacks=callbacks,
                verbose=0,
            )


def _validate(model, test_data, steps, epoch, callbacks):
    """The end of an epoch that was stopped in its validation."""
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(epoch)
    logs = model.get_metrics_result()
    validation = model.evaluate(
        test_data,
        steps=steps,
        callbacks=callbacks,
        return_dict=True,
        verbose=0,
    )
    logs.update({f"val_{name}": value for name, value in validation.items()})
    callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end()


def start_from(source, network, run):
    """Give the network of a run the weights of a trained one.

    Images that are prepared in another way are made up for in conv1, but for
    a mean image, of which its mean color is. The last layer is taken over if
    the classes are the same and otherwise keeps its random values.

    Args:
        source: As in `open_trained`; a run need not be finished.
        network: The model that the run trains.
        run: The `Run`.

    Raises:
        ValueError: if there is no such source, or it does not fit.
    """
    trained = open_trained(source)
    is_run = isinstance(trained, Run)
    model = trained.load_newest() if is_run else trained.load_model()
    old, new = trained.pixels_to_input(), run.pixels_to_input()
    weights = fold_preprocessing(
        grouped_weights(model), old.mean_preprocessing, new.mean_preprocessing
    )
    if old.mean_image is not None:
        warnings.warn(
            f"{os.fspath(source)!r} subtracted a mean image; conv1 takes over "
            "its mean color, and has no place for the rest.",
            stacklevel=2,
        )
    if tuple(trained.class_names) != tuple(run.class_names):
        *_, last = weights
        *_, random = grouped_weights(network).values()
        weights[last] = random
    put_weights(network, weights)
