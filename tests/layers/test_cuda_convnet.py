"""The small layers, against loops in NumPy."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_alexnet as ka
from keras_alexnet.layers.cuda_convnet import CeilPadding2D
from keras_alexnet.layers.cuda_convnet import LocallyConnected2D
from keras_alexnet.layers.cuda_convnet import SplitTowers
from keras_alexnet.layers.keras_layers import AveragePooling2D


def normal(*shape):
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=shape).astype("float32")


def error(actual, expected):
    """The largest deviation, as a share of the largest value."""
    actual = np.asarray(keras.ops.convert_to_numpy(actual), "float64")
    if actual.shape != expected.shape:
        raise ValueError(f"shapes {actual.shape} and {expected.shape}")
    return np.abs(actual - expected).max() / np.abs(expected).max()


def reloaded(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.models.load_model(tmp_path / "model.keras")


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


# SplitTowers


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("towers", [1, 2, 3])
def test_split_towers_deals_the_maps_out_in_order(towers, axis):
    x = normal(2, 6, 4, 6)
    split = SplitTowers(towers, axis=axis)(x)
    assert len(split) == towers
    for tower, part in enumerate(split):
        maps = range(tower * 6 // towers, (tower + 1) * 6 // towers)
        assert np.array_equal(part, np.take(x, maps, axis=axis))


def test_split_towers_in_a_model_of_unknown_size(tmp_path):
    inputs = keras.Input((None, None, 6))
    model = keras.Model(inputs, SplitTowers(2)(inputs))
    assert [y.shape for y in model.outputs] == [(None, None, None, 3)] * 2
    x = normal(2, 5, 4, 6)
    for network in (model, reloaded(model, tmp_path)):
        first, second = network(x)
        assert np.array_equal(first, x[..., :3])
        assert np.array_equal(second, x[..., 3:])


def test_split_towers_refuses_maps_that_do_not_divide():
    with pytest.raises(ValueError):
        SplitTowers(2)(keras.Input((4, 4, 5)))


# CeilPadding2D


def windows_of(size, window, strides):
    """Where the windows start: the last one reaches the edge or beyond."""
    starts = [0]
    while starts[-1] + window < size:
        starts.append(starts[-1] + strides)
    return starts


def max_pooled(x, window, strides):
    """Max-pooling of (batch, height, width, maps), rounding up."""
    rows = windows_of(x.shape[1], window, strides)
    columns = windows_of(x.shape[2], window, strides)
    y = np.empty((len(x), len(rows), len(columns), x.shape[3]))
    for (i, row), (j, column) in itertools.product(
        enumerate(rows), enumerate(columns)
    ):
        seen = x[:, row : row + window, column : column + window]
        y[:, i, j] = seen.max(axis=(1, 2))
    return y


def convolved(x, kernel, strides):
    """Convolution, rounding up; beyond the edge there is nothing to add."""
    window, _, _, filters = kernel.shape
    rows = windows_of(x.shape[1], window, strides)
    columns = windows_of(x.shape[2], window, strides)
    y = np.zeros((len(x), len(rows), len(columns), filters))
    for (i, row), (j, column) in itertools.product(
        enumerate(rows), enumerate(columns)
    ):
        seen = x[:, row : row + window, column : column + window]
        _, height, width, _ = seen.shape
        y[:, i, j] = np.einsum(
            "bhwc,hwcf->bf", seen.astype("float64"), kernel[:height, :width]
        )
    return y


WINDOWS = [(3, 2), (2, 2), (3, 3), (5, 3), (1, 1), (5, 4)]


@pytest.mark.parametrize("size", [(6, 6), (7, 8), (13, 9), (5, 10)])
@pytest.mark.parametrize("window, strides", WINDOWS)
def test_max_pooling_after_ceil_padding(window, strides, size):
    x = normal(2, *size, 3) - 10.0  # zeros would show
    padded = CeilPadding2D(window, strides, -np.inf)(x)
    y = keras.layers.MaxPooling2D(window, strides)(padded)
    assert np.array_equal(y, max_pooled(x, window, strides))


@pytest.mark.parametrize("size", [(6, 6), (7, 8), (13, 9)])
@pytest.mark.parametrize("window, strides", WINDOWS)
def test_convolution_after_ceil_padding(window, strides, size):
    x = normal(2, *size, 3)
    convolution = keras.layers.Conv2D(4, window, strides, use_bias=False)
    y = convolution(CeilPadding2D(window, strides)(x))
    kernel = convolution.kernel.numpy().astype("float64")
    assert error(y, convolved(x, kernel, strides)) < 1e-6


def test_ceil_padding_of_the_paper():
    """224 pixels and windows of 11 at every fourth: the last lacks 3."""
    padding = CeilPadding2D(11, 4)
    assert padding.compute_output_shape((1, 224, 224, 3)) == (1, 227, 227, 3)
    assert padding.compute_output_shape((1, 227, 227, 3)) == (1, 227, 227, 3)


def test_ceil_padding_of_unknown_size(tmp_path):
    inputs = keras.Input((None, None, 3))
    outputs = CeilPadding2D(3, 2, -np.inf)(inputs)
    assert outputs.shape == (None, None, None, 3)
    outputs = keras.layers.MaxPooling2D(3, 2)(outputs)
    model = keras.Model(inputs, outputs)
    for network in (model, reloaded(model, tmp_path)):
        compiled = tf.function(network, jit_compile=True)
        for shape in ((2, 6, 7, 3), (1, 8, 5, 3)):
            x = normal(*shape)
            assert np.array_equal(network(x), max_pooled(x, 3, 2))
            assert np.array_equal(compiled(x), max_pooled(x, 3, 2))


def test_half_known_size():
    inputs = keras.Input((None, 6, 3))
    assert CeilPadding2D(3, 2)(inputs).shape == (None, None, 7, 3)


@pytest.mark.parametrize("how", ["argument", "default"])
def test_ceil_padding_channels_first(how, request):
    if how == "default":
        request.getfixturevalue("channels_first")
        padding = CeilPadding2D(3, 2, 7.0)
    else:
        padding = CeilPadding2D(3, 2, 7.0, data_format="channels_first")
    x = normal(2, 4, 6, 7)
    expected = np.full((2, 4, 7, 7), 7.0, "float32")
    expected[:, :, :6, :] = x
    assert np.array_equal(padding(x), expected)
    assert padding.compute_output_shape((2, 4, 6, 7)) == (2, 4, 7, 7)
    assert padding(keras.Input((4, None, 7))).shape == (None, 4, None, 7)


def test_the_data_format_is_saved(channels_first):
    config = CeilPadding2D(3, 2).get_config()
    keras.config.set_image_data_format("channels_last")
    again = CeilPadding2D.from_config(config)
    assert again.compute_output_shape((2, 4, 6, 7)) == (2, 4, 7, 7)
    assert again.get_config() == config


def test_ceil_padding_in_half_precision():
    padding = CeilPadding2D(3, 2, -np.inf, dtype="mixed_float16")
    assert padding(keras.Input((6, 6, 3))).dtype == "float16"
    y = padding(normal(1, 6, 6, 3))
    assert y.dtype == "float16"
    assert np.all(np.isneginf(y[:, 6]))


def test_no_gradient_comes_from_behind_the_edge():
    x = tf.constant(normal(1, 6, 6, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.nn.max_pool2d(CeilPadding2D(3, 2, -np.inf)(x), 3, 2, "VALID")
    gradient = tape.gradient(y, x).numpy()
    assert gradient.sum() == 3 * 3 * 2  # one for each window and map


# LocallyConnected2D


def locally_connected(x, kernel, bias):
    """Each position with its own kernel, zeros beyond the edges."""
    batch, height, width, channels = x.shape
    *_, fan_in, filters = kernel.shape
    side = round((fan_in / channels) ** 0.5)
    radius = side // 2
    y = np.zeros((batch, height, width, filters))
    for i, j in np.ndindex(height, width):
        y[:, i, j] = bias[i, j]
        own = kernel[i, j].reshape(side, side, channels, filters)
        for a, b in np.ndindex(side, side):
            row, column = i + a - radius, j + b - radius
            if 0 <= row < height and 0 <= column < width:
                y[:, i, j] += x[:, row, column].astype("float64") @ own[a, b]
    return y


def locally_connected_layer(*args, **kwargs):
    return LocallyConnected2D(
        *args,
        kernel_initializer=keras.initializers.RandomNormal(seed=1),
        bias_initializer=keras.initializers.RandomNormal(seed=2),
        **kwargs,
    )


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 1, 2, 2)])
def test_locally_connected(shape, kernel_size):
    layer = locally_connected_layer(5, kernel_size)
    x = normal(*shape)
    y = layer(x)
    weights = [w.numpy().astype("float64") for w in layer.weights]
    assert error(y, locally_connected(x, *weights)) < 1e-6
    _, height, width, channels = shape
    fan_in = kernel_size**2 * channels
    assert layer.count_params() == height * width * 5 * (fan_in + 1)


def test_locally_connected_channels_first(channels_first):
    layer = locally_connected_layer(5, 3)
    x = normal(2, 4, 6, 3)
    first = np.moveaxis(x, -1, 1)
    y = layer(first)
    assert layer(keras.Input(first.shape[1:])).shape == (None, 5, 4, 6)
    assert layer.compute_output_shape(first.shape) == y.shape
    weights = [w.numpy().astype("float64") for w in layer.weights]
    expected = locally_connected(x, *weights)
    assert error(y, np.moveaxis(expected, -1, 1)) < 1e-6
    config = layer.get_config()
    keras.config.set_image_data_format("channels_last")
    again = LocallyConnected2D.from_config(config)
    assert again(first).shape == (2, 5, 4, 6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradients_of_locally_connected(jit_compile):
    """The layer is linear in each of its weights and in its input."""
    layer = locally_connected_layer(2, 3)
    x, upstream = tf.constant(normal(2, 3, 4, 2)), normal(2, 3, 4, 2)

    @tf.function(jit_compile=jit_compile)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, [layer.kernel, layer.bias, x], upstream)

    layer.build(x.shape)
    kernel, bias = (w.numpy().astype("float64") for w in layer.weights)
    values = [kernel, bias, x.numpy().astype("float64")]
    zero = [np.zeros_like(value) for value in values]
    for which, gradient in enumerate(gradients()):
        expected = np.empty(gradient.shape)
        for index in np.ndindex(*gradient.shape):
            unit = np.zeros(gradient.shape)
            unit[index] = 1.0
            if which == 2:
                y = locally_connected(unit, kernel, zero[1])
            elif which == 1:
                y = locally_connected(values[2], zero[0], unit)
            else:
                y = locally_connected(values[2], unit, zero[1])
            expected[index] = np.sum(y * upstream)
        assert error(gradient, expected) < 1e-6


def test_locally_connected_applies_its_activation():
    layer = locally_connected_layer(3, 3, activation="relu")
    x = normal(2, 4, 4, 3)
    y = layer(x)
    weights = [w.numpy().astype("float64") for w in layer.weights]
    expected = locally_connected(x, *weights)
    assert expected.min() < 0
    assert error(y, np.maximum(expected, 0.0)) < 1e-6


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras' own
def test_locally_connected_comes_back_from_a_file(tmp_path):
    layer = locally_connected_layer(3, 3, activation="relu")
    model = keras.Sequential([keras.Input((4, 5, 2)), layer])
    assert model.output_shape == (None, 4, 5, 3)
    x = normal(2, 4, 5, 2)
    again = reloaded(model, tmp_path)
    assert np.array_equal(model(x), again(x))
    assert np.any(again(x))
    assert again.layers[-1].get_config() == layer.get_config()
    assert keras.models.clone_model(model)(x).shape == (2, 4, 5, 3)


def test_locally_connected_learns():
    model = keras.Sequential(
        [keras.Input((4, 4, 2)), locally_connected_layer(1, 3)]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = normal(8, 4, 4, 2)
    y = 1.0 + x.sum(axis=-1, keepdims=True)
    history = model.fit(x, y, epochs=5, verbose=0, batch_size=8).history
    assert history["loss"] == sorted(history["loss"], reverse=True)


@pytest.mark.parametrize("shape", [(None, 4, 3), (4, None, 3), (4, 4, None)])
def test_locally_connected_refuses_an_unknown_size(shape):
    with pytest.raises(ValueError, match="needs an image of known size"):
        LocallyConnected2D(3, 3)(keras.Input(shape))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("size, stride", [(3, 2), (2, 2), (5, 3), (3, 1)])
def test_windows_that_are_cut_off_average_what_is_left(
    size, stride, data_format
):
    x = normal(2, 9, 8, 3)
    rows, columns = -(-9 // stride), -(-8 // stride)
    expected = np.zeros((2, rows, columns, 3))
    before = [
        max((n - 1) * stride + size - side, 0) // 2
        for n, side in ((rows, 9), (columns, 8))
    ]
    for i, j in itertools.product(range(rows), range(columns)):
        top, left = i * stride - before[0], j * stride - before[1]
        window = x[:, max(top, 0) : top + size, max(left, 0) : left + size]
        expected[:, i, j] = window.mean(axis=(1, 2))
    first = data_format == "channels_first"
    layer = AveragePooling2D(size, stride, "same", data_format=data_format)
    found = layer(x.transpose(0, 3, 1, 2) if first else x)
    found = keras.ops.convert_to_numpy(found)
    if first:
        found = found.transpose(0, 2, 3, 1)
    assert error(found, expected) < 1e-6


def test_files_of_before_have_the_pooling_that_pytorch_can_convert():
    """Keras' own, of which version 0.1 made torchvision's network."""
    model = ka.AlexNet("torchvision", input_shape=(70, 70, 3), classes=3)
    config = model.get_config()
    own = keras.layers.AdaptiveAveragePooling2D
    for layer in config["layers"]:
        if layer["class_name"] == "AdaptiveAveragePooling2D":
            layer.update(module=own.__module__, registered_name=None)
    again = type(model).from_config(config)
    layer = again.get_layer("avgpool")
    assert type(layer).__module__.startswith("keras_alexnet")
