"""The page about a run, read as a browser reads it, against the run."""

import base64
import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from untrained import random_run
from untrained import write_photos

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.data import datasets
from keras_alexnet.data.skipped_files import SkippedFiles
from keras_alexnet.training import trainer
from keras_alexnet.visualization import html as pages
from keras_alexnet.web.rerun_command import repeating_text

# What would be tags, attributes, formulas or another page's text.
CLASSES = ("<script>alert(1)", "a\" onerror='alert(2)", "b & $\\frac{c$")
SECTIONS = (
    "Learning curves",
    "Confusion matrix",
    "Best and worst predictions",
    "Kernels",
    "Towers",
    "Diagram",
    "Summary",
    "Recipe",
    "Skipped files",
    "Repeat it",
)
RECIPE = ka.Recipe(
    "tiny",
    variant="cifar10_18pct",
    resize_pixels=36,
    crop_pixels=32,
    color_noise=0.0,
    batch_size=16,
    epochs=2,
    learning_rate=0.001,
    max_bad_ratio=0.1,
)


class Page(HTMLParser):
    """The texts, pictures and cells of each section, by its heading."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.attributes, self.heading = [""], [], "top"
        self.texts, self.images, self.cells = {}, {}, {}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag == "h2":
            self.heading = None
        if tag == "img":
            self.images.setdefault(self.heading, []).append(dict(attrs))
        if tag == "tr":
            self.cells.setdefault(self.heading, []).append([])

    def handle_data(self, data):
        if self.heading is None:
            self.heading = data
        self.texts[self.heading] = self.texts.get(self.heading, "") + data
        if self.tags[-1] in ("td", "th") and data.strip():
            self.cells[self.heading][-1].append(data)


def picture(image):
    kind, data = image["src"].split(";base64,")
    data = base64.b64decode(data, validate=True)
    return kind, data


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "photos"
    write_photos(folder / "train", dict.fromkeys(CLASSES, 20))
    write_photos(folder / "val", dict.fromkeys(CLASSES, 9), seed=1)
    (folder / "train" / CLASSES[0] / "<b>.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    recipe = replace(RECIPE, data=photos)
    return ka.train(recipe, tmp_path_factory.mktemp("runs") / "run", verbose=0)


@pytest.fixture(scope="module")
def page(run):
    before = {p: p.read_bytes() for p in run.folder.glob("*.*")}
    assert main(["report", str(run.folder)]) == 0
    after = {p: p.read_bytes() for p in run.folder.glob("*.*")}
    assert after.keys() - before.keys() == {run.path("report.html")}
    assert all(after[path] == before[path] for path in before)
    return Page(run.path("report.html"))


def asked(run, photos):
    """Paths of the test images, probabilities and whether right."""
    files = sorted(str(file) for file in (photos / "val").rglob("*.png"))
    answers = [top[0] for top in ka.predict(run, files, top=1)]
    right = [true(f) == a[0] for f, a in zip(files, answers, strict=True)]
    return files, answers, right


def true(file):
    return file.split("/")[-2]


def test_every_section_has_what_the_run_says(run, page):
    assert [h for h in page.texts if h in SECTIONS] == list(SECTIONS)
    top = page.texts["top"]
    assert f"{run.results['accuracy']:.4f}" in top
    assert "2 of 2" in top
    assert f"{run.load_model().count_params():,}" in top
    with open(run.path("log.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    head, *cells = page.cells["Learning curves"]
    assert [row[0] for row in cells] == ["1", "2"]
    loss = head.index("test loss")
    for row, shown in zip(rows, cells, strict=True):
        np.testing.assert_allclose(
            float(shown[loss]), float(row["val_loss"]), rtol=1e-3
        )
    confusion = np.array(run.results["confusion"])
    for row, counts in zip(
        page.cells["Confusion matrix"][1:], confusion, strict=True
    ):
        place = CLASSES.index(row[0])
        assert row[1:3] == [str(counts.sum()), str(counts[place])]
    summary = run.path("summary.txt").read_text()
    head, *cells = page.cells["Summary"]
    assert [line.split()[0] for line in summary.splitlines()[4:]] == [
        row[0] for row in cells
    ]
    assert cells[-1][2] == f"{run.load_model().count_params():,}"
    fields = json.loads(run.path("recipe.json").read_text())
    assert fields.pop("format") == 1
    for name, value in fields.items():
        assert name in page.texts["Recipe"]
        value = value if isinstance(value, str) else json.dumps(value)
        assert value in page.texts["Recipe"], name
    (line,) = page.cells["Skipped files"][1:]
    assert line[0].endswith("/<b>.png")
    assert "is not an image" in line[1]
    assert "had to be skipped: 1." in page.texts["Skipped files"]


def test_pictures_are_in_the_page_and_say_what_they_show(page):
    expected = dict.fromkeys(SECTIONS, 0)
    for name in SECTIONS[:2] + SECTIONS[3:6]:
        expected[name] = 1
    expected["Best and worst predictions"] = len(
        page.images["Best and worst predictions"]
    )
    assert {h: len(page.images.get(h, [])) for h in SECTIONS} == expected
    for images in page.images.values():
        for image in images:
            assert len(image["alt"]) > 20
            kind, data = picture(image)
            if kind == "data:image/svg+xml":
                assert b"</svg>" in data
            else:
                shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
                assert shown.std() > 1


def test_best_and_worst_are_the_surest_right_and_wrong(run, page, photos):
    files, answers, right = asked(run, photos)
    text = page.texts["Best and worst predictions"]
    assert f"{sum(right)} of {len(files)} test images right" in text
    assert sum(right) == run.results["top1_correct"]
    order = sorted(range(len(files)), key=lambda i: -answers[i][1])
    best = [i for i in order if right[i]][:12]
    worst = [i for i in order if not right[i]][:12]
    assert best
    assert worst
    shown = page.images["Best and worst predictions"]
    for i, image in zip(best + worst, shown, strict=True):
        words, _, sure = image["alt"].rpartition(" (")
        assert words == f"Image of {true(files[i])}, taken for {answers[i][0]}"
        probability = float(sure.removesuffix(" %)")) / 100
        np.testing.assert_allclose(probability, answers[i][1], atol=6e-4)


def test_images_are_shown_as_the_network_sees_them(run, page, photos):
    """Section 2 by Pillow: short side resized, the middle cut out."""
    seen = []
    for file in (photos / "val").rglob("*.png"):
        image = Image.open(file)
        short = min(image.size)
        size = [36 if s == short else int(36 * s / short) for s in image.size]
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = (round((side - 36) / 2) + 2 for side in image.size)
        crop = image.crop((left, top, left + 32, top + 32))
        seen.append(np.asarray(crop).tobytes())
    for image in page.images["Best and worst predictions"]:
        _, data = picture(image)
        assert np.asarray(Image.open(io.BytesIO(data))).tobytes() in seen


def test_names_cannot_become_tags_and_nothing_is_loaded(page):
    assert "script" not in page.tags
    assert page.tags.count("b") == len(
        page.images["Best and worst predictions"]
    )
    assert not [a for a in page.attributes if a[1].startswith("on")]
    for tag, name, value in page.attributes:
        assert name != "src" or value.startswith("data:image/")
        assert name != "href" or value == "data:," or value[0] == "#"
        assert tag != "a" or value[1:] in {
            v for t, n, v in page.attributes if n == "id"
        }
    assert all(CLASSES[i] in page.texts["Confusion matrix"] for i in range(3))


def test_basics_that_checkers_ask_for(page):
    attributes = set(page.attributes)
    assert ("html", "lang", "en") in attributes
    assert any("width=device-width" in str(a) for a in attributes)
    assert page.tags.count("title") == page.tags.count("h1") == 1
    levels = [int(tag[1]) for tag in page.tags if tag in ("h1", "h2", "h3")]
    steps = [b - a for a, b in zip(levels, levels[1:], strict=False)]
    assert levels[0] == 1
    assert max(steps) == 1
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)) == len(SECTIONS)
    scopes = [value for _, name, value in page.attributes if name == "scope"]
    assert page.tags.count("th") == len(scopes)


def test_the_same_page_every_time(run, page, tmp_path):
    other = ka.write_report(run, tmp_path / "new" / "page.html")
    assert other.read_bytes() == run.path("report.html").read_bytes()
    assert other.stat().st_size < 3e6


def test_data_that_have_moved(run, photos, tmp_path, page):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    there = photos.rename(photos.with_name("elsewhere"))
    try:
        assert main(["report", str(folder)]) == 0
        found = Page(folder / "report.html")
        heading = "Best and worst predictions"
        assert "There is no folder" in found.texts[heading]
        assert "--data" in found.texts[heading]
        assert heading not in found.images
        assert len(found.images) == 5  # all others are there
        assert main(["report", str(folder), "--data", str(there)]) == 0
        found = Page(folder / "report.html")
        assert found.images[heading] == page.images[heading]
    finally:
        there.rename(photos)


def test_a_training_that_has_not_ended(tmp_path, photos):
    recipe = replace(RECIPE, data=str(photos))
    run = ka.Run.create(tmp_path / "run", recipe, sorted(CLASSES))
    path = ka.write_report(run)
    found = Page(path)
    assert "has not ended yet" in found.texts["top"]
    assert "No epoch has ended yet" in found.texts["Learning curves"]
    assert "0 of 2" in found.texts["top"]
    for heading in ("Best and worst predictions", "Kernels"):
        assert "has no weights yet" in found.texts[heading]
    assert set(found.images) == {"Towers", "Diagram"}
    assert f"ka.train(recipe, '{run.folder}')" in found.texts["Repeat it"]
    row = {"epoch": 0, "loss": 2.5, "accuracy": 0.5}
    run.write_log([{**row, "val_loss": 2.25, "val_accuracy": 0.25}])
    found = Page(ka.write_report(run))
    assert "1 of 2" in found.texts["top"]
    (image,) = found.images["Learning curves"]
    assert "75.00 %" in image["alt"]


def test_gray_images_in_memory_and_many_skipped_files(tmp_path):
    run = random_run(tmp_path / "run", [*"abc"], variant="lenet5")
    skipped = SkippedFiles(999, 1.0, run.path("skipped.csv"))
    for number in range(250):
        skipped.add(f"{number}-\udce4.jpg", "is empty")
    found = Page(ka.write_report(run))
    assert "arrays in memory" in found.texts["Best and worst predictions"]
    assert "no color to score" in found.texts["Kernels"]
    assert "skipped: 250" in found.texts["Skipped files"]
    assert len(found.cells["Skipped files"]) == 201
    assert "examples=(train, test)" in found.texts["Repeat it"]


def test_prepared_images(tmp_path, photos):
    facts = {"resize_pixels": 36, "max_bad_ratio": 0.1}
    ka.prepare_data(photos, tmp_path / "prepared", **facts)
    recipe = {"data": str(tmp_path / "prepared"), **facts}
    run = random_run(tmp_path / "run", sorted(CLASSES), **recipe)
    found = Page(ka.write_report(run))
    text = found.texts["Best and worst predictions"]
    assert "of 27 test images right" in text
    assert "00.png" in text or "01.png" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["/nowhere"], "'/nowhere' is not a run folder"),
        (["/etc/hostname"], "is not a run folder"),
        (["{run}", "--to-file", "a.pdf"], "should end in .html"),
        (["{run}", "--to-file", "/proc/x/y.html"], "cannot be written"),
        (["{run}", "--data", "/nowhere"], "no folder '/nowhere'"),
        (["{damaged}"], "results.json' is damaged"),
    ],
)
def test_mistakes_are_one_sentence(run, words, sentence, tmp_path, capsys):
    damaged = tmp_path / "damaged"
    shutil.copytree(run.folder, damaged)
    (damaged / "results.json").write_text('{"confusion": [[1]]}')
    words = [word.format(run=run.folder, damaged=damaged) for word in words]
    assert main(["report", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def trained_by(text, monkeypatch, tmp_path):
    """The recipe and the folder that a command, or Python, trains."""
    calls = []

    def train(recipe, folder, *args, **kwargs):
        calls.append((recipe, str(folder)))
        return ka.Run.create(tmp_path / "new", recipe, ["a", "b"])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trainer, "train", train)
    monkeypatch.setattr(datasets, "check_folder", lambda data: None)
    if text.startswith("import"):
        exec(text, {})
    else:
        shown = "keras-alexnet() { printf '%s\\0' \"$@\"; }\n" + text
        words = subprocess.check_output(["bash", "-c", shown], text=True)
        assert main(words.split("\0")[:-1]) == 0
    return calls[0]


CHANGES = {
    "smoke": {"epochs": 3, "seed": 7, "max_bad_ratio": 0.0},
    "fashion": {},
    "flowers": {
        "data": "/photos/it's $HOME",
        "color_noise": 0.5,
        "variant": "half",
        "initialization": None,
    },
    "fine_tune": {
        "data": "/photos",
        "weights": "/w.keras",
        "frozen": ("conv1", "conv2"),
        "precision": "bfloat16",
        "global_clipnorm": 1e-05,
    },
    "paper": {"data": "/photos", "rate_drops": (3,), "plateau_epochs": None},
    "folder": {"data": "/photos", "variations": ("tanh",), "dropout": 0.0},
    "folder of gray images": {
        "data": "/photos",
        "variant": "lenet5",
        "initialization": None,
        "resize_pixels": 36,
        "crop_pixels": 32,
        "color_noise": 0.0,
    },
    "mine": {"layer_decay": (("conv1", 0.5),), "padding": ("same", "valid")},
    "fashion scaled": {"scaled_decoding": True},
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("finished", [False, True])
def test_the_command_trains_the_same(name, finished, monkeypatch, tmp_path):
    if (known := name.partition(" ")[0]) in ka.RECIPES:
        recipe = replace(ka.RECIPES[known], **CHANGES[name])
    else:
        recipe = ka.Recipe(name, **CHANGES[name])
    run = ka.Run.create(tmp_path / "a run", recipe, ["a", "b"])
    if finished:
        run.save_results(accuracy=1.0)
    text = repeating_text(run)
    assert text.startswith("keras-alexnet") == (
        name not in ("paper", "folder", "mine")
    )
    found, folder = trained_by(text, monkeypatch, tmp_path)
    assert found == recipe
    assert (folder == str(run.folder)) == (not finished)


def test_tables_name_rows_and_columns():
    text = pages.table("a & b", ("x", "n"), [("<i>", "1")], right=(1,))
    assert 'aria-label="a &amp; b"' in text
    assert '<th scope="col" class="number">n</th>' in text
    assert '<th scope="row">&lt;i&gt;</th><td class="number">1</td>' in text
    html = ka.summary("lenet5").to_html()
    assert html.count("<tr>") == len(ka.summary("lenet5").layers) + 2
