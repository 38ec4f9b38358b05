"""What can be told of a run folder before Keras is imported."""

import os
import pathlib

from keras_alexnet.runs.states import StateFolder
from keras_alexnet.weights.published import check_there
from keras_alexnet.weights.published import is_alias

PICTURES = ("curves.png", "confusion_matrix.png")


def check_trained(path):
    """Refuses what `open_trained` cannot open since it is not there.

    Raises:
        ValueError: in a sentence.
    """
    if is_alias(path):
        return
    if os.path.isdir(path):
        check_run(path)
    else:
        check_there(path)


def check_run(folder):
    """Refuses a folder without what every run has.

    Raises:
        ValueError: in a sentence.
    """
    for name in ("recipe.json", "classes.json"):
        if not (pathlib.Path(folder) / name).exists():
            raise no_run(folder, name)


def no_run(folder, name):
    """The error of a folder of which a file cannot be read."""
    path = pathlib.Path(folder) / name
    return ValueError(
        f"{str(folder)!r} is not a run folder: {path} cannot be read; "
        "expected a folder that `keras-alexnet train` has written."
    )


def is_finished(folder):
    """Whether a run folder holds all; the last files come from the end."""
    names = ("results.json", *PICTURES)
    return all((pathlib.Path(folder) / name).exists() for name in names)


def onednn_of(*folders):
    """How TensorFlow should be imported for runs to go on as they began.

    Args:
        *folders: Paths of run folders. The first that has a state counts.

    Returns:
        What `environment.onednn` takes. A state without a record is of a time
        when TensorFlow was left to itself.
    """
    for folder in folders:
        facts = StateFolder(pathlib.Path(folder) / "checkpoints").glance()
        if facts is not None:
            if isinstance(facts.get("onednn"), bool):
                return str(int(facts["onednn"]))
            return None if "onednn" in facts else ""
    return None
