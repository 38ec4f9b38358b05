"""Maps and Grad-CAM: recomputed by NumPy, and where the answer is known."""

import chosen_weights
import matplotlib.image
import numpy as np
import pytest
from PIL import Image

import keras_alexnet as ka
from keras_alexnet.cli.main import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        variant: chosen_weights.write_run(folder / variant, variant, crop)
        for variant, crop in (("alexnet", 99), ("alexnet_2012", 96))
    }


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    pixels = np.random.default_rng(4).integers(0, 256, (9, 9, 3), "uint8")
    file = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(pixels).resize((140, 120)).save(file)
    return file


def backward(run, maps, place, relu_behind_pool):
    """The logit of a class and its gradient by the last maps, by hand."""
    model = run.load_model()
    weights = [
        [w.astype("float64") for w in model.get_layer(name).get_weights()]
        for name in ("fc6", "fc7", "fc8")
    ]
    height, width, count = maps.shape
    rows = range(0, height - 2, 2)
    winners, pooled = {}, np.zeros((len(rows), len(rows), count))
    for i, top in enumerate(rows):
        for j, left in enumerate(range(0, width - 2, 2)):
            window = maps[top : top + 3, left : left + 3].reshape(9, count)
            down, across = np.divmod(window.argmax(axis=0), 3)
            winners[i, j] = top + down, left + across, np.arange(count)
            pooled[i, j] = window.max(axis=0)
    values = [np.maximum(pooled, 0) if relu_behind_pool else pooled]
    values[0] = values[0].reshape(-1)
    for kernel, bias in weights:
        values.append(np.maximum(values[-1] @ kernel + bias, 0))
    logits = values[-2] @ weights[-1][0] + weights[-1][1]
    gradient = weights[-1][0][:, place]
    for value, (kernel, _) in zip(values[2:0:-1], weights[1::-1], strict=True):
        gradient = kernel @ (gradient * (value > 0))
    if relu_behind_pool:
        gradient = gradient * (values[0] > 0)
    gradient = gradient.reshape(pooled.shape)
    unpooled = np.zeros(maps.shape)
    for (i, j), places in winners.items():
        np.add.at(unpooled, places, gradient[i, j])
    return logits, unpooled


@pytest.mark.parametrize("variant", ["alexnet", "alexnet_2012"])
def test_grad_cam_is_what_the_paper_says(runs, photo, variant):
    run = runs[variant]
    maps = ka.features(run, photo, "conv5").values[0].astype("float64")
    answers = dict(ka.predict(run, [photo], top=3)[0])
    strongest = 0
    for place, name in enumerate(chosen_weights.CLASSES):
        heat = ka.grad_cam(run, photo, name)
        logits, gradient = backward(run, maps, place, variant != "alexnet")
        weights = gradient.mean(axis=(0, 1))
        expected = np.maximum(np.maximum(maps, 0) @ weights, 0)
        assert heat.values.shape == maps.shape[:2]
        scale = np.abs(weights).max() * maps.max()
        np.testing.assert_allclose(heat.values, expected, atol=1e-4 * scale)
        strongest = max(strongest, expected.max() / scale)
        assert heat.class_name == name
        np.testing.assert_allclose(heat.probability, answers[name], atol=1e-3)
    assert strongest > 0.01  # there is something to compare
    best = ka.grad_cam(run, photo)
    assert best.class_name == max(answers, key=answers.get)
    assert np.argmax(logits) == chosen_weights.CLASSES.index(best.class_name)


def see_colors(model):
    """Tower A tells class 0 where it sees red, tower B class 1 of blue."""
    for layer in model.layers:
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    for tower, color in (("a", 0), ("b", 2)):
        kernel, bias = model.get_layer(f"conv1{tower}").get_weights()
        # Small, so that the normalization does not reach its limit.
        kernel[..., 0], kernel[..., color, 0] = -1e-3, 2e-3
        model.get_layer(f"conv1{tower}").set_weights([kernel, bias])
        for number, own in ((2, 0), (3, 128 * (tower == "b")), (4, 0), (5, 0)):
            layer = model.get_layer(f"conv{number}{tower}")
            kernel, bias = layer.get_weights()
            middle = kernel.shape[0] // 2
            kernel[middle, middle, own, 0] = 1
            layer.set_weights([kernel, bias])
    kernel, bias = model.get_layer("fc6").get_weights()
    kernel = kernel.reshape(-1, 256, kernel.shape[-1])
    kernel[:, 0, 0] = kernel[:, 128, 1] = 1  # wherever it is
    model.get_layer("fc6").set_weights([kernel.reshape(-1, 4096), bias])
    for name in ("fc7", "fc8"):
        kernel, bias = model.get_layer(name).get_weights()
        kernel[0, 0] = kernel[1, 1] = 1e-3
        model.get_layer(name).set_weights([kernel, bias])


def test_heat_lies_in_the_corner_that_the_class_depends_on(tmp_path):
    run = chosen_weights.write_run(
        tmp_path / "run", crop=163, change=see_colors
    )
    gray = np.full((168, 168, 3), (127, 120, 105), "uint8")  # the mean color
    image = gray.copy()
    image[20:55, 20:55] = 255, 0, 0
    image[-60:-25, -45:-10] = 0, 0, 255
    file = tmp_path / "colors.png"
    Image.fromarray(image).save(file)
    for name, top, left in (("ash", 17, 17), ("beech", 105, 120)):
        heat = ka.grad_cam(run, file, name)
        assert heat.values.shape == (9, 9)
        assert heat.values.max() > 0
        left_edge, right_edge, bottom, upper = heat.extent
        step = (right_edge - left_edge) / 9
        assert step == (bottom - upper) / 9 == 16  # 4 * 2 * 2, as the strides
        rows, columns = np.nonzero(heat.values > 0.5 * heat.values.max())
        y, x = upper + step * (rows + 0.5), left_edge + step * (columns + 0.5)
        margin = 16
        assert (abs(y - (top + 17)) < 17 + margin).all(), (name, y)
        assert (abs(x - (left + 17)) < 17 + margin).all(), (name, x)
    # Neither color: no evidence, and no division by nothing in the picture.
    plain = tmp_path / "plain.png"
    Image.fromarray(gray).save(plain)
    heat = ka.plot_grad_cam(run, plain, tmp_path / "plain_cam.png", "cedar")
    assert (heat.values == 0).all()


@pytest.mark.parametrize(
    ("variant", "crop", "shape"),
    [
        ("torchvision", 99, (5, 5)),
        ("cifar10_18pct", 32, (8, 8)),
        ("cifar10_11pct", 24, (6, 6)),
        ("lenet5", 32, (10, 10)),
    ],
)
def test_every_net_has_last_maps(variant, crop, shape, photo, tmp_path):
    run = chosen_weights.write_run(tmp_path / "run", variant, crop)
    heat = ka.plot_grad_cam(run, photo, tmp_path / "cam.png", "ash")
    assert heat.values.shape == shape
    assert np.isfinite(heat.values).all()
    assert heat.values.min() >= 0
    assert matplotlib.image.imread(tmp_path / "cam.png").std() > 0.1


def test_maps_are_those_of_features_and_are_drawn(runs, photo, tmp_path):
    run = runs["alexnet"]
    for layer, shape in (("conv1", (23, 23, 96)), ("pool5", (2, 2, 256))):
        file = tmp_path / f"{layer}.png"
        maps = ka.plot_activations(run, photo, file, layer)
        assert maps.shape == shape
        found = ka.features(run, photo, layer).values[0]
        np.testing.assert_allclose(maps, found, rtol=1e-4, atol=1e-3)
        assert matplotlib.image.imread(file)[150:].std() > 0.1
    # The first map of conv1, enlarged by 3, below the image, by 2.
    picture = matplotlib.image.imread(tmp_path / "conv1.png")[..., 0]
    maps = ka.features(run, photo, "conv1").values[0, ..., 0]
    top = 36 + 36 + 2 * 99 + 16 + 36
    seen = picture[top : top + 69, 16 : 16 + 69][1::3, 1::3]
    expected = (maps - maps.min()) / np.ptp(maps)
    np.testing.assert_allclose(seen, expected, atol=0.01)


def test_commands(runs, photo, tmp_path, capsys):
    folder = str(runs["alexnet"].folder)
    file = str(tmp_path / "picture.png")
    words = [folder, str(photo), "--to-file", file]
    assert main(["gradcam", *words, "--class", "beech"]) == 0
    assert "picture.png: beech, probability 0." in capsys.readouterr().out
    assert main(["activations", *words, "--layer", "conv3"]) == 0
    assert file in capsys.readouterr().out
    for command, options, sentence in (
        ("gradcam", ["--class", "oak"], "the 3 classes are ash, beech, cedar"),
        ("activations", ["--layer", "fc7"], "there are no maps to draw"),
        ("activations", ["--layer", "conv9"], "has no layer 'conv9'"),
    ):
        assert main([command, *words, *options]) == 2
        assert sentence in capsys.readouterr().err
    words[1] = str(tmp_path)
    assert main(["gradcam", *words]) == 2
    assert "is not a file" in capsys.readouterr().err
