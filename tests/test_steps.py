"""`fit` under a strategy: what one device gives, whatever the batch.

What one device gives is left to Keras' own step.
"""

import keras
import numpy as np
import on_devices
import pytest
from on_devices import CASES
from on_devices import FOR_FOUR

import keras_alexnet as ka
from keras_alexnet.optimization import PaperSGD


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    return {
        **on_devices.computed("steps_on_one_and_two", folder),
        **on_devices.computed("steps_on_four", folder),
    }


REPLICAS = [
    *((case, "2") for case in CASES),
    *((case, "4") for case in FOR_FOUR),
    ("parts", "1 in parts"),
]
TESTED = [pair for pair in REPLICAS if CASES[pair[0]].get("test")]


def largest_difference(arrays, case, replicas, key, base="1"):
    one = arrays[f"{case}, {base}: {key}"]
    return np.abs(one - arrays[f"{case}, {replicas}: {key}"]).max()


@pytest.mark.parametrize(("case", "replicas"), REPLICAS)
def test_weights_are_those_of_one_device(arrays, case, replicas):
    before, after = (arrays[f"{case}, 1: {key}"] for key in ("before", "after"))
    assert np.abs(after - before).max() > 1e-3
    assert largest_difference(arrays, case, replicas, "before") == 0
    assert largest_difference(arrays, case, replicas, "after") < 1e-6


@pytest.mark.parametrize(("case", "replicas"), REPLICAS)
def test_history_is_that_of_one_device(arrays, case, replicas):
    assert largest_difference(arrays, case, replicas, "history") < 1e-5


@pytest.mark.parametrize(("case", "replicas"), TESTED)
def test_evaluate_gives_what_one_device_does(arrays, case, replicas):
    assert largest_difference(arrays, case, replicas, "evaluated") < 1e-5


@pytest.mark.parametrize(("case", "replicas"), TESTED)
def test_predict_gives_every_image_in_order(arrays, case, replicas):
    shape = (on_devices.TEST_IMAGES, 6)
    assert arrays[f"{case}, {replicas}: predicted"].shape == shape
    assert largest_difference(arrays, case, replicas, "predicted") < 1e-5


def test_keras_own_step_would_not_do(arrays):
    """Else the tests above could not fail."""
    one = arrays["uneven, 1: after"]
    assert np.abs(arrays["Keras' own, 2: after"] - one).max() > 1e-4


@pytest.mark.parametrize(
    "case", ["clipnorm", "weights, global_clipnorm", "clipvalue", "parts"]
)
def test_gradients_were_clipped(arrays, case):
    """Else those cases would test nothing."""
    moved, free = (
        np.linalg.norm(arrays[f"{c}, 1: after"] - arrays[f"{c}, 1: before"])
        for c in (case, "one left")
    )
    assert moved < 0.5 * free


def test_float16_on_two_devices(arrays):
    one, two = (arrays[f"float16, {r}: after"] for r in "12")
    before = arrays["float16, 2: before"]
    assert np.isfinite(two).all()
    moved = np.linalg.norm(one - before)
    assert moved > 0.01
    # Three digits in each step.
    assert np.linalg.norm(two - one) < 0.1 * moved


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("jit_compile", "`jit_compile=True` does not work"),
        ("steps_per_execution", "`steps_per_execution > 1` does not work"),
        ("accumulation", "set the model's `accumulation_steps` instead"),
    ],
)
def test_options_that_break_are_refused_before_data_are_read(
    arrays, option, sentence
):
    text = str(arrays[f"refused {option}"])
    assert sentence in text
    assert text.endswith(".") and "\n" not in text


# --- parts of a batch, on one device ----------------------------------------


def lenet(parts, jit_compile=False):
    keras.utils.set_random_seed(0)
    model = ka.AlexNet("lenet5", classifier_activation=None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(PaperSGD(0.01), loss, jit_compile=jit_compile)
    model.accumulation_steps = parts
    return model


def gray(count):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, 32, 32, 1)).astype("float32")
    return x, generator.integers(0, 10, count)


def fixed_batches(count, size):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(gray(count))
    return data.batch(size, drop_remainder=True)


def test_parts_without_sample_weights_give_the_weights_of_the_whole():
    weights = []
    for parts in (1, 3):
        model = lenet(parts)
        model.fit(fixed_batches(12, 6), shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for whole, added in zip(*weights, strict=True):
        np.testing.assert_allclose(added, whole, atol=1e-6)


def test_parts_give_the_same_where_xla_compiles_the_step():
    """As Keras lets it by itself on one GPU."""
    weights = []
    for parts, jit_compile in ((1, False), (3, True)):
        model = lenet(parts, jit_compile)
        model.fit(fixed_batches(12, 6), shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for whole, added in zip(*weights, strict=True):
        np.testing.assert_allclose(added, whole, atol=1e-6)


@pytest.mark.parametrize("parts", [0, -1, "2", None])
def test_parts_that_are_no_number_are_refused(parts):
    with pytest.raises(ValueError, match="must be a positive integer"):
        lenet(parts).fit(fixed_batches(4, 2), shuffle=False, verbose=0)


def test_batches_without_equal_parts_are_refused():
    with pytest.raises(ValueError, match="batch of 5 images .* in 2 equal"):
        lenet(2).fit(fixed_batches(10, 5), shuffle=False, verbose=0)
    # The last batch of arrays may be shorter.
    with pytest.raises(ValueError, match="batches of a fixed size"):
        lenet(2).fit(*gray(10), batch_size=4, verbose=0)
