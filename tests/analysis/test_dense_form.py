"""The dense form: the network itself, slid over a larger image."""

from dataclasses import replace

import chosen_weights
import keras
import matplotlib.image
import numpy as np
import pytest
from PIL import Image

import keras_alexnet as ka
from keras_alexnet.architectures import rows as kinds
from keras_alexnet.cli.main import main
from keras_alexnet.data import transforms


def with_random_weights(model):
    """Probabilities that depend on the image, and are none of them 1."""
    chosen_weights.set_random_weights(model)
    last = model.layers[-1]
    kernel, bias = last.get_weights()
    x = images(np.random.default_rng(9), 16, *model.input_shape[1:])
    below = keras.Model(model.input, last.input).predict_on_batch(x)
    scores = below @ kernel
    kernel /= scores.std(axis=0).mean()
    last.set_weights([kernel, -scores.mean(axis=0) / scores.std(axis=0).mean()])
    return model


def narrow(variant, padding=None):
    """A variant with few units in fc6 and fc7, to save time."""
    architecture = ka.VARIANTS[variant]
    changed = []
    for row in architecture.rows:
        if isinstance(row, kinds.Dense) and row.units:
            row = replace(row, units=40 if row.name == "fc6" else 30)
        if padding and isinstance(row, kinds.Conv):
            row = replace(row, padding=padding)
        changed.append(row)
    return replace(architecture, rows=tuple(changed))


def images(generator, *shape):
    return generator.normal(scale=60, size=shape).astype("float32")


@pytest.mark.parametrize(
    ("variant", "side"),
    [
        ("alexnet", 67),
        ("alexnet", 227),
        ("alexnet_2012", 96),
        ("caffe_alexnet", 99),
        ("one_weird_trick", 96),
        ("torchvision", 224),
        ("torchvision", 67),  # its pooling copies one value 36 times
        ("torchvision", 130),  # and here 3x3 values to 6x6
        ("torchvision", 300),  # and here 8x8
        ("cifar10_18pct", 32),
        ("lenet5", 32),
    ],
)
def test_on_its_own_size_it_is_the_same_network(variant, side):
    channels = ka.VARIANTS[variant].input_shape[-1]
    model = ka.AlexNet(
        narrow(variant), input_shape=(side, side, channels), classes=7
    )
    dense = ka.dense_form(with_random_weights(model))
    x = images(np.random.default_rng(1), 3, side, side, channels)
    expected = model.predict_on_batch(x)
    found = dense.predict_on_batch(x)
    assert found.shape == (3, 1, 1, 7)
    np.testing.assert_allclose(found[:, 0, 0], expected, atol=1e-5)
    assert np.ptp(expected) > 0.1


@pytest.mark.parametrize(
    ("architecture", "side", "stride"),
    [("lenet5", 32, 4), (narrow("alexnet", "valid"), 195, 32)],
)
def test_without_padding_each_position_is_the_network_there(
    architecture, side, stride
):
    channels = 1 if architecture == "lenet5" else 3
    model = ka.AlexNet(
        architecture, input_shape=(side, side, channels), classes=5
    )
    dense = ka.dense_form(with_random_weights(model))
    x = images(
        np.random.default_rng(2),
        *(1, side + 2 * stride, side + 3 * stride + 1, channels),
    )
    found = dense.predict_on_batch(x)
    assert found.shape == (1, 3, 4, 5)
    windows = [
        x[0, top : top + side, left : left + side]
        for top in range(0, 2 * stride + 1, stride)
        for left in range(0, 3 * stride + 1, stride)
    ]
    expected = model.predict_on_batch(np.stack(windows)).reshape(3, 4, 5)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    assert np.ptp(expected, axis=(0, 1)).max() > 0.05
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


def test_with_padding_the_windows_differ():
    """So that the test above can fail; how much, docs/inside.md says."""
    model = ka.AlexNet(narrow("alexnet"), input_shape=(99, 99, 3), classes=5)
    dense = ka.dense_form(with_random_weights(model))
    x = images(np.random.default_rng(3), 1, 131, 131, 3)
    found = dense.predict_on_batch(x)[0, 0, 0]
    alone = model.predict_on_batch(x[:, :99, :99])[0]
    assert abs(found - alone).max() > 1e-4


def test_it_can_be_saved(tmp_path):
    model = ka.AlexNet(narrow("alexnet"), input_shape=(67, 67, 3), classes=5)
    dense = ka.dense_form(model)
    dense.save(tmp_path / "dense.keras")
    again = keras.saving.load_model(tmp_path / "dense.keras")
    x = images(np.random.default_rng(4), 1, 131, 99, 3)
    np.testing.assert_array_equal(
        dense.predict_on_batch(x), again.predict_on_batch(x)
    )


@pytest.mark.parametrize(
    ("variant", "top", "sentence"),
    [
        ("cifar10_13pct", True, "local3 has a kernel for each position"),
        ("alexnet", False, "expected a model with its top"),
    ],
)
def test_what_has_no_dense_form_says_so(variant, top, sentence):
    shape = ka.VARIANTS[variant].input_shape
    model = ka.AlexNet(variant, include_top=top, input_shape=shape)
    with pytest.raises(ValueError, match=sentence):
        ka.dense_form(model)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    pixels = np.random.default_rng(5).integers(0, 256, (14, 20, 3), "uint8")
    file = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(pixels).resize((100, 70)).save(file)
    return file


def test_heat_map_is_the_network_over_the_windows(photo, tmp_path):
    run = chosen_weights.write_run(tmp_path / "run", "lenet5", 32)
    image = Image.open(photo).convert("L")
    image = np.asarray(image.resize((85, 60), Image.Resampling.BILINEAR))
    tops, lefts = range(0, 60 - 31, 4), range(0, 85 - 31, 4)
    windows = [image[t : t + 32, x : x + 32] for t in tops for x in lefts]
    model = run.load_model()
    inputs = np.stack(windows)[..., None].astype("float32") / 255
    expected = model.predict_on_batch(inputs)
    expected = expected.reshape(len(tops), len(lefts), 3)
    best = chosen_weights.CLASSES[expected.mean(axis=(0, 1)).argmax()]
    for place, name in enumerate(chosen_weights.CLASSES):
        heat = ka.heat_map(run, photo, name, short_side=60)
        np.testing.assert_allclose(heat.values, expected[..., place], atol=1e-5)
        np.testing.assert_array_equal(heat.image[..., 0], image)
    assert ka.heat_map(run, photo, short_side=60).class_name == best
    # The first window's middle is at 15.5, a value reaches 2 to each side.
    assert heat.extent == (13.5, 13.5 + 4 * 14, 13.5 + 4 * 8, 13.5)
    whole = ka.heat_map(run, photo, "ash")
    assert min(whole.image.shape[:2]) == 2 * 37


def test_a_strip_that_would_need_too_much_memory_is_refused(tmp_path):
    run = chosen_weights.write_run(tmp_path / "run", "lenet5", 32)
    Image.new("L", (2000, 2)).save(tmp_path / "strip.png")
    with pytest.raises(ValueError, match="200000x200 pixels, more than"):
        ka.heat_map(run, tmp_path / "strip.png", short_side=200)


def test_the_size_is_checked_before_the_image_is_resized(tmp_path, monkeypatch):
    run = chosen_weights.write_run(tmp_path / "run", "lenet5", 32)
    Image.new("L", (50, 40)).save(tmp_path / "small.png")
    monkeypatch.setattr(transforms, "resize_short_side", None)
    with pytest.raises(ValueError, match="125000x100000 pixels, more than"):
        ka.heat_map(run, tmp_path / "small.png", short_side=100_000)


def test_a_file_without_softmax_gives_probabilities(photo, tmp_path):
    model = ka.AlexNet("cifar10_18pct", classes=3, classifier_activation=None)
    with_random_weights(model)
    model.class_names = ("ash", "beech", "cedar")
    model.checks_range = True
    model.save(tmp_path / "logits.keras")
    trained = ka.open_trained(tmp_path / "logits.keras")
    maps = [
        ka.heat_map(trained, photo, name, short_side=40).values
        for name in model.class_names
    ]
    np.testing.assert_allclose(np.sum(maps, axis=0), 1, atol=1e-5)
    assert np.min(maps) >= 0


def test_a_mean_image_counts_as_its_mean_color(photo, tmp_path):
    run = chosen_weights.write_run(
        tmp_path / "run", "cifar10_18pct", 32, mean="image"
    )
    mean_image = np.random.default_rng(6).uniform(0, 255, (37, 37, 3))
    np.save(run.path("mean_image.npy"), mean_image.astype("float32"))
    heat = ka.heat_map(run, photo, "ash", short_side=70)
    pixels = np.asarray(Image.open(photo), "float32")
    inputs = pixels[None] - mean_image.mean(axis=(0, 1))
    dense = ka.dense_form(run.load_model())
    expected = dense.predict_on_batch(inputs.astype("float32"))[0, ..., 0]
    np.testing.assert_allclose(heat.values, expected, atol=1e-4)


def test_command(photo, tmp_path, capsys):
    run = chosen_weights.write_run(tmp_path / "run", "cifar10_18pct", 32)
    file = tmp_path / "map.png"
    words = ["heatmap", str(run.folder), str(photo), "--to-file", str(file)]
    assert main([*words, "--class", "beech", "--short-side", "96"]) == 0
    assert "map.png: beech in 14x9 windows" in capsys.readouterr().out
    assert matplotlib.image.imread(file).std() > 0.1
    for options, sentence in (
        (["--short-side", "30"], "must be at least 32 pixels"),
        (["--class", "oak"], "There is no class 'oak'"),
    ):
        assert main([*words, *options]) == 2
        assert sentence in capsys.readouterr().err


def test_of_one_window_it_is_the_network_itself():
    model = ka.AlexNet("lenet5", classes=3)
    generator = np.random.default_rng(0)
    model.set_weights(
        [generator.normal(0, 0.2, w.shape) for w in model.get_weights()]
    )
    x = generator.uniform(-1, 1, (4, *model.input_shape[1:]))
    found = ka.dense_form(model).predict(x, verbose=0)
    assert found.shape == (4, 1, 1, 3)
    np.testing.assert_allclose(
        found[:, 0, 0], model.predict(x, verbose=0), rtol=1e-5, atol=1e-7
    )
