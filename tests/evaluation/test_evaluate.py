"""Exact counts, recomputed by NumPy from single predictions."""

import csv
import functools
import json

import matplotlib.image
import numpy as np
import pytest
from PIL import Image
from untrained import random_run
from untrained import write_photos

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.data import imagenet
from keras_alexnet.evaluation.evaluate import Evaluation
from keras_alexnet.runs.recipes import get_recipe
from keras_alexnet.visualization.charts import plot_confusion
from keras_alexnet.visualization.charts import plot_curves

CLASSES = tuple("abcdefg")
CHANGES = {
    "color": {},
    "gray": {"variant": "lenet5", "resize_pixels": 37},
    "mean image": {"mean": "image", "resize_pixels": 45, "crop_pixels": 31},
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "photos"
    return write_photos(folder, dict.fromkeys(CLASSES, 5))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    generator = np.random.default_rng(7)
    return {
        name: random_run(
            folder / name.replace(" ", "_"),
            CLASSES[::-1] if name == "gray" else CLASSES,
            seed,
            generator.integers(0, 256, (45, 45, 3)).astype("float32"),
            **changes,
        )
        for seed, (name, changes) in enumerate(CHANGES.items(), 1)
    }


def files_and_labels(photos):
    files = tuple(sorted(photos.rglob("*.png")))
    return files, [CLASSES.index(file.parent.name) for file in files]


def square(file, pixels, mode):
    """Section 2: short side resized, the central square cut out."""
    image = Image.open(file).convert(mode)
    short = min(image.size)
    size = [
        pixels if side == short else int(pixels * side / short)
        for side in image.size
    ]
    resized = image.resize(size, Image.Resampling.BILINEAR)
    width, height = resized.size
    left, top = round((width - pixels) / 2), round((height - pixels) / 2)
    box = (left, top, left + pixels, top + pixels)
    return np.asarray(resized.crop(box)).reshape(pixels, pixels, -1)


def crops_of(image, pixels, ten):
    """The center, or corners, center and mirror images (Section 4.1)."""
    far = len(image) - pixels
    middle = round(far / 2)
    places = [(middle, middle)]
    if ten:
        places += [(0, 0), (0, far), (far, 0), (far, far)]
    crops = [image[y : y + pixels, x : x + pixels] for y, x in places]
    return crops + [np.fliplr(crop) for crop in crops] if ten else crops


@functools.cache
def recomputed(run, files, ten):
    """Probabilities of CLASSES, one image at a time."""
    recipe, model = run.recipe, run.load_model()
    mode = "L" if run.channels == 1 else "RGB"
    probabilities = []
    for file in files:
        image = square(file, recipe.resize_pixels, mode)
        crops = np.stack(crops_of(image, recipe.crop_pixels, ten))
        if recipe.mean == "image":
            mean = np.load(run.path("mean_image.npy"))
            (middle,) = crops_of(mean, recipe.crop_pixels, False)
            inputs = crops.astype("float32") - middle
        else:
            inputs = ka.preprocess_input(crops, recipe.variant)
        probabilities.append(model.predict_on_batch(inputs).mean(axis=0))
    order = [run.class_names.index(name) for name in CLASSES]
    return np.array(probabilities)[:, order]


def counts(probabilities, labels):
    """Confusion matrix, and how many labels are among the five first."""
    confusion = np.zeros((len(CLASSES), len(CLASSES)), int)
    top5 = 0
    for scores, label in zip(probabilities, labels, strict=True):
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        confusion[label, order[0]] += 1
        top5 += label in order[:5]
    return confusion, top5


@pytest.mark.parametrize("ten", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_a_recomputation_from_single_predictions(runs, photos, name, ten):
    files, labels = files_and_labels(photos)
    expected = recomputed(runs[name], files, ten)
    found = ka.predict(runs[name], files, top=7, ten_crops=ten)
    found = [[dict(top)[c] for c in CLASSES] for top in found]
    np.testing.assert_allclose(found, expected, atol=2e-5)
    # It can fail: the other crops give other probabilities.
    others = recomputed(runs[name], files, not ten)
    assert np.abs(others - expected).max() > 0.05
    evaluation = ka.evaluate(runs[name], photos, ten_crops=ten)
    confusion, top5 = counts(expected, labels)
    if name == "gray":  # its classes stand in another order
        confusion = confusion[::-1, ::-1]
    np.testing.assert_array_equal(evaluation.confusion, confusion)
    assert evaluation.top5_correct == top5
    assert evaluation.crops == ("ten crops" if ten else "center crop")


@pytest.mark.parametrize("ten", [False, True])
def test_several_networks_are_averaged(runs, photos, ten):
    """Of other sizes, preprocessing, channels and orders of classes."""
    files, labels = files_and_labels(photos)
    single = [recomputed(run, files, ten) for run in runs.values()]
    confusion, top5 = counts(np.mean(single, axis=0), labels)
    evaluation = ka.evaluate(list(runs.values()), photos, ten_crops=ten)
    np.testing.assert_array_equal(evaluation.confusion, confusion)
    assert evaluation.top5_correct == top5
    assert evaluation.networks == 3
    alone = [counts(each, labels)[0] for each in single]
    assert not any((each == confusion).all() for each in alone)


def test_ten_crops_without_room_are_the_image_and_its_mirror(photos, tmp_path):
    run = random_run(tmp_path / "run", CLASSES, resize_pixels=32)
    files, labels = files_and_labels(photos)
    evaluation = ka.evaluate(run, photos, ten_crops=True)
    images = np.stack([square(file, 32, "RGB") for file in files])
    inputs = ka.preprocess_input(images, run.recipe.variant)
    model = run.load_model()
    both = [inputs, inputs[:, :, ::-1]]
    scores = np.mean([model.predict_on_batch(x) for x in both], axis=0)
    np.testing.assert_array_equal(
        evaluation.confusion, counts(scores, labels)[0]
    )
    assert "mirror" in evaluation.crops


def test_mistakes_are_refused(runs, photos, tmp_path):
    other = random_run(tmp_path / "other", ("a", "b", "h"))
    with pytest.raises(ValueError, match=r"same classes only; of 7 and 3"):
        ka.evaluate([runs["color"], other], photos)
    with pytest.raises(ValueError, match="at least one"):
        ka.evaluate([], photos)
    with pytest.raises(ValueError, match="missing c, d, e, f, g; unknown h"):
        ka.evaluate(
            runs["color"],
            write_photos(tmp_path / "p", dict.fromkeys("abh", 1)),
        )


def test_own_test_images_must_be_those_of_all_runs(photos, tmp_path):
    def run(name, seed, data=photos):
        recipe = get_recipe("smoke", data=str(data), seed=seed)
        return random_run(tmp_path / name, CLASSES, recipe=recipe)

    same = [run("one", 0), run("two", 0)]
    assert ka.evaluate(same).examples == 7  # a fifth of each class
    with pytest.raises(ValueError, match="do not share their test images"):
        ka.evaluate([*same, run("three", 1)])
    # With a folder for testing the seed does not matter.
    split = tmp_path / "split"
    for part, seed in (("train", 0), ("val", 1)):
        write_photos(split / part, dict.fromkeys(CLASSES, 2), seed)
    runs = [run("four", 0, split), run("five", 1, split)]
    assert ka.evaluate(runs).examples == 14


@pytest.fixture(scope="module")
def imagenet_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagenet")
    return random_run(folder, imagenet.class_names(), resize_pixels=32)


def three_classes(folder, names):
    """Photos in folders of ImageNet's classes 0, 285 and 999."""
    return write_photos(folder, dict(zip(names, (2, 3, 4), strict=True)))


@pytest.mark.parametrize(
    "names",
    [
        ("n01440764", "n02124075", "n15075141"),
        ("tench", "Egyptian cat", "toilet tissue"),
        ("n01440764", "Egyptian_cat", "toilet_tissue"),
    ],
)
def test_some_of_imagenets_classes(imagenet_run, tmp_path, names):
    photos = three_classes(tmp_path / "photos", names)
    evaluation = ka.evaluate(imagenet_run, photos)
    present = np.flatnonzero(evaluation.confusion.sum(axis=1))
    assert present.tolist() == [0, 285, 999]
    assert evaluation.confusion[999].sum() == 4
    assert "9 examples of 3 of the 1,000 classes" in str(evaluation)
    facts = evaluation.to_dict()
    assert facts["classes"] == 3
    assert facts["accuracy_per_class"]["goldfish"] is None
    with pytest.raises(ValueError, match="unknown my cat"):
        write_photos(photos / "..", {"photos/my cat": 1})
        ka.evaluate(imagenet_run, photos)


@pytest.mark.parametrize("form", ["numbers", "synsets"])
def test_imagenets_flat_validation_folder(imagenet_run, tmp_path, form):
    """Caffe's val.txt counts the synsets, whatever the names are."""
    photos = three_classes(tmp_path / "photos", ("0", "285", "999"))
    (tmp_path / "val").mkdir()
    lines = []
    for number, file in enumerate(sorted(photos.rglob("*.png"))):
        label = int(file.parent.name)
        name = f"ILSVRC2012_val_{number:08}.png"
        file.rename(tmp_path / "val" / name)
        word = label if form == "numbers" else imagenet.synsets()[label]
        lines.append(f"{name} {word}\n")
    (tmp_path / "val" / "val.txt").write_text("".join(lines))
    confusion = ka.evaluate(imagenet_run, tmp_path / "val").confusion
    assert confusion.sum(axis=1)[[0, 285, 999]].tolist() == [2, 3, 4]


def test_a_run_of_synsets_and_one_of_names_are_averaged(imagenet_run, tmp_path):
    photos = three_classes(tmp_path / "p", ("tench", "Egyptian cat", "orange"))
    run = random_run(
        tmp_path / "run", imagenet.synsets(), seed=3, resize_pixels=32
    )
    evaluation = ka.evaluate([imagenet_run, run], photos)
    assert (evaluation.examples, evaluation.networks) == (9, 2)


def test_figures_are_counted_from_the_confusion_matrix():
    confusion = np.array([[3, 1, 0], [0, 4, 0], [2, 0, 2]])
    evaluation = Evaluation(("a", "b", "c"), confusion, top5_correct=11)
    facts = evaluation.to_dict()
    assert facts["examples"] == 12
    assert facts["accuracy"] == 9 / 12
    np.testing.assert_allclose(facts["top1_error_percent"], 25.0)
    np.testing.assert_allclose(facts["top5_error_percent"], 100 / 12)
    assert facts["accuracy_per_class"] == {"a": 0.75, "b": 1.0, "c": 0.5}
    assert facts["mistakes_per_class"] == {
        "a": ["b", 1],
        "b": None,
        "c": ["a", 2],
    }
    assert json.loads(json.dumps(facts)) == facts
    assert "accuracy 0.7500" in str(evaluation)
    assert "top-1 error 25.00 % (3 wrong), top-5 error -" in str(evaluation)
    table = evaluation.to_markdown()
    assert "| c | 4 | 2 | 50.00 % | a, 2 |" in table
    assert "| b | 4 | 4 | 0.00 % | - |" in table


def test_the_command(runs, photos, tmp_path, capsys):
    (photos / "c" / "broken.png").write_bytes(b"")
    words = ["evaluate", str(runs["color"].folder), str(runs["gray"].folder)]
    words += ["--data", str(photos), "--max-bad-ratio", "0.1"]
    try:
        picture = tmp_path / "confusion.png"
        assert main([*words, "--confusion", str(picture)]) == 0
        assert "1 files could not be read" in capsys.readouterr().out
        assert matplotlib.image.imread(picture).std() > 0.05
        assert main([*words, "--format", "json", "--ten-crops"]) == 0
        facts = json.loads(capsys.readouterr().out)
        evaluation = ka.evaluate(
            [runs["color"], runs["gray"]], photos, 0.1, ten_crops=True
        )
        assert facts == evaluation.to_dict()
        assert (facts["examples"], facts["skipped_files"]) == (35, 1)
        assert main([*words, "--format", "markdown"]) == 0
        assert capsys.readouterr().out.count("\n| ") == 9
        assert main(words[:-2]) == 2  # 1 of 36 is more than 1 %
    finally:
        (photos / "c" / "broken.png").unlink()


def test_a_class_may_have_any_name(tmp_path):
    names = ["$\\frac{1$", "\udce4", "long " * 40]
    plot_confusion(np.eye(3, dtype=int), names, tmp_path / "confusion.png")
    picture = matplotlib.image.imread(tmp_path / "confusion.png")
    assert (picture[..., 0] < 0.2).mean() > 0.02  # the matrix has its room


def test_pictures_open(tmp_path):
    names = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    with open(tmp_path / "log.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([[0, 2.3, 0.1, 2.2, 0.2], [1, 1.0, 0.6, 0.9, 0.7]])
    plot_curves(tmp_path / "log.csv", tmp_path / "curves.png")
    names = [f"class {i}" for i in range(12)]
    plot_confusion(np.eye(12, dtype=int), names, tmp_path / "confusion.png")
    for name in ("curves.png", "confusion.png"):
        picture = matplotlib.image.imread(tmp_path / name)
        assert picture.shape[0] > 300
        assert picture.std() > 0.05
