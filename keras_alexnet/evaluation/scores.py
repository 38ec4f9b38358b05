"""What trained networks make of images: the probabilities of the classes.

Of the center crop or of ten crops (Section 4.1), of one network or of several
whose predictions are averaged (Section 6), each fed as it was trained.
"""

import keras
import numpy as np

from keras_alexnet.data import imagenet
from keras_alexnet.data import transforms
from keras_alexnet.data.pipeline import read_batches

# More save no time on a CPU (AlexNet: 20 images/s with 32 and with 128), and
# the memory of larger ones is handed back in pieces: 1.46 GB in place of 1.6.
LARGEST_BATCH = 32


def score_batches(networks, examples, skipped, ten_crops=False):
    """The probabilities of all classes for examples, batch after batch.

    Args:
        networks: List of `Network`, of the same classes.
        examples: `Examples`, whose labels do not matter.
        skipped: `SkippedFiles` that bad files are told to.
        ten_crops: Boolean, whether the predictions for ten crops of the
            central square are averaged, in place of that for its center.

    Yields:
        Pairs of the probabilities, `(images, classes)` in the order of the
        first network's classes, and a boolean array: which of the images
        could be read. All examples come in order.

    Raises:
        ValueError: if the classes differ, or too many files are bad.
    """
    orders = class_orders(networks)
    readers = {}  # networks that are shown the same pixels share them
    for network, order in zip(networks, orders, strict=True):
        sizes = dict(network.sizes)
        if ten_crops:  # of all of the square in the middle
            sizes["crop_pixels"] = sizes["resize_pixels"]
        predict = _predictor(network, order, ten_crops)
        readers.setdefault(tuple(sizes.items()), []).append(predict)
    left = len(examples)
    largest = min(network.recipe.batch_size for network in networks)
    batching = {"batch_size": min(largest, LARGEST_BATCH), "skipped": skipped}
    streams = [
        read_batches(examples, **batching, **dict(sizes)) for sizes in readers
    ]
    for batches in zip(*streams, strict=True):
        scores, read = [], True
        for (inputs, _, weights), predictors in zip(
            batches, readers.values(), strict=True
        ):
            read = read & (weights > 0)
            scores += [predict(*inputs) for predict in predictors]
        yield np.mean(scores, axis=0)[:left], read[:left]
        left -= len(read)


def _predictor(network, order, ten_crops):
    """A function from the pipeline's inputs to probabilities."""
    model, to_input = network.model, network.to_input
    crop_pixels = network.sizes["crop_pixels"]

    def predict(images, flips, shifts):
        crops = [images]
        if ten_crops:
            crops = transforms.ten_crops(images, crop_pixels)
        predictions = [
            as_probabilities(
                model,
                model.predict_on_batch(to_input(crop, flips, shifts)),
            )
            for crop in crops
        ]
        return np.mean(predictions, axis=0)[:, order]

    return predict


def as_probabilities(model, scores):
    """What a network gave, also if it has no softmax, as a file may hold it."""
    return _softmax(scores) if gives_logits(model) else scores


def gives_logits(model):
    """Whether a network ends without its softmax."""
    last = getattr(model.layers[-1], "activation", None)
    return last is keras.activations.linear


def _softmax(scores):
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def class_orders(networks):
    """Where the first network's classes stand among those of each of them.

    Raises:
        ValueError: if they are not the same classes.
    """
    wanted = networks[0].names
    return [_order(network.names, wanted) for network in networks]


def _order(class_names, wanted):
    places = imagenet.places(class_names)
    order = [places.get(name) for name in wanted]
    if sorted(map(str, order)) != sorted(map(str, range(len(class_names)))):
        known = imagenet.places(wanted)
        only = [name for name in wanted if name not in places]
        only += [name for name in class_names if name not in known]
        raise ValueError(
            "Predictions can be averaged over networks of the same classes "
            f"only; of {len(wanted)} and {len(class_names)} classes "
            f"{', '.join(map(repr, only[:3]))} are not known to both."
        )
    return order
