"""Data that change between two calls: harmless, or refused in a sentence."""

import csv
import hashlib
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from untrained import write_photos

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.data.data_record import EARLIER
from keras_alexnet.data.data_record import DataRecord
from keras_alexnet.data.data_record import Image
from keras_alexnet.data.datasets import load_examples
from keras_alexnet.environment import Interrupted
from keras_alexnet.runs.recipes import get_recipe
from keras_alexnet.training.checkpoints import Checkpoints

CLASSES = ("ants", "bees")


def recipe_for(photos, **changes):
    changes = {"epochs": 3, "batch_size": 5, **changes}
    return get_recipe(
        "folder",
        data=str(photos),
        variant="lenet5",
        initialization=None,
        resize_pixels=36,
        crop_pixels=32,
        color_noise=0.0,
        smallest_crop_area=None,
        learning_rate=0.01,
        rate_drops=(),
        **changes,
    )


def train(recipe, folder, **options):
    return ka.train(recipe, folder, verbose=0, deterministic=True, **options)


def interrupt(recipe, folder, step, **options):
    """Train until a step, as if SIGTERM had come then."""
    on_batch_end = Checkpoints.on_train_batch_end

    def stopped(self, batch, logs=None):
        if self.step == step - 1:
            self._signals.number = signal.SIGTERM
        on_batch_end(self, batch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_batch_end", stopped)
        with pytest.raises(Interrupted):
            train(recipe, folder, **options)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Photos, a run on them, and the same run stopped in its second epoch."""
    root = tmp_path_factory.mktemp("runs")
    photos = write_photos(root / "photos", dict.fromkeys(CLASSES, 11))
    recipe = recipe_for(photos)
    train(recipe, root / "whole")
    interrupt(recipe, root / "stopped", 6)
    return root


@pytest.fixture
def place(runs, tmp_path):
    """A copy of all, the runs with the path of their photos of now."""
    for path in runs.iterdir():
        shutil.copytree(path, tmp_path / path.name)
    for name in ("whole", "stopped"):
        path = tmp_path / name / "recipe.json"
        text = path.read_text().replace(str(runs), str(tmp_path))
        path.write_text(text)
    return tmp_path


def add(photos):
    shutil.copy(photos / "ants" / "00.png", photos / "ants" / "99.png")


def add_to_the_other_class(photos):
    shutil.copy(photos / "ants" / "00.png", photos / "bees" / "99.png")


def remove(photos):
    (photos / "bees" / "03.png").unlink()


def replace_by_the_same_size(photos):
    path = photos / "bees" / "04.png"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def exchange_two(photos):
    """Each under the other's name, in the other class."""
    one, other = photos / "ants" / "01.png", photos / "bees" / "01.png"
    one.rename(photos / "kept.png")
    other.rename(one)
    (photos / "kept.png").rename(other)


def move_to_the_other_class(photos):
    (photos / "ants" / "05.png").rename(photos / "bees" / "55.png")


def make_unreadable(photos):
    path = photos / "ants" / "02.png"
    path.unlink()
    path.symlink_to("nowhere")


def make_larger_than_any_photo(photos):
    path = photos / "ants" / "02.png"
    path.touch()
    os.truncate(path, 5 * 2**30)  # sparse


def make_parts(photos):
    """The same photos, as `train` and `val`."""
    for part, first in (("train", "0"), ("val", "1")):
        for name in CLASSES:
            (photos / part / name).mkdir(parents=True)
            for path in (photos / name).glob(f"{first}*"):
                path.rename(photos / part / name / path.name)
    for name in CLASSES:
        (photos / name).rmdir()


CHANGES = {
    add: "1 are new",
    add_to_the_other_class: "1 are new",
    remove: "1 are no longer there",
    replace_by_the_same_size: "1 have other contents",
    exchange_two: "2 have another class",
    move_to_the_other_class: "1 have another class",
    make_unreadable: "1 have other contents",
    make_larger_than_any_photo: "1 have other contents",
    make_parts: "are in another part",
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_images_are_refused(place, change):
    change(place / "photos")
    before = contents(place / "stopped")
    with pytest.raises(ValueError, match="The images have changed") as error:
        train(recipe_for(place / "photos"), place / "stopped")
    assert CHANGES[change] in str(error.value)
    assert "--weights" in str(error.value)  # how to go on on purpose
    assert contents(place / "stopped") == before


def rename_all(photos):
    """In another order."""
    for name in CLASSES:
        paths = sorted((photos / name).iterdir())
        for number, path in enumerate(paths):
            path.rename(photos / name / f"new {90 - number}.png")


def write_anew(photos):
    """The same bytes, as other files of another time."""
    for path in photos.rglob("*.png"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        os.utime(path, (1, 1))


@pytest.mark.parametrize("change", [rename_all, write_anew])
def test_other_names_and_times_are_harmless(place, change):
    change(place / "photos")
    run = train(recipe_for(place / "photos"), place / "stopped")
    whole = ka.Run(place / "whole")
    assert run.results == whole.results
    assert run.log_rows() == whole.log_rows()
    for one, other in zip(
        run.load_model().get_weights(),
        whole.load_model().get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_what_is_recorded_is_what_was_trained_on(runs):
    photos = runs / "photos"
    train_part, test_part = load_examples(photos)
    with open(runs / "whole" / "images.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for part, examples in (("train", train_part), ("test", test_part)):
        expected = [
            (examples.class_names[label], Path(path), digest(Path(path)))
            for path, label in zip(
                examples.images.tolist(), examples.labels, strict=True
            )
        ]
        found = [
            (row["class_name"], photos / row["file"], row["digest"])
            for row in rows
            if row["part"] == part
        ]
        assert found == expected


def test_files_that_did_not_change_are_not_read_again(runs, monkeypatch):
    def fail(image):
        raise AssertionError(image)

    monkeypatch.setattr("keras_alexnet.data.data_record.digest_of", fail)
    evaluation = ka.evaluate(ka.Run(runs / "whole"))
    assert evaluation.changes == ()


def test_evaluation_never_tests_on_what_was_trained_on(place, capsys):
    """After photos were added: a new split would hold out others."""
    run = ka.Run(place / "whole")
    photos = place / "photos"
    write_photos(place / "more", dict.fromkeys(CLASSES, 4), seed=1)
    for path in (place / "more").rglob("*.png"):
        path.rename(photos / path.parent.name / f"0{path.name}")  # among them
    held_out = DataRecord.read(run.folder).held_out
    (gone,) = [
        path for path in photos.rglob("*.png") if digest(path) == min(held_out)
    ]
    evaluation = ka.evaluate(run)
    assert evaluation.examples == len(held_out) == run.results["examples"]
    expected = np.array(run.results["confusion"])
    np.testing.assert_array_equal(evaluation.confusion, expected)
    assert evaluation.changes == (
        "8 images are new since the training and not counted",
    )
    gone.unlink()
    assert main(["evaluate", str(run.folder)]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert f"{len(held_out) - 1} examples" in output
    assert "1 images that were held out are no longer there" in output


def test_what_was_trained_on_is_left_out_of_other_data(place, capsys):
    run = ka.Run(place / "whole")
    record = DataRecord.read(run.folder)
    every = ka.evaluate(run, place / "photos")  # the whole folder
    assert every.examples == len(record.held_out)
    assert every.changes == ("18 images were trained on and are left out",)
    copies = place / "copies"
    for path in (place / "photos").rglob("*.png"):
        if digest(path) in record.trained_on:
            (copies / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copies / path.parent.name / f"new {path.name}")
    with pytest.raises(ValueError, match="All 18 images were trained on"):
        ka.evaluate(run, copies)


def test_images_that_are_given_themselves_are_all_tested(place):
    run = ka.Run(place / "whole")
    train_part, _ = load_examples(place / "photos")
    assert ka.evaluate(run, train_part).examples == len(train_part)


def test_a_copy_of_a_photo_is_not_drawn_to_both_sides(tmp_path):
    photos = write_photos(tmp_path / "photos", dict.fromkeys(CLASSES, 6))
    (photos / "bees" / "05.png").unlink()
    train_part, test_part = load_examples(photos)
    shutil.copy(test_part.images[0], photos / "ants" / "copy.png")
    for seed in range(20):
        train_part, test_part = load_examples(photos, seed=seed)
        both = [digest(Path(path)) for path in train_part.images]
        both = set(both) & {digest(Path(path)) for path in test_part.images}
        if both:
            break
    recipe = recipe_for(photos, epochs=1, seed=seed)
    with pytest.warns(UserWarning, match="1 of the images to test on are left"):
        run = train(recipe, tmp_path / "run")
    assert run.results["examples"] == len(test_part) - 1
    assert ka.evaluate(run).examples == len(test_part) - 1
    record = DataRecord.read(run.folder)
    assert not record.held_out & record.trained_on
    assert both < record.trained_on


def test_a_photo_that_is_given_for_both_is_said_to_be(tmp_path):
    for part, count in (("train", 4), ("val", 2)):  # the first are the same
        write_photos(tmp_path / "photos" / part, dict.fromkeys(CLASSES, count))
    run = train(recipe_for(tmp_path / "photos", epochs=1), tmp_path / "run")
    assert run.results["examples"] == 4
    for data in (None, tmp_path / "photos"):
        evaluation = ka.evaluate(run, data)
        assert evaluation.examples == 4
    (told,) = ka.evaluate(run).changes
    assert told == "2 of the images were given to train on as well"


def test_what_a_network_started_from_was_trained_on_counts(place):
    """Another seed would hold out others; of new photos a part is drawn."""
    run = ka.Run(place / "whole")
    write_photos(place / "more", dict.fromkeys(CLASSES, 5), seed=1)
    for path in (place / "more").rglob("*.png"):
        new = place / "photos" / path.parent.name / f"new {path.name}"
        path.rename(new)
    recipe = recipe_for(
        place / "photos", epochs=1, seed=7, weights=str(run.folder)
    )
    again = train(recipe, place / "again")
    before, record = DataRecord.read(run.folder), DataRecord.read(again.folder)
    assert before.held_out < record.held_out
    assert len(record.held_out) == len(before.held_out) + 2
    assert not record.held_out & before.trained_on
    assert before.trained_on <= record.trained_on
    assert again.results["examples"] == len(record.held_out)


def test_what_was_trained_on_before_is_left_out_of_given_tests(place):
    """Photos that a network was trained on, given to test another on."""
    run = ka.Run(place / "whole")
    trained_on = DataRecord.read(run.folder).trained_on
    for number, path in enumerate(sorted((place / "photos").rglob("*.png"))):
        part = "val" if number % 2 else "train"
        target = place / "parts" / part / path.parent.name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    given = {digest(p) for p in (place / "parts" / "val").rglob("*.png")}
    recipe = recipe_for(place / "parts", epochs=1, weights=str(run.folder))
    with pytest.warns(UserWarning, match="are left out"):
        again = train(recipe, place / "again")
    record = DataRecord.read(again.folder)
    assert record.held_out == given - trained_on
    assert again.results["examples"] == len(record.held_out)


def test_arrays_are_compared_too(tmp_path):
    generator = np.random.default_rng(0)

    def examples(count):
        images = generator.integers(0, 256, (count, 36, 36), "uint8")
        return ka.Examples(images, np.arange(count) % 2, CLASSES)

    data = examples(15), examples(6)
    recipe = recipe_for("")
    interrupt(recipe, tmp_path, 4, examples=data)
    for part, spoiled in enumerate(("train", "test")):
        images, labels = data[part].images.copy(), data[part].labels.copy()
        images[3, 5, 5] ^= 1
        others = ka.Examples(images, labels, CLASSES)
        pair = (others, data[1]) if spoiled == "train" else (data[0], others)
        with pytest.raises(ValueError, match="1 have other contents"):
            train(recipe, tmp_path, examples=pair)
        labels[3] ^= 1
        others = ka.Examples(data[part].images, labels, CLASSES)
        pair = (others, data[1]) if spoiled == "train" else (data[0], others)
        with pytest.raises(ValueError, match="1 have another class"):
            train(recipe, tmp_path, examples=pair)
    order = np.arange(15)[::-1]
    turned = ka.Examples(data[0].images[order], data[0].labels[order], CLASSES)
    run = train(recipe, tmp_path, examples=(turned, data[1]))
    assert run.results["examples"] == 6


def test_a_stage_is_not_finished_with_other_data(place):
    """`fine_tune` and `run_experiment` take up runs that are finished."""
    from keras_alexnet.training.trainer import train_once

    recipe = recipe_for(place / "photos")
    assert train_once(recipe, place / "whole", verbose=0).results
    remove(place / "photos")
    with pytest.raises(ValueError, match="The images have changed"):
        train_once(recipe, place / "whole", verbose=0)


def test_going_on_on_purpose_with_other_images(place):
    """As the refusal says: from the unfinished run's weights, elsewhere."""
    add(place / "photos")
    recipe = recipe_for(
        place / "photos", epochs=1, weights=str(place / "stopped")
    )
    match = "is not finished; its weights after step 6"
    with pytest.warns(UserWarning, match=match):
        run = train(recipe, place / "new")
    record = DataRecord.read(run.folder)
    assert not record.held_out & DataRecord.read(place / "stopped").trained_on
    with pytest.warns(UserWarning, match=match):
        started = ka.Run(place / "stopped").load_newest()
    state = max((place / "stopped" / "checkpoints").iterdir())
    kept = safetensors.numpy.load_file(state)
    for variable in started.variables:
        (array,) = (
            array
            for name, array in kept.items()
            if name.endswith(f"/{variable.path}") and "momentum" not in name
        )
        np.testing.assert_array_equal(variable.numpy(), array)


def test_a_damaged_record_is_named(place):
    path = place / "stopped" / "images.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    for content in (b"", b"a,b\n", b"".join(lines[:-3]), b"\0\xff" * 9):
        path.write_bytes(content)
        match = "images.csv' cannot be read|2 are new|3 are new"
        with pytest.raises(ValueError, match=match):
            train(recipe_for(place / "photos"), place / "stopped")


def test_what_earlier_trainings_saw_counts_as_trained_on(tmp_path):
    """Fine-tuning: the images that the weights came from, too."""
    images = [Image("a", f"digest{i}", f"{i}.png", "") for i in range(3)]
    parts = {"train": images[:1], "test": images[1:2], EARLIER: images[2:]}
    DataRecord(parts).write(tmp_path)
    record = DataRecord.read(tmp_path)
    assert record.trained_on == {"digest0", "digest2"}
    assert record.held_out == {"digest1"}
