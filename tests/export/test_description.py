"""What an exported network takes and gives, in words."""

from types import SimpleNamespace

import keras
import pytest

from keras_alexnet.data.preprocessing import PixelsToInput
from keras_alexnet.export.description import input_text
from keras_alexnet.export.description import output_text

TEXTS = {
    "torchvision": "RGB of 0..255, divided by 255, minus 0.485/0.456/0.406, "
    "divided by 0.229/0.224/0.225",
    "caffe_alexnet": "BGR of 0..255, minus 104/117/123",
    "lenet5": "gray of 0..255",
    None: "values as in its training",
}


@pytest.mark.parametrize("variant", TEXTS)
def test_what_it_takes(variant):
    model = SimpleNamespace(input_shape=(None, 67, None, 3))
    to_input = variant and PixelsToInput(variant)
    text = input_text(SimpleNamespace(model=model, to_input=to_input))
    shape, _, values = text.partition("), ")
    assert shape == "float32 (batch, 67, any, 3"
    assert values.startswith(TEXTS[variant])


@pytest.mark.parametrize(
    ("activation", "names", "text"),
    [
        ("softmax", ("a", "b"), "probabilities (batch, 2) of a, b"),
        (None, None, "outputs (batch, 2)"),
        ("softmax", tuple("abcdef"), "probabilities (batch, 2)"),
    ],
)
def test_what_it_gives(activation, names, text):
    layers = [keras.Input((3,)), keras.layers.Dense(2, activation=activation)]
    model = keras.Sequential(layers)
    network = SimpleNamespace(model=model, class_names=names)
    assert output_text(network) == text
