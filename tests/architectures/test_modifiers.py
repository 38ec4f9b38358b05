"""Networks with one thing changed, and what a recipe does with them."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from untrained import random_run
from untrained import write_photos

import keras_alexnet as ka
from keras_alexnet.architectures.modifiers import VARIATIONS
from keras_alexnet.architectures.modifiers import with_dropout
from keras_alexnet.architectures.modifiers import with_initialization
from keras_alexnet.architectures.modifiers import with_padding
from keras_alexnet.architectures.rows import Activation
from keras_alexnet.architectures.rows import LocalResponseNorm


def varied(*names, variant="alexnet"):
    architecture = ka.VARIANTS[variant]
    for name in names:
        architecture = VARIATIONS[name](architecture)
    return architecture


def test_without_normalization_nothing_else_changes():
    rows = varied("no_normalization").rows
    assert not [row for row in rows if isinstance(row, LocalResponseNorm)]
    kept = [
        row
        for row in ka.VARIANTS["alexnet"].rows
        if not isinstance(row, LocalResponseNorm)
    ]
    assert list(rows) == kept


def test_plain_pools_do_not_overlap_and_make_maps_of_the_same_size():
    plain = ka.AlexNet(varied("plain_pooling"), classes=3)
    paper = ka.AlexNet(classes=3)
    for name in ("pool1", "pool2", "pool5"):
        layers = [
            [layer for layer in model.layers if layer.name.startswith(name)]
            for model in (plain, paper)
        ]
        pools = [
            layer
            for layer in layers[0]
            if isinstance(layer, keras.layers.MaxPooling2D)
        ]
        assert pools and all(
            layer.pool_size == layer.strides == (2, 2) for layer in pools
        )
        assert [x.output.shape for x in layers[0]] == [
            x.output.shape for x in layers[1]
        ]


def test_tanh_takes_the_place_of_every_relu():
    for variant in ("alexnet", "cifar10_18pct"):
        model = ka.AlexNet(
            varied("tanh", variant=variant), input_shape=(67, 67, 3), classes=3
        )
        found = {
            layer.activation.__name__
            for layer in model.layers
            if hasattr(layer, "activation")
        }
        assert "tanh" in found and "relu" not in found
    rows = varied("tanh", "relu_after_pool").rows
    assert Activation("relu1", "tanh") in rows


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unit_range", lambda x: x / 255),
        (
            "unit_deviation",  # presets.py of torchvision
            lambda x: (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
        ),
    ],
)
def test_other_ranges_of_the_input(name, expected):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), "uint8")
    found = ka.preprocess_input(pixels, varied(name))
    np.testing.assert_allclose(found, expected(pixels), atol=1e-6)


def test_gray_images_have_one_mean_and_deviation():
    pixels = np.full((1, 2, 2, 1), 255, "uint8")
    gray = varied("unit_deviation", variant="lenet5")
    found = ka.preprocess_input(pixels, gray)
    np.testing.assert_allclose(found, (1 - 0.485) / 0.229, rtol=1e-6)


def test_dropout_stands_before_the_last_layer_where_there_was_none():
    rows = with_dropout(ka.VARIANTS["cifar10_18pct"], 0.3).rows
    assert (rows[-2].name, rows[-2].rate) == ("dropout", 0.3)
    rates = [
        row.rate
        for row in with_dropout(ka.VARIANTS["alexnet"], 0.1).rows
        if hasattr(row, "rate")
    ]
    assert rates == [0.1, 0.1]


def test_text_and_code_differ_in_nothing_but_the_twelve():
    """All switches together make of the paper's recipe that of the code."""
    table = ka.paper_differences()
    assert len(table.differences) == 12
    fields, variations = {}, []
    for difference in table.differences:
        assert difference.text != difference.code
        switch = dict(difference.switch)
        variations += switch.pop("variations", ())
        fields |= switch
    paper = replace(ka.RECIPES["paper"], variations=tuple(variations), **fields)
    code = ka.RECIPES["alexnet_2012"]
    architecture = varied(*paper.variations, variant=paper.variant)
    architecture = with_initialization(
        with_padding(architecture, paper.padding),
        ka.VARIANTS[paper.initialization],
    )
    assert architecture.rows == ka.VARIANTS[code.variant].rows
    # Left over: how the rate falls, which is told of the log, not the text.
    told = {"name", "variant", "padding", "initialization", "variations"}
    schedule = {"epochs", "rate_drops", "plateau_epochs"}
    for field, value in vars(code).items():
        if field not in told | schedule:
            assert getattr(paper, field) == value, field


# --- a run of such a network ------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return random_run(
        tmp_path_factory.mktemp("varied") / "run",
        ("a", "b", "c"),
        variations=("no_normalization", "unit_range", "tanh"),
    )


def test_a_run_knows_what_it_is_fed_and_what_it_computes(run):
    pixels = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), "uint8")
    zeros = np.zeros((2, 3), "float32")
    fed = run.pixels_to_input()(pixels, zeros[:, 0], zeros)
    np.testing.assert_allclose(fed, pixels / 255, atol=1e-6)
    model = run.load_model()
    names = [layer.name for layer in model.layers]
    assert not [name for name in names if name.startswith("norm")]


def test_what_is_no_variant_is_not_taken_for_one(run, tmp_path):
    """Its weights would fit the variant, whose answers are others."""
    with pytest.raises(ValueError, match="none of the variants"):
        ka.convert_weights(run.load_model())
    path = tmp_path / "varied.keras"
    ka.export_model(run, path)
    with pytest.raises(ValueError, match="none of the variants"):
        ka.open_trained(path)
    from keras_alexnet.export.convert_file import convert_file

    with pytest.raises(ValueError, match="variations no_normalization"):
        convert_file(run.folder, tmp_path / "other.keras")
    assert not (tmp_path / "other.keras").exists()


def test_it_can_be_fine_tuned_and_tuned_from(run, tmp_path):
    data = write_photos(tmp_path / "photos", {"x": 6, "y": 6})
    tuned = ka.fine_tune(
        run.folder,
        data,
        tmp_path / "tuned",
        head_epochs=1,
        epochs=1,
        learning_rate=0.001,
        batch_size=4,
    )
    assert tuned.recipe.variations == run.recipe.variations
    assert tuned.architecture.preprocessing.scale == 1 / 255
