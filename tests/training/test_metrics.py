"""`ImageCounts`, against NumPy."""

import keras
import numpy as np
import pytest

from keras_alexnet.training.metrics import ImageCounts


def batches(classes, counts=(7, 1, 5), seed=0):
    generator = np.random.default_rng(seed)
    for count in counts:
        logits = generator.normal(0, 3, (count, classes)).astype("float32")
        labels = generator.integers(0, classes, count)
        yield labels, logits, generator.uniform(0.1, 5, count)


def expected(labels, logits):
    """Mean loss, top-1 and top-5 accuracy, written out."""
    logits = np.concatenate(logits).astype("float64")
    labels = np.concatenate(labels)
    rows = np.arange(len(labels))
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[rows, labels]
    # Of equal ones the first comes first, as in an evaluation.
    order = np.argsort(-logits, axis=1, kind="stable")
    better = (order == labels[:, None]).argmax(axis=1)
    return {
        "loss": losses.mean(),
        "accuracy": (better < 1).mean(),
        "top5_accuracy": (better < 5).mean(),
    }


def check(metric, labels, logits):
    results = {key: float(value) for key, value in metric.result().items()}
    assert results == pytest.approx(expected(labels, logits), abs=1e-6)


@pytest.mark.parametrize("classes", [2, 4, 5, 12])
def test_means_are_over_all_images_of_all_batches(classes):
    metric = ImageCounts(classes)
    kept = []
    for labels, logits, _ in batches(classes):
        metric.update_state(labels, logits)
        kept.append((labels, logits))
    check(metric, *zip(*kept, strict=True))
    if classes <= 5:
        assert float(metric.result()["top5_accuracy"]) == 1


def test_weight_0_does_not_count_and_all_others_count_once():
    metric = ImageCounts(12)
    kept = []
    for labels, logits, weights in batches(12):
        weights[::3] = 0
        logits[::3] = np.inf  # as the loss of a blank image may be
        metric.update_state(labels, logits, weights)
        counted = weights > 0
        kept.append((labels[counted], logits[counted]))
    check(metric, *zip(*kept, strict=True))


def test_without_images_all_is_0_also_after_a_reset():
    metric = ImageCounts(12)
    nothing = dict.fromkeys(("loss", "accuracy", "top5_accuracy"), 0)
    assert metric.result() == nothing
    for labels, logits, weights in batches(12, (4,)):
        metric.update_state(labels, logits, 0 * weights)
        assert metric.result() == nothing
        metric.update_state(labels, logits)
    assert metric.result() != nothing
    metric.reset_state()
    assert metric.result() == nothing


def test_labels_in_a_column_and_logits_in_float16():
    metric, column = ImageCounts(12), ImageCounts(12)
    for labels, logits, _ in batches(12):
        logits = logits.astype("float16")
        metric.update_state(labels, logits)
        column.update_state(labels[:, None], logits)
    assert metric.result() == column.result()


def test_many_images_are_summed_exactly():
    """2^24 + 1 is not a float32."""
    metric = ImageCounts(2)
    metric.sums.assign([0.0, 2.0**24, 2.0**24, 2.0**24])
    metric.update_state([1], np.array([[0, 1]], "float32"))
    assert metric.sums.numpy()[1:].tolist() == [2**24 + 1] * 3


def test_config_round_trip():
    config = keras.saving.serialize_keras_object(ImageCounts(3, "counted"))
    again = keras.saving.deserialize_keras_object(config)
    assert (type(again), again.classes) == (ImageCounts, 3)
    assert again.name == "counted"


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_of_equal_logits_the_first_is_the_answer(dtype):
    """A dead network, and half precision, where many are equal."""
    import tensorflow as tf

    generator = np.random.default_rng(0)
    logits = generator.integers(0, 3, (50, 12)).astype("float32")
    logits[:10] = 0
    labels = generator.integers(0, 12, 50)
    metric = ImageCounts(12)
    metric.update_state(labels, tf.cast(logits, dtype))
    check(metric, [labels], [logits])
    metric = ImageCounts(12)
    metric.update_state(np.arange(12), np.zeros((12, 12), "float32"))
    assert float(metric.result()["accuracy"]) == pytest.approx(1 / 12)
    assert float(metric.result()["top5_accuracy"]) == pytest.approx(5 / 12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_right(bad):
    logits = np.zeros((2, 6), "float32")
    logits[0, 3], logits[1, 0] = 5, bad
    metric = ImageCounts(6)
    metric.update_state(np.array([3, 0]), logits)
    assert float(metric.result()["accuracy"]) == 0.5
