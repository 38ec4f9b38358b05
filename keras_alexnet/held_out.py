"""The images that trained networks are tested on."""

import os

import numpy as np

from keras_alexnet import imagenet
from keras_alexnet.checkpoint import Run
from keras_alexnet.images import Examples
from keras_alexnet.images import load_examples
from keras_alexnet.images import match_classes
from keras_alexnet.images import test_examples


def held_out(networks, data):
    """The test examples for networks of the same classes.

    Args:
        networks: List of `Run` or `ModelFile`.
        data: As in `evaluate`.

    Returns:
        `Examples`, labeled with the places of the first network's classes,
        and the number of images that the run's own data have beside them.

    Raises:
        ValueError: if there are none, or they are of other classes.
    """
    names = networks[0].class_names
    if data is None:
        train, test = _own_data(networks)
        return match_classes(test, names, networks[0].recipe.data), len(train)
    if isinstance(data, Examples):
        return _matched(data, names, "the examples"), 0
    # Lists of labels number ImageNet's classes in the order of their ids.
    known = imagenet.synsets() if imagenet.are_imagenet(names) else names
    examples = test_examples(data, known, match=_matched)
    return _matched(examples, names, data), 0


def _own_data(networks):
    """What the networks were trained and are to be tested on."""
    for network in networks:
        if not isinstance(network, Run):
            raise ValueError(
                f"The file {network.path!r} has no test images of its own; "
                "say what to test on (--data)."
            )
        if not network.recipe.data:
            raise ValueError(
                "The run was trained on arrays in memory; say what to test on."
            )
    splits = {_split(network.recipe): None for network in networks}
    (train, test), *others = (load_examples(*split) for split in splits)
    if not all(_same(test, other) for _, other in others):
        raise ValueError(
            "The runs do not share their test images, and what one is tested "
            "on another may have been trained on; say what to test on (--data)."
        )
    return train, test


def _split(recipe):
    """What the training and test examples depend on, the folder's links not."""
    data = recipe.data
    data = data if data == "fashion" else os.path.realpath(data)
    return data, recipe.validation_fraction, recipe.seed


def _same(one, other):
    if one.are_prepared and other.are_prepared:
        places = [(e.images.folder, e.images.paths) for e in (one, other)]
        return places[0] == places[1]
    if one.are_prepared or other.are_prepared:
        return False
    return np.array_equal(one.images, other.images) and np.array_equal(
        one.labels, other.labels
    )


def _matched(examples, class_names, where):
    """As `match_classes`, but knows ImageNet's classes by synset and name.

    Of its 1,000 some will do; elsewhere a missing class is a mistake.
    """
    places = imagenet.places(class_names)
    names = [
        class_names[places[name]] if name in places else name
        for name in examples.class_names
    ]
    if imagenet.are_imagenet(class_names):
        names += [name for name in class_names if name not in names]
    same = Examples(examples.images, examples.labels, names)
    return match_classes(same, class_names, where)
