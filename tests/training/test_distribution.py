"""Which strategy is made, and machines that train together."""

import csv
import json
import pathlib
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import tensorflow as tf
import train_noise
from machines import config
from machines import run_together
from machines import started_together
from movement import BOUNDS
from train_noise import assert_same_steps

import keras_alexnet as ka
from keras_alexnet.training.distribution import is_chief
from keras_alexnet.training.distribution import training_strategy

ON_ARRAYS = pathlib.Path(train_noise.__file__).with_name("train_arrays.py")


@pytest.fixture(autouse=True)
def no_machines(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NODELIST"):
        monkeypatch.delenv(name, raising=False)


# --- refusals ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribute", "devices", "sentence"),
    [
        ("two", None, "must be one of auto, none, mirrored, multiworker"),
        (None, None, "must be one of auto"),
        ("auto", 0, "must be at least 1. Received: 0"),
        ("mirrored", -1, "must be at least 1. Received: -1"),
        ("none", 2, "leave it at 'auto' to use 2"),
        ("multiworker", None, "needs the machines' addresses"),
    ],
)
def test_what_cannot_be_meant_is_refused(distribute, devices, sentence):
    with pytest.raises(ValueError, match=sentence):
        training_strategy(distribute, devices)


@pytest.mark.parametrize("distribute", ["auto", "multiworker"])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "cannot be understood"),
        ("{", "cannot be understood"),
        ("[]", "cannot be understood"),
        ("3", "cannot be understood"),
        ("{}", "cannot be understood"),
        ('{"cluster": {"worker": ["a:1"]}}', "cannot be understood"),
        (json.dumps(config(index="first")), "cannot be understood"),
        (json.dumps(config(index=None)), "cannot be understood"),
        (json.dumps(config(kind="chief")), "must be of type 'worker'"),
        (json.dumps(config(ps=["c:3"])), "must be of type 'worker'"),
        (json.dumps(config(index=2)), "this worker the index 2, but names 2"),
        (json.dumps(config(index=-1)), "this worker the index -1, but names 2"),
    ],
)
def test_a_bad_tf_config_is_refused(monkeypatch, text, sentence, distribute):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=sentence):
        training_strategy(distribute)


def test_machines_have_no_virtual_devices(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps(config()))
    with pytest.raises(ValueError, match="100 devices of each machine"):
        training_strategy("multiworker", 100)


def test_virtual_devices_are_refused_once_tensorflow_has_started():
    tf.zeros(()) + 1
    with pytest.raises(ValueError, match="100 devices were asked for"):
        training_strategy("mirrored", 100)


def test_one_device_needs_no_strategy():
    for distribute in ("auto", "none"):
        strategy = training_strategy(distribute, 1)
        assert strategy is tf.distribute.get_strategy()
        assert is_chief(strategy)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (config(index=0), True),
        (config(index=1), False),
        (config(index=0, chief=["c:3"]), False),
        (config(kind="chief", chief=["c:3"]), True),
    ],
)
def test_one_machine_is_the_chief(monkeypatch, text, expected):
    monkeypatch.setenv("TF_CONFIG", json.dumps(text))
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    strategy = types.SimpleNamespace(cluster_resolver=resolver)
    assert is_chief(strategy) is expected


def test_a_strategy_is_taken_as_it_is():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    assert training_strategy(strategy) is strategy


# --- several processes ------------------------------------------------------


def files_of(folder):
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.parent.name != "checkpoints"
    }


def last_row(folder):
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))[-1]


def test_two_machines_write_one_run_of_the_command_line(tmp_path):
    command = ["-m", "keras_alexnet", "train", "--recipe", "smoke"]
    command += ["--batch-size", "500", "--run-dir"]
    one, two = tmp_path / "one", tmp_path / "two"
    subprocess.run(
        [sys.executable, *command, one], check=True, capture_output=True
    )
    run_together([*command, two], tmp_path, 2)
    assert files_of(two) == files_of(one)
    assert (two / "results.json").exists()
    ours, alone = last_row(two), last_row(one)
    assert ours.keys() == alone.keys()
    # Twenty steps of float32: as good, not equal (docs/training.md).
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(
            float(ours[name]), float(alone[name]), rtol=0.02
        )


def test_three_machines_give_the_weights_of_one(tmp_path):
    """A batch of 7; batches of 10 and one of 3."""
    one, three = tmp_path / "one", tmp_path / "three"
    options = {"precisions": list(BOUNDS)}
    command = [train_noise.__file__, one, json.dumps(options)]
    subprocess.run([sys.executable, *command], check=True)
    options = json.dumps({**options, "machines": True})
    run_together([train_noise.__file__, three, options], tmp_path, 3)
    for precision in BOUNDS:
        assert_same_steps(one, three, precision)


def test_a_killed_machine_ends_the_others_and_all_go_on(tmp_path):
    two = tmp_path / "two"
    command = [ON_ARRAYS, two, 30, 0]
    with started_together(command, tmp_path, 2) as (chief, worker):
        saved = two / "checkpoints" / "state-000000012.safetensors"
        until = time.monotonic() + 200
        while not saved.exists() and time.monotonic() < until:
            time.sleep(0.02)
        worker.kill()
        # It knows after 6 s, and was 18 s in ending once it had told.
        assert chief.wait(timeout=20) not in (0, None)
    assert not (two / "results.json").exists()
    run_together(command, tmp_path, 2)
    undisturbed = [ON_ARRAYS, tmp_path / "undisturbed", 30, 5]
    run_together(undisturbed, tmp_path, 2)
    assert_same_runs(tmp_path / "undisturbed", two)


def assert_same_runs(one, other):
    """Bit for bit: the same machines, the same steps."""
    weights = (ka.Run(f).load_model().get_weights() for f in (one, other))
    for expected, found in zip(*weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    for name in ("log.csv", "results.json"):
        assert (one / name).read_text() == (other / name).read_text()
