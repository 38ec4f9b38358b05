"""conv1's kernels: scores against another formula, pictures pixel by pixel."""

import itertools
import json

import chosen_weights
import matplotlib.image
import numpy as np
import pytest

import keras_alexnet as ka
from keras_alexnet.analysis.kernels import ColorScores
from keras_alexnet.cli.main import main

# The first kernel's middle in the picture, and the distance to the next: a
# margin of 16, two lines of 36, kernels of 66 and gaps of 4 pixels.
LEFT, TOP, STEP = 16 + 33, 2 * 36 + 33, 66 + 4


@pytest.fixture(scope="module")
def model():
    return ka.AlexNet("alexnet", input_shape=(67, 67, 3), classes=2)


def set_kernels(layer, kernels):
    """Kernels as (count, height, width, channels), biases 0."""
    kernel = np.transpose(kernels, (1, 2, 3, 0))
    layer.set_weights([kernel, np.zeros(len(kernels))])


def in_opponent_colors(kernels):
    """The share of energy in two axes at right angles to gray."""
    red_green = np.array([1, -1, 0]) / np.sqrt(2)
    blue_yellow = np.array([1, 1, -2]) / np.sqrt(6)
    energy = (kernels.astype("float64") ** 2).sum(axis=(1, 2, 3))
    color = sum(
        ((kernels @ axis) ** 2).sum(axis=(1, 2))
        for axis in (red_green, blue_yellow)
    )
    return color / energy


def test_score_is_the_energy_that_is_not_gray(model):
    generator = np.random.default_rng(0)
    kernels = generator.normal(size=(2, 48, 11, 11, 3))
    kernels[0, 0] = kernels[0, 0, :, :, :1]  # three equal channels
    kernels[0, 1] -= kernels[0, 1].mean(axis=-1, keepdims=True)  # no gray
    kernels[0, 2] = 0
    for layer, tower in zip(("conv1a", "conv1b"), kernels, strict=True):
        set_kernels(model.get_layer(layer), tower)
    scores = ka.color_scores(model)
    found = np.concatenate(scores.towers)
    kernels[0, 2, 0, 0] = 1.0  # gray, so that there is energy to divide by
    expected = in_opponent_colors(kernels.reshape(96, 11, 11, 3))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found[:3], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(found[3:].mean(), 2 / 3, atol=0.01)
    assert scores.p_value > 0.05


def test_towers_of_gray_and_of_color_are_told_apart(model):
    generator = np.random.default_rng(1)
    gray = np.repeat(generator.normal(size=(48, 11, 11, 1)), 3, axis=-1)
    color = generator.normal(size=(48, 11, 11, 3))
    color -= color.mean(axis=-1, keepdims=True)
    noise = 0.2 * generator.normal(size=(2, 48, 11, 11, 3))
    set_kernels(model.get_layer("conv1a"), gray + noise[0])
    set_kernels(model.get_layer("conv1b"), color + noise[1])
    scores = ka.color_scores(model)
    assert scores.means[0] < 0.1
    assert scores.means[1] > 0.9
    assert scores.p_value == 1 / 10_001  # none of 10,000 is as far apart
    facts = scores.to_dict()
    np.testing.assert_allclose(
        facts["difference"], scores.means[1] - scores.means[0]
    )


def test_p_value_is_that_of_all_ways_to_deal_kernels_out():
    towers = np.array([0.1, 0.3, 0.4, 0.8]), np.array([0.5, 0.6, 0.9, 0.95])
    scores, least = np.concatenate(towers), towers[1].mean() - towers[0].mean()
    ways = [
        abs(np.mean(scores[list(some)]) - np.mean(np.delete(scores, some)))
        for some in itertools.combinations(range(8), 4)
    ]
    exact = np.mean(np.array(ways) >= least - 1e-9)
    found = ColorScores(towers).p_value
    np.testing.assert_allclose(found, exact, atol=4 * (exact / 1e4) ** 0.5)
    assert 0 < exact < 0.2
    assert ColorScores(towers[:1]).p_value is None


def test_kernels_are_drawn_each_in_its_range_tower_b_below(model, tmp_path):
    kernels = np.zeros((2, 48, 11, 11, 3))
    kernels[0, 0, ..., 0] = 1e-3  # red, however small
    kernels[0, 17, ..., 2] = 5.0  # blue: second row, second column
    kernels[1, 0, ..., 1] = 1.0  # green
    for layer, tower in zip(("conv1a", "conv1b"), kernels, strict=True):
        set_kernels(model.get_layer(layer), tower)
    path = ka.plot_kernels(model, tmp_path / "kernels.png")
    picture = matplotlib.image.imread(path)[..., :3]
    assert picture[TOP, LEFT].tolist() == [1, 0, 0]
    assert picture[TOP + STEP, LEFT + STEP].tolist() == [0, 0, 1]
    assert picture[TOP, LEFT + STEP].tolist() == [0, 0, 0]
    # Three rows of tower A, a margin and a line.
    below = TOP + 3 * STEP - 4 + 16 + 36
    assert picture[below, LEFT].tolist() == [0, 1, 0]


def test_caffes_channels_are_turned_and_its_one_layer_is_two_towers(tmp_path):
    model = ka.AlexNet("caffe_alexnet", input_shape=(67, 67, 3), classes=2)
    kernels = np.ones((96, 11, 11, 3))
    kernels[:48, ..., 1:] = 0  # the first of BGR
    kernels[48:, :, :5] = 0  # gray
    set_kernels(model.get_layer("conv1"), kernels)
    scores = ka.color_scores(model)
    np.testing.assert_allclose(scores.means, [2 / 3, 0], atol=1e-6)
    path = ka.plot_kernels(model, tmp_path / "kernels.png")
    picture = matplotlib.image.imread(path)[..., :3]
    assert picture[TOP, LEFT].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("variant", "lines"),
    [("torchvision", 4), ("cifar10_11pct", 4), ("lenet5", 1)],
)
def test_one_tower(variant, lines, tmp_path):
    model = ka.AlexNet(variant, classes=2)
    path = ka.plot_kernels(model, tmp_path / f"{variant}.png")
    picture = matplotlib.image.imread(path)
    assert picture.shape[0] > lines * 60
    assert picture[72:-16].std() > 0.1
    if variant == "lenet5":
        with pytest.raises(ValueError, match="sees gray images"):
            ka.color_scores(model)
        return
    (scores,) = ka.color_scores(model).towers
    np.testing.assert_allclose(scores.mean(), 2 / 3, atol=0.05)
    assert "difference" not in ka.color_scores(model).to_dict()


def test_command(tmp_path, capsys):
    run = chosen_weights.write_run(tmp_path / "run", "cifar10_18pct", 32)
    file = tmp_path / "kernels.svg"
    words = ["kernels", str(run.folder), "--to-file", str(file)]
    assert main(words) == 0
    assert "color score 0.6" in capsys.readouterr().out
    assert file.read_text().startswith("<?xml")
    assert main([*words, "--format", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["scores"]["one tower"]) == 32
    words[-1] = str(tmp_path / "kernels.bmp")
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "does not end in .png" in capsys.readouterr().err
    gray = chosen_weights.write_run(tmp_path / "gray", "lenet5", 32)
    file = tmp_path / "gray.png"
    assert main(["kernels", str(gray.folder), "--to-file", str(file)]) == 0
    assert "gray images" in capsys.readouterr().out
    assert matplotlib.image.imread(file).std() > 0.05
