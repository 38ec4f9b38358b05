"""Machines that train together on Keras' JAX backend."""

import json
import signal
import time

import pytest
from machines import config
from machines import run_together
from machines import started_together
from on_backend import arguments
from on_backend import on_backend

import keras_alexnet as ka


def test_machines_know_of_each_other(tmp_path):
    command = arguments("jax", "join_machines.py", 2)
    for index, told in enumerate(run_together(command, tmp_path, 3, "jax")):
        assert f"chief: {index == 0}\n" in told
        assert "devices: 6\n" in told
        assert told.count("agreed\n") == 1
        assert f"would go on after step {5 + index}, others elsewhere" in told
        assert "do not see the same images" in told


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (json.dumps(config()), "cannot be joined, which must be done before"),
        ("{", "TF_CONFIG cannot be understood"),
    ],
)
def test_machines_that_cannot_be_joined(text, sentence, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    said, _ = on_backend("jax", "join_machines.py", "late")
    assert sentence in said


def wait_for(happened):
    until = time.monotonic() + 200
    while not happened() and time.monotonic() < until:
        time.sleep(0.02)
    assert happened()


def test_stopped_and_killed_machines_go_on_as_if_they_had_not(tmp_path):
    """What a machine says; that JAX ends it takes a minute more."""
    two, epochs = tmp_path / "two", 12

    def command(folder, minutes):
        return arguments("jax", "train_arrays.py", folder, epochs, minutes)

    def saved(step):
        return two / "checkpoints" / f"state-{step:09}.safetensors"

    def says(machine, text):
        log = tmp_path / f"machine{machine}.txt"
        return lambda: text in log.read_text()

    def started():
        return started_together(command(two, 0), tmp_path, 2, "jax")

    with started() as (chief, _):
        wait_for(saved(4).exists)
        chief.send_signal(signal.SIGTERM)
        wait_for(says(0, "stopped and saved after step"))
    with started() as (chief, worker):
        wait_for(saved(20).exists)
        worker.kill()
        wait_for(says(0, "JAX stopped the training"))
    with started() as (chief, worker):
        wait_for(saved(36).exists)
        chief.kill()
        assert worker.wait(timeout=60) != 0
    assert not (two / "results.json").exists()
    run_together(command(two, 0), tmp_path, 2, "jax")
    run_together(command(tmp_path / "undisturbed", 5), tmp_path, 2, "jax")
    ends = []
    for folder in (tmp_path / "undisturbed", two):
        weights = ka.Run(folder).load_model().get_weights()
        texts = [
            (folder / name).read_text() for name in ("log.csv", "results.json")
        ]
        ends.append((b"".join(w.tobytes() for w in weights), texts))
    assert ends[0] == ends[1]
