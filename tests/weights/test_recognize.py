"""A file's variant is what the file says or shows, and is asked for else."""

import keras
import numpy as np
import pytest

import keras_alexnet as ka
from keras_alexnet.weights.recognize import recognized_variant

SIDE = 67  # as small as Caffe's net takes


@pytest.fixture(scope="module")
def caffe():
    model = ka.AlexNet("caffe_alexnet", classes=5, input_shape=(SIDE, SIDE, 3))
    generator = np.random.default_rng(0)
    model.set_weights(
        [generator.normal(0, 0.05, w.shape) for w in model.get_weights()]
    )
    return model


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(1).integers(0, 256, (2, 300, 280, 3), "uint8")


def headed(model):
    hidden = model.get_layer("fc7").output
    outputs = keras.layers.Dense(3, activation="softmax", name="mine")(hidden)
    return keras.Model(model.input, outputs)


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_a_saved_model_is_of_its_variant(caffe, pixels, name, tmp_path):
    caffe.save(tmp_path / name)
    found = ka.open_trained(tmp_path / name)
    assert found.recipe.variant == "caffe_alexnet"
    caffe.checks_range = True
    for one, other in zip(
        ka.predict(tmp_path / name, pixels, 5),
        ka.predict(caffe, pixels, 5),
        strict=True,
    ):
        np.testing.assert_allclose(
            [p for _, p in one], [p for _, p in other], rtol=1e-5
        )


@pytest.mark.parametrize("name", ["head.keras", "head.h5"])
@pytest.mark.parametrize("variant", ["caffe_alexnet", "caffenet"])
def test_a_head_of_ones_own_does_not_hide_it(variant, name, tmp_path):
    """By the order of the layers and the constants of the normalization."""
    model = ka.AlexNet(variant, classes=5, input_shape=(SIDE, SIDE, 3))
    headed(model).save(tmp_path / name)
    found = ka.open_trained(tmp_path / name)
    assert found.recipe.variant == variant
    assert found.model.output_shape == (None, 3)


def test_a_model_within_a_model_says_it(tmp_path):
    base = ka.AlexNet("lenet5", classes=4)
    whole = keras.Sequential([keras.Input((32, 32, 1)), base])
    whole.save(tmp_path / "whole.keras")
    assert ka.open_trained(tmp_path / "whole.keras").recipe.variant == "lenet5"


def test_weights_alone_are_asked_about_where_several_fit(caffe, tmp_path):
    path = tmp_path / "caffe.weights.h5"
    caffe.save_weights(path)
    text = "shapes of caffe_alexnet and caffenet and heuritech. Name one"
    with pytest.raises(ValueError, match=text):
        ka.predict(path, np.zeros((SIDE, SIDE, 3), "uint8"))
    with pytest.raises(ValueError, match=text):
        ka.convert_weights(path)
    shape = (SIDE, SIDE, 3)
    model = ka.convert_weights(path, "caffe_alexnet", input_shape=shape)
    for one, other in zip(
        model.get_weights(), caffe.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("variant", ka.VARIANTS)
def test_every_variant_is_told_by_its_layers(variant):
    model = ka.AlexNet(variant, classes=7)
    layers = {
        layer.name: layer.get_weights()
        for layer in model.layers
        if layer.weights
    }
    config = {"class_name": "Functional", "config": model.get_config()}
    assert recognized_variant("it", layers, config) == variant


CHANGES = {
    "constant": (ka.LocalResponseNormalization, {"k": 3.0}),
    "activation": (keras.layers.Conv2D, {"activation": "tanh"}),
    "pooling": (keras.layers.MaxPooling2D, {"pool_size": 2}),
}


@pytest.mark.parametrize(("kind", "change"), CHANGES.values(), ids=CHANGES)
def test_what_differs_in_anything_is_nobodys(kind, change, tmp_path):
    shape = (SIDE, SIDE, 3)
    plain = ka.AlexNet("single_tower_lrn", classes=5, input_shape=shape)
    outputs = inputs = keras.Input(shape)
    for layer in plain.layers[1:]:
        config = layer.get_config()
        if isinstance(layer, kind) and layer.name[-1] in "15":
            config |= change
        if layer.name == "fc6":
            outputs = keras.layers.Dense(4096, "relu", name="fc6")(outputs)
            continue
        outputs = type(layer).from_config(config)(outputs)
    keras.Model(inputs, outputs).save(tmp_path / "odd.keras")
    with pytest.raises(ValueError, match="but its layers are others"):
        ka.open_trained(tmp_path / "odd.keras")


def test_the_same_written_otherwise_is_the_same():
    """Activations as layers, a nested model: what is computed counts."""
    plain = ka.AlexNet("single_tower_lrn", classes=5, input_shape=(67, 67, 3))
    steps = []
    for layer in plain.layers[1:]:
        config = layer.get_config()
        activation = config.get("activation")
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            config["activation"] = None
        steps.append(type(layer).from_config(config))
        if config.get("activation", 0) is None and activation == "relu":
            steps.append(keras.layers.ReLU())
    front = keras.Sequential([keras.Input((67, 67, 3)), *steps[:9]])
    whole = keras.Sequential([front, *steps[9:]])
    layers = {w.path: [w.numpy()] for w in whole.weights if "kernel" in w.path}
    config = {"class_name": "Sequential", "config": whole.get_config()}
    assert recognized_variant("it", layers, config) == "single_tower_lrn"
