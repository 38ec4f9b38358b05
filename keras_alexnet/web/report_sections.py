"""The sections of the page about a run, each as HTML.

One that has nothing to show raises a `ValueError` that says why.
"""

import io
import json
import pathlib
import tempfile
from dataclasses import asdict

import numpy as np
from PIL import Image

from keras_alexnet.analysis.kernels import color_scores
from keras_alexnet.analysis.kernels import plot_kernels
from keras_alexnet.data.skipped_files import listed_files
from keras_alexnet.evaluation.confidence import sure_answers
from keras_alexnet.evaluation.evaluate import Evaluation
from keras_alexnet.evaluation.held_out import own_tests
from keras_alexnet.visualization import charts
from keras_alexnet.visualization import html
from keras_alexnet.visualization.figure2 import plot_figure2
from keras_alexnet.visualization.plot_model import plot_model
from keras_alexnet.web.rerun_command import repeating_text

PHOTOS = 12  # of right answers, and as many of wrong ones
SMALL = 100  # pixels; JPEG would blur smaller images
MOST_SKIPPED = 200  # lines; skipped.csv has them all
UNFINISHED = "The training has not ended yet, so that nothing was tested."


def evaluation_of(run):
    """The counts of the run's own test."""
    results, classes = run.results, len(run.class_names)
    if not results:
        raise ValueError(UNFINISHED)
    try:
        confusion = np.array(results["confusion"], int)
        confusion = confusion.reshape(classes, classes)
        total = confusion.sum()
        wrong = round(total * results["top5_error_percent"] / 100)
        skipped = int(results["skipped_files"])
    except (KeyError, TypeError, ValueError) as error:
        path = str(run.path("results.json"))
        raise ValueError(f"{path!r} is damaged: {error}.") from error
    return Evaluation(run.class_names, confusion, int(total - wrong), skipped)


def _drawn(draw, name, alt, kind):
    """A picture, in a box of its own.

    Args:
        draw: A function that writes it to the path that it is given.
        name: Of the file, whose ending says the format.
        alt: What is seen.
        kind: Class of the box, which says how small the picture may get.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        draw(path)
        picture = html.file_image(path, alt)
    return html.box(alt, f"{picture}\n", f"picture {kind}")


def curves(run):
    """The learning curves, and the log they are drawn from."""
    rows = run.log_rows()
    if not rows:
        raise ValueError("No epoch has ended yet.")
    last = rows[-1]
    alt = (
        f"Loss and top-1 error against the epoch; after epoch {len(rows)} "
        f"the training loss is {last['loss']:.3f} and the test error "
        f"{100 * (1 - last['val_accuracy']):.2f} %"
    )
    picture = _drawn(
        lambda path: charts.plot_curves(run.path("log.csv"), path),
        "curves.png",
        alt,
        "wide",
    )
    cells = [
        (f"{row.pop('epoch') + 1:.0f}", *(f"{v:.4g}" for v in row.values()))
        for row in rows
    ]
    names = [name.replace("_", " ").replace("val ", "test ") for name in last]
    header = ("epoch", *names[1 - len(cells[0]) :])
    right = range(len(header))
    return picture + html.table("Log of the training", header, cells, right)


def confusion(run):
    """What was taken for what, as a picture and class by class."""
    evaluation = evaluation_of(run)
    alt = (
        f"How often each of {len(run.class_names):,} classes was taken for "
        "each other; the table below says which it was most often"
    )
    return (
        _drawn(evaluation.plot_confusion, "confusion.png", alt, "wide")
        + evaluation.to_html()
    )


def predictions(run, data):
    """The surest answers with their images: right ones, wrong ones."""
    try:
        tests = own_tests(run, data)
    except ValueError as error:
        raise ValueError(
            f"{error} If the images are elsewhere now, `keras-alexnet report "
            "RUN --data DIR` shows them."
        ) from error
    answers = sure_answers(run, tests.examples, PHOTOS)
    text = (
        f"Asked anew for this page: {answers.right:,} of {answers.read:,} test "
        "images right. These are the ones that the network is surest of, as "
        "it sees them, with the probability that it gives its answer."
    )
    if answers.unread:
        text += f" Files that could not be read: {answers.unread:,}."
    if tests.changes:
        text += f" Since the training: {'; '.join(tests.changes)}."
    return (
        html.paragraph(text)
        + "<h3>Best: right and sure</h3>\n"
        + _photos(answers.best, "right")
        + "<h3>Worst: wrong and sure</h3>\n"
        + _photos(answers.worst, "wrong")
    )


def _photos(answers, kind):
    if not answers:
        return html.paragraph(f"No answer is {kind}.")
    items = []
    for name, pixels, true, predicted, probability in answers:
        sure = f"{100 * probability:.1f} %"
        alt = f"Image of {true}, taken for {predicted} ({sure})"
        file = html.escape(pathlib.PurePath(name).name)
        items.append(
            f"<li><figure>{_photo(pixels, alt)}<figcaption>"
            f"<span><b>{html.escape(predicted)}</b>, {sure}</span>"
            f"<span>is {html.escape(true)}</span>"
            f'<span class="soft">{file}</span></figcaption></figure></li>'
        )
    lines = "\n".join(items)
    return f'<ul class="photos {kind}">\n{lines}\n</ul>\n'


def _photo(pixels, alt):
    small = len(pixels) < SMALL
    ending = ".png" if small else ".jpg"
    file = io.BytesIO()
    pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    picture = Image.fromarray(pixels)
    picture.save(file, "PNG" if small else "JPEG", quality=90)
    return html.image(file.getvalue(), ending, alt, "small" if small else "")


def kernels(run):
    """conv1's kernels, and how much of them is color."""
    text = "The network sees gray images: its kernels have no color to score."
    if run.channels == 3:
        text = f"{color_scores(run)}."
    return _drawn(
        lambda path: plot_kernels(run, path),
        "kernels.png",
        "The kernels of conv1, each in its own range of brightness, in rows",
        "wide",
    ) + "".join(map(html.paragraph, text.splitlines()))


def towers(run):
    """The network as the paper's figure 2 draws it."""
    recipe = run.recipe
    side = recipe.crop_pixels
    return _drawn(
        lambda path: plot_figure2(
            run.architecture,
            path,
            padding=recipe.padding,
            input_shape=(side, side, run.channels),
            classes=len(run.class_names),
        ),
        "towers.svg",
        "The network as in figure 2 of the paper: a block for what each layer "
        "makes, two rows of them where there are two towers",
        "widest",
    )


def diagram(network):
    """The graph of the layers."""
    return _drawn(
        lambda path: plot_model(network, path),
        "diagram.svg",
        f"The graph of the {len(network.layers)} layers of {network.name}, "
        "from the image to the classes; the summary lists the same layers",
        "natural",
    )


def recipe_fields(recipe):
    """All that the recipe says."""
    values = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in asdict(recipe).items()
    }
    return html.description_list(values, "fields")


def skipped_files(run):
    """The image files that the training could not use."""
    path = run.path("skipped.csv")
    reasons = listed_files(path) if path.exists() else {}
    if not reasons:
        return html.paragraph("No file had to be skipped.")
    rows = list(reasons.items())
    text = f"Files that had to be skipped: {len(rows):,}"
    if len(rows) > MOST_SKIPPED:
        text += f". The first {MOST_SKIPPED}; skipped.csv names all"
    header = ("file", "reason")
    return html.paragraph(f"{text}.") + html.table(
        "Skipped files", header, rows[:MOST_SKIPPED]
    )


def repetition(run):
    """The command that trains the same again."""
    text = "This trains the same once more:"
    if not run.results:
        text = "This goes on with the training:"
    note = (
        "A run does not record on how many devices it was trained, nor "
        "whether with --deterministic."
    )
    command = html.code("Lines to copy", repeating_text(run))
    return html.paragraph(text) + command + html.paragraph(note, "soft")
