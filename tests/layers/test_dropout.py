"""Dropout: Keras' own on one device, another mask on each of several."""

import itertools

import keras
import numpy as np
import on_devices
import pytest
from outlines import outline

from keras_alexnet.layers.dropout import Dropout


def ones(*shape):
    return np.ones(shape or (8, 50), "float32")


@pytest.mark.parametrize("options", [{}, {"noise_shape": (None, 1)}])
def test_one_device_gives_keras_own_values(options):
    ours = Dropout(0.3, seed=5, **options)
    keras_own = keras.layers.Dropout(0.3, seed=5, **options)
    for _ in range(3):
        values = [layer(ones(), training=True) for layer in (ours, keras_own)]
        np.testing.assert_array_equal(*values)
        assert 0 < np.mean(values[0] == 0) < 1


def test_inference_and_rate_0_change_nothing():
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    np.testing.assert_array_equal(Dropout(0.5)(x, training=False), x)
    np.testing.assert_array_equal(Dropout(0.5)(x), x)
    np.testing.assert_array_equal(Dropout(0.0)(x, training=True), x)


def test_config_round_trip():
    layer = Dropout(0.25, noise_shape=(None, 1), seed=7, name="drop6")
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is Dropout
    assert again.get_config() == layer.get_config()


def test_alexnet_uses_it():
    model = outline("alexnet", classes=10)
    for name in ("drop6", "drop7"):
        layer = model.get_layer(name)
        assert type(layer) is Dropout
        assert layer.rate == 0.5


# --- several devices --------------------------------------------------------


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Ones after dropout: {name: (calls, replicas, *shape)}."""
    folder = tmp_path_factory.mktemp("masks")
    return on_devices.computed("dropout", folder)


@pytest.mark.parametrize("replicas", [2, 4])
def test_no_two_replicas_and_calls_have_the_same_mask(masks, replicas):
    values = masks[f"ours {replicas} first"]
    assert values.shape == (2, replicas, *on_devices.SHAPE)
    assert set(np.unique(values)) == {0, 2}
    kept = values.reshape(2 * replicas, -1) > 0
    np.testing.assert_allclose(kept.mean(axis=1), 0.5, atol=0.02)
    for one, other in itertools.combinations(kept, 2):
        # As of two coins.
        assert abs(np.mean(one == other) - 0.5) < 0.02


@pytest.mark.parametrize("replicas", [2, 4])
def test_the_same_seed_gives_the_same_masks(masks, replicas):
    np.testing.assert_array_equal(
        masks[f"ours {replicas} first"], masks[f"ours {replicas} again"]
    )


@pytest.mark.parametrize("replicas", [2, 4])
def test_keras_own_gives_all_replicas_the_same_mask(masks, replicas):
    """If this fails, our layer is no longer needed."""
    values = masks[f"keras {replicas} first"]
    np.testing.assert_array_equal(
        values, np.repeat(values[:, :1], replicas, axis=1)
    )


def test_the_noise_shape_holds_on_replicas(masks):
    values = masks["noise_shape"]
    np.testing.assert_array_equal(values, values[..., :1] + 0 * values)
    assert (values[:, 0] != values[:, 1]).any()
    assert set(np.unique(values)) == {0, 2}


def test_inference_and_rate_0_change_nothing_on_replicas(masks):
    np.testing.assert_array_equal(masks["inference"], 1)
    np.testing.assert_array_equal(masks["rate 0"], 1)
