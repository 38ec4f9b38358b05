"""The 1,000 classes of ILSVRC-2012, by synset and by name.

In the order of their ids, which is that of the outputs of Caffe's,
torchvision's and Keras' networks. Where the list comes from stands beside it
in `assets/imagenet_classes-NOTICE.txt`.
"""

import functools
from importlib import resources

import numpy as np


@functools.cache
def _classes():
    """Pairs of a synset id and a name that no other class has."""
    assets = resources.files("keras_alexnet") / "assets"
    text = (assets / "imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(tuple(line.split(" ", 1)) for line in text.splitlines())


def synsets():
    """The ids of the classes, in order: `n01440764`, ..."""
    return tuple(synset for synset, _ in _classes())


def class_names():
    """The readable names of the classes, in order, each of them once."""
    return tuple(name for _, name in _classes())


def decode_predictions(
    preds: np.ndarray, top: int = 5
) -> list[list[tuple[str, str, float]]]:
    """Names the most probable of ImageNet's 1,000 classes.

    Args:
        preds: Scores, `(images, 1000)`, an array or a tensor.
        top: Integer, how many classes to name.

    Returns:
        For each image a list of `(synset, name, score)`, the highest score
        first; the names are spelled as `keras.applications` spells them.

    Raises:
        ValueError: if the shape is another, or `top` names no class.

    Example:

    >>> decode_predictions(np.eye(1000)[[285]], top=1)
    [[('n02124075', 'Egyptian_cat', 1.0)]]
    """
    preds = np.asarray(preds)
    if preds.ndim != 2 or preds.shape[1] != len(_classes()):
        raise ValueError(
            "`decode_predictions` names ImageNet's 1,000 classes and expects "
            "scores of the shape (images, 1000); for a network of other "
            "classes use its own class names. Received: "
            f"shape={tuple(preds.shape)}"
        )
    if not isinstance(top, int) or not 1 <= top <= len(_classes()):
        raise ValueError(
            f"`top` must be an integer from 1 to 1000. Received: {top!r}"
        )
    decoded = []
    for scores in preds:
        order = np.argsort(-scores, kind="stable")[:top]
        chosen = [(*_classes()[i], float(scores[i])) for i in order]
        decoded.append([(s, _as_in_keras(n), score) for s, n, score in chosen])
    return decoded


def _as_in_keras(name):
    """`Egyptian_cat`; Keras does not tell the two cranes apart."""
    return name.partition(" (")[0].replace(" ", "_")


@functools.cache
def _spellings():
    """What a class may be called -> its place, where that is clear."""
    found = {}
    for place, (synset, name) in enumerate(_classes()):
        spelled = {synset, name, name.replace(" ", "_"), _as_in_keras(name)}
        for spelling in spelled:
            found.setdefault(spelling, []).append(place)
    return {name: p[0] for name, p in found.items() if len(p) == 1}


def places(names):
    """Where classes stand among those of a network, however they are called.

    Args:
        names: Names of the network's classes.

    Returns:
        Dict from the names, and from the other spellings of those of them
        that are ImageNet's, to their places.
    """
    spellings = _spellings()
    known = {
        spellings[name]: place
        for place, name in enumerate(names)
        if name in spellings
    }
    others = {s: known[c] for s, c in spellings.items() if c in known}
    return {**others, **{name: place for place, name in enumerate(names)}}


def are_imagenet(names):
    """Whether a network's classes are the 1,000, in any spelling and order."""
    found = {_spellings().get(name) for name in names}
    return len(names) == len(_classes()) == len(found - {None})
