"""TensorFlow's oneDNN operations: on where they help, and as a run began."""

import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_alexnet as ka
from keras_alexnet import environment
from keras_alexnet.environment import ONEDNN
from keras_alexnet.models import onednn
from keras_alexnet.runs.run_folder import onednn_of
from keras_alexnet.runs.states import read_state
from keras_alexnet.runs.states import write_state
from keras_alexnet.training import checkpoints
from keras_alexnet.training.checkpoints import Checkpoints

# A processor without AVX2, one that TensorFlow leaves it out on, and one on
# which it does not.
OLD, AVX2, NEWER = "sse4_2 avx", "avx avx2 fma", "avx2 avx512f avx512_vnni"


@pytest.fixture
def processor(monkeypatch):
    """Stands in for another processor, where nobody has set anything."""
    monkeypatch.delenv(ONEDNN, raising=False)
    environment.leaves_out_onednn.cache_clear()
    onednn.warn_if_left_out.cache_clear()

    def be(flags):
        monkeypatch.setattr(environment, "cpuinfo", lambda name: flags)

    yield be
    environment.leaves_out_onednn.cache_clear()
    onednn.warn_if_left_out.cache_clear()


@pytest.mark.parametrize(
    ("flags", "setting", "expected"),
    [
        (OLD, None, None),
        (AVX2, None, "1"),
        (NEWER, None, None),
        (None, None, None),  # not Linux
        (AVX2, "", None),
        (AVX2, "0", "0"),
        (NEWER, "0", "0"),
        (OLD, "1", "1"),
    ],
)
def test_where_it_is_set(processor, monkeypatch, flags, setting, expected):
    processor(flags)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with environment.onednn(setting):
        assert os.environ.get(ONEDNN) == expected
    assert ONEDNN not in os.environ  # for what is started from here


@pytest.mark.parametrize("chosen", ["0", "1"])
def test_what_the_user_has_set_stays(processor, monkeypatch, chosen):
    processor(AVX2)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv(ONEDNN, chosen)
    for setting in (None, "", "0", "1"):
        with environment.onednn(setting):
            assert os.environ[ONEDNN] == chosen
    assert os.environ[ONEDNN] == chosen


def test_nothing_is_set_where_tensorflow_is_there_already(processor):
    processor(AVX2)
    assert "tensorflow" in sys.modules
    with environment.onednn():
        assert ONEDNN not in os.environ


def python(code, *words, setting=None):
    """A process on a processor that TensorFlow leaves it out on."""
    stand_in = (
        "from keras_alexnet import environment\n"
        f"environment.cpuinfo = lambda name: {AVX2!r}\n"
    )
    others = {k: v for k, v in os.environ.items() if k != ONEDNN}
    return subprocess.run(
        [sys.executable, "-c", stand_in + code, *map(str, words)],
        capture_output=True,
        text=True,
        env={**others, **({} if setting is None else {ONEDNN: setting})},
    )


TELL = """
import os
from keras_alexnet.models.keras_private import onednn_is_on
print(onednn_is_on(), os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/cpuinfo is Linux'")
@pytest.mark.parametrize(
    ("code", "setting", "told"),
    [
        ("import keras_alexnet as ka\nka.AlexNet\n", None, "True None\n"),
        ("import keras_alexnet as ka\nka.AlexNet\n", "0", "False 0\n"),
        ("environment.load_tensorflow()\n", None, "True None\n"),
        ("environment.load_tensorflow('0')\n", None, "False None\n"),
    ],
)
def test_whoever_imports_tensorflow_by_the_package_has_it(code, setting, told):
    run = python(code + TELL, setting=setting)
    assert run.stdout == told, run.stderr


def fit(model):
    generator = np.random.default_rng(0)
    images = generator.uniform(-120, 120, (8, 32, 32, 1)).astype("float32")
    model.fit(images, np.arange(8) % 4, batch_size=4, verbose=0)


@pytest.fixture
def model():
    model = ka.AlexNet("lenet5", classes=4, input_shape=(32, 32, 1))
    model.compile(ka.PaperSGD(1e-3), "sparse_categorical_crossentropy")
    return model


def test_fit_without_it_says_so_once(processor, monkeypatch, model):
    processor(AVX2)
    monkeypatch.setattr(onednn, "onednn_is_on", lambda: False)
    # Too late, which is to be told as well.
    monkeypatch.setenv(ONEDNN, "1")
    text = f'put `import os; os.environ."{ONEDNN}". = "1"` before the first'
    with pytest.warns(UserWarning, match=text) as warned:
        fit(model)
    assert [each.filename for each in warned] == [__file__]
    fit(model)  # warnings are errors here


@pytest.mark.parametrize(
    ("flags", "is_on", "chosen", "gpus"),
    [
        (AVX2, True, None, []),
        (AVX2, None, None, []),
        (AVX2, False, "0", []),
        (AVX2, False, "False", []),
        (AVX2, False, None, ["gpu:0"]),
        (NEWER, False, None, []),
        (OLD, False, None, []),
    ],
)
def test_else_fit_says_nothing(
    processor, monkeypatch, model, flags, is_on, chosen, gpus
):
    processor(flags)
    monkeypatch.setattr(onednn, "onednn_is_on", lambda: is_on)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind: gpus)
    if chosen:
        monkeypatch.setenv(ONEDNN, chosen)
    onednn.warn_if_left_out()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"onednn": True}, "1"),
        ({"onednn": False}, "0"),
        ({"onednn": None}, None),  # another backend
        ({}, ""),  # of before there was a record
        ({"onednn": ["x"]}, None),
    ],
)
def test_a_run_tells_what_it_began_with(tmp_path, facts, expected):
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    other = {"onednn": not facts.get("onednn")}
    arrays = {"a": np.zeros(3)}
    write_state(folder / "state-000000001.safetensors", arrays, other)
    write_state(folder / "state-000000002.safetensors", arrays, facts)
    assert onednn_of(tmp_path / "none", tmp_path / "run") == expected


def test_what_cannot_be_read_is_left_to_tensorflow(tmp_path):
    assert onednn_of(tmp_path) is None
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    assert onednn_of(tmp_path) is None
    (folder / "state-12.index").write_bytes(b"")  # of version 0.1.0
    assert onednn_of(tmp_path) == ""
    (folder / "state-000000013.safetensors").write_bytes(b"no state")
    assert onednn_of(tmp_path) == ""
    write_state(folder / "state-000000012.safetensors", {}, {"onednn": False})
    assert onednn_of(tmp_path) == "0"


@pytest.mark.parametrize(
    ("recorded", "now", "words"),
    [
        (False, True, "with TensorFlow's oneDNN operations from a checkpoint"),
        (True, False, "made with them: .* with TF_ENABLE_ONEDNN_OPTS=1 in"),
        (None, True, None),
        (True, True, None),
        ("no record", True, "made without them"),
        ("no record", False, None),
    ],
)
def test_what_goes_on_otherwise_is_said(
    processor, monkeypatch, tmp_path, capsys, model, recorded, now, words
):
    processor(AVX2)
    Checkpoints(tmp_path, model).save()
    (path,) = tmp_path.iterdir()
    facts, arrays = read_state(path)
    assert facts.pop("onednn") == checkpoints.onednn_is_on()
    if recorded != "no record":
        facts["onednn"] = recorded
    arrays = {f"{place:04}": array for place, array in enumerate(arrays)}
    write_state(path, arrays, facts)
    monkeypatch.setattr(checkpoints, "onednn_is_on", lambda: now)
    Checkpoints(tmp_path, model).restore()
    said = capsys.readouterr().out
    assert said.count("\n") == (words is not None)
    assert re.search(words or "^$", said)


# Trains by the command line; with a second folder it is stopped on the way.
TRAIN = """
import os
import signal
import sys

from keras_alexnet.cli.main import main

folder, stops = sys.argv[1:]
words = ["train", "--recipe", "smoke", "--run-dir", folder, "--deterministic"]
if stops == "stops":
    import keras_alexnet as ka

    end_of_epoch = ka.Checkpoints.on_epoch_end

    def stop(self, epoch, logs=None):
        end_of_epoch(self, epoch, logs)
        os.kill(os.getpid(), signal.SIGTERM)

    ka.Checkpoints.on_epoch_end = stop
sys.exit(main([*words, "--variant", "lenet5", "--epochs", "2"]))
"""


def test_a_run_goes_on_as_it_began(tmp_path):
    """The variable is set when it begins, and not when it goes on."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, word, setting, code in (
        (whole, "-", "0", 0),
        (parts, "stops", "0", 143),
        (parts, "-", None, 0),
    ):
        run = python(TRAIN, folder, word, setting=setting)
        assert run.returncode == code, run.stderr
        assert "oneDNN" not in run.stdout + run.stderr
    ends = [max((f / "checkpoints").glob("state-*")) for f in (whole, parts)]
    assert ends[0].read_bytes() == ends[1].read_bytes()
    assert read_state(ends[0])[0]["onednn"] is False
