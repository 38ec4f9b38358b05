"""Weights in and out: two towers against `groups=2`, and what is refused."""

import keras
import numpy as np
import pytest
from explicit import article_listing
from explicit import grouped

from keras_alexnet.models.convert_weights import convert_weights
from keras_alexnet.weights.assign import grouped_weights

SMALL = {"input_shape": (67, 67, 3), "classes": 10}


@pytest.fixture(scope="module")
def source():
    """A model with `groups=2`, its weights large enough to tell apart."""
    keras.utils.set_random_seed(0)
    model = grouped()
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            fan_in = np.prod(kernel.shape[:-1])
            kernel = generator.standard_normal(kernel.shape, "float32")
            bias = generator.standard_normal(bias.shape, "float32")
            layer.set_weights([kernel * (2 / fan_in) ** 0.5, bias / 10])
    return model


@pytest.fixture(scope="module")
def converted(source):
    return convert_weights(source, "alexnet", **SMALL)


def arrays(model):
    pairs = [x.get_weights() for x in model.layers if x.weights]
    return [array for pair in pairs for array in pair]


def test_groups_become_towers(source, converted):
    images = np.random.default_rng(1).uniform(-3, 3, (4, 67, 67, 3))
    expected = source.predict(images, verbose=0)
    assert np.ptp(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(
        converted.predict(images, verbose=0), expected, atol=1e-5
    )
    kernel = source.layers[4].get_weights()[0]  # conv2
    a, b = (converted.get_layer(f"conv2{t}").get_weights()[0] for t in "ab")
    np.testing.assert_array_equal(a, kernel[..., :128])
    np.testing.assert_array_equal(b, kernel[..., 128:])


def test_towers_become_groups_again(source, converted):
    weights = grouped_weights(converted)
    names = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert list(weights) == names
    assert weights["conv2"][0].shape == (5, 5, 48, 256)
    again = grouped()
    layers = [layer for layer in again.layers if layer.weights]
    for layer, pair in zip(layers, weights.values(), strict=True):
        layer.set_weights(pair)
    for ours, theirs in zip(arrays(again), arrays(source), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("form", ["path", "string", "dict", "towers"])
def test_other_forms_of_the_source(form, converted, source, tmp_path):
    path = tmp_path / "source.keras"
    if form in ("path", "string"):
        source.save(path)
    given = {
        "path": path,
        "string": str(path),
        "dict": grouped_weights(converted),
        "towers": converted,
    }[form]
    again = convert_weights(given, "alexnet", **SMALL)
    for ours, theirs in zip(arrays(again), arrays(converted), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_keras_listing_converts_under_its_own_names():
    listing = article_listing(image_size=67, num_classes=10)
    model = convert_weights(listing, "single_tower", **SMALL)
    for ours, theirs in zip(arrays(model), arrays(listing), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_source_is_not_changed(source, converted):
    before = arrays(source)
    model = convert_weights(source, "alexnet", **SMALL)
    model.get_layer("fc8").set_weights([np.zeros((4096, 10)), np.zeros(10)])
    for ours, theirs in zip(arrays(source), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def changed(converted, name, index, value):
    weights = grouped_weights(converted)
    weights[name][index] = value
    return weights


@pytest.mark.parametrize(
    ("name", "index", "value", "sentence"),
    [
        # An ungrouped conv2, fc8 of other classes, a bias that is no bias.
        ("conv2", 0, np.zeros((5, 5, 96, 256)), "conv2.*48, 256.*96, 256"),
        ("fc8", 0, np.zeros((4096, 1000)), "fc8.*4096, 10.*4096, 1000"),
        ("conv1", 1, np.zeros((96, 1)), "conv1.*do not fit"),
        ("conv3", 1, np.full(384, np.nan), "conv3.*not finite"),
        ("fc7", 1, np.full(4096, np.inf), "fc7.*not finite"),
    ],
)
def test_weights_that_do_not_fit(converted, name, index, value, sentence):
    weights = changed(converted, name, index, value)
    with pytest.raises(ValueError, match=sentence) as refusal:
        convert_weights(weights, "alexnet", **SMALL)
    assert "\n" not in str(refusal.value)


def test_images_of_another_size(converted):
    weights = grouped_weights(converted)
    with pytest.raises(ValueError, match="fc6 do not fit.*another size"):
        convert_weights(weights, "alexnet", input_shape=(99, 99, 3), classes=10)


def test_a_missing_bias(converted):
    weights = grouped_weights(converted)
    weights["fc6"] = weights["fc6"][:1]
    with pytest.raises(ValueError, match="fc6 do not fit"):
        convert_weights(weights, "alexnet", **SMALL)


def test_another_number_of_layers(converted):
    weights = grouped_weights(converted)
    del weights["conv4"]
    with pytest.raises(ValueError, match="alexnet has 8 layers.*has 7"):
        convert_weights(weights, "alexnet", **SMALL)


def test_another_variant(converted):
    with pytest.raises(ValueError, match="conv2.*96, 256.*48, 256"):
        convert_weights(converted, "single_tower", **SMALL)


def test_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match="There is no file .*gone.keras"):
        convert_weights(tmp_path / "gone.keras")
