"""`AlexNet(...)`: structure, counts, contract, initial values, use."""

import os
import subprocess
import sys
import warnings
from math import prod

import keras
import numpy as np
import pytest
from explicit import article_listing
from explicit import two_towers
from outlines import outline

import keras_alexnet as ka
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.layers.dropout import Dropout
from keras_alexnet.layers.local_response_normalization import (
    LocalResponseNormalization,
)
from keras_alexnet.models.alexnet import AlexNet
from keras_alexnet.models.alexnet import AlexNetModel

OTHERS = ["cifar10_18pct", "cifar10_13pct", "cifar10_11pct", "lenet5"]


def small(variant="alexnet", size=67, classes=10, **kwargs):
    shape = (size, size, 3)
    return AlexNet(variant, input_shape=shape, classes=classes, **kwargs)


def photos(count, size, seed=0):
    """Patches of color around 0, as images minus their mean are."""
    colors = np.random.default_rng(seed).uniform(-120, 120, (count, 8, 8, 3))
    patches = np.kron(colors, np.ones((1, 32, 32, 1)))
    return patches[:, :size, :size].astype("float32")


def logits_of(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


# --- the table against the models written by hand ---------------------------


def description(layer):
    """All that defines a layer, apart from its name."""
    config = layer.get_config()
    del config["name"]
    kind = type(layer)
    if kind is Dropout:  # Keras' own, with another mask on each device
        (kind,) = kind.__bases__
    return (
        kind,
        config,
        layer.output.shape,
        [w.shape for w in layer.weights],
    )


@pytest.mark.parametrize(
    ("variant", "by_hand"),
    [("single_tower", article_listing), ("alexnet", two_towers)],
)
def test_the_table_builds_what_is_written_by_hand(variant, by_hand):
    model, golden = AlexNet(variant), by_hand()
    assert len(model.layers) == len(golden.layers)
    for ours, theirs in zip(model.layers, golden.layers, strict=True):
        assert description(ours) == description(theirs), ours.name
    assert model.count_params() == golden.count_params()
    # The listing's start is all but uniform over the classes: sharpen it.
    weights = [4 * w for w in golden.get_weights()]
    golden.set_weights(weights)
    model.set_weights(weights)
    images = photos(2, 227)
    expected = logits_of(golden, images)
    assert np.ptp(expected) > 1e-4
    np.testing.assert_allclose(logits_of(model, images), expected, rtol=1e-5)


def test_layers_have_the_names_of_the_paper():
    names = [layer.name for layer in outline("single_tower_lrn").layers]
    expected = ["image", "conv1", "norm1", "pool1", "conv2", "norm2", "pool2"]
    expected += ["conv3", "conv4", "conv5", "pool5", "flatten"]
    assert names == expected + ["fc6", "drop6", "fc7", "drop7", "fc8"]
    towers = {layer.name for layer in outline("alexnet").layers}
    assert {"conv1a", "conv1b", "norm2b", "conv5a", "pool5b", "fc6"} <= towers


@pytest.mark.parametrize("variant", ["alexnet_2012", "one_weird_trick"])
def test_the_2012_code_normalizes_and_pools_before_the_relu(variant):
    """layers-145.cfg: neuron=relu stands at the pools of layers 1 and 5."""
    model = outline(variant, include_top=False)
    tower = "a" if variant == "alexnet_2012" else ""
    order = ["conv1", "norm1", "pool1", "relu1", "conv2", "norm2", "cnorm2"]
    order += ["pool2", "conv3", "conv4", "conv5", "pool5", "relu5"]
    if variant == "one_weird_trick":  # layers-223-1gpu.cfg has no [cnorm2]
        order.remove("cnorm2")
    names = [layer.name for layer in model.layers]
    places = [names.index(name + tower) for name in order]
    assert places == sorted(places)
    linear = keras.activations.linear
    relu = keras.activations.relu
    for name in order:
        if name.startswith("conv"):
            expected = linear if name in ("conv1", "conv5") else relu
            assert model.get_layer(name + tower).activation is expected, name


def test_one_group_of_maps_is_normalized_in_each_tower():
    """Section 3.3 in two towers: 48 and 128 maps; Caffe's 96 and 256."""
    for variant, maps in [("alexnet", (48, 128)), ("caffe_alexnet", (96, 256))]:
        norms = [
            layer.output.shape[-1]
            for layer in outline(variant, include_top=False).layers
            if isinstance(layer, LocalResponseNormalization)
        ]
        assert set(norms) == set(maps), variant


# --- counts and sizes --------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "classes", "parameters"),
    [
        ("alexnet", None, 60_965_224),
        ("alexnet_2012", None, 60_965_224),
        ("caffe_alexnet", None, 60_965_224),
        ("caffenet", None, 60_965_224),
        ("single_tower", None, 62_378_344),
        ("single_tower_lrn", None, 62_378_344),
        ("single_tower_pad2", None, 62_378_344),
        ("half", None, 59_798_312),
        ("one_weird_trick", None, 61_100_840),
        ("torchvision", None, 61_100_840),
        ("torchvision_no_dropout", None, 61_100_840),
        ("alexnet", 10, 56_909_194),
        ("single_tower", 10, 58_322_314),
        ("torchvision", 10, 57_044_810),
    ],
)
def test_parameters(variant, classes, parameters):
    assert outline(variant, classes=classes).count_params() == parameters


def test_parameters_of_the_paper_layer_by_layer():
    model, counts = outline("alexnet"), {}
    for layer in model.layers:
        if layer.weights:
            name = layer.name[:5] if layer.name[:4] == "conv" else layer.name
            counts[name] = counts.get(name, 0) + layer.count_params()
    assert counts == {
        "conv1": 34_944,
        "conv2": 307_456,
        "conv3": 885_120,
        "conv4": 663_936,
        "conv5": 442_624,
        "fc6": 37_752_832,
        "fc7": 16_781_312,
        "fc8": 4_097_000,
    }


@pytest.mark.parametrize("variant", ["single_tower", "alexnet"])
@pytest.mark.parametrize(
    ("size", "padding", "sides", "flat"),
    [
        (227, None, (55, 27, 13, 6), 9216),
        (227, "valid", (55, 27, 13, 6), 9216),
        (227, ("valid", "valid"), (55, 27, 13, 6), 9216),
        (224, "valid", (54, 26, 12, 5), 6400),
        (224, ("same", "valid"), (56, 27, 13, 6), 9216),
        (224, "same", (56, 28, 14, 7), 12544),
        (227, "same", (57, 29, 15, 8), 16384),
        (224, "ceil", (55, 27, 13, 6), 9216),
        (227, "ceil", (55, 27, 13, 6), 9216),
    ],
)
def test_padding(variant, size, padding, sides, flat):
    model = outline(
        variant,
        include_top=False,
        padding=padding,
        input_shape=(size, size, 3),
    )
    tower = "a" if variant == "alexnet" else ""
    maps = ("conv1", "pool1", "pool2", "pool5")
    shapes = [model.get_layer(m + tower).output.shape[1:3] for m in maps]
    assert shapes == [(side, side) for side in sides]
    assert prod(model.output_shape[1:]) == flat


def test_padding_of_torchvision():
    """Padding 2 before conv1: 224 pixels give 55x55 maps (an article)."""
    model = outline("torchvision", include_top=False)
    assert model.get_layer("conv1").output.shape == (None, 55, 55, 64)
    assert model.output_shape == (None, 6, 6, 256)
    wide = outline("single_tower_pad2", include_top=False)  # on 227
    assert wide.get_layer("conv1").output.shape == (None, 56, 56, 96)


# Three pools of 3/2 want 15 maps or more: 3 <- 7 <- 15, and conv1 11 + 4 * 14
# pixels; padding 2 saves four of them.
SMALLEST = {
    "alexnet": 67,
    "single_tower": 67,
    "single_tower_lrn": 67,
    "half": 67,
    "single_tower_pad2": 63,
    "torchvision": 63,
    "torchvision_no_dropout": 63,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_smallest_image_works_and_one_pixel_less_does_not(variant):
    channels = VARIANTS[variant].input_shape[2]
    with pytest.raises(ValueError, match="too small") as refusal:
        outline(variant, include_top=False, input_shape=(1, 1, channels))
    side = int(str(refusal.value).split("x")[-1].rstrip("."))
    assert SMALLEST.get(variant, side) == side
    model = AlexNet(
        variant,
        input_shape=(side, side, channels),
        include_top=False,
    )
    output = logits_of(model, np.ones((1, side, side, channels), "float32"))
    assert output.size > 0
    assert np.isfinite(output).all()
    for shape in [(side - 1, side, channels), (side, side - 1, channels)]:
        with pytest.raises(ValueError, match=f"{side}x{side}"):
            outline(variant, include_top=False, input_shape=shape)


# --- the contract of keras.applications --------------------------------------


def test_the_variants_own_shape_and_classes_are_the_default():
    for variant, architecture in VARIANTS.items():
        model = outline(variant)
        assert model.input_shape == (None, *architecture.input_shape)
        assert model.output_shape == (None, architecture.classes)
        assert model.name == variant


def test_include_top_and_pooling():
    kwargs = {"include_top": False, "input_shape": (99, 131, 3)}
    # 99 -> 23, 11, 5, 2 and 131 -> 31, 15, 7, 3
    assert outline(**kwargs).output_shape == (None, 2, 3, 256)
    images = photos(2, 131)[:, :99]
    maps = AlexNet(**kwargs)
    features = logits_of(maps, images)
    for pooling, reduce in [("avg", np.mean), ("max", np.max)]:
        model = AlexNet(pooling=pooling, **kwargs)
        model.set_weights(maps.get_weights())
        assert model.output_shape == (None, 256)
        expected = reduce(features, axis=(1, 2))
        assert expected.std() > 0.1
        np.testing.assert_allclose(
            logits_of(model, images), expected, rtol=1e-5
        )


@pytest.mark.parametrize("variant", ["alexnet", "alexnet_2012"])
def test_without_the_top_the_size_may_be_open(variant):
    model = AlexNet(variant, include_top=False, input_shape=(None, None, 3))
    assert model.output_shape == (None, None, None, 256)
    for size in (67, 98, 100):
        images = photos(1, size)
        fixed = AlexNet(variant, include_top=False, input_shape=(size, size, 3))
        fixed.set_weights(model.get_weights())
        np.testing.assert_allclose(
            logits_of(model, images), logits_of(fixed, images), rtol=1e-5
        )


def test_input_tensor_is_used():
    image = keras.Input((67, 67, 3), name="pixels")
    centered = keras.layers.Rescaling(1.0, offset=-115.0)(image)
    model = AlexNet(input_tensor=centered, classes=10)
    plain = small()
    plain.set_weights(model.get_weights())
    pixels = photos(2, 67) + 120
    assert model.input.name == "pixels"
    np.testing.assert_allclose(
        logits_of(model, pixels), logits_of(plain, pixels - 115), rtol=1e-5
    )


def test_classifier_activation():
    model, logits = small(), small(classifier_activation=None)
    assert model.layers[-1].activation is keras.activations.softmax
    assert logits.layers[-1].activation is keras.activations.linear
    logits.set_weights(model.get_weights())
    images = photos(2, 67)
    powers = np.exp(logits_of(logits, images).astype("float64"))
    np.testing.assert_allclose(
        logits_of(model, images),
        powers / powers.sum(axis=1, keepdims=True),
        rtol=1e-5,
    )


def test_name():
    assert outline(name="kriz").name == "kriz"


# Wrong calls; those that VGG16 refuses as well are compared with it.
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"weights": "nosuch"}, "path of a weights file.*weights=nosuch"),
        ({"classes": 0}, "positive integer.*0"),
        ({"classes": -1}, "positive integer.*-1"),
        ({"classes": "ten"}, "positive integer.*ten"),
        ({"classes": 2.5}, "positive integer.*2.5"),
        ({"input_shape": (None, None, 3)}, "must give the height"),
        ({"input_shape": (100, None, 3)}, "must give the height"),
        ({"input_shape": (8, 8, 3), "include_top": False}, "too small.*67x67"),
        ({"input_shape": (99, 99), "include_top": False}, "three integers"),
        ({"input_tensor": "x"}, "KerasTensor"),
    ],
)
def test_wrong_calls_that_keras_applications_refuse_too(wrong, sentence):
    kwargs = {"weights": None} | wrong
    with (
        pytest.raises(Exception) as theirs,
        keras.StatelessScope(initialize_variables=False),
    ):
        keras.applications.VGG16(**kwargs)
    with pytest.raises(theirs.type, match=sentence):
        outline(**kwargs)
    assert theirs.type is ValueError


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"variant": "alexnet2"}, "no variant 'alexnet2'.*single_tower"),
        ({"padding": "full"}, "'valid', 'same', 'ceil'.*'full'"),
        ({"padding": ("same",)}, "pair"),
        ({"pooling": "sum", "include_top": False}, "'avg' or 'max'.*'sum'"),
        ({"input_shape": (99, 99, None), "include_top": False}, "channels"),
        (
            {
                "input_tensor": keras.Input((67, 67, 3)),
                "input_shape": (99, 99, 3),
            },
            "must agree",
        ),
        (
            {
                "variant": "cifar10_13pct",
                "input_shape": (None, None, 3),
                "include_top": False,
            },
            "locally connected",
        ),
    ],
)
def test_wrong_calls(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        outline(**wrong)


def test_an_unknown_argument_is_refused_as_by_keras():
    with pytest.raises(TypeError, match="unexpected keyword"):
        outline(alpha=1)


def test_imagenet_weights_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match="no trained ImageNet") as refusal:
        AlexNet(weights="imagenet")
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).count(". ") == 1  # ". Received: ..."


def test_weights_from_a_file(tmp_path):
    path = tmp_path / "a.weights.h5"
    model = small("half")
    model.save_weights(path)
    for given in (path, str(path)):
        again = small("half", weights=given)
        for ours, theirs in zip(
            again.get_weights(), model.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


# --- initial values ----------------------------------------------------------

# Section 5: .01 everywhere; bias 1 in layers 2, 4, 5 and in fc6, fc7.
PAPER = ([0.01] * 8, [0, 1, 0, 1, 1, 1, 1, 0])
INITIAL = {
    "alexnet": PAPER,
    "single_tower_lrn": PAPER,
    "half": PAPER,
    # layers-145.cfg: initW .03 in conv3, conv4 and conv5.
    "alexnet_2012": ([0.01] * 2 + [0.03] * 3 + [0.01] * 3, PAPER[1]),
    # layers-223-1gpu.cfg: the same, and initB=-7 in fc1000.
    "one_weird_trick": (
        [0.01] * 2 + [0.03] * 3 + [0.01] * 3,
        [0, 1, 0, 1, 1, 1, 1, -7],
    ),
    # bvlc_alexnet/train_val.prototxt: .005 in fc6 and fc7, bias .1.
    "caffe_alexnet": (
        [0.01] * 5 + [0.005] * 2 + [0.01],
        [0, 0.1, 0, 0.1, 0.1, 0.1, 0.1, 0],
    ),
    # bvlc_reference_caffenet/train_val.prototxt at BVLC/caffe 74bf4b7.
    "caffenet": (
        [0.01] * 5 + [0.005] * 2 + [0.01],
        [0, 1, 0, 1, 1, 1, 1, 0],
    ),
}
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


def layers_of(model, name):
    names = (name, f"{name}a", f"{name}b")
    return [x for x in model.layers if x.weights and x.name in names]


@pytest.mark.parametrize("variant", INITIAL)
def test_initial_values(variant):
    model = small(variant, classes=100)
    for name, std, bias in zip(LAYERS, *INITIAL[variant], strict=True):
        for layer in layers_of(model, name):
            kernel, biases = layer.get_weights()
            # 5 standard errors of a sample's deviation and mean
            error = 5 * std / kernel.size**0.5
            assert abs(kernel.std() - std) < error / 2**0.5, layer.name
            assert abs(kernel.mean()) < error, layer.name
            assert abs(kernel).max() > 3.5 * std, layer.name  # not truncated
            np.testing.assert_array_equal(biases, np.float32(bias))


@pytest.mark.parametrize(
    "variant", ["torchvision", "torchvision_no_dropout", "single_tower_pad2"]
)
def test_initial_values_of_pytorch(variant):
    """nn.Conv2d and nn.Linear: all uniform in +-1/sqrt(fan in)."""
    model = small(variant, size=63, classes=100)
    for name in LAYERS:
        (layer,) = layers_of(model, name)
        kernel, bias = layer.get_weights()
        limit = (kernel.size / kernel.shape[-1]) ** -0.5
        for values in (kernel, bias):
            assert 0.9 * limit < abs(values).max() <= limit * (1 + 1e-6), name
            error = 5 * limit / values.size**0.5
            assert abs(values.std() - limit / 3**0.5) < error, name
            assert abs(values.mean()) < error, name


def test_initial_values_of_the_keras_listing():
    """Glorot: uniform in +-sqrt(6 / (fan in + fan out)), biases 0."""
    model = small("single_tower", classes=100)
    for name in LAYERS:
        (layer,) = layers_of(model, name)
        kernel, bias = layer.get_weights()
        field = prod(kernel.shape[:-2])
        limit = (6 / (field * sum(kernel.shape[-2:]))) ** 0.5
        assert 0.99 * limit < abs(kernel).max() <= limit * (1 + 1e-6), name
        assert not bias.any(), name


@pytest.mark.parametrize("variant", ["alexnet", "alexnet_2012", "caffenet"])
def test_towers_start_differently(variant):
    """Else B would remain a copy of A, and Figure 3's division not arise."""
    model = AlexNet(variant, include_top=False)
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        if variant == "caffenet" and name in ("conv1", "conv3"):
            continue  # one convolution, not two
        a, b = (x.get_weights()[0].ravel() for x in layers_of(model, name))
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / a.size**0.5, name


# --- use ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "variant", ["alexnet", "alexnet_2012", "caffenet", "torchvision"]
)
def test_saved_models_come_back(variant, tmp_path):
    model = small(variant, size=70)
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.saving.load_model(path)
    assert type(again) is AlexNetModel
    images = photos(2, 70)
    np.testing.assert_array_equal(
        logits_of(again, images), logits_of(model, images)
    )


def test_a_saved_model_opens_in_a_new_process(tmp_path):
    model = small("half", size=67)
    model.save(tmp_path / "model.keras")
    code = (
        "import keras\n"
        "from keras_alexnet import AlexNet\n"
        f"model = keras.saving.load_model({str(tmp_path / 'model.keras')!r})\n"
        "print(model.name, model.count_params())\n"
    )
    expected = f"half {model.count_params()}"
    assert run(code).strip().splitlines()[-1] == expected


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("size", [63, 70, 99, 131])
def test_torchvision_takes_small_images_with_its_top(size):
    """nn.AdaptiveAvgPool2d copies where a map has fewer than 6 values."""
    model = small("torchvision", size, classifier_activation=None)
    images = photos(2, size)
    maps = keras.Model(model.input, model.get_layer("pool5").output)
    pooled = keras.Model(model.input, model.get_layer("avgpool").output)
    values = logits_of(maps, images)
    n = values.shape[1]
    starts = [i * n // 6 for i in range(6)]
    ends = [-(-(i + 1) * n // 6) for i in range(6)]
    expected = [
        [
            values[:, a:b, c:d].mean((1, 2))
            for c, d in zip(starts, ends, strict=True)
        ]
        for a, b in zip(starts, ends, strict=True)
    ]
    np.testing.assert_allclose(
        pooled.predict(images, verbose=0),
        np.transpose(expected, (2, 0, 1, 3)),
        rtol=1e-5,
    )
    assert model.predict(images, verbose=0).shape == (2, 10)


@pytest.mark.parametrize("variant", ["alexnet", "alexnet_2012"])
def test_clones(variant):
    model = small(variant, size=70)
    clone = keras.models.clone_model(model)
    assert clone.get_config() == model.get_config()
    clone.set_weights(model.get_weights())
    images = photos(2, 70)
    np.testing.assert_array_equal(
        logits_of(clone, images), logits_of(model, images)
    )


@pytest.mark.parametrize(
    "variant", ["alexnet", "alexnet_2012", "caffenet", "torchvision", *OTHERS]
)
def test_one_step_of_fit_changes_the_weights(variant):
    keras.utils.set_random_seed(0)
    own = variant in OTHERS
    model = AlexNet(variant) if own else small(variant, size=70)
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    shape = model.input_shape[1:]
    images = photos(16, 70)[:, : shape[0], : shape[1], : shape[2]]
    if variant.startswith("cifar10"):  # conv1 starts from 1e-4: give it more
        images = images * 1e3
    before = model.get_weights()
    labels = np.arange(16) % 10
    history = model.fit(images, labels, epochs=1, batch_size=16, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for weight, old in zip(model.weights, before, strict=True):
        assert not np.array_equal(weight.numpy(), old), weight.path


def test_fit_before_compile_is_refused_as_by_keras():
    with pytest.raises(ValueError, match="compile"):
        small("half").fit(photos(2, 67), np.zeros(2))


def test_mixed_precision():
    keras.utils.set_random_seed(0)
    model = small("alexnet", size=67)
    images = photos(2, 67)
    expected = logits_of(model, images)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = small("alexnet", size=67)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(model.get_weights())
    assert mixed.get_layer("conv1a").compute_dtype == "bfloat16"
    output = mixed(images, training=False)
    assert output.dtype == "bfloat16"
    output = keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))
    np.testing.assert_allclose(output, expected, atol=0.01)
    assert np.ptp(expected) > 0.05


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    ("variant", "size"),
    [
        ("alexnet", 99),
        ("alexnet_2012", 100),
        ("caffenet", 103),
        ("torchvision", 99),
        ("cifar10_18pct", 32),
        ("cifar10_11pct", 24),
    ],
)
def test_channels_first(variant, size, request):
    """Same weights, same outputs; the flattening is undone by Keras."""
    images = photos(2, size)
    last = small(variant, size, classifier_activation=None)
    expected = logits_of(last, images)
    request.getfixturevalue("channels_first")
    first = AlexNet(
        variant,
        input_shape=(3, size, size),
        classes=10,
        classifier_activation=None,
    )
    first.set_weights(last.get_weights())
    output = logits_of(first, images.transpose(0, 3, 1, 2))
    scale = abs(expected).max()
    assert np.ptp(expected) > 0.1 * scale
    np.testing.assert_allclose(output, expected, atol=1e-5 * scale)


@pytest.mark.filterwarnings("ignore:In the future `np.object`")  # tf2onnx
def test_onnx(tmp_path):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    model = small(size=99, include_top=False)
    path = str(tmp_path / "model.onnx")
    images = photos(2, 99)
    expected = logits_of(model, images)  # Keras exports what was called once
    model.export(path, format="onnx", verbose=False)
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert nodes.count("LRN") == 4  # norm1 and norm2 of two towers
    session = runtime.InferenceSession(path)
    (output,) = session.run(None, {session.get_inputs()[0].name: images})
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(output, expected, atol=1e-4)


def test_two_replicas():
    """MirroredStrategy over two logical CPUs: one step of fit."""
    code = """
import keras, numpy as np, tensorflow as tf
from keras_alexnet import AlexNet
(cpu,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
keras.utils.set_random_seed(0)
with strategy.scope():
    model = AlexNet(input_shape=(67, 67, 3), classes=10)
    model.compile("sgd", "sparse_categorical_crossentropy")
colors = np.random.default_rng(0).uniform(-120, 120, (8, 5, 5, 3))
images = np.kron(colors, np.ones((1, 14, 14, 1)))[:, :67, :67]
before = model.get_weights()
loss = model.fit(images, np.arange(8), batch_size=8, verbose=0)
changed = [not np.array_equal(a, b)
           for a, b in zip(before, model.get_weights())]
replicas = len(strategy.experimental_local_results(
    strategy.run(lambda: tf.distribute.get_replica_context()
                 .replica_id_in_sync_group)))
print(replicas, np.isfinite(loss.history["loss"]).all(), all(changed))
"""
    assert run(code).split()[-3:] == ["2", "True", "True"]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_keras_other_backends_train_evaluate_and_predict(backend):
    pytest.importorskip(backend)
    script = """
import numpy as np
import keras_alexnet as ka

model = ka.AlexNet("lenet5")
x = np.random.default_rng(0).normal(0, 50, (6, *model.input_shape[1:]))
y = np.arange(6)
model.compile(ka.PaperSGD(0.001), "sparse_categorical_crossentropy")
loss = model.fit(x, y, epochs=3, verbose=0).history["loss"]
assert model.evaluate(x, y, verbose=0) < loss[-1] < loss[0]
assert model.predict(x, verbose=0).shape == (6, 10)
model.optimizer.conv1_rate.assign(0)  # the end game: conv1 is frozen
before = [v.numpy().copy() for v in model.trainable_variables]
model.fit(x, y, epochs=2, verbose=0)
for old, variable in zip(before, model.trainable_variables):
    frozen = "conv1" in variable.path
    assert frozen == np.array_equal(old, variable.numpy()), variable.path
"""
    subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
    )


@pytest.mark.parametrize("variant", ["lenet5", "cifar10_18pct"])
def test_an_h5_file_of_a_compiled_model_loads(variant, tmp_path):
    """As ModelCheckpoint("best.h5") writes it, in Keras 2's form."""
    model = ka.AlexNet(variant, classes=4)
    model.class_names = ("a", "b", "c", "d")
    model.compile(ka.PaperSGD(0.01), "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).uniform(-9, 9, (4, *model.input_shape[1:]))
    saved = keras.callbacks.ModelCheckpoint(str(tmp_path / "best.h5"))
    model.fit(x, np.arange(4), verbose=0, callbacks=[saved])
    again = keras.models.load_model(tmp_path / "best.h5")
    assert type(again) is type(model)
    assert again.variant == variant
    assert list(again.class_names) == list(model.class_names)
    assert isinstance(again.optimizer, ka.PaperSGD)
    np.testing.assert_array_equal(
        again.predict(x, verbose=0), model.predict(x, verbose=0)
    )


@pytest.mark.parametrize("optimizer", [ka.PaperSGD, keras.optimizers.Adam])
def test_its_step_is_traced_once(optimizer):
    """Keras has TensorFlow do it twice."""
    model, traced = ka.AlexNet("lenet5"), []
    step = model.train_step

    def counted(*data):
        traced.append(data)
        return step(*data)

    model.train_step = counted
    model.compile(optimizer(0.01), "sparse_categorical_crossentropy")
    images = np.zeros((4, 32, 32, 1), "float32")
    for _ in range(2):
        model.fit(images, np.arange(4), batch_size=2, verbose=0)
    assert len(traced) == 1


def test_nothing_is_learned_where_all_is_frozen():
    model = ka.AlexNet("lenet5")
    model.trainable = False
    model.compile(ka.PaperSGD(0.01), "sparse_categorical_crossentropy")
    before = model.get_weights()
    images = np.zeros((4, 32, 32, 1), "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own
        model.fit(images, np.arange(4), verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
