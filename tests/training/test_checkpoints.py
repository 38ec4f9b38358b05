"""Trainings that are stopped, killed, damaged or diverge, and go on."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple

import keras
import numpy as np
import pytest
import safetensors.numpy

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.cli.training import folder_for
from keras_alexnet.environment import Interrupted
from keras_alexnet.environment import Signals
from keras_alexnet.files import LOCK
from keras_alexnet.runs.recipes import get_recipe
from keras_alexnet.runs.recipes import to_json
from keras_alexnet.training import loop
from keras_alexnet.training import trainer
from keras_alexnet.training.checkpoints import Checkpoints
from keras_alexnet.training.schedules import PlateauDrops
from keras_alexnet.training.schedules import rate_of

# Trains into each of some folders, from arrays in memory, with augmentation.
# "folder@where" is a training that gets SIGTERM there.
SCRIPT = """
import os, signal, sys
import numpy as np
import keras_alexnet as ka
from keras_alexnet.environment import Interrupted
from keras_alexnet.runs.recipes import get_recipe
from keras_alexnet.training.checkpoints import Checkpoints

variant, epochs, devices, minutes, *folders = sys.argv[1:]
side = 67 if variant == "caffe_alexnet" else 32
generator = np.random.default_rng(0)

def examples(count):
    shape = (count, side + 5, side + 5, 3)
    images = generator.integers(0, 256, shape, "uint8")
    return ka.Examples(images, np.arange(count) % 5, tuple("abcde"))

data = examples(22), examples(12)
recipe = get_recipe(
    "folder", variant=variant, resize_pixels=side + 5, crop_pixels=side,
    batch_size=8, epochs=int(epochs), learning_rate=0.001, rate_drops=(),
    plateau_epochs=1, color_noise=0 if variant == "lenet5" else 0.1,
)

def train(folder):
    run = ka.train(
        recipe, folder, int(devices), data, verbose=0,
        checkpoint_minutes=float(minutes), deterministic=True,
    )
    assert run.results["examples"] == 12

def raise_at(place):
    method, epoch, batch = place.split(".")
    answer = getattr(Checkpoints, method)

    def answer_and_signal(self, number, logs=None):
        if (len(self.log), number) == (int(epoch), int(batch)):
            os.kill(os.getpid(), signal.SIGTERM)
        answer(self, number, logs)

    setattr(Checkpoints, method, answer_and_signal)
    return lambda: setattr(Checkpoints, method, answer)

for folder in folders:
    folder, _, place = folder.partition("@")
    stop_signaling = raise_at(place) if place else lambda: None
    try:
        train(folder)
    except Interrupted as stop:
        if not place:
            sys.exit(stop.exit_code)
        stop_signaling()
        train(folder)
    else:
        assert not place
"""


def start(code, *words, **kwargs):
    """Python in a process of its own, which obeys Ctrl-C: background jobs of
    a shell do not, nor do their children."""
    code = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    ) + code
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def finish(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output


def signal_after_saves(process, folder, count, number):
    """Wait for so many more checkpoints, then send a signal."""
    folder = pathlib.Path(folder) / "checkpoints"
    before = set(folder.glob("state-*.safetensors"))
    seen = set()
    deadline = time.monotonic() + 240
    while len(seen) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
        seen |= {*folder.glob("state-*.safetensors")} - before
    process.send_signal(number)
    return process.communicate(timeout=240)


def saved(folder):
    """All that the newest checkpoint holds, as bytes by name."""
    content = newest(folder / "checkpoints").read_bytes()
    arrays = safetensors.numpy.load(content)
    # Keras numbers what has no name, such as states of random numbers.
    return {
        name.partition("/")[0]: array.tobytes()
        for name, array in arrays.items()
    }


def assert_same(one, other):
    first, second = saved(one), saved(other)
    assert len(first) > 10
    assert first.keys() == second.keys()
    assert not [name for name in first if first[name] != second[name]]
    for name in ("log.csv", "results.json"):
        assert (one / name).read_text() == (other / name).read_text()


def test_a_killed_training_goes_on_bit_for_bit(tmp_path):
    """With dropout, in the middle of an epoch."""
    words = SCRIPT, "caffe_alexnet", 2, 1
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start(*words, 0, killed)
    _, errors = signal_after_saves(process, killed, 2, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, errors
    assert not (killed / "results.json").exists()
    finish(start(*words, 5, killed, whole))
    assert_same(whole, killed)
    shutil.rmtree(tmp_path)  # two gigabytes


def test_on_two_devices_it_goes_on_bit_for_bit(tmp_path):
    words = SCRIPT, "lenet5", 10, 2
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    reference = start(*words, 5, whole)
    process = start(*words, 0, killed)
    _, errors = signal_after_saves(process, killed, 2, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, errors
    finish(reference)
    assert not (killed / "results.json").exists()
    finish(start(*words, 5, killed))
    assert_same(whole, killed)


def test_a_signal_anywhere_is_answered_and_the_training_goes_on(tmp_path):
    """In the middle of an epoch, in a validation, in the very last step."""
    places = (
        "on_train_batch_end.1.1",
        "on_test_batch_end.0.0",
        "on_test_batch_end.2.1",
    )
    stopped = [f"{tmp_path}/{place}@{place}" for place in places]
    finish(start(SCRIPT, "lenet5", 3, 1, 5, tmp_path / "whole", *stopped))
    for place in places:
        assert_same(tmp_path / "whole", tmp_path / place)


def test_callbacks_are_told_of_the_end_whatever_ends_it(tmp_path, monkeypatch):
    """TensorBoard's writer would lose its last figures."""
    told = []

    class Tracker(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            os.kill(os.getpid(), signal.SIGTERM)

        def on_train_end(self, logs=None):
            told.append("end")
            raise OSError("a disk is full")  # is not what ended the training

    monkeypatch.setattr(loop, "_reports", lambda *_: [Tracker()])
    images = np.zeros((8, 32, 32, 3), "uint8")
    examples = ka.Examples(images, np.arange(8) % 2, tuple("ab"))
    recipe = get_recipe(
        "folder",
        variant="lenet5",
        resize_pixels=32,
        crop_pixels=32,
        batch_size=4,
        epochs=2,
        color_noise=0,
    )
    with pytest.raises(Interrupted, match="stopped and saved after step 2"):
        ka.train(recipe, tmp_path / "run", 1, (examples, examples), verbose=0)
    assert told == ["end"]


QUICK = """
import atexit, os, signal, sys, time
import numpy as np
import keras_alexnet as ka
from keras_alexnet.runs.recipes import get_recipe

images = np.zeros((4000, 32, 32, 3), "uint8")
examples = ka.Examples(images, np.arange(4000) % 2, tuple("ab"))
recipe = get_recipe("folder", variant="lenet5", resize_pixels=32,
    crop_pixels=32, batch_size=64, epochs=2, color_noise=0)
atexit.register(lambda: print("flushed", flush=True))
save = ka.Checkpoints.on_train_batch_end
def signaled(self, batch, logs=None):
    if batch == 20:
        os.kill(os.getpid(), signal.SIGTERM)
    save(self, batch, logs)
ka.Checkpoints.on_train_batch_end = signaled
try:
    ka.train(recipe, sys.argv[1], 1, (examples, examples), verbose=0)
except ka.Interrupted as stop:
    print(stop, flush=True)
    sys.exit(stop.exit_code)
"""


def test_a_process_that_was_told_ends_at_once(tmp_path):
    process = start(QUICK, tmp_path / "run")
    line = process.stdout.readline()
    begun = time.monotonic()
    output, errors = process.communicate(timeout=100)
    seconds = time.monotonic() - begun
    assert "stopped and saved after step 21" in line, errors
    assert (output, process.returncode) == ("flushed\n", 143)
    assert seconds < 3


@pytest.fixture
def refusal(capsys):
    """The sentence with which a command is refused."""

    def refuse(*words):
        assert main([str(word) for word in words]) == 2
        (sentence,) = capsys.readouterr().err.splitlines()
        return sentence

    return refuse


def test_the_same_command_goes_on(
    tmp_path, class_folders, monkeypatch, capsys, refusal
):
    """After Ctrl-C, after SIGTERM; not beside another, not after the end."""
    photos = class_folders({"blue": 20, "red": 20})
    monkeypatch.chdir(tmp_path)
    words = ["train", "--data", photos, "--variant", "lenet5"]
    words += ["--resize-pixels", 36, "--crop-pixels", 32, "--batch-size", 8]
    words += ["--epochs", 12, "--color-noise", 0]
    words = list(map(str, words))
    command = (
        "import sys\nfrom keras_alexnet.cli.main import main\nsys.exit(main())"
    )
    folder = pathlib.Path("runs", "folder")
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = start(command, *words, "--checkpoint-minutes", 0)
        if number == signal.SIGINT:
            while not (folder / "recipe.json").exists():
                assert process.poll() is None
                time.sleep(0.01)
            sentence = refusal(*words)
            assert "Another training is writing into 'runs/fold" in sentence
        output, errors = signal_after_saves(process, folder, 6, number)
        assert process.returncode == code, errors
        (sentence,) = errors.splitlines()
        assert sentence.startswith("keras-alexnet: The training was stopped")
        assert sentence.endswith("rerun the same command to resume.")
        assert "Traceback" not in output
    steps = int(sentence.partition("after step ")[2].partition(";")[0])
    assert 4 <= steps < 48

    assert main(words) == 0
    output = capsys.readouterr().out
    assert "Everything is in runs/folder" in output
    assert "epoch 1:" not in output
    assert "epoch 12:" in output
    rows = (folder / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [*map(str, range(12))]

    words += ["--run-dir", str(folder)]
    assert "already, and it is finished" in refusal(*words)
    (folder / "results.json").unlink()
    assert "another value of `seed`" in refusal(*words, "--seed", "7")
    class_folders({"green": 5})
    assert "another value of the classes" in refusal(*words)


def test_the_default_folder_is_free_or_of_the_same_training(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    recipe = get_recipe("smoke")
    other = get_recipe("smoke", seed=1)
    first = pathlib.Path("runs", "smoke")
    second = pathlib.Path("runs", "smoke-2")
    assert folder_for(recipe) == first
    first.mkdir(parents=True)
    leftover = first / ".keras_alexnet-999999999-0123abcd.recipe.json"
    leftover.touch()  # of a start that was killed at once
    assert folder_for(recipe) == first
    (first / "notes.txt").touch()  # whatever it is, it is not ours
    assert folder_for(recipe) == second
    (first / "recipe.json").write_text(to_json(recipe))
    assert folder_for(recipe) == first
    assert folder_for(other) == second
    (first / "results.json").write_text("{}")
    assert folder_for(recipe) == first  # killed before its last picture
    for name in ("curves.png", "confusion_matrix.png"):
        (first / name).touch()
    assert folder_for(recipe) == second
    second.mkdir()
    (second / "recipe.json").write_text(to_json(other))
    assert folder_for(other) == second
    assert folder_for(recipe) == pathlib.Path("runs", "smoke-3")
    (second / "recipe.json").write_text("{")
    assert folder_for(other) == pathlib.Path("runs", "smoke-3")


def small_model(side=8, rate=0.05):
    """A network with dropout, which a user trains by `fit`."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((side,)),
            keras.layers.Dense(side, activation="relu", name="hidden"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, name="answers"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(ka.PaperSGD(rate), loss, metrics=["accuracy"])
    return model


def fit(model, checkpoints, epochs=3, callbacks=(), images=None):
    """Three steps an epoch, from wherever the checkpoints are."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(24, model.input_shape[1])).astype("float32")
    x = x if images is None else images
    y = np.arange(24) % 3
    model.fit(
        x,
        y,
        batch_size=8,
        initial_epoch=len(checkpoints.log),
        epochs=epochs,
        shuffle=False,
        validation_data=(np.nan_to_num(x), y),
        callbacks=[*callbacks, checkpoints],
        verbose=0,
    )


def all_values(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [variable.numpy() for variable in variables]


def assert_equal(ones, others):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_users_fit_goes_on_with_its_log_and_rate(tmp_path):
    def begin(folder):
        model = small_model(rate=1e-4)  # no better after any epoch
        plateau = PlateauDrops(patience=1)
        checkpoints = Checkpoints(folder, model, minutes=0, callbacks=[plateau])
        step = checkpoints.restore()
        return step, model, checkpoints, plateau

    step, whole, reference, plateau = begin(tmp_path / "whole")
    assert step == 0
    fit(whole, reference, 6, [plateau])

    step, model, checkpoints, state = begin(tmp_path / "parts")
    fit(model, checkpoints, 2, [state])
    step, model, checkpoints, state = begin(tmp_path / "parts")
    assert (step, checkpoints.step, len(checkpoints.log)) == (6, 6, 2)
    fit(model, checkpoints, 6, [state])
    assert checkpoints.step == reference.step == 18
    assert checkpoints.log == reference.log
    assert state.state == plateau.state
    assert state.state["drops"] >= 1
    assert rate_of(model.optimizer) == rate_of(whole.optimizer) < 1e-4
    assert_equal(all_values(model), all_values(whole))


def test_nothing_is_saved_before_it_is_time_but_at_the_end(tmp_path):
    model = small_model()
    checkpoints = Checkpoints(tmp_path, model, minutes=60)
    fit(model, checkpoints)
    assert list(tmp_path.iterdir()) == []
    checkpoints.finish()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["state-000000009.safetensors"]
    checkpoints.finish()  # is saved
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    again = Checkpoints(tmp_path, small_model())
    assert again.restore() == 9
    assert again.log == checkpoints.log
    assert [row["epoch"] for row in again.log] == [0, 1, 2]
    assert again.log[0]["learning_rate"] == 0.05


def test_several_steps_in_a_call_are_counted(tmp_path):
    """Keras tells of four, where an epoch has three."""
    if keras.backend.backend() == "torch":
        pytest.skip("Keras refuses several steps in a call on PyTorch")
    model = small_model()
    model.compile(ka.PaperSGD(0.05), model.loss, steps_per_execution=2)
    checkpoints = Checkpoints(tmp_path, model, minutes=0)
    fit(model, checkpoints, epochs=2)
    assert checkpoints.step == 6
    assert Checkpoints(tmp_path, small_model()).restore() == 6


def test_a_signal_stops_a_users_fit_after_the_step(tmp_path):
    model, signals = small_model(), Signals()
    signals.number = signal.SIGINT
    checkpoints = Checkpoints(tmp_path, model, signals=signals)
    with pytest.raises(Interrupted, match="after step 1;") as stop:
        fit(model, checkpoints)
    assert stop.value.exit_code == 130
    assert Checkpoints(tmp_path, small_model()).restore() == 1


def test_another_machine_than_the_chief_writes_nothing(tmp_path):
    model = small_model()
    fit(model, Checkpoints(tmp_path / "none", model, minutes=0, writes=False))
    assert not (tmp_path / "none").exists()


@pytest.fixture
def trained(tmp_path):
    """Two checkpoints, before and after the last validation."""
    folder = tmp_path / "checkpoints"
    model = small_model()
    fit(model, Checkpoints(folder, model, minutes=0))
    return folder


def flip(path):
    content = bytearray(path.read_bytes())
    for place in range(8, len(content), 40):
        content[place] ^= 255
    path.write_bytes(content)


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def newest(folder):
    return max(folder.glob("state-*.safetensors"))


def flip_in_the_header(path):
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def without_checksum(path):
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    arrays = safetensors.numpy.load_file(path)
    del metadata["sha256"]
    safetensors.numpy.save_file(arrays, path, metadata)


def one_array_changed(path):
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    arrays = safetensors.numpy.load_file(path)
    arrays[min(arrays)].flat[0] += 1e-7
    safetensors.numpy.save_file(arrays, path, metadata)


DAMAGES = [
    flip,
    flip_in_the_header,
    truncate,
    empty,
    without_checksum,
    one_array_changed,
    pathlib.Path.unlink,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_checkpoint_before_a_damaged_one_is_taken(trained, damage):
    damage(newest(trained))
    model = small_model()
    checkpoints = Checkpoints(trained, model, minutes=0)
    if damage is pathlib.Path.unlink:
        assert checkpoints.restore() == 8
    else:
        match = "damaged checkpoint was passed over"
        with pytest.warns(UserWarning, match=match):
            assert checkpoints.restore() == 8
    assert len(checkpoints.log) == 2
    fit(model, checkpoints, 4)
    again = Checkpoints(trained, small_model())
    assert again.restore() == checkpoints.step
    assert len(again.log) == len(checkpoints.log)


@pytest.mark.parametrize("damage", DAMAGES[:-1])
def test_if_all_are_damaged_a_sentence_says_so(trained, damage):
    states = sorted(trained.glob("state-*"))
    for path in states:
        damage(path)
    with pytest.raises(ValueError, match="No checkpoint can be read") as error:
        Checkpoints(trained, small_model()).restore()
    assert str(trained) in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(trained.glob("state-*")) == states


def test_checkpoints_of_another_network_are_refused(trained):
    with pytest.raises(ValueError, match="are of another network"):
        Checkpoints(trained, small_model(side=9)).restore()


def test_checkpoints_of_a_newer_version_are_refused(trained):
    path = newest(trained)
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    metadata = {**metadata, "format": "keras_alexnet state, version 2"}
    arrays = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(arrays, path, metadata)
    content = path.read_bytes()
    with pytest.raises(ValueError, match="written by a newer keras_alexnet"):
        Checkpoints(trained, small_model()).restore()
    assert path.read_bytes() == content


def test_states_are_found_by_number_whatever_the_time_or_a_list(trained):
    (trained / "checkpoint").write_bytes(b"\0garbage")
    for age, path in enumerate(sorted(trained.glob("state-*"))):
        os.utime(path, (1e9 - age, 1e9 - age))  # the newest is the oldest
    checkpoints = Checkpoints(trained, small_model(), minutes=0)
    assert checkpoints.restore() == 9
    assert len(checkpoints.log) == 3


def test_a_state_has_the_rights_that_the_umask_leaves(trained):
    mask = os.umask(0)
    os.umask(mask)
    for path in trained.glob("state-*.safetensors"):
        assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_the_scale_of_a_float16_loss_is_saved_and_nothing_is_left(
    tmp_path, monkeypatch
):
    """What killed writes left is gone before the results, the last file."""
    save_results = ka.Run.save_results
    images = np.zeros((4, 32, 32, 1), "uint8")
    examples = ka.Examples(images, np.arange(4) % 2, ("a", "b"))
    leftover = ".keras_alexnet-999999999-0123abcd.x"
    hidden = []

    def predict(*args, **kwargs):
        for folder in (tmp_path, tmp_path / "checkpoints"):
            (folder / leftover).touch()
        return count_answers(*args, **kwargs)

    def look_and_save(run, **results):
        hidden.extend(tmp_path.rglob(".*"))
        save_results(run, **results)

    count_answers = trainer.count_answers
    monkeypatch.setattr(trainer, "count_answers", predict)
    monkeypatch.setattr(ka.Run, "save_results", look_and_save)
    recipe = get_recipe(
        "smoke",
        data="",
        variant="lenet5",
        precision="float16",
        resize_pixels=32,
        batch_size=4,
    )
    ka.train(recipe, tmp_path, examples=(examples, examples), verbose=0)
    assert (tmp_path / "results.json").exists()
    assert {path.name for path in hidden} == {LOCK}
    state = tmp_path / "checkpoints" / "state-000000001.safetensors"
    arrays = safetensors.numpy.load_file(state)
    (scale,) = (v for n, v in arrays.items() if n.endswith("dynamic_scale"))
    assert scale >= 1


def test_only_states_that_were_looked_at_are_removed(trained):
    """And what a kill has left; the newest and the one before it stay."""
    half = trained / ".keras_alexnet-999999999-12345678.state-000000010.x"
    half.write_bytes(b"half")
    (trained / "notes.txt").write_text("the user's")
    (trained / "state-000000001.safetensors").write_bytes(b"not a state")
    old = trained / "state-000000002.safetensors"
    old.write_bytes(newest(trained).read_bytes())
    model = small_model()
    checkpoints = Checkpoints(trained, model, minutes=0)
    assert checkpoints.restore() == 9
    (trained / "state-000000003.safetensors").write_bytes(old.read_bytes())
    fit(model, checkpoints, 5)
    assert sorted(path.name for path in trained.iterdir()) == [
        "notes.txt",
        "state-000000001.safetensors",  # cannot be read
        "state-000000003.safetensors",  # came later
        "state-000000014.safetensors",
        "state-000000015.safetensors",
    ]


Usage = namedtuple("Usage", "total used free")


def test_a_full_disk_is_a_sentence_and_keeps_the_last(trained, monkeypatch):
    model = small_model()
    checkpoints = Checkpoints(trained, model, minutes=0)
    checkpoints.restore()
    before = sorted(path.name for path in trained.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: Usage(9, 9, 10_000))
        with pytest.raises(ValueError, match="cannot be saved in") as error:
            fit(model, checkpoints, 4)
    assert "0 MB are free. The last checkpoint, of step 9" in str(error.value)
    assert sorted(path.name for path in trained.iterdir()) == before
    model = small_model()
    checkpoints = Checkpoints(trained, model, minutes=0)
    assert checkpoints.restore() == 9
    fit(model, checkpoints, 4)
    assert Checkpoints(trained, small_model()).restore() == 12


@pytest.fixture
def small_disk(tmp_path):
    """A file system of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder, left):
    """A file that leaves so many bytes free."""
    size = shutil.disk_usage(folder).free - left
    (folder / "filler").write_bytes(bytes(size))


@pytest.mark.parametrize("seen", [True, False])
def test_a_disk_that_fills_up(small_disk, monkeypatch, seen):
    """Before a save, where it is seen, or in the middle of one."""
    folder = small_disk / "checkpoints"
    model = small_model(side=256)  # half a megabyte
    checkpoints = Checkpoints(folder, model, minutes=0)
    checkpoints.step = 5
    checkpoints.save()
    values = all_values(model)
    fill(small_disk, 300_000)
    with monkeypatch.context() as patch:
        if not seen:
            patch.setattr(shutil, "disk_usage", lambda path: Usage(9, 0, 1e9))
        with pytest.raises(ValueError, match="cannot be saved in") as error:
            fit(model, checkpoints)
    assert "The last checkpoint, of step 5, is kept" in str(error.value)
    assert "\n" not in str(error.value)
    names = [path.name for path in folder.iterdir()]
    assert names == ["state-000000005.safetensors"]
    (small_disk / "filler").unlink()
    model = small_model(side=256)
    checkpoints = Checkpoints(folder, model, minutes=0)
    assert checkpoints.restore() == 5
    assert_equal(all_values(model), values)
    checkpoints.save()
    assert Checkpoints(folder, small_model(side=256)).restore() == 5


def test_a_training_goes_on_to_its_end_when_there_is_room(small_disk):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (12, 32, 32, 3), "uint8")
    examples = ka.Examples(images, np.arange(12) % 3, tuple("abc"))
    recipe = get_recipe("smoke", data="", batch_size=4)

    def train():
        return ka.train(
            recipe,
            small_disk / "run",
            examples=(examples, examples),
            verbose=0,
            checkpoint_minutes=0,
        )

    fill(small_disk, 1_200_000)
    with pytest.raises(ValueError, match="make room and run the same again"):
        train()
    (small_disk / "filler").unlink()
    run = train()
    assert run.results["examples"] == 12
    # As if killed after the last epoch, before the results were written.
    weights = run.load_model().get_weights()
    for name in ("results.json", "model.weights.h5"):
        run.path(name).unlink()
    again = train()
    assert again.results == run.results
    assert_equal(again.load_model().get_weights(), weights)


class At(keras.callbacks.Callback):
    """Does something to the model at the beginning of a step."""

    def __init__(self, step, action):
        super().__init__()
        self.step = step
        self.action = action
        self.count = 0

    def on_train_batch_begin(self, batch, logs=None):
        self.count += 1
        if self.count == self.step:
            self.action(self.model)


def spoil(variable, value):
    array = variable.numpy()
    array.flat[0] = value
    variable.assign(array)


def weight(model):
    spoil(model.get_layer("hidden").kernel, np.nan)


def velocity(model):
    spoil(model.optimizer.momentums[2], np.inf)


@pytest.mark.parametrize(
    ("action", "name"), [(weight, "hidden/kernel"), (velocity, "kernel")]
)
@pytest.mark.parametrize("minutes", [0, 60])
def test_what_is_not_finite_stops_the_training(tmp_path, action, name, minutes):
    """After the step, or at the end of the epoch if saves are rare."""
    model = small_model()
    checkpoints = Checkpoints(tmp_path, model, minutes=minutes)
    checkpoints.save()
    fit(model, checkpoints, 1)
    checkpoints.finish()
    with pytest.raises(ValueError, match="diverged") as error:
        fit(model, checkpoints, 3, [At(2, action)])
    step = 5 if minutes == 0 else 6
    kept = 4 if minutes == 0 else 3
    assert f"found after step {step}: " in str(error.value)
    assert name in str(error.value)
    assert f"The last checkpoint, of step {kept}, is kept" in str(error.value)
    with pytest.raises(ValueError, match="diverged"):
        checkpoints.save()
    model = small_model()
    assert Checkpoints(tmp_path, model).restore() == kept
    for value in all_values(model):
        assert np.isfinite(value).all()


@pytest.mark.parametrize("minutes", [0, 60])
def test_a_nan_in_an_image_stops_the_training(tmp_path, minutes):
    """In a network of convolutions, where a CPU can lose it on the way."""
    keras.utils.set_random_seed(0)
    model = ka.AlexNet("lenet5")
    model.compile(ka.PaperSGD(0.001), "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(24, 32, 32, 1)).astype("float32")
    x[12, 5, 5, 0] = np.nan  # in the second step
    y = np.arange(24) % 10
    checkpoints = Checkpoints(tmp_path, model, minutes=minutes)
    with pytest.raises(ValueError, match="diverged, found after step") as error:
        model.fit(
            x,
            y,
            batch_size=8,
            callbacks=[checkpoints],
            shuffle=False,
            verbose=0,
        )
    assert f"step {3 if minutes else 2}: " in str(error.value)
    again = Checkpoints(tmp_path, model)
    assert again.restore() == (0 if minutes else 1)
    if not minutes:
        for value in all_values(model):
            assert np.isfinite(value).all()


def test_a_result_that_is_not_finite_stops_the_training(tmp_path):
    checkpoints = Checkpoints(tmp_path, small_model())
    checkpoints.check({"loss": 1.0})
    with pytest.raises(ValueError, match="step 0: val_loss is NaN or infinite"):
        checkpoints.check({"loss": 1.0, "val_loss": float("inf")})


def test_divergence_on_the_command_line(
    tmp_path, class_folders, refusal, capsys
):
    photos = class_folders({"blue": 8, "red": 8})
    words = ["train", "--data", photos, "--variant", "cifar10_18pct"]
    words += ["--resize-pixels", 36, "--crop-pixels", 32, "--batch-size", 4]
    words += ["--learning-rate", 1e6, "--run-dir", tmp_path / "run"]
    sentence = refusal(*words)
    assert "The training diverged, found after step" in sentence
    assert "choose a smaller learning rate" in sentence
    assert not (tmp_path / "run" / "results.json").exists()
