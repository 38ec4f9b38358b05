"""Features of images and their neighbors, recomputed by NumPy."""

import io
import json
import shutil
import struct
import zipfile

import chosen_weights
import keras
import matplotlib.image
import numpy as np
import pytest
from PIL import Image

import keras_alexnet as ka
from keras_alexnet.analysis import nearest as similarity
from keras_alexnet.analysis.features import layer_output
from keras_alexnet.analysis.features import write_features
from keras_alexnet.cli.main import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return chosen_weights.write_run(folder, crop=99, batch_size=4)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six images of two classes, and two files that are none."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(1)
    for name in ("ash", "beech"):
        (folder / name).mkdir()
        for number in range(3):
            pixels = generator.integers(0, 256, (8, 11, 3), "uint8")
            image = Image.fromarray(pixels).resize((150, 110))
            image.save(folder / name / f"{number}.png")
    (folder / "ash" / "1b.jpg").write_text("not an image")
    (folder / "beech" / "9.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def good(photos):
    return sorted(str(p) for p in photos.glob("*/[012].png"))


def relu(x):
    return np.maximum(x, 0)


def test_layers_follow_from_each_other_as_the_weights_say(run, good):
    model = run.load_model()
    of = {n: ka.features(run, good, n).values for n in ("pool5", "fc6", "fc7")}
    assert of["pool5"].shape == (6, 2, 2, 256)
    previous = of["pool5"].reshape(6, -1)  # tower A's maps, then B's
    for name in ("fc6", "fc7"):
        kernel, bias = model.get_layer(name).get_weights()
        expected = relu(previous.astype("float64") @ kernel + bias)
        np.testing.assert_allclose(of[name], expected, rtol=1e-3, atol=1e-3)
        assert of[name].std() > 0.01
        previous = of[name]
    kernel, bias = model.get_layer("fc8").get_weights()
    logits = previous.astype("float64") @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    answers = [dict(top) for top in ka.predict(run, good, top=3)]
    found = [[a[name] for name in chosen_weights.CLASSES] for a in answers]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    probabilities = ka.features(run, good, "fc8").values
    np.testing.assert_allclose(probabilities, found, atol=1e-6)


def test_images_are_read_as_for_a_test(run, good):
    inputs = []
    for file in good:
        image = Image.open(file).resize((141, 104), Image.Resampling.BILINEAR)
        left, top = round((141 - 104) / 2), 0
        square = np.asarray(image)[top:, left : left + 104]
        offset = round((104 - 99) / 2)
        inputs.append(square[offset : offset + 99, offset : offset + 99])
    inputs = ka.preprocess_input(np.stack(inputs), "alexnet")
    model = run.load_model()
    towers = [
        keras.Model(model.input, model.get_layer(n).output)(inputs)
        for n in ("conv2a", "conv2b")
    ]
    maps = ka.features(run, good, "conv2").values
    np.testing.assert_allclose(maps, np.concatenate(towers, -1), atol=1e-4)
    only = ka.features(run, good, "conv2b").values
    np.testing.assert_allclose(only, maps[..., 128:], atol=1e-5)


def test_bad_files_are_left_out_and_named(run, photos, good, tmp_path):
    found = ka.features(run, photos, "fc6")
    assert list(found.files) == good
    assert found.class_names == ("ash", "beech")
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert {p.rsplit("/", 1)[1] for p in found.skipped} == {"1b.jpg", "9.png"}
    alone = ka.features(run, good[4], "fc6").values
    np.testing.assert_allclose(found.values[4:5], alone, rtol=1e-4, atol=1e-3)
    found.save(tmp_path / "a.npz")
    shape, skipped = write_features(run, photos, tmp_path / "b.npz", "fc6")
    assert shape == (6, 4096)
    assert skipped == found.skipped
    for name in ("a.npz", "b.npz"):
        with np.load(tmp_path / name) as arrays:
            assert arrays["features"].dtype == "float32"
            np.testing.assert_array_equal(arrays["features"], found.values)
            assert arrays["files"].tolist() == good
            assert arrays["labels"].tolist() == found.labels.tolist()
            assert arrays["class_names"].tolist() == ["ash", "beech"]
            assert str(arrays["layer"]) == "fc6"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_features_command(run, photos, good, tmp_path, capsys):
    file = tmp_path / "out" / "found.npz"
    words = ["features", run.folder, photos, tmp_path / "none.png"]
    words += ["--layer", "pool5", "--to-file", file]
    assert main([str(word) for word in words]) == 1
    output = capsys.readouterr()
    assert "pool5 of 6 images, 2x2x256 values each" in output.out
    assert "3 could not be read" in output.out
    lines = output.err.splitlines()
    assert len(lines) == 3
    assert "none.png': there is no such file." in output.err
    found = ka.Features.load(file)
    assert list(found.files) == good
    assert found.labels is None  # one of them lay in no class folder
    assert (
        main(["features", str(run.folder), *good, "--to-file", str(file)]) == 0
    )
    assert len(ka.Features.load(file)) == 6


def test_arrays_in_memory(run):
    images = np.random.default_rng(2).integers(
        0, 256, (5, 104, 104, 3), "uint8"
    )
    found = ka.features(run, images, "pool2")
    assert found.values.shape == (5, 5, 5, 256)
    assert found.files is None
    assert np.asarray(found).shape == found.values.shape


@pytest.mark.parametrize(
    ("layer", "images", "sentence"),
    [
        ("fc9", None, "has no layer 'fc9'; its layers are conv1, norm1"),
        ("fc7", "empty", "There are no images in"),
        ("fc7", "gone.jpg", "None of the 1 images can be used"),
    ],
)
def test_what_cannot_be_is_refused(
    run, good, tmp_path, layer, images, sentence
):
    (tmp_path / "empty").mkdir()
    images = tmp_path / images if images else good
    for command in (
        lambda: ka.features(run, images, layer),
        lambda: write_features(run, images, tmp_path / "x.npz", layer),
    ):
        with pytest.raises(ValueError, match=sentence):
            command()
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_a_damaged_file_is_refused(tmp_path):
    file = tmp_path / "found.npz"
    for content in (b"", b"no archive", b"PK\x03\x04 cut off"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="features` has written"):
            ka.Features.load(file)
    np.savez(file, features=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="features` has written"):
        ka.Features.load(file)
    with pytest.raises(ValueError, match="features` has written"):
        ka.Features.load(tmp_path / "gone.npz")


FEATURES = {
    "features": np.ones((3, 4), "float32"),
    "layer": np.array("fc7"),
    "files": np.array(["a.jpg", "b.jpg", "c.jpg"]),
    "labels": np.array([0, 1, 1]),
    "class_names": np.array(["cat", "dog"]),
}


def test_a_packed_file_is_read(tmp_path):
    np.savez_compressed(tmp_path / "found.npz", **FEATURES)
    found = ka.Features.load(tmp_path / "found.npz")
    np.testing.assert_array_equal(found.values, FEATURES["features"])
    assert found.files.tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert (found.layer, found.class_names) == ("fc7", ("cat", "dog"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("features", np.float32(1)),
        ("features", np.array(["a", "b", "c"])),
        ("features", np.ones((3, 4), "complex64")),
        ("features", np.array([{}, None, []], object)),
        ("layer", np.array(["a", "b"])),
        ("layer", np.array(3)),
        ("files", np.arange(3)),
        ("files", np.array(["a", "b"])),
        ("labels", np.array([0, 1, 2])),
        ("labels", np.array([0, -1, 1])),
        ("labels", np.array([0.0, 1.0, 1.0])),
        ("class_names", np.array("cat")),
        ("class_names", np.zeros(2, [("a", "f4")])),
    ],
)
def test_a_file_of_other_things_is_refused(tmp_path, name, value):
    np.savez(tmp_path / "found.npz", **{**FEATURES, name: value})
    with pytest.raises(ValueError, match="features` has written"):
        ka.Features.load(tmp_path / "found.npz")


def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path):
    """A gigabyte in 1 MB, or a shape that is not there."""
    path = tmp_path / "found.npz"
    pieces = {"descr": "<f4", "fortran_order": False, "shape": (2**28,)}
    data = io.BytesIO()
    np.lib.format.write_array_header_1_0(data, pieces)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", data.getvalue() + bytes(1000))
    with pytest.raises(ValueError, match="another size than it says"):
        ka.Features.load(path)
    data = bytearray(path.read_bytes())
    place = data.rindex(b"features.npy") - 46 + 24
    data[place : place + 4] = struct.pack("<I", 2**30)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="larger than the file can be"):
        ka.Features.load(path)


def brute_force(values, queries, count, own):
    """Every difference in float64, ties in the order of the images."""
    places, distances = [], []
    for query, left_out in zip(queries, own, strict=True):
        apart = values.astype("float64") - query.astype("float64")
        apart = np.sqrt((apart.reshape(len(values), -1) ** 2).sum(axis=1))
        apart[list(left_out)] = np.inf
        order = np.argsort(apart, kind="stable")[:count]
        places.append(order)
        distances.append(apart[order])
    return np.array(places), np.array(distances)


@pytest.mark.parametrize("block_values", [70, 7 * 33, 2**22])
def test_nearest_is_exact(monkeypatch, block_values):
    monkeypatch.setattr(similarity, "BLOCK_VALUES", block_values)
    generator = np.random.default_rng(3)
    # Far from zero and close together, many of them equal: where
    # |a|^2 - 2ab + |b|^2 loses its digits.
    values = 1e3 + generator.normal(size=(90, 7))
    values[30:60] = values[:30] + 1e-4 * generator.normal(size=(30, 7))
    values[60:] = values[:30]
    values = values.astype("float32")
    found = ka.nearest(values, count=5)
    own = [[place] for place in range(90)]
    expected, distances = brute_force(values, values, 5, own)
    np.testing.assert_array_equal(found.places, expected)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12)
    queries = values[:4] + np.float32(0.5)
    found = ka.nearest(values, queries, 100)
    expected, distances = brute_force(values, queries, 90, [[]] * 4)
    np.testing.assert_array_equal(found.places, expected)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12)


def test_rounding_does_not_choose_the_neighbors():
    """Distances of 1e-6, a million away from zero: only differences tell."""
    values = 1e6 + 1e-6 * np.random.default_rng(4).normal(size=(50, 7))
    found = ka.nearest(values, count=3)
    own = [[place] for place in range(50)]
    expected, distances = brute_force(values, values, 3, own)
    np.testing.assert_array_equal(found.places, expected)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12)


def test_single_precision_would_not_do():
    """What the test above is about."""
    values = (1e3 + 1e-4 * np.random.default_rng(3).normal(size=(9, 7))).astype(
        "float32"
    )
    squares = (values**2).sum(1)
    rough = squares[:, None] + squares - 2 * values @ values.T
    exact = brute_force(values, values, 9, [[]] * 9)[0]
    assert (np.argsort(rough, 1, kind="stable") != exact).any()


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="must come from the same layer"):
        ka.nearest(np.zeros((4, 3)), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="no other image"):
        ka.nearest(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="not finite"):
        ka.nearest(np.full((4, 3), np.nan))


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="There are no images"):
        ka.nearest(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="`count` must be at least 1"):
        ka.nearest(np.eye(3), count=0)


def test_similar_command(run, photos, good, tmp_path, capsys, monkeypatch):
    library = tmp_path / "library.npz"
    write_features(run, good, library)
    monkeypatch.chdir(photos)  # the same file under another path
    words = ["--queries", "ash/0.png", "beech/2.png", "--top", "3"]
    words += ["--format", "json", "--to-file", str(tmp_path / "sheet.png")]
    answers = []
    for among, code in ((library, 0), (photos, 1)):
        assert main(["similar", str(run.folder), str(among), *words]) == code
        output = capsys.readouterr()
        assert output.err.count("\n") == 2 * code
        answers.append(json.loads(output.out))
    values = ka.features(run, good).values
    expected, distances = brute_force(values, values[[0, 5]], 3, own=[[0], [5]])
    for found in answers:
        assert [a["query"] for a in found] == ["ash/0.png", "beech/2.png"]
        for answer, places, apart in zip(
            found, expected, distances, strict=True
        ):
            files = [other["file"] for other in answer["nearest"]]
            assert files == [good[place] for place in places]
            np.testing.assert_allclose(
                [other["distance"] for other in answer["nearest"]],
                apart,
                rtol=1e-3,  # batches of another size round differently
            )
    sheet = matplotlib.image.imread(tmp_path / "sheet.png")[..., :3]
    assert sheet.shape[1] > sheet.shape[0] > 300
    # The first picture is the query: its average color is there.
    query = np.asarray(Image.open(good[0]))[:, 20:-20].mean(axis=(0, 1)) / 255
    seen = sheet[60:200, 15:180].mean(axis=(0, 1))
    np.testing.assert_allclose(seen, query, atol=0.06)


def test_features_of_arrays_cannot_be_named(run, good, tmp_path, capsys):
    image = np.zeros((1, 40, 40, 3), "uint8")
    path = tmp_path / "arrays.npz"
    ka.features(run, image).save(path)
    words = ["similar", str(run.folder), str(path), "--queries", str(good[0])]
    assert main(words) == 2
    assert "of arrays, not of image files" in capsys.readouterr().err


def test_sheets_have_their_limits(run, good, tmp_path):
    found = ka.features(run, good, "fc6")
    many = ka.features(run, [good[0]] * 51, "fc6")
    with pytest.raises(ValueError, match="at most 50 queries"):
        ka.plot_nearest(found, many, ka.nearest(found, many), "x.png")
    with pytest.raises(ValueError, match="names no format"):
        ka.plot_nearest(found, found, ka.nearest(found), tmp_path / "x.gif")
    gone = tmp_path / "$\\gone\udcff$.png"  # neither math nor UTF-8
    shutil.copy(good[0], gone)
    queries = ka.features(run, gone, "fc6")
    gone.unlink()  # its features are still good; a gray square stands for it
    path = ka.plot_nearest(
        found, queries, ka.nearest(found, queries), tmp_path / "x.svg"
    )
    assert path.read_text().startswith("<?xml")


@pytest.fixture
def channels_first():
    """A network of two towers, and the same with its channels first."""
    keras.utils.set_random_seed(0)
    given = {"classes": 4, "classifier_activation": None}
    last = ka.AlexNet("alexnet", input_shape=(67, 67, 3), **given)
    keras.config.set_image_data_format("channels_first")
    try:
        first = ka.AlexNet("alexnet", input_shape=(3, 67, 67), **given)
    finally:
        keras.config.set_image_data_format("channels_last")
    first.set_weights(last.get_weights())
    return last, first


@pytest.mark.parametrize("layer", ["conv2", "pool2", "norm1", "fc7"])
def test_towers_are_joined_along_their_maps(layer, channels_first):
    images = np.random.default_rng(0).normal(0, 60, (2, 67, 67, 3))
    found = []
    for model, x in zip(
        channels_first, (images, images.transpose(0, 3, 1, 2)), strict=True
    ):
        part = keras.Model(model.input, layer_output(model, layer))
        values = part.predict(x, verbose=0)
        if model is channels_first[1] and values.ndim == 4:
            values = values.transpose(0, 2, 3, 1)
        found.append(values)
    np.testing.assert_allclose(*found, rtol=0, atol=1e-4 * found[0].max())


def test_photos_are_not_prepared_with_channels_first(channels_first):
    _, model = channels_first
    model.checks_range = True
    with pytest.raises(ValueError, match="channels first.*image_data_format"):
        ka.features(model, [np.zeros((67, 67, 3), "uint8")])
    again = ka.convert_weights(model)
    assert again.input_shape == (None, 67, 67, 3)
    for one, other in zip(
        again.get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
