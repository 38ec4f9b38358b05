"""What is printed while a network is trained."""

import io
import re

import keras
import numpy as np
import pytest
from rich.console import Console

from keras_alexnet.training.progress import TrainingProgress


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


def fit(model, progress, **kwargs):
    x, y = np.ones((12, 4), "float32"), np.arange(12) % 3
    with progress:
        return model.fit(
            x, y, batch_size=4, callbacks=[progress], verbose=0, **kwargs
        )


def test_each_epoch_is_one_line_with_its_results_and_speed(model, capsys):
    x, y = np.ones((6, 4), "float32"), np.arange(6) % 3
    progress = TrainingProgress(6, 0, 4, bar=False)
    history = fit(model, progress, epochs=2, validation_data=(x, y)).history
    start, *lines = capsys.readouterr().out.splitlines()
    assert start.startswith("step 1 of 6, 4 images each; ")
    assert len(lines) == 2
    for number, line in enumerate(lines):
        shown = (
            f"epoch {number + 1}: loss {history['loss'][number]:.4f}, "
            f"accuracy {history['accuracy'][number]:.4f}, "
            f"test loss {history['val_loss'][number]:.4f}, "
            f"test accuracy {history['val_accuracy'][number]:.4f}, "
        )
        assert line.startswith(shown)
        assert re.fullmatch(r"\d+\.\d images/s", line.removeprefix(shown))


def test_the_start_is_said_once(model, capsys):
    progress = TrainingProgress(9, 4, 4, bar=False)
    fit(model, progress)
    fit(model, progress)
    output = capsys.readouterr().out
    assert output.startswith("step 5 of 9, 4 images each; ")
    assert output.count("step ") == 1
    fit(model, TrainingProgress(9, 9, 4, bar=False))  # only tests are left
    assert "step " not in capsys.readouterr().out


def test_without_validation_there_is_no_test_accuracy(model, capsys):
    fit(model, TrainingProgress(3, 0, 4, bar=False))
    _, output = capsys.readouterr().out.split("\n", 1)
    assert output.startswith("epoch 1: loss ")
    assert "test" not in output


@pytest.mark.parametrize("bar", [True, False])
def test_no_bar_where_there_is_no_terminal(model, capsys, bar):
    fit(model, TrainingProgress(3, 0, 4, bar=bar))
    output = capsys.readouterr().out
    assert output.count("\n") == 2
    assert "steps" not in output
    assert "\x1b" not in output


def test_a_terminal_sees_the_steps_of_the_whole_training(model, monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(
        "keras_alexnet.training.progress.Console",
        lambda **kwargs: Console(
            file=terminal, force_terminal=True, width=120, **kwargs
        ),
    )
    # Three steps of nine were done before.
    fit(model, TrainingProgress(9, 3, 4), initial_epoch=1, epochs=3)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "9/9 steps" in text
    assert "epoch 2: loss" in text
    assert "epoch 3: loss" in text


def test_the_first_step_which_compiles_is_no_part_of_the_speed():
    progress = TrainingProgress(2, 0, 100, bar=False)
    progress.on_epoch_begin(0)
    progress.on_train_batch_begin(0)
    progress._begun -= 1000.0  # as if it had begun so long ago
    progress.on_train_batch_end(0)
    progress.on_train_batch_begin(1)
    progress._begun -= 2.0
    progress.on_train_batch_end(1)
    assert 45 < float(progress._speed().removesuffix(" images/s")) <= 50
