"""One tree of folders gives the same images, whoever looks at it."""

import json
import os
import warnings

import numpy as np
import pytest
from PIL import Image

import keras_alexnet as ka
from keras_alexnet.analysis.features import examples_of
from keras_alexnet.cli.main import main
from keras_alexnet.data.folders import find_images
from keras_alexnet.data.layout import find_layout

IMAGES = (
    "a/1.png",
    "a/2.JPG",
    "a/3.jfif",
    "a/4.jpe",
    "a/b c/ä.webp",
    "b/1.gif",
    "b/2.bmp",
    "b/x.train/5.jpeg",
    "b/6.png",
)
# Named like images of formats that are not read: each is told about.
UNREAD = ("a/7.tiff", "b/8.avif")
HIDDEN = (
    "a/.thumbs/3.png",
    "a/._1.png",
    "a/.ipynb_checkpoints/1-checkpoint.png",
    "a/__MACOSX/1.png",
    "a/b c/@eaDir/1.png",
    "__MACOSX/a/._1.png",
    "__MACOSX/a/1.png",
    ".ipynb_checkpoints/1.png",
    ".git/1.png",
)
NO_IMAGES = ("a/Thumbs.db", "a/notes.txt", "b/.DS_Store", "b/1.png.bak")


def write_image(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), "uint8")
    kind = {"jpg": "JPEG", "jfif": "JPEG", "jpe": "JPEG"}
    end = path.suffix[1:].lower()
    kind = {**kind, "jpeg": "JPEG", "tiff": "TIFF"}.get(end, end.upper())
    Image.fromarray(pixels).save(path, kind)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "photos"
    for seed, name in enumerate((*IMAGES, *HIDDEN)):
        write_image(root / name, seed)
    for name in (*UNREAD, *NO_IMAGES):
        (root / name).write_text("no image")
    return root


def relative(paths, root):
    return {os.path.relpath(path, root) for path in paths}


def test_training_and_lists_see_the_same_files(tree):
    expected = {*IMAGES, *UNREAD}
    train, test = ka.load_examples(tree)
    assert train.class_names == ("a", "b")
    files = [*train.images.tolist(), *test.images.tolist()]
    assert len(files) == len(set(files))
    assert relative(files, tree) == expected
    assert relative(find_images(tree), tree) == expected
    assert relative(find_images(f"{tree}/**"), tree) == expected
    assert relative(find_images(f"{tree}/**/*"), tree) == expected
    examples, are_classes = examples_of(tree)
    assert relative(examples.images.tolist(), tree) == expected
    assert (examples.class_names, are_classes) == (("a", "b"), True)


def test_check_data_and_prepare_data_see_them_too(tree, tmp_path, capfd):
    inspection = ka.check_data(tree)
    assert inspection.images == len(IMAGES) + len(UNREAD)
    assert inspection.classes == {"a": 6, "b": 5}
    found = {file: kind for kind, file, _ in inspection.findings}
    ignored = {"a/Thumbs.db", "a/notes.txt", "b/1.png.bak"}
    expected = dict.fromkeys(ignored, "ignored")
    assert found == {**expected, **dict.fromkeys(UNREAD, "unreadable")}
    assert not inspection.is_safe(0.1)
    assert inspection.is_safe(0.2)
    out = str(tmp_path / "out")
    facts = ka.prepare_data(tree, out, max_bad_ratio=0.2, resize_pixels=32)
    assert sum(facts["images"].values()) == len(IMAGES)
    assert facts["skipped"].keys() == {*UNREAD}
    assert main(["prepare-data", str(tree), str(tmp_path / "no")]) == 2
    assert "2 of 11" in capfd.readouterr().err


def test_a_file_that_is_named_is_looked_at(tree):
    hidden = tree / "a" / ".thumbs" / "3.png"
    assert find_images([hidden]) == [str(hidden)]


def two_classes(folder, seed=0):
    for number, name in enumerate(("a/1.png", "a/2.png", "b/1.png", "b/2.png")):
        write_image(folder / name, seed + number)


@pytest.mark.parametrize("train", ["train", "Train", "TRAINING"])
@pytest.mark.parametrize(
    "test", ["test", "Testing", "val", "Val", "valid", "VALIDATION", "dev"]
)
def test_the_usual_names_in_any_case(tmp_path, train, test):
    two_classes(tmp_path / train)
    two_classes(tmp_path / test, 9)
    trained, tested = ka.load_examples(tmp_path)
    assert (len(trained), len(tested)) == (4, 4)
    assert relative(tested.images, tmp_path / test) == {
        "a/1.png",
        "a/2.png",
        "b/1.png",
        "b/2.png",
    }
    roles = ka.check_data(tmp_path).roles
    assert roles == (
        f"{tmp_path / train} is trained on, {tmp_path / test} is tested on."
    )


def left_alone(root):
    """What a call warns of, and `check-data` names."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train, test = ka.load_examples(root)
    texts = [str(warning.message) for warning in caught]
    findings = [f for f in ka.check_data(root).findings if f[0] == "left alone"]
    for (_, name, why), text in zip(findings, texts, strict=True):
        assert text == f"{root / name} is left alone: {why}."
    return [name for _, name, _ in findings], train, test


def test_what_lies_beside_train_is_not_passed_over(tmp_path):
    for name in ("train", "test", "val", "extra"):
        two_classes(tmp_path / name)
    write_image(tmp_path / "1.png")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "readme.txt").touch()
    names, train, test = left_alone(tmp_path)
    assert names == ["val", "extra", "1 image"]
    assert test.images[0].startswith(str(tmp_path / "test"))


def test_what_lies_beside_the_folder_that_is_tested_on_is_named(tmp_path):
    for name in ("train", "Val", "Test", "extra"):
        two_classes(tmp_path / name)
    network = ka.AlexNet("lenet5", classes=2)
    network.class_names, network.checks_range = ("a", "b"), True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = ka.evaluate(network, tmp_path)
    assert found.examples == 4
    texts = [str(w.message) for w in caught if "left alone" in str(w.message)]
    assert texts == [
        f"{tmp_path / 'Val'} is left alone: Test is tested on.",
        f"{tmp_path / 'extra'} is left alone: it has none of the usual names.",
    ]


def test_an_unlabeled_test_folder_of_a_competition(tmp_path):
    two_classes(tmp_path / "train")
    write_image(tmp_path / "test" / "1.png")
    names, train, test = left_alone(tmp_path)
    assert names == ["test"]
    assert (len(train), len(test)) == (2, 2)  # a part of train is held out
    two_classes(tmp_path / "valid")
    names, train, test = left_alone(tmp_path)
    assert names == ["test"]
    assert test.images[0].startswith(str(tmp_path / "valid"))


def test_loose_images_beside_class_folders_are_named(tmp_path):
    two_classes(tmp_path)
    write_image(tmp_path / "c.png")
    write_image(tmp_path / "d.png")
    assert left_alone(tmp_path)[0] == ["2 images"]


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bus/1.png", "bus/2.png", "train/1.png", "train/2.png"):
        write_image(tmp_path / name)
    assert find_layout(tmp_path).train == tmp_path
    assert ka.load_examples(tmp_path)[0].class_names == ("bus", "train")
    assert ka.check_data(tmp_path).is_safe()


REFUSED = {
    "two": (["train", "Training"], "holds 'Training' and 'train'"),
    "none": (["test", "val"], "and no folder `train`"),
    "deeper": (["dataset/train", "dataset/test"], "is it meant?"),
    "twice": (["photos"], "is it meant?"),
}


@pytest.mark.parametrize(("folders", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_told_is_refused_alike(
    tmp_path, folders, text, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    for folder in folders:
        two_classes(root / folder)
    with pytest.raises(ValueError) as refusal:
        ka.load_examples(root)
    assert text in str(refusal.value)
    inspection = ka.check_data(root)
    assert not inspection.is_safe()
    assert ("refused", ".", str(refusal.value).rstrip(".")) in (
        inspection.findings
    )
    assert main(["check-data", str(root)]) == 1
    assert text in capfd.readouterr().out
    assert main(["train", "--recipe", "smoke", "--data", str(root)]) == 2
    assert text in capfd.readouterr().err


def test_names_that_are_not_utf8(tmp_path, capfd):
    name = os.fsdecode(b"caf\xe9")
    two_classes(tmp_path / "photos")
    os.rename(tmp_path / "photos" / "b", tmp_path / "photos" / name)
    train, _ = ka.load_examples(tmp_path / "photos")
    assert train.class_names == ("a", name)
    assert main(["check-data", str(tmp_path / "photos"), "--format=json"]) == 0
    assert json.loads(capfd.readouterr().out)["classes"] == {"a": 2, name: 2}
    assert main(["check-data", str(tmp_path / "photos")]) == 0
    ka.prepare_data(tmp_path / "photos", tmp_path / "out", resize_pixels=32)
    assert ka.load_examples(tmp_path / "out")[0].class_names == ("a", name)


def test_a_training_with_names_that_are_not_utf8(tmp_path, capfd):
    """To the end: resumed, asked, drawn, written into other files."""
    photos, run, name = tmp_path / "photos", tmp_path / "run", b"caf\xe9"
    two_classes(photos)
    os.rename(photos / "b", photos / os.fsdecode(name))
    recipe = ka.Recipe(
        "small",
        data=str(photos),
        variant="cifar10_18pct",
        resize_pixels=40,
        crop_pixels=32,
        batch_size=2,
        epochs=1,
    )
    ka.train(recipe, run, verbose=0)
    (run / "results.json").unlink()  # as after a kill at the very end
    names = ka.train(recipe, run, verbose=0).class_names
    assert names == ("a", os.fsdecode(name))
    model = str(tmp_path / "x.keras")
    for words in (
        ["evaluate", str(run)],
        ["report", str(run)],
        ["convert", str(run), model],
        ["predict", model, str(photos)],
    ):
        assert main(words) == 0
    assert "caf\\udce9" in capfd.readouterr().out
    assert ka.open_trained(model).class_names == names
