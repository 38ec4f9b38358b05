"""What can be told of a run folder before Keras is imported."""

import pathlib

from keras_alexnet.runs.states import StateFolder

PICTURES = ("curves.png", "confusion_matrix.png")


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
