"""Summaries: arithmetic against Keras and against the paper's numbers."""

import json
import subprocess
import sys
from math import prod

import keras
import pytest

from keras_alexnet.architectures.arithmetic import trace
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.models.alexnet import AlexNet
from keras_alexnet.visualization.summary import summary
from keras_alexnet.visualization.summary import variants_table

# Published: torchvision's own count, Caffe's and the paper's net (60 million
# with towers), one wide tower as the usual listings print it.
PARAMETERS = {
    "alexnet": 60_965_224,
    "alexnet_2012": 60_965_224,
    "caffe_alexnet": 60_965_224,
    "caffenet": 60_965_224,
    "single_tower": 62_378_344,
    "single_tower_lrn": 62_378_344,
    "half": 59_798_312,
    "torchvision": 61_100_840,
    "torchvision_no_dropout": 61_100_840,
    "lenet5": 61_706,
}


def twins(model, name):
    """The layers of a row in a Keras model, and what joins its towers."""
    layers = {layer.name: layer for layer in model.layers}
    parts = [layers[n] for n in (name + "a", name + "b") if n in layers]
    return parts or [layers[name]]


@pytest.mark.parametrize("variant", VARIANTS)
def test_arithmetic_and_model_agree(variant):
    model = AlexNet(variant)
    for facts in trace(variant):
        parts = twins(model, facts.name)
        shapes = [part.output.shape[1:] for part in parts]
        joined = (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
        assert joined == facts.output_shape, facts.name
        count = sum(part.count_params() for part in parts)
        assert count == facts.parameters, facts.name
    ours, theirs = summary(variant), summary(model)
    assert ours.totals["parameters"] == model.count_params()
    for key in ("parameters", "neurons", "multiply_adds"):
        assert ours.totals[key] == theirs.totals[key], key
    fields = {f.name: f.receptive_field for f in theirs.layers}
    for facts in ours.layers:
        name = twins(model, facts.name)[0].name
        assert fields[name] == facts.receptive_field, name


@pytest.mark.parametrize("variant", PARAMETERS)
def test_parameters_are_the_published_ones(variant):
    assert summary(variant).totals["parameters"] == PARAMETERS[variant]


def test_alexnet_is_the_paper_s():
    result = summary("alexnet")
    # Section 3.5, with 55x55 maps in place of the misprinted first number.
    neurons = [290400, 186624, 64896, 64896, 43264, 4096, 4096, 1000]
    assert [f.neurons for f in result.layers if f.neurons] == neurons
    multiply_adds = (
        55 * 55 * 96 * 11 * 11 * 3
        + 27 * 27 * 256 * 5 * 5 * 48  # one tower's maps
        + 13 * 13 * 384 * 3 * 3 * 256  # both towers'
        + 13 * 13 * 384 * 3 * 3 * 192
        + 13 * 13 * 256 * 3 * 3 * 192
        + 9216 * 4096
        + 4096 * 4096
        + 4096 * 1000
    )
    assert result.totals == {
        "layers": 8,
        "parameters": 60_965_224,
        "neurons": 659_272,
        "multiply_adds": multiply_adds,
        "memory": 4 * sum(prod(f.output_shape) for f in result.layers),
    }
    text = str(result)
    for words in ("60,965,224", "659,272", "724.4 M", "724,406,816"):
        assert words in text
    # conv5 sees 11 + 2*4 + 4*8 + 2*8 + 3*2*16 pixels.
    field = next(f.receptive_field for f in result.layers if f.name == "conv5")
    assert field == 11 + 2 * 4 + 4 * 8 + 2 * 8 + 3 * 2 * 16


@pytest.mark.parametrize(
    ("side", "padding", "sides", "flat"),
    [
        (227, ("valid", "valid"), [55, 27, 13, 6], 9216),
        (224, ("valid", "valid"), [54, 26, 12, 5], 6400),
        (224, ("same", "valid"), [56, 27, 13, 6], 9216),
        (224, ("same", "same"), [56, 28, 14, 7], 12544),
        (227, ("same", "same"), [57, 29, 15, 8], 16384),
        (224, "ceil", [55, 27, 13, 6], 9216),
    ],
)
def test_padding(side, padding, sides, flat):
    result = summary("alexnet", padding=padding, input_shape=(side, side, 3))
    shapes = {f.name: f.output_shape for f in result.layers}
    names = ("conv1", "pool1", "pool2", "pool5")
    assert [shapes[name][0] for name in names] == sides
    assert shapes["flatten"] == (flat,)


def test_an_image_that_is_too_small_is_refused():
    summary("alexnet", input_shape=(67, 67, 3))
    with pytest.raises(ValueError, match="67x67"):
        summary("alexnet", input_shape=(66, 66, 3))


def test_the_text_is_aligned():
    _, _, header, *lines = str(summary("alexnet")).splitlines()
    column = header.index("kind")
    for line in lines[1:-1]:
        assert line[column - 1] == " " != line[column], line
    assert repr(summary("lenet5")) == str(summary("lenet5"))


def test_markdown_is_a_table():
    result = summary("lenet5")
    table = result.to_markdown().splitlines()[2:]
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 2 + len(result.layers) + 1
    assert result._repr_markdown_() == result.to_markdown()


def test_dictionaries_are_plain_json():
    for result in (summary("alexnet", classes=7), variants_table()):
        assert json.loads(json.dumps(result.to_dict())) == result.to_dict()
    layers = summary("alexnet", classes=7).to_dict()["layers"]
    assert layers[-1]["output_shape"] == [7]


def test_the_table_of_variants_has_them_all():
    rows = variants_table().to_dict()["variants"]
    assert [row["name"] for row in rows] == list(VARIANTS)
    text = str(variants_table())
    for architecture in VARIANTS.values():
        assert architecture.title in text
        assert architecture.source in text


def test_a_variant_s_summary_does_not_load_keras():
    code = (
        "import sys; from keras_alexnet.visualization.summary import summary;"
        "str(summary('alexnet')); print('keras' in sys.modules)"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_loaded_model(tmp_path):
    model = AlexNet("cifar10_18pct")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert str(summary(loaded)) == str(summary(model))


def test_nested_shared_and_unknown_layers():
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, strides=2),
            keras.layers.Flatten(),
        ],
        name="inner",
    )
    shared = keras.layers.Dense(5)
    one, two = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    x = keras.layers.Add()([shared(inner(one)), shared(inner(two))])
    words = keras.Input((7,), dtype="int32")
    y = keras.layers.Embedding(3, 4)(words) * 2
    model = keras.Model([one, two, words], [x, y])
    result = summary(model)
    facts = {f.name: f for f in result.layers}
    # Twice 3x3 positions of 4 maps from 3x3x3, and 36 values to 5 units.
    assert facts["inner"].multiply_adds == 2 * 9 * 4 * 27
    assert facts["inner"].parameters == 4 * 28
    assert facts[shared.name].multiply_adds == 2 * 36 * 5
    assert facts["embedding"].multiply_adds is None
    assert result.totals["parameters"] == model.count_params()
    assert "at least" in str(result)


def test_a_model_of_open_size_shows_question_marks():
    images = keras.Input((None, None, 3))
    text = str(summary(AlexNet(include_top=False, input_tensor=images)))
    assert "?x?x48" in text


def test_what_is_not_a_variant_or_functional_model_is_refused():
    class Subclassed(keras.Model):
        pass

    for model in (Subclassed(), keras.Sequential([keras.layers.Dense(1)])):
        with pytest.raises(ValueError, match="no graph of layers"):
            summary(model)
    with pytest.raises(ValueError, match="There is no variant"):
        summary("alexnext")
    with pytest.raises(ValueError, match="are for variants"):
        summary(AlexNet("lenet5"), classes=3)
