"""The file of the results: JSON, with a page of Markdown beside it."""

import json
import pathlib

from benchmarks.harness import instructions
from benchmarks.harness import machine
from benchmarks.markdown import page
from keras_alexnet.files import replacing

RESULTS = pathlib.Path(__file__).parent / "results"
# By these two machines are told apart.
SAME = ("processor", "instructions", "processors")


def default_path():
    """The file of this kind of processor."""
    return RESULTS / f"benchmarks-{instructions()}.json"


def read(path):
    """What a file holds; that it can be written is seen before the work.

    Args:
        path: Its path; `None` if nothing is kept.

    Raises:
        ValueError: if it is another kind of file, another machine's, or
            cannot be written.
    """
    here = machine()
    results = {"machine": here, "rows": {}}
    if path is None:
        return results
    if path.exists():
        results = {**_measured_here(path, here), "machine": here}
    write(path, results)
    return results


def _measured_here(path, here):
    try:
        results = json.loads(path.read_text())
        there = {key: results["machine"][key] for key in SAME}
        results["rows"].items()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{str(path)!r} is not a file of this command's results; name "
            "another one with --to-file"
        ) from error
    if there != {key: here[key] for key in SAME}:
        raise ValueError(
            f"{str(path)!r} holds what another machine gave "
            f"({there['processors']} processors, {there['processor']}, "
            f"{there['instructions']}); name "
            "another file with --to-file"
        )
    return results


def write(path, results):
    """The results as JSON, and as Markdown beside it."""
    if path.suffix != ".json":
        raise ValueError(f"{str(path)!r} must end in .json")
    for file, text in (
        (path, f"{json.dumps(results, indent=1)}\n"),
        (path.with_suffix(".md"), page(results)),
    ):
        with replacing(file) as temporary:
            pathlib.Path(temporary).write_text(text)
