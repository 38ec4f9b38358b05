"""`fit` under a strategy: what one device gives, whatever the batch.

What one device gives is left to Keras' own step.
"""

import keras
import numpy as np
import on_devices
import pytest
import tensorflow as tf
from movement import BOUNDS
from movement import STEPS
from movement import apart
from movement import distance
from on_devices import CASES
from on_devices import FOR_FOUR

import keras_alexnet as ka
from keras_alexnet.models.replica_steps import _clipped_values
from keras_alexnet.training.optimizer import PaperSGD


@pytest.fixture(scope="module")
def arrays(tmp_path_factory, onednn):
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


def moved_apart(arrays, case, precision, replicas, base="1"):
    """How far apart the weights are, as a part of what they moved."""
    one, several = f"{case}, {precision}, {base}", f"{case}, {precision}, "
    several += replicas
    before = arrays[f"{one}: before"]
    np.testing.assert_array_equal(arrays[f"{several}: before"], before)
    ends = arrays[f"{one}: after"], arrays[f"{several}: after"]
    assert np.abs(ends[0] - before).max() > 5e-4
    return apart([before], *([end] for end in ends))


def assert_close(arrays, case, precision, replicas, key):
    one, several = (
        arrays[f"{case}, {precision}, {r}: {key}"] for r in ("1", replicas)
    )
    bound = BOUNDS[precision]
    np.testing.assert_allclose(several, one, rtol=bound, atol=bound)


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize(("case", "replicas"), REPLICAS)
def test_weights_are_those_of_one_device(arrays, case, replicas, precision):
    distance = moved_apart(arrays, case, precision, replicas)
    assert distance <= BOUNDS[precision]


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize(("case", "replicas"), REPLICAS)
def test_history_is_that_of_one_device(arrays, case, replicas, precision):
    assert_close(arrays, case, precision, replicas, "history")


@pytest.mark.parametrize(("case", "replicas"), TESTED)
def test_evaluate_gives_what_one_device_does(arrays, case, replicas):
    assert_close(arrays, case, "float64", replicas, "evaluated")


@pytest.mark.parametrize(("case", "replicas"), TESTED)
def test_predict_gives_every_image_in_order(arrays, case, replicas):
    shape = (on_devices.TEST_IMAGES, 6)
    assert arrays[f"{case}, float64, {replicas}: predicted"].shape == shape
    assert_close(arrays, case, "float64", replicas, "predicted")


def test_keras_own_step_would_not_do(arrays):
    """Else the tests above could not fail."""
    own = moved_apart(arrays, "uneven", "float64", "Keras' own on 2")
    assert own > 1e-2


@pytest.mark.parametrize(
    "case",
    [
        "clipnorm, mean of weights",
        "weights, global_clipnorm",
        "clipvalue, sum of weighted",
        "parts",
    ],
)
@pytest.mark.parametrize("precision", BOUNDS)
def test_gradients_were_clipped(arrays, case, precision):
    """Else those cases would test nothing."""
    moved, free = (
        distance(
            [arrays[f"{c}, {precision}, 1: after"]],
            [arrays[f"{c}, {precision}, 1: before"]],
        )
        for c in (case, "one left")
    )
    assert moved < 0.5 * free


@pytest.mark.parametrize(
    ("precision", "bits"), [("mixed_bfloat16", 8), ("mixed_float16", 11)]
)
def test_half_precision_on_two_devices(arrays, precision, bits):
    """Each half's gradients are rounded, where one device rounds their sum.

    Those are two roundings against one; a half may be longer than the whole,
    by a square root of two where they are independent: less than four.
    """
    assert moved_apart(arrays, "half", precision, "2") < 4 * 2**-bits


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("jit_compile", "`jit_compile=True` does not work"),
        ("steps_per_execution", "`steps_per_execution > 1` does not work"),
        ("accumulation", "set the model's `accumulation_steps` instead"),
    ],
)
@pytest.mark.parametrize("precision", on_devices.HALVES)
def test_options_that_break_are_refused_before_data_are_read(
    arrays, option, sentence, precision
):
    text = str(arrays[f"refused {option}, {precision}"])
    assert sentence in text
    assert text.endswith(".") and "\n" not in text


# --- parts of a batch, on one device ----------------------------------------


def lenet(parts, jit_compile=False):
    keras.utils.set_random_seed(0)
    model = ka.AlexNet("lenet5", classifier_activation=None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(PaperSGD(0.1), loss, jit_compile=jit_compile)
    model.accumulation_steps = parts
    return model


def gray(count):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, 32, 32, 1))
    return x.astype(keras.config.floatx()), generator.integers(0, 10, count)


def fixed_batches(count, size):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(gray(count))
    return data.batch(size, drop_remainder=True)


@pytest.fixture(params=BOUNDS)
def precision(request):
    """Its name; what is made in the test is made in it."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


# XLA compiles the step where Keras lets it by itself, on one GPU.
@pytest.mark.parametrize("jit_compile", [False, True])
def test_parts_without_sample_weights_give_what_the_whole_does(
    precision, jit_compile
):
    ends = []
    for parts, compiled in ((1, False), (3, jit_compile)):
        model = lenet(parts, compiled)
        start = model.get_weights()
        data = fixed_batches(12, 6).repeat().take(STEPS[precision])
        model.fit(data, shuffle=False, verbose=0)
        ends.append(model.get_weights())
    assert distance(start, ends[0]) > 1e-2
    assert apart(start, *ends) <= BOUNDS[precision]


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


def test_values_that_are_not_finite_are_not_clipped():
    """Or a scaled loss would not see that its scale is too large."""
    gradient = tf.constant([np.inf, -np.inf, np.nan, 5.0, -0.5])
    clipped = _clipped_values(gradient, 1.0).numpy()
    np.testing.assert_array_equal(clipped, [np.inf, -np.inf, np.nan, 1, -0.5])
