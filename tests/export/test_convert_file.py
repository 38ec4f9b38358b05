"""Files of weights that need no other framework, and the command `convert`."""

import json
import time
import zipfile

import h5py
import keras
import numpy as np
import pytest
from safetensors.numpy import save_file
from untrained import random_run

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.training.fine_tuning import stages
from keras_alexnet.weights.read_weights import read_weights

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


def test_kernels_behind_unscaled_dropout_are_halved():
    """Section 4.2: "multiply their outputs by 0.5" when testing."""
    given = {"input_shape": (67, 67, 3), "classes": 4}
    keras.utils.set_random_seed(0)
    source = ka.AlexNet("alexnet", **given)
    model = ka.convert_weights(source, unscaled_dropout=True)
    plain, half = ka.grouped_weights(source), ka.grouped_weights(model)
    for name in LAYERS:
        factor = 0.5 if name in ("fc7", "fc8") else 1.0
        np.testing.assert_array_equal(half[name][0], plain[name][0] * factor)
        np.testing.assert_array_equal(half[name][1], plain[name][1])


def test_heuritechs_file(tmp_path):
    """Theano turns its kernels; fc6 sees the last maps one after another."""
    generator = np.random.default_rng(0)
    shapes = {
        "conv_1": (4, 3, 3, 3),
        "conv_2_1": (3, 2, 3, 3),
        "conv_2_2": (3, 2, 3, 3),
        "dense_1": (6 * 2 * 2, 5),
        "dense_2": (5, 5),
    }
    arrays = {}
    with h5py.File(tmp_path / "theano.h5", "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in shapes]
        for name, shape in shapes.items():
            units = shape[0] if len(shape) == 4 else shape[1]
            arrays[name] = [
                generator.standard_normal(s, "float32") for s in (shape, units)
            ]
            names = [f"{name}_W", f"{name}_b"]
            group = file.create_group(name)
            group.attrs["weight_names"] = [each.encode() for each in names]
            for each, value in zip(names, arrays[name], strict=True):
                group[each] = value
    found = read_weights(tmp_path / "theano.h5")
    assert found.variant == "heuritech"
    conv2, fc6 = found.layers["conv_2"], found.layers["dense_1"]
    for h, w, i, o in np.ndindex(conv2[0].shape):
        tower = arrays["conv_2_1" if o < 3 else "conv_2_2"][0]
        assert conv2[0][h, w, i, o] == tower[o % 3, i, 2 - h, 2 - w]
    for h, w, c in np.ndindex(2, 2, 6):
        row = arrays["dense_1"][0][c * 4 + h * 2 + w]
        np.testing.assert_array_equal(fc6[0][(h * 2 + w) * 6 + c], row)
    np.testing.assert_array_equal(
        found.layers["dense_2"][0], arrays["dense_2"][0]
    )


# --- the command ------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.keras"
    ka.AlexNet("cifar10_18pct", classes=4).save(path)
    return path


def test_the_command_converts_and_says_what_it_expects(small, capsys):
    path = small.with_name("other.weights.h5")
    assert main(["convert", str(small), str(path)]) == 0
    told = capsys.readouterr().out
    assert "cifar10_18pct, 83,428 parameters" in told
    assert "32x32 pixels in RGB, 0..255 minus 125.31/122.95/113.87" in told
    weights = ka.AlexNet("cifar10_18pct", classes=4, weights=path)
    expected = ka.convert_weights(small)
    for ours, theirs in zip(
        weights.get_weights(), expected.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["small.keras", "x.txt"], "has no known ending"),
        (["gone.keras", "x.keras"], "There is no file 'gone.keras'"),
        (["small.keras", "x.pth"], "too small for torchvision"),
        (["broken.keras", "x.keras"], "cannot be read"),
        (["notes.txt", "x.keras"], "begins like none that is known"),
        (["small.keras", "no/where.keras/x.keras"], "cannot be written"),
    ],
)
def test_what_the_command_refuses(words, sentence, small, monkeypatch, capsys):
    folder = small.parent
    monkeypatch.chdir(folder)
    (folder / "broken.keras").write_bytes(small.read_bytes()[:5000])
    (folder / "notes.txt").write_text("Remember the milk.")
    (folder / "no").mkdir(exist_ok=True)
    (folder / "no/where.keras").write_text("a file, not a folder")
    before = sorted(folder.iterdir())
    assert main(["convert", *words]) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_weights_that_are_not_finite(small):
    model = ka.convert_weights(small)
    kernel, bias = model.get_layer("conv2").get_weights()
    kernel[0, 0, 0, 0] = np.nan
    model.get_layer("conv2").set_weights([kernel, bias])
    path = small.with_name("nan.keras")
    model.save(path)
    with pytest.raises(ValueError, match="conv2 hold values that are not fin"):
        ka.convert_weights(path)


def test_a_saved_model_knows_its_classes(small):
    model = ka.convert_weights(small)
    model.class_names, model.resize_pixels = ("a", "b", "c", "d"), 40
    path = small.with_name("known.keras")
    model.save(path)
    trained = ka.open_trained(path)
    assert trained.class_names == ("a", "b", "c", "d")
    assert trained.recipe.resize_pixels == 40
    assert trained.recipe.variant == "cifar10_18pct"
    assert keras.saving.load_model(path).class_names is not None


# --- what a .keras file claims ----------------------------------------------


def claiming(path, source, change):
    """A copy of a `.keras` file whose configuration says something else."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                change(config["config"])
                data = json.dumps(config)
            new.writestr(name, data)
    return path


def huge(config):
    config["layers"][0]["config"]["batch_shape"] = [None, 90_000, 90_000, 3]


def worded(config):
    config["layers"][0]["config"]["batch_shape"] = [None, "a", "b", "c"]


def executing(config):
    config["layers"][-1]["config"]["activation"] = {
        "module": "builtins",
        "class_name": "function",
        "config": "eval",
        "registered_name": "function",
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (huge, "no shape of whole numbers"),
        (worded, "no shape of whole numbers"),
        (executing, "its activation is not a name"),
        (lambda config: config.update(layers=3), "cannot be read"),
        (lambda config: config.update(variant="bert"), "no variant 'bert'"),
        (lambda config: config.update(padding="wide"), "no padding 'wide'"),
        (
            lambda config: config.update(class_names=["a", "b"]),
            "4 classes and 2 n",
        ),
        *(
            (lambda config, n=names: config.update(class_names=n), "two names")
            for names in (5, "abcd", [1, 2, 3, 4], ["a"] * 4, [["a"], {}])
        ),
        *(
            (
                lambda config, n=pixels: config.update(resize_pixels=n),
                "whole number from 1 to 4096",
            )
            for pixels in ("9", 0, -1, 2.5, True, 10**9)
        ),
    ],
)
def test_what_a_file_claims_is_not_believed(change, sentence, small, tmp_path):
    path = claiming(tmp_path / "claims.keras", small, change)
    with pytest.raises(ValueError, match=sentence):
        ka.open_trained(path)


def test_a_file_of_gray_images_is_not_taken_for_one_of_color(tmp_path):
    path = tmp_path / "gray.keras"
    ka.AlexNet("cifar10_18pct", input_shape=(32, 32, 1)).save(path)
    with pytest.raises(ValueError, match="images of 1 channels; .* have 3"):
        ka.open_trained(path)


@pytest.mark.parametrize("padding", [("same", "valid"), "ceil"])
def test_a_file_keeps_its_rounding_when_it_is_tuned(padding, tmp_path):
    path = tmp_path / "pad.keras"
    options = {"padding": padding, "input_shape": (42, 42, 3), "classes": 3}
    ka.AlexNet("cifar10_18pct", **options).save(path)
    assert ka.open_trained(path).recipe.padding == padding
    for stage in stages(path, "photos", 1, 1):
        assert stage.padding == padding


def test_a_mean_image_is_not_lost_on_the_way(tmp_path, capsys):
    run = random_run(
        tmp_path / "run",
        ("a", "b", "c"),
        mean="image",
        mean_image=np.full((40, 40, 3), 99.0, "float32"),
    )
    for name in ("x.keras", "x.weights.h5", "x.onnx"):
        words = ["convert", str(run.folder), str(tmp_path / name)]
        assert main(words) == 2
        assert "mean image" in capsys.readouterr().err
        assert not (tmp_path / name).exists()


# --- biases in ONNX ---------------------------------------------------------


def onnx_file(path, *nodes, **tensors):
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node(op, inputs, outputs, **attributes)
            for op, inputs, outputs, attributes in nodes
        ],
        "net",
        [onnx.helper.make_tensor_value_info("x", 1, [1, 3, 9, 9])],
        [onnx.helper.make_tensor_value_info(nodes[-1][2][0], 1, None)],
        [onnx.numpy_helper.from_array(v, n) for n, v in tensors.items()],
    )
    onnx.save(onnx.helper.make_model(graph), path)
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c["config"].update(variant=[]), "no variant"),
        (lambda c: c["config"].update(padding=[1] * 10**5), "no padding"),
        (lambda c: c["config"].update(checks_range="x"), "neither true"),
        *(
            (
                lambda c, n=name: c["config"]["layers"][2]["config"].update(
                    name=n
                ),
                "layers that are none",
            )
            for name in (None, 3, [], {}, True)
        ),
        *(
            (
                lambda c, s=shape: c["config"]["layers"][0]["config"].update(
                    batch_shape=s
                ),
                "no shape of whole",
            )
            for shape in (5, "abcd", [], [None] * 5, [None, 2.5, 1, 1], {})
        ),
    ],
)
def test_configs_with_other_things_in_them(change, sentence, small, tmp_path):
    path = with_config(small, change, tmp_path / "odd.keras")
    with pytest.raises(ValueError, match=sentence) as refusal:
        ka.convert_weights(path)
    assert len(str(refusal.value)) < 2000


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(registered_name=None),
        lambda c: c.update(registered_name=5),
        lambda c: c.update(config=None),
    ],
)
def test_a_file_that_does_not_say_is_known_by_its_weights(
    change, small, tmp_path
):
    path = with_config(small, change, tmp_path / "odd.keras")
    assert ka.convert_weights(path).variant == "cifar10_18pct"


def with_config(small, change, path):
    """The same file with another config."""
    with zipfile.ZipFile(small) as old:
        records = {name: old.read(name) for name in old.namelist()}
    config = json.loads(records["config.json"])
    change(config)
    records["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as new:
        for name, data in records.items():
            new.writestr(name, data)
    return path


def test_shapes_are_compared_before_anything_is_made(tmp_path):
    """The last bias alone would make a network of 18 GB."""
    path = tmp_path / "net.safetensors"
    tensors = {"conv1.weight": np.zeros((2, 1, 1, 1), "float32")}
    tensors["fc8.weight"] = np.zeros((550_000, 2), "float32")
    save_file(tensors, path)
    for variant in ("alexnet", "lenet5"):
        start = time.process_time()
        with pytest.raises(ValueError, match="layers with weights"):
            ka.convert_weights(path, variant)
        with pytest.raises(ValueError, match="layers with weights"):
            ka.AlexNet(variant, weights=path)
        assert time.process_time() - start < 5
    weights = ka.grouped_weights(ka.AlexNet("lenet5"))
    weights["fc5"] = [np.zeros((84, 1), "float32"), np.zeros(550_000, "f4")]
    with pytest.raises(ValueError, match=r"fc5: expected.*\(84, 550000\)"):
        ka.convert_weights(weights, "lenet5")


@pytest.mark.parametrize("place", ["conv1.weight", "fc2.weight", "fc2.bias"])
def test_a_single_number_is_no_array(place, tmp_path):
    path = tmp_path / "net.safetensors"
    tensors = {
        "conv1.weight": np.zeros((2, 1, 3, 3), "float32"),
        "fc2.weight": np.zeros((3, 8), "float32"),
        "fc2.bias": np.zeros(3, "float32"),
    }
    save_file({**tensors, place: np.ones((), "float32")}, path)
    with pytest.raises(ValueError, match="no kernel of two|1 biases for"):
        ka.convert_weights(path, "lenet5")


@pytest.mark.parametrize("name", ["size", "alpha", "beta", "bias"])
@pytest.mark.parametrize(
    "value", ["text", [1.0, 2.0], [1, 2], ["a"], np.ones(3, "float32")]
)
def test_an_attribute_that_is_no_number(name, value, tmp_path):
    onnx = pytest.importorskip("onnx")
    if isinstance(value, np.ndarray):
        value = onnx.numpy_helper.from_array(value)
    path = onnx_file(
        tmp_path / "net.onnx",
        ("Conv", ["x", "w", "bias"], ["a"], {}),
        ("LRN", ["a"], ["b"], {"size": 5, name: value}),
        ("MaxPool", ["b"], ["c"], {}),
        w=KERNEL,
        bias=BIAS,
    )
    with pytest.raises(ValueError, match=f"'{name}' is no number"):
        read_weights(path)


KERNEL = np.arange(4 * 3 * 9, dtype="float32").reshape(4, 3, 3, 3)
BIAS = np.array([1, 2, 3, 4], "float32")


def test_what_is_added_behind_a_layer_is_its_bias(tmp_path):
    """As tf2onnx writes it: other axes, then the bias, then constants."""
    path = onnx_file(
        tmp_path / "net.onnx",
        ("Conv", ["x", "w"], ["a"], {}),
        ("Transpose", ["a"], ["b"], {"perm": [0, 2, 3, 1]}),
        ("Add", ["b", "bias"], ["c"], {}),
        ("Add", ["c", "two"], ["d"], {}),  # of a normalization
        w=KERNEL,
        bias=BIAS,
        two=np.array([2], "float32"),
    )
    ((kernel, bias),) = read_weights(path).layers.values()
    np.testing.assert_array_equal(kernel, KERNEL.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(bias, BIAS)


@pytest.mark.parametrize("first", [["x", "w", "bias"], ["x", "w"]])
def test_what_is_added_elsewhere_is_not_taken_for_a_bias(first, tmp_path):
    path = onnx_file(
        tmp_path / "net.onnx",
        ("Conv", first, ["a"], {}),
        ("Relu", ["a"], ["b"], {}),
        ("Add", ["b" if len(first) == 2 else "a", "more"], ["c"], {}),
        w=KERNEL,
        bias=BIAS,
        more=BIAS.reshape(1, 4, 1, 1),
    )
    with pytest.raises(ValueError, match="adds 4 numbers where no layer"):
        read_weights(path)
