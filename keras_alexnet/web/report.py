"""A page about a run: all that is known of it, in one file."""

import pathlib

from keras_alexnet import __version__
from keras_alexnet.evaluation.held_out import own_tests
from keras_alexnet.files import AnyPath
from keras_alexnet.files import replacing
from keras_alexnet.runs.run import Run
from keras_alexnet.visualization import html as pages
from keras_alexnet.visualization.summary import summary
from keras_alexnet.web import report_sections

ENDINGS = (".html", ".htm")


def write_report(
    run: Run, to_file: AnyPath | None = None, data: AnyPath | None = None
) -> pathlib.Path:
    """Write a page about a run: one file of HTML that needs no network.

    It shows what there is. Where weights, results or data are missing, it
    says so in their place.

    Args:
        run: A `Run`, finished or not.
        to_file: Path of the page, ending in `.html` or `.htm`; `report.html`
            in the run folder if `None`.
        data: Where the run's own data are, if they have moved since the
            training: they are divided as it divided them. Their test images
            are predicted, and the surest answers shown.

    Returns:
        The path of the page.

    Raises:
        ValueError: if the page cannot be written, or `data` are given and
            are not the run's.

    Example:

    ```python
    ka.write_report(ka.Run("runs/photos"), "photos.html")
    ```
    """
    path = pathlib.Path(to_file or run.path("report.html"))
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(
            f"A report is a page: {str(to_file)!r} should end in "
            f"{' or '.join(ENDINGS)}."
        )
    if data is not None:
        own_tests(run, data)  # what was asked for is not left out
    with replacing(path) as temporary:
        network = run.build_model()
        parts = {
            "Learning curves": lambda: report_sections.curves(run),
            "Confusion matrix": lambda: report_sections.confusion(run),
            "Best and worst predictions": lambda: report_sections.predictions(
                run, data
            ),
            "Kernels": lambda: report_sections.kernels(run),
            "Towers": lambda: report_sections.towers(run),
            "Diagram": lambda: report_sections.diagram(network),
            "Summary": lambda: summary(network).to_html(),
            "Recipe": lambda: report_sections.recipe_fields(run.recipe),
            "Skipped files": lambda: report_sections.skipped_files(run),
            "Repeat it": lambda: report_sections.repetition(run),
        }
        page = pages.page(
            f"{run.recipe.name}: {run.recipe.variant}, "
            f"{len(run.class_names):,} classes",
            _lead(run, network),
            {heading: _told(make) for heading, make in parts.items()},
        )
        pathlib.Path(temporary).write_text(page, encoding="utf-8")
    return path


def _told(make):
    """A section, or why there is nothing in it."""
    try:
        return make()
    except (OSError, ValueError) as error:
        return pages.paragraph(" ".join(str(error).split()), "note")


def _lead(run, network):
    """The figures that one looks for first."""
    recipe, results = run.recipe, run.results
    figures, note = {}, ""
    if results:
        evaluation = report_sections.evaluation_of(run)
        figures = {
            "Test accuracy": f"{evaluation.accuracy:.4f}",
            "Top-1 error": f"{100 * (1 - evaluation.accuracy):.2f} %",
            "Test images": f"{evaluation.examples:,}",
        }
        if len(run.class_names) > 5:  # of five, five guesses are never wrong
            error = results["top5_error_percent"]
            figures["Top-5 error"] = f"{error:.2f} %"
    else:
        note = pages.paragraph(
            f"{report_sections.UNFINISHED} This is what there is.", "note"
        )
    figures |= {
        "Epochs": f"{len(run.log_rows()):,} of {recipe.epochs:,}",
        "Classes": f"{len(run.class_names):,}",
        "Parameters": f"{network.count_params():,}",
    }
    folder = pages.paragraph(
        f"Run folder {run.folder}; page written by keras_alexnet "
        f"{__version__}.",
        "soft",
    )
    return note + pages.description_list(figures) + folder
