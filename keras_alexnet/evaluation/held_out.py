"""The images that trained networks are tested on, and those of a run."""

import collections
import os
import warnings
from typing import NamedTuple

import numpy as np

from keras_alexnet.data import data_record
from keras_alexnet.data import imagenet
from keras_alexnet.data.data_record import EARLIER
from keras_alexnet.data.data_record import LEFT_OUT
from keras_alexnet.data.data_record import NAME
from keras_alexnet.data.data_record import DataRecord
from keras_alexnet.data.data_record import contents_of
from keras_alexnet.data.data_record import take
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.datasets import load_parts
from keras_alexnet.data.datasets import match_classes
from keras_alexnet.data.datasets import split
from keras_alexnet.data.datasets import test_examples
from keras_alexnet.data.skipped_files import listed_files
from keras_alexnet.runs.run import Run
from keras_alexnet.runs.run import has_begun


def settle_data(folder, recipe, parts, verbose):
    """The images that a run trains on and tests on, now as when it began.

    Args:
        folder: Path of the run folder, which need not be there yet.
        recipe: The `Recipe`.
        parts: As of `datasets.load_parts`.
        verbose: Whether to show a bar.

    Returns:
        The `DataRecord` to be kept, `Examples` to train on, those to test on.

    Raises:
        ValueError: if the run has begun with other images.
    """
    train, test = parts
    began = has_begun(folder)
    record = DataRecord.read(folder) if began else None
    if record:
        return data_record.go_on(record, train, test, recipe.data, verbose)
    before, drawn = _record_before(recipe), test is None
    if drawn:
        train, test = _draw(train, recipe, None if began else before)
    if began:
        _check_counts(Run(folder), train, test)
    earlier = []
    if before:
        earlier = [*before.parts["train"], *before.parts[EARLIER]]
    record, test = data_record.begin(
        train, test, recipe.data, earlier, drawn, verbose
    )
    left_out = len(record.parts[LEFT_OUT])
    if left_out:
        warnings.warn(
            f"{left_out} of the images to test on are left out: the same are, "
            "or were, trained on.",
            stacklevel=3,
        )
    return record, train, test


def _record_before(recipe):
    """The record of the run that a run starts from; `None` if there is none."""
    weights = recipe.weights
    if weights is None or not os.path.isfile(os.path.join(weights, NAME)):
        return None
    return DataRecord.read(weights)


def _draw(examples, recipe, before):
    """Hold out a part of the images; of those that the run before knew the
    same ones as it did."""
    fraction, seed = recipe.validation_fraction, recipe.seed
    digests = []
    if before:
        digests = [i.digest for i in contents_of(examples, recipe.data)]
        known = before.held_out | before.trained_on
    if not digests or known.isdisjoint(digests):
        return split(examples, fraction, seed)
    fresh = before.held_out - before.trained_on
    held_out = np.array([digest in fresh for digest in digests])
    is_new = np.array([digest not in known for digest in digests])
    generator = np.random.default_rng(seed)
    for label in range(len(examples.class_names)):
        members = np.flatnonzero(is_new & (examples.labels == label))
        count = round(fraction * len(members))
        held_out[generator.permutation(members)[:count]] = True
    if not held_out.any():
        raise ValueError(
            f"All images in {recipe.data} were trained on before; there are "
            "none to test on."
        )
    places = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    return tuple(take(examples, some) for some in places)


def _check_counts(run, train, test):
    """Refuse data that a run of version 0.1.0, which kept no record, cannot
    have had: accuracies in its log are parts of the number of images.

    Raises:
        ValueError: with what does not fit.
    """
    skipped = 0
    if run.path("skipped.csv").exists():
        skipped = len(listed_files(run.path("skipped.csv")))
    rows = run.log_rows()
    for name, examples in (("accuracy", train), ("val_accuracy", test)):
        shares = [row[name] for row in rows if name in row]
        if name == "val_accuracy" and "accuracy" in run.results:
            shares.append(run.results["accuracy"])
        counts = range(len(examples) - skipped, len(examples) + 1)
        if not any(_are_parts(shares, count) for count in counts):
            raise ValueError(
                f"The run in {str(run.folder)!r} did not have "
                f"{len(examples)} images to "
                f"{'train' if name == 'accuracy' else 'test'} on: they have "
                "changed since. Put them back as they were."
            )
    tested = run.results.get("examples", len(test))
    if not tested <= len(test) <= tested + skipped:
        raise ValueError(
            f"The run in {str(run.folder)!r} was tested on {tested} images, "
            f"and now there are {len(test)}: they have changed since. Put them "
            "back as they were, or say what to test on (--data)."
        )


def _are_parts(shares, count):
    """Whether all shares are those of whole numbers among so many."""
    products = np.array(shares) * count
    return bool((abs(products - products.round()) < 1e-6 * count).all())


class Tests(NamedTuple):
    """What networks are tested on.

    Args:
        examples: `Examples`, labeled with the places of the first network's
            classes.
        others: Number of images that the run's own data have beside them.
        changes: Sentences on what is not as it was in the training.
    """

    examples: Examples
    others: int
    changes: tuple[str, ...] = ()


def held_out(networks, data):
    """The test examples for networks of the same classes.

    Args:
        networks: List of `Network`.
        data: As in `evaluate`.

    Returns:
        The `Tests`.

    Raises:
        ValueError: if there are none, or they are of other classes.
    """
    names = networks[0].names
    if data is None:
        return _own_tests(networks)
    if isinstance(data, Examples):
        # Whoever gives images themselves knows what they are.
        return Tests(_matched(data, names, "the examples"), 0)
    # Lists of labels number ImageNet's classes in the order of their ids.
    known = imagenet.synsets() if imagenet.are_imagenet(names) else names
    examples = test_examples(data, known, match=_matched)
    return _without_trained_on(networks, _matched(examples, names, data))


def _without_trained_on(networks, examples):
    """The `Tests` of images, without those that a network was trained on.

    What a run was given to test on is tested, even if it was given to train
    on as well.
    """
    seen = _trained_on(networks)
    images = contents_of(examples) if seen else []
    good = [p for p, image in enumerate(images) if image.digest not in seen]
    left_out = len(images) - len(good)
    if not left_out:
        return Tests(examples, 0)
    if not good:
        raise ValueError(
            f"All {left_out} images were trained on; test on others."
        )
    changes = (f"{left_out:,} images were trained on and are left out",)
    return Tests(take(examples, good), 0, changes)


def _trained_on(networks):
    """Digests of what any of the networks has seen but was not to test on."""
    runs = [network.run for network in networks if network.run]
    records = [DataRecord.read(run.folder) for run in runs]
    seen = [r.trained_on - r.held_out for r in records if r]
    return set().union(*seen)


def _own_tests(networks):
    """What networks of the same data held out."""
    for network in networks:
        if network.run is None:
            name = f"The file {network.path!r}" if network.path else "A model"
            raise ValueError(
                f"{name} has no test images of its own; say what to test on "
                "(--data)."
            )
    first, *others = (own_tests(network.run) for network in networks)
    if others and len({_digests(tests) for tests in (first, *others)}) > 1:
        raise ValueError(
            "The runs do not share their test images, and what one is tested "
            "on another may have been trained on; say what to test on (--data)."
        )
    return first


def _digests(tests):
    images = contents_of(tests.examples)
    return tuple(sorted(image.digest for image in images))


def own_tests(run, data=None):
    """What a run held out, also if its data have moved.

    Args:
        run: A `Run`.
        data: Where the data are now; where they were if `None`.

    Returns:
        The `Tests`, labeled with the places of the run's classes.

    Raises:
        ValueError: if they are not there, or are of other classes.
    """
    recipe = run.recipe
    data = data or recipe.data
    if not data:
        raise ValueError(
            "The run was trained on arrays in memory; say what to test on."
        )
    train, test = load_parts(data)
    record = DataRecord.read(run.folder)
    if record:
        tests = _recorded(record, data, train, test)
    else:
        if test is None:
            train, test = split(train, recipe.validation_fraction, recipe.seed)
        _check_counts(run, train, test)
        tests = Tests(test, len(train))
    examples = match_classes(tests.examples, run.class_names, data)
    return tests._replace(examples=examples)


def _recorded(record, data, train, test):
    """The images that are recorded as held out, wherever they are now."""
    examples = train if test is None else test
    images = contents_of(examples, data, record.known)
    rest = collections.defaultdict(collections.deque)
    for place, image in enumerate(images):
        rest[image.digest].append(place)
    chosen, missing, moved = [], 0, 0
    for image in record.parts["test"]:
        if not rest[image.digest]:
            missing += 1
            continue
        place = rest[image.digest].popleft()
        chosen.append(place)
        moved += images[place].class_name != image.class_name
    known = {i.digest for part in record.parts.values() for i in part}
    new = sum(image.digest not in known for image in images)
    both = sum(images[p].digest in record.trained_on for p in chosen)
    changes = [
        f"{count:,} {what}"
        for count, what in (
            (both, "of the images were given to train on as well"),
            (missing, "images that were held out are no longer there"),
            (moved, "of those that were held out have another class now"),
            (new, "images are new since the training and not counted"),
        )
        if count
    ]
    if not chosen:
        raise ValueError(
            "None of the images that the run held out are there any more; "
            "say what to test on (--data)."
        )
    others = len(train) - (len(chosen) if test is None else 0)
    return Tests(take(examples, chosen), others, tuple(changes))


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
