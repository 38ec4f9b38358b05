"""Each variant gives the logits of the same network written in PyTorch.

The networks in `make_parity.py` are written from their documents, not from
our tables; only the layout of the weights is changed between the two.
"""

import importlib.util
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from make_parity import CLASSES
from make_parity import NETS
from make_parity import STORED
from make_parity import fed
from make_parity import torch_logits
from make_parity import weights

from keras_alexnet.architectures.rows import LocalResponseNorm
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.models.alexnet import AlexNet

HAS_TORCH = importlib.util.find_spec("torch") is not None
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


@lru_cache
def stored():
    with np.load(STORED) as file:
        return dict(file)


@lru_cache
def expected(name):
    """PyTorch's answer: asked now, or stored where it is not installed."""
    if HAS_TORCH:
        return torch_logits(name, stored()["images"])
    return stored()[name]


def keras_logits(name, variant):
    side = NETS[name][1]
    model = AlexNet(
        variant,
        input_shape=(side, side, 3),
        classes=CLASSES,
        classifier_activation=None,
    )
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    for paper_name, pair in zip(LAYERS, weights(name), strict=True):
        if paper_name in layers:
            layers[paper_name].set_weights(pair)
            continue
        halves = [np.split(values, 2, axis=-1) for values in pair]
        for tower, *half in zip("ab", *halves, strict=True):
            layers[paper_name + tower].set_weights(half)
    return model.predict(fed(name, stored()["images"]), verbose=0)


@pytest.mark.parametrize("name", NETS)
def test_logits_are_those_of_pytorch(name):
    logits = expected(name)
    assert 1 < abs(logits).max() < 40  # 1e-4 says something at this size
    assert np.ptp(logits, axis=0).max() > 0.3  # and the two images differ
    np.testing.assert_allclose(
        keras_logits(name, name), logits, rtol=0, atol=1e-4
    )


@pytest.mark.skipif(not HAS_TORCH, reason="compares with PyTorch of today")
@pytest.mark.parametrize("name", NETS)
def test_the_stored_logits_are_those_of_pytorch(name):
    """If not: run tests/support/make_parity.py again."""
    np.testing.assert_allclose(
        stored()[name], expected(name), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("alexnet", {"alpha_mode": "mean"}),
        ("alexnet", {"k": 1.0}),
        ("alexnet", {"towers": 1}),
        ("caffe_alexnet", {"alpha_mode": "sum"}),
        ("caffe_alexnet", {"k": 2.0}),
        ("caffe_alexnet", {"towers": 2}),
        ("alexnet_2012", {"window": "cross_map"}),
    ],
)
def test_another_normalization_would_be_noticed(name, wrong):
    rows = [
        replace(row, **wrong) if isinstance(row, LocalResponseNorm) else row
        for row in VARIANTS[name].rows
    ]
    other = replace(VARIANTS[name], rows=tuple(rows))
    assert abs(keras_logits(name, other) - expected(name)).max() > 1e-2
