"""Training through the public door: what the run folder holds."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import types

import keras
import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf
import train_noise
from movement import BOUNDS
from movement import apart
from movement import distance
from train_noise import assert_same_steps

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.data.datasets import load_examples
from keras_alexnet.files import LOCK
from keras_alexnet.files import folder_beside
from keras_alexnet.files import replacing
from keras_alexnet.runs.recipes import get_recipe
from keras_alexnet.training import trainer

FILES = {
    LOCK,
    "checkpoints",
    "classes.json",
    "confusion_matrix.png",
    "curves.png",
    "images.csv",
    "log.csv",
    "model.png",
    "model.weights.h5",
    "recipe.json",
    "results.json",
    "summary.txt",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    recipe = get_recipe("smoke", epochs=2, resize_pixels=28, crop_pixels=28)
    return ka.train(recipe, folder, verbose=0)


def test_run_folder_is_complete_and_opens(run):
    assert {p.name for p in run.folder.iterdir()} == FILES
    for name in ("model.png", "curves.png", "confusion_matrix.png"):
        assert matplotlib.image.imread(run.path(name)).std() > 0.01
    with open(run.path("log.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert "conv1" in run.path("summary.txt").read_text()
    assert json.loads(run.path("classes.json").read_text())[1] == "Trouser"


def test_results_are_those_of_the_written_weights(run):
    again = ka.Run(run.folder)
    assert again.results == run.results
    evaluation = ka.evaluate(again)
    assert evaluation.to_dict() == again.results
    # Counted here once more, from the images and the plain model.
    _, test = load_examples("fashion")
    x = np.repeat(test.images[..., None], 3, axis=-1)
    x = ka.preprocess_input(x, again.recipe.variant)
    predicted = again.load_model().predict(x, verbose=0).argmax(axis=1)
    assert again.results["examples"] == 2000
    accuracy = (predicted == test.labels).mean()
    np.testing.assert_allclose(again.results["accuracy"], accuracy, atol=0.002)
    assert accuracy > 0.4  # ten classes, two epochs


def test_predictions_are_probabilities_of_named_classes(run, tmp_path):
    _, test = load_examples("fashion")
    files = []
    for index in (0, 5):
        files.append(tmp_path / f"{index}.png")
        keras.utils.save_img(files[-1], test.images[index][..., None])
    predictions = ka.predict(run, files, top=10)
    assert len(predictions) == 2
    for top in predictions:
        names, probabilities = zip(*top, strict=True)
        assert sorted(names) == sorted(run.class_names)
        assert list(probabilities) == sorted(probabilities, reverse=True)
        np.testing.assert_allclose(sum(probabilities), 1, atol=1e-5)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    """One step: over many, float32 diverges unless it is deterministic."""
    small = get_recipe("smoke", batch_size=300, learning_rate=0.05)
    few = [
        ka.Examples(part.images[:300], part.labels[:300], part.class_names)
        for part in load_examples("fashion")
    ]
    runs = [
        ka.train(small, tmp_path / name, examples=few, verbose=0)
        for name in ("one", "two")
    ]
    assert_close_after_a_step(*runs)


def assert_close_after_a_step(one, other):
    keras.utils.set_random_seed(one.recipe.seed)
    start = one.build_model().get_weights()
    ends = [run.load_model().get_weights() for run in (one, other)]
    assert distance(ends[0], start) > 1e-3
    assert apart(start, *ends) <= BOUNDS["float32"]


def test_a_folder_is_not_trained_into_twice(run):
    with pytest.raises(ValueError, match="There is a run in"):
        ka.train("smoke", run.folder)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("recipe.json", "{", "is damaged: recipe.json cannot be used"),
        ("recipe.json", '{"name": "x", "colour": 1}', "is damaged"),
        ("recipe.json", '{"name": "x", "padding": 5}', "padding"),
        ("classes.json", None, "is not a run folder"),
        ("classes.json", "[1, 2]", "is damaged: classes.json cannot be used"),
        ("classes.json", '"ab"', "is damaged"),
        ("results.json", "", "is damaged: results.json cannot be used"),
        ("model.weights.h5", "not HDF5", "is damaged"),
        ("model.weights.h5", None, "has no weights yet"),
    ],
)
def test_damaged_runs_are_refused(run, tmp_path, name, content, sentence):
    for file in filter(pathlib.Path.is_file, run.folder.iterdir()):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=sentence):
        ka.Run(tmp_path).load_model()


def test_photos_in_class_folders(class_folders, tmp_path):
    folder = class_folders({"blue": 12, "red": 12, "crimson": 3})
    recipe = get_recipe(
        "smoke", data=str(folder), batch_size=4, epochs=1, seed=5
    )
    run = ka.train(recipe, tmp_path / "run", verbose=0)
    assert run.class_names == ("blue", "crimson", "red")
    assert run.results["examples"] == 5  # a fifth of each class, at least one
    assert ka.evaluate(run, data=folder).examples == 5  # not what it learned


def test_gray_networks_read_every_format(class_folders, tmp_path):
    folder = class_folders({"blue": 4, "red": 4})
    for name in ("blue", "red"):
        image = keras.utils.load_img(folder / name / "000.png")
        image.save(folder / name / "more.gif")
        image.save(folder / name / "more.bmp")
        image.convert("CMYK").save(folder / name / "more.jpg")
    recipe = get_recipe("smoke", data=folder, variant="lenet5", batch_size=4)
    run = ka.train(recipe, tmp_path / "run", verbose=0)
    files = sorted((folder / "red").iterdir())
    assert len(ka.predict(run, files)) == 7


def test_a_refused_training_leaves_no_folder(tmp_path):
    recipe = get_recipe("smoke", variant="alexnet")
    with pytest.raises(ValueError, match="67x67"):
        ka.train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_divergence_is_refused(tmp_path):
    recipe = get_recipe("smoke", learning_rate=1e6, batch_size=1000)
    with pytest.raises(ValueError, match="diverged, found after step"):
        ka.train(recipe, tmp_path / "run", verbose=0)


def broken_folder(class_folders, good=20, bad=2):
    folder = class_folders({"blue": good, "red": good})
    for number in range(bad):
        path = folder / "red" / f"broken{number}.png"
        path.write_bytes(b"not an image" * number)
    return folder


def test_bad_images_are_skipped_counted_and_listed(class_folders, tmp_path):
    folder = broken_folder(class_folders)
    recipe = get_recipe(
        "smoke", data=folder, batch_size=8, epochs=2, max_bad_ratio=0.05
    )
    run = ka.train(recipe, tmp_path / "run", verbose=0)
    assert run.results["skipped_files"] == 2
    with open(run.path("skipped.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    reasons = {row["file"].rpartition("/")[2]: row["reason"] for row in rows}
    assert sorted(reasons) == ["broken0.png", "broken1.png"]
    assert reasons["broken0.png"] == "is empty"
    assert "not an image" in reasons["broken1.png"]
    evaluation = ka.evaluate(run)
    tested = run.results["examples"]
    assert evaluation.examples == tested
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for path in copy.rglob("[0-9]*.png"):
        path.write_bytes(path.read_bytes() + b"another file")
    evaluation = ka.evaluate(run, data=copy)
    assert evaluation.examples == 40


@pytest.mark.parametrize("minutes", [5, 0])
@pytest.mark.parametrize("mended", [True, False])
def test_what_bad_files_stopped_goes_on_with_the_same_folder(
    mended, minutes, class_folders, tmp_path
):
    """Saved every five minutes, or after each step."""
    options = {"verbose": 0, "checkpoint_minutes": minutes}
    folder = broken_folder(class_folders)
    recipe = get_recipe("smoke", data=folder, batch_size=8)
    with pytest.raises(ValueError, match="cannot be used, more than the 1 %"):
        ka.train(recipe, tmp_path / "run", **options)
    if mended:
        for path in folder.rglob("broken*"):
            path.unlink()
    else:
        recipe = get_recipe(recipe, max_bad_ratio=0.05)
    run = ka.train(recipe, tmp_path / "run", **options)
    assert run.results["skipped_files"] == (0 if mended else 2)
    assert run.recipe.max_bad_ratio == (0.01 if mended else 0.05)


def test_the_limit_is_a_part_of_all_images(class_folders, tmp_path):
    """Three bad files of 48, by chance all among the test images."""
    class_folders({"blue": 20, "red": 20}, "photos/train")
    class_folders({"blue": 4, "red": 1}, "photos/val")
    folder = class_folders({}, "photos")
    for number in range(3):
        (folder / "val" / "red" / f"bad{number}.png").touch()
    recipe = get_recipe("smoke", data=folder, batch_size=8, max_bad_ratio=0.07)
    run = ka.train(recipe, tmp_path / "run", verbose=0)
    assert run.results["skipped_files"] == 3
    assert run.results["examples"] == 5
    evaluation = ka.evaluate(run)
    assert (evaluation.examples, evaluation.skipped_files) == (5, 3)
    with pytest.raises(ValueError, match="3 of 8 images cannot be used"):
        ka.evaluate(run, data=folder)
    evaluation = ka.evaluate(run, data=folder, max_bad_ratio=0.5)
    assert (evaluation.examples, evaluation.skipped_files) == (5, 3)


@pytest.mark.parametrize("ratio", [0.0, 0.04])
def test_too_many_bad_images_stop_the_training(class_folders, tmp_path, ratio):
    folder = broken_folder(class_folders)  # 2 of 42
    recipe = get_recipe("smoke", data=folder, batch_size=8, max_bad_ratio=ratio)
    with pytest.raises(ValueError, match="of 42 images cannot be used"):
        ka.train(recipe, tmp_path / "run", verbose=0)


def test_bad_images_of_one_batch_do_not_change_its_mean(tmp_path):
    """Seven images and a bad file train as the seven images alone do."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (8, 32, 32, 3), "uint8")
    names = ("a", "b")
    for index in range(8):
        keras.utils.save_img(tmp_path / f"{index}.png", images[index])
    paths = np.array([str(tmp_path / f"{index}.png") for index in range(8)])
    runs = []
    for name, bad in (("good", False), ("bad", True)):
        files = paths[:7]
        if bad:  # in the last place, which changes the others' order
            broken = tmp_path / "broken.png"
            broken.write_bytes(b"")
            files = np.array([*files, str(broken)])
        labels = np.arange(len(files)) % 2
        train = ka.Examples(files, labels, names)
        test = ka.Examples(paths[7:], [0], names)
        recipe = get_recipe(
            "smoke",
            data="",
            batch_size=8,
            flip=False,
            learning_rate=0.05,
            max_bad_ratio=0.5,
        )
        run = ka.train(
            recipe, tmp_path / name, examples=(train, test), verbose=0
        )
        runs.append(run)
    assert_close_after_a_step(*runs)


def test_arrays_in_memory_and_the_mean_image(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (24, 40, 40, 3), "uint8")
    examples = ka.Examples(images, np.arange(24) % 3, ("a", "b", "c"))
    recipe = get_recipe(
        "smoke",
        data="",
        resize_pixels=40,
        batch_size=8,
        mean="image",
        color_noise=0.1,
        color_source="fitted",
        training_divisor=1.1,
        crop_chunk=4,
    )
    run = ka.train(
        recipe, tmp_path / "run", examples=(examples, examples), verbose=0
    )
    mean_image = np.load(run.path("mean_image.npy"))
    np.testing.assert_allclose(mean_image, images.mean(axis=0), rtol=1e-5)
    evaluation = ka.evaluate(run, examples)
    x = images[:, 4:36, 4:36].astype("float32") - mean_image[4:36, 4:36]
    predicted = run.load_model().predict(x, verbose=0).argmax(axis=1)
    correct = (predicted == examples.labels).sum()
    assert np.trace(evaluation.confusion) == correct
    with pytest.raises(ValueError, match="arrays in memory"):
        ka.evaluate(run)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        with open(temporary, "w") as file:
            file.write("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_what_a_killed_write_has_left_goes_with_the_next(tmp_path):
    script = f"""
import os, signal
from keras_alexnet.cli.main import main
from keras_alexnet.files import LOCK
from keras_alexnet.files import folder_beside
from keras_alexnet.files import replacing
with replacing({str(tmp_path / "file.txt")!r}):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", script])
        assert len(os.listdir(tmp_path)) == 1
    mine = tmp_path / ".1234.file.txt"
    mine.write_text("not ours")
    with replacing(tmp_path / "file.txt") as one:
        with replacing(tmp_path / "file.txt") as other:  # both are in use
            assert os.path.exists(one)
        assert os.path.exists(one) and not os.path.exists(other)
    assert sorted(os.listdir(tmp_path)) == [mine.name, "file.txt"]


def test_folders_beside_a_file_go_too(tmp_path):
    script = f"""
import os, signal
from keras_alexnet.files import LOCK
from keras_alexnet.files import folder_beside
with folder_beside({str(tmp_path / "net.onnx")!r}) as folder:
    (folder / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script])
    assert len(os.listdir(tmp_path)) == 1
    with folder_beside(tmp_path / "net.onnx") as folder:
        assert os.listdir(tmp_path) == [folder.name]
    assert os.listdir(tmp_path) == []


def test_written_files_have_the_rights_of_the_umask(tmp_path):
    for umask in (0o022, 0o077):
        before = os.umask(umask)
        try:
            with replacing(tmp_path / "file.txt"):
                pass
        finally:
            os.umask(before)
        mode = (tmp_path / "file.txt").stat().st_mode & 0o777
        assert mode == 0o666 & ~umask


def test_two_devices_give_the_weights_of_one(tmp_path):
    """Uneven batches, clipped gradients; in float64 also parts of batches."""
    one, two, parts = (tmp_path / name for name in ("one", "two", "parts"))
    for folder, options in (
        (one, {"precisions": list(BOUNDS)}),
        (two, {"precisions": ["float32"], "arguments": {"devices": 2}}),
        (
            parts,
            {
                "precisions": ["float64"],
                "arguments": {"devices": 2},
                "changes": {"accumulation_steps": 2},
            },
        ),
    ):
        command = [train_noise.__file__, folder, json.dumps(options)]
        subprocess.run([sys.executable, *command], check=True)
    for precision, several in (("float32", two), ("float64", parts)):
        assert_same_steps(one, several, precision)


def test_a_training_ends_where_it_has_learned_enough(tmp_path):
    """Also when it was stopped behind that epoch, before its end."""
    recipe = get_recipe("smoke", epochs=9, stop_accuracy=0.4)
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = generator.integers(0, 40, (40, 32, 32, 3), "uint8")
    images[labels == 1] += 200
    examples = ka.Examples(images, labels, ("dark", "light"))
    run = ka.train(recipe, tmp_path / "a", examples=(examples, examples))
    with open(run.path("log.csv"), newline="") as file:
        accuracies = [float(row["accuracy"]) for row in csv.DictReader(file)]
    assert len(accuracies) < 9 and accuracies[-1] >= 0.4
    assert all(accuracy < 0.4 for accuracy in accuracies[:-1])
    run.path("results.json").unlink()
    again = ka.train(recipe, tmp_path / "a", examples=(examples, examples))
    assert again.results == run.results
    with open(run.path("log.csv"), newline="") as file:
        assert len(list(csv.DictReader(file))) == len(accuracies)


def everything(folder):
    """Paths, contents, links and times of all that a folder holds."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else None,
        )
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": "mine"},
        {".hidden": ""},
        {".git/HEAD": "ref"},
        {"classes.json": "[1]", "log.csv": "a,b"},
        {"tensorboard/train/events.out.tfevents.1": "mine"},
        {"skipped.csv": "file,reason\na,b\n"},
        {"checkpoints/state-000000001.safetensors": "mine"},
        {"recipe.json": "{}"},
        {"recipe.json": "[]"},
        {"recipe.json": '{"name": "soup", "epochs": 3, "pasta": "a lot"}'},
        {"recipe.json/inside": "a folder"},
        {"results.json": "{}", "model.weights.h5": ""},
    ],
)
@pytest.mark.parametrize("way", ["named", "here", "link"])
def test_a_folder_of_others_is_left_alone(
    tmp_path, monkeypatch, capsys, files, way
):
    folder = tmp_path / "folder"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    before = everything(folder)
    words = {"named": folder, "here": ".", "link": tmp_path / "link"}
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    words = ["train", "--recipe", "smoke", "--run-dir", str(words[way])]
    assert main(words) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "is not a run folder" in sentence
    assert everything(folder) == before


def test_beside_a_run_the_users_files_stay(tmp_path):
    """Also of one that is started anew."""
    recipe = get_recipe("smoke", batch_size=1000)
    ka.Run.create(tmp_path, recipe, tuple("abcdefghij"))  # killed at once
    mine = {
        "notes.txt": "mine",
        "tensorboard/notes.txt": "mine",
        "tensorboard/train/notes.txt": "mine",
        "checkpoints/.keep": "",
    }
    (tmp_path / "tensorboard" / "train").mkdir(parents=True)
    (tmp_path / "checkpoints").mkdir()
    for name, text in mine.items():
        (tmp_path / name).write_text(text)
    events = tmp_path / "tensorboard" / "train" / "events.out.tfevents.1"
    (tmp_path / "checkpoints" / ".keep").unlink()
    events.write_text("of the start before")
    run = ka.train(recipe, tmp_path, verbose=0)
    assert run.results["examples"] == 2000
    assert not events.exists()
    del mine["checkpoints/.keep"]
    for name, text in mine.items():
        assert (tmp_path / name).read_text() == text


def test_a_run_that_was_killed_at_its_end_is_completed(run, tmp_path):
    """Wherever between the last files; and what is old comes again."""
    names = ["curves.png", "confusion_matrix.png", "results.json"]
    for lost in (names[2:], names[1:], names[:1], names):
        folder = tmp_path / "-".join(lost)
        shutil.copytree(run.folder, folder)
        for name in lost:
            (folder / name).unlink()
        (folder / ".keras_alexnet-999999999-0123abcd.curves.png").touch()
        again = ka.train(run.recipe, folder, verbose=0)
        assert again.results == run.results
        assert sorted(p.name for p in folder.iterdir()) == sorted(
            p.name for p in run.folder.iterdir()
        )
        weights = again.load_model().get_weights()
        for one, other in zip(
            weights, run.load_model().get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kept", ["nothing", "a list", "garbage"])
def test_a_run_that_lost_its_checkpoints_does_not_start_over(
    run, tmp_path, kept
):
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    (folder / "results.json").unlink()
    states = folder / "checkpoints"
    shutil.rmtree(states)
    if kept != "nothing":
        states.mkdir()
        names = {"a list": "checkpoint", "garbage": "state-1.safetensors"}
        (states / names[kept]).write_bytes(b"")
    before = everything(folder)
    with pytest.raises(ValueError, match="to begin anew"):
        ka.train(run.recipe, folder, verbose=0)
    lost = {name for name in before if "summary" not in name}
    assert lost <= everything(folder).keys()
    assert (folder / "log.csv").read_text() == (run.path("log.csv").read_text())


def test_of_tensorflows_end_the_reason_is_told():
    """As it came from a shard that was cut in mid-training."""
    message = (
        "<stack traces unavailable>\nOSError: it has 9 bytes\n\n\t[[{{x}}]]"
    )
    skipped = types.SimpleNamespace(check=lambda: None)
    with (
        pytest.raises(ValueError, match=r"training: OSError: it has 9 bytes\."),
        trainer._in_a_sentence(skipped),
    ):
        raise tf.errors.UnknownError(None, None, message)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_learns_what_float32_does(precision, tmp_path):
    """Of one step with small gradients; float16 unscaled was 40 % off."""
    images = np.random.default_rng(0).integers(0, 256, (32, 40, 40, 3), "uint8")
    examples = ka.Examples(images, np.arange(32) % 3, tuple("abc"))
    moved = []
    for each in ("float32", precision):
        recipe = get_recipe(
            "smoke",
            data="",
            resize_pixels=36,
            crop_pixels=32,
            batch_size=32,
            epochs=1,
            learning_rate=1.0,
            momentum=0.0,
            weight_decay=0.0,
            layer_decay=(),
            precision=each,
        )
        run = ka.train(
            recipe, tmp_path / each, examples=(examples, examples), verbose=0
        )
        keras.utils.set_random_seed(recipe.seed)
        before = run.build_model().get_weights()
        after = run.load_model().get_weights()
        moved.append([a - b for a, b in zip(after, before, strict=True)])
    largest = {"float16": 0.05, "bfloat16": 0.2}[precision]
    # On AVX2 TensorFlow sums those of biases in bfloat16: conv2's is .64 off.
    of_biases = {"float16": 0.05, "bfloat16": 0.7}[precision]
    for expected, found in zip(*moved, strict=True):
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error < (largest if expected.ndim > 1 else of_biases)
