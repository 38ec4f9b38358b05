"""Exports, run by their own runtimes."""

import copy
import io
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from narrow import images_for
from narrow import small
from PIL import Image
from untrained import random_run

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.export import export_model as exporting_module
from keras_alexnet.export import formats
from keras_alexnet.export import saved_model
from keras_alexnet.export import write_onnx as onnx_writing
from keras_alexnet.export.export_model import export_model

NAMES = tuple("abcdefg")
# One of each kind: two towers, ceil and a norm within maps, adaptive pool,
# locally connected, average pool.
KINDS = ["alexnet", "alexnet_2012", "torchvision", "cifar10_11pct", "lenet5"]


def answers(path, images):
    """What onnxruntime, LiteRT or OpenVINO answer."""
    if path.suffix == ".onnx":
        runtime = pytest.importorskip("onnxruntime")
        session = runtime.InferenceSession(path)
        return session.run(["output"], {"image": images})[0]
    if path.suffix == ".xml":
        runtime = pytest.importorskip("openvino")
        precise = {"INFERENCE_PRECISION_HINT": "f32"}
        model = runtime.Core().compile_model(path, "CPU", precise)
        return model({"image": images})["output"]
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = runtime.Interpreter(str(path))
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, images)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def check(model, path):
    """The answers to a batch and to a single image are Keras'."""
    images = images_for(model)
    expected = np.asarray(model(images, training=False))
    assert np.ptp(expected, axis=0).max() > 0.1  # the images differ
    for count in (len(images), 1):
        found = answers(path, images[:count])
        np.testing.assert_allclose(found, expected[:count], rtol=0, atol=1e-5)


@pytest.fixture
def unverified(monkeypatch):
    """Spares the fresh process, where a test looks by itself."""
    monkeypatch.setattr(exporting_module, "verify", lambda *_: (0.0, None))


@pytest.mark.parametrize("variant", ka.VARIANTS)
def test_onnx_of_every_variant(variant, tmp_path, unverified):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    model = small(variant)
    path = export_model(model, tmp_path / "net.onnx").path
    check(model, path)
    graph = onnx.load(path).graph
    operations = [node.op_type for node in graph.node]
    cross_map = [
        layer
        for layer in model.layers
        if getattr(layer, "window", None) == "cross_map"
    ]
    assert operations.count("LRN") == len(cross_map)
    (image,) = graph.input
    axes = image.type.tensor_type.shape.dim
    assert [axis.dim_value for axis in axes] == [0, *model.input_shape[1:]]


@pytest.mark.parametrize("variant", KINDS)
def test_litert(variant, tmp_path):
    pytest.importorskip("ai_edge_litert")
    model = small(variant)
    export = export_model(model, tmp_path / "net.tflite")
    assert 0 < export.difference < 1e-5
    check(model, export.path)


@pytest.mark.parametrize("variant", KINDS)
def test_openvino(variant, tmp_path):
    pytest.importorskip("openvino")
    model = small(variant)
    path = export_model(model, tmp_path / "net.xml").path
    check(model, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.bin", "net.xml"]


def test_large_weights_are_constants_of_the_onnx_file(tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    monkeypatch.setattr(onnx_writing, "LARGE", 1000)
    model = small("single_tower")
    model.get_layer("fc6").trainable = False
    path = export_model(model, tmp_path / "net.onnx").path
    proto = onnx.load(path)
    onnx.checker.check_model(proto)
    constants = {c.name: c for c in proto.graph.initializer}
    for name in ("conv2", "fc6", "fc7"):
        kernel = model.get_layer(name).kernel
        stored = onnx.numpy_helper.to_array(constants[f"{name}/kernel"])
        np.testing.assert_array_equal(stored, kernel.numpy())


def test_litert_quantized(tmp_path):
    pytest.importorskip("ai_edge_quantizer")
    run = random_run(tmp_path / "run", NAMES)
    whole = export_model(run, tmp_path / "whole.tflite")
    quantized = export_model(run, tmp_path / "small.tflite", quantize=True)
    assert quantized.size_bytes < 0.4 * whole.size_bytes
    assert 1e-4 < quantized.difference < 0.2
    model = run.load_model()
    images = images_for(model, 400)
    expected = np.asarray(model(images, training=False))
    found = answers(quantized.path, images)
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    assert len(set(expected.argmax(axis=1))) > 2
    assert same.mean() >= 0.9
    assert abs(found - expected).max() > 1e-4  # it is quantized


def test_an_untrained_network_can_be_quantized(tmp_path):
    """Hardly anything in it depends on the image: the first answers count."""
    pytest.importorskip("ai_edge_quantizer")
    keras.utils.set_random_seed(0)
    model = ka.AlexNet("alexnet", input_shape=(67, 67, 3), classes=20)
    path = export_model(model, tmp_path / "net.tflite", quantize=True).path
    images = images_for(model, 40)
    expected = np.asarray(model(images, training=False))
    found = answers(path, images)
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    assert same.mean() >= 0.95


def test_keras_file_is_exact_and_knows_its_classes(tmp_path):
    run = random_run(tmp_path / "run", NAMES)
    export = export_model(run, tmp_path / "net.keras")
    assert export.difference == 0
    again = ka.open_trained(export.path)
    assert again.class_names == NAMES
    assert again.sizes == run.sizes
    images = images_for(run.load_model())
    np.testing.assert_array_equal(
        again.load_model()(images), run.load_model()(images)
    )


# SavedModel


def write_files(folder):
    """The same photo in all kinds of files."""
    small = np.random.default_rng(1).integers(0, 256, (6, 6, 3), "uint8")
    photo = Image.fromarray(small).resize((90, 61), Image.Resampling.BICUBIC)
    rotated = Image.Exif()
    rotated[0x0112] = 6  # Orientation: to be shown turned by 90 degrees
    alpha = photo.convert("RGBA")
    alpha.putalpha(100)
    photo.save(folder / "0.jpg")
    photo.save(folder / "1.jpg", exif=rotated)
    photo.convert("L").save(folder / "2.jpg")
    photo.resize((24, 31)).save(folder / "3.jpg", progressive=True)
    alpha.save(folder / "4.png")
    photo.convert("P").save(folder / "5.png")
    photo.save(folder / "6.gif")
    photo.convert("CMYK").save(folder / "7.jpg")
    return sorted(folder.iterdir())


SERVING = """
import pathlib, sys
import numpy as np, tensorflow as tf
folder, images, outputs, *files = sys.argv[1:]
loaded = tf.saved_model.load(folder)
served = loaded.serve_image_bytes(
    tf.constant([pathlib.Path(file).read_bytes() for file in files])
)
np.savez(
    outputs,
    plain=loaded.serve(np.load(images)),
    **{name: np.array(served[name].numpy().tolist()) for name in served},
)
if "keras_alexnet" in sys.modules:
    raise SystemExit("it needs this package")
"""


def serve_elsewhere(path, images, files, folder):
    """What a fresh process with TensorFlow alone answers."""
    np.save(folder / "images.npy", images)
    command = [sys.executable, "-P", "-c", SERVING, path]
    subprocess.run(
        [*command, folder / "images.npy", folder / "outputs.npz", *files],
        check=True,
    )
    return np.load(folder / "outputs.npz")


def serve(path, images, files):
    loaded = tf.saved_model.load(path)
    data = tf.constant([file.read_bytes() for file in files])
    served = loaded.signatures["serve_image_bytes"](image_bytes=data)
    served = {name: value.numpy() for name, value in served.items()}
    (plain,) = loaded.signatures["serving_default"](image=images).values()
    return {"plain": plain.numpy(), **served}


@pytest.mark.parametrize(
    ("changes", "mean_image"),
    [
        ({"variant": "cifar10_18pct", "mean": "image"}, True),
        ({"variant": "lenet5"}, False),
        (
            {
                "variant": "caffe_alexnet",
                "resize_pixels": 72,
                "crop_pixels": 67,
            },
            False,
        ),
    ],
    ids=["mean image", "gray", "BGR"],
)
def test_saved_model(changes, mean_image, tmp_path, unverified):
    mean = np.random.default_rng(2).uniform(90, 150, (40, 40, 3))
    run = random_run(
        tmp_path / "run",
        NAMES,
        mean_image=mean.astype("float32") if mean_image else None,
        **changes,
    )
    (tmp_path / "files").mkdir()
    files = write_files(tmp_path / "files")
    export = export_model(run, tmp_path / "saved")
    images = images_for(run.load_model())
    served = serve(export.path, images, files)
    expected = np.asarray(run.load_model()(images, training=False))
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(served["plain"], expected, rtol=0, atol=1e-5)
    # The files, as `predict` answers them. TensorFlow resizes with other
    # rounding than Pillow, and CMYK is converted otherwise.
    predicted = ka.predict(run, files, top=5)
    for place, top in enumerate(predicted):
        atol = 0.05 if files[place].name == "7.jpg" else 0.005
        scores = [score for _, score in top]
        np.testing.assert_allclose(served["scores"][place], scores, atol=atol)
        row = served["probabilities"][place]
        for name, score in top:
            assert abs(row[NAMES.index(name)] - score) < atol
    names = [name.decode() for name in served["classes"][0]]
    assert names == [name for name, _ in predicted[0]]
    spread = np.ptp(served["probabilities"], axis=0).max()
    assert spread > 0.1  # gray, another size: other answers
    # The orientation is not applied, as nowhere in this package.
    np.testing.assert_array_equal(*served["probabilities"][:2])
    facts = json.loads(
        (export.path / "assets.extra" / formats.MARK).read_text()
    )
    assert facts["class_names"] == list(NAMES)
    assert ("mean_image" in facts["input"]) == mean_image
    size = sum(p.stat().st_size for p in export.path.rglob("*") if p.is_file())
    weights = 4 * run.load_model().count_params()
    assert weights < export.size_bytes == size < weights + 5e5


def test_saved_model_elsewhere(tmp_path):
    run = random_run(tmp_path / "run", NAMES)
    (tmp_path / "files").mkdir()
    files = write_files(tmp_path / "files")
    export = export_model(run, tmp_path / "saved")
    assert export.difference < 1e-5
    assert "serve_image_bytes takes image files" in str(export)
    images = images_for(run.load_model())
    here = serve(export.path, images, files)
    there = serve_elsewhere(export.path, images, files, tmp_path)
    for name in ("plain", "probabilities", "scores"):
        np.testing.assert_allclose(there[name], here[name], atol=1e-6)
    np.testing.assert_array_equal(there["classes"], here["classes"])


def test_a_model_of_unknown_images_serves_no_files(tmp_path, unverified):
    model = small("cifar10_18pct")
    export = export_model(model, tmp_path / "saved")
    assert "values as in its training" in str(export)
    signatures = tf.saved_model.load(export.path).signatures
    assert set(signatures) == {"serve", "serving_default"}


def test_what_cannot_be_exported_is_said(tmp_path):
    with pytest.raises(ValueError, match="no file .runs/mine"):
        export_model("runs/mine", tmp_path / "net.keras")
    with pytest.raises(ValueError, match="open_trained.*Received: int"):
        export_model(3, tmp_path / "net.keras")
    two = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    model = keras.Model(two, keras.layers.Add()(two))
    with pytest.raises(ValueError, match="one input is images"):
        export_model(model, tmp_path / "net.keras")
    assert not any(tmp_path.iterdir())


def test_a_mean_image_has_no_place_in_a_keras_file(tmp_path):
    mean = np.full((40, 40, 3), 120, "float32")
    run = random_run(tmp_path / "run", NAMES, mean_image=mean, mean="image")
    with pytest.raises(ValueError, match="mean image"):
        export_model(run, tmp_path / "net.keras")


# What is refused


def wrong(change):
    """A writer of another network."""
    write_onnx = exporting_module.write_onnx

    def write(network, path):
        model = keras.models.clone_model(network.model)
        model.set_weights(network.model.get_weights())
        change(model)
        other = copy.copy(network)
        other.model = model
        write_onnx(other, path)

    return write


def less_bias(model):
    """A small error, but more than rounding."""
    last = model.layers[-1]
    last.bias.assign_add(1e-3 * (-1.0) ** np.arange(last.units))


def other_norm(model):
    """Caffe's reading of alpha in place of the paper's."""
    for layer in model.layers:
        if getattr(layer, "alpha_mode", None) == "mean":
            layer.alpha_mode = "sum"


def blind(model):
    """Hardly anything of the image is left."""
    first = next(layer for layer in model.layers if layer.weights)
    first.kernel.assign(first.kernel * 1e-4)


@pytest.mark.parametrize("change", [less_bias, other_norm, blind])
def test_what_answers_differently_is_not_kept(change, tmp_path, monkeypatch):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    model = small("caffe_alexnet" if change is other_norm else "cifar10_18pct")
    monkeypatch.setattr(exporting_module, "write_onnx", wrong(change))
    with pytest.raises(ValueError, match="answers differently .* nothing was"):
        export_model(model, tmp_path / "net.onnx")
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_run_is_not_kept(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    run = random_run(tmp_path / "run", NAMES)
    file = tmp_path / "out" / "net.onnx"
    file.parent.mkdir()
    file.write_text("the old one")

    def write(network, path):
        with open(path, "wb") as broken:
            broken.write(b"\x08\x07")

    monkeypatch.setattr(exporting_module, "write_onnx", write)
    code = main(["export", str(run.folder), str(file)])
    sentence = capsys.readouterr().err
    assert code == 2
    assert "cannot be run again" in sentence
    assert sentence.count("\n") == 1
    assert [path.name for path in file.parent.iterdir()] == ["net.onnx"]
    assert file.read_text() == "the old one"


def test_what_cannot_be_converted_is_said(tmp_path, monkeypatch):
    model = small("cifar10_18pct")

    def fail(*args):
        raise RuntimeError("no such operation.\nmore")

    monkeypatch.setattr(saved_model, "save_model", fail)
    with pytest.raises(ValueError, match="as SavedModel: no such operation.$"):
        export_model(model, tmp_path / "saved")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("a.onnx", "onnxruntime", "export"),
        ("a.tflite", "ai_edge_litert", "export"),
        ("a.xml", "openvino", "openvino"),
    ],
)
def test_a_missing_package_is_named_first(
    name, package, extra, tmp_path, monkeypatch
):
    find = formats.importlib.util.find_spec
    monkeypatch.setattr(
        formats.importlib.util,
        "find_spec",
        lambda wanted: None if wanted == package else find(wanted),
    )
    told = rf"{package}.* `pip install 'keras_alexnet\[{extra}\]'`"
    with pytest.raises(ValueError, match=told):
        export_model("not even a network", tmp_path / name)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["net.pb"], "does not tell the format"),
        (["v1.0"], "does not tell the format"),
        ([""], "does not tell the format"),
        (["net.onnx", "--format", "litert"], "expected a name that ends in"),
        (["net.onnx", "--format", "savedmodel"], "ends in nothing"),
        (["net", "--format", "onnx"], "ends in .onnx"),
        (["net.onnx", "--quantize"], "Only LiteRT"),
        (["net", "--format", "coreml"], "invalid choice"),
        (["mine"], "There is a folder 'mine' already"),
        (["file"], "There is a file 'file' already"),
        (["folder.keras"], "There is a folder 'folder.keras' already"),
        (["other.xml"], "take the place of 'other.bin'"),
        (["/proc/x/net.keras"], "cannot be written"),
    ],
)
def test_mistakes_are_one_sentence(
    words, sentence, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    random_run(tmp_path / "run", NAMES, variant="lenet5")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_text("precious")
    (tmp_path / "folder.keras").mkdir()
    (tmp_path / "file").write_text("precious")
    (tmp_path / "other.bin").write_text("precious")
    before = sorted(tmp_path.rglob("*"))
    try:
        code = main(["export", "run", *words])
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert sentence in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_an_export_takes_the_place_of_an_older_one(tmp_path, unverified):
    run = random_run(tmp_path / "run", NAMES)
    other = random_run(tmp_path / "other", NAMES, seed=1)
    target = tmp_path / "out" / "v1.0"
    target.mkdir(parents=True)  # empty
    export_model(run, target, "savedmodel")
    (target / "left").write_text("of the first")
    export_model(other, target, "savedmodel")
    assert not (target / "left").exists()
    assert [path.name for path in target.parent.iterdir()] == ["v1.0"]


# The command


def test_the_command_prints_one_line(tmp_path):
    pytest.importorskip("tf2onnx")
    random_run(tmp_path / "run", NAMES[:3])
    command = [sys.executable, "-m", "keras_alexnet", "export"]
    result = subprocess.run(
        [*command, tmp_path / "run", tmp_path / "net.onnx"],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if "TF_CPP" not in k},
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    (line,) = result.stdout.splitlines()
    onnx = pytest.importorskip("onnx")
    stored = onnx.load(tmp_path / "net.onnx").metadata_props
    stored = {prop.key: prop.value for prop in stored}
    assert json.loads(stored["class_names"]) == ["a", "b", "c"]
    assert stored["input"] in line
    for fact in (
        f"{tmp_path / 'net.onnx'}: ONNX, 0.3 MB, largest difference",
        "(batch, 32, 32, 3), RGB of 0..255, minus 125.31/122.95/113.87",
        "probabilities (batch, 3) of a, b, c",
    ):
        assert fact in line


def test_a_photo_of_the_comparison_is_no_constant():
    """Several sizes and both kinds of files; every channel has a range."""
    verifying = pytest.importorskip("keras_alexnet.export.verify")
    photos = [verifying._photo(seed, 60) for seed in range(verifying.SAMPLES)]
    pictures = [Image.open(io.BytesIO(data)) for data in photos]
    assert {p.format for p in pictures} == {"JPEG", "PNG"}
    assert len({p.size for p in pictures}) == 2
    for picture in pictures:
        assert np.asarray(picture).std(axis=(0, 1)).min() > 20


def test_a_saved_model_without_softmax_gives_probabilities(tmp_path):
    """What it calls so, whatever the network's last activation is."""
    model = ka.AlexNet("lenet5", classes=3, classifier_activation=None)
    generator = np.random.default_rng(0)
    model.set_weights(
        [generator.normal(0, 0.1, w.shape) for w in model.get_weights()]
    )
    model.class_names, model.resize_pixels = ("a", "b", "c"), 32
    model.checks_range = True  # it is known how it is fed
    export = export_model(model, tmp_path / "net")
    assert "outputs (batch, 3)" in export.output
    pixels = generator.integers(0, 256, (40, 36, 3), "uint8")
    Image.fromarray(pixels).save(tmp_path / "1.png")
    data = (tmp_path / "1.png").read_bytes()
    loaded = tf.saved_model.load(tmp_path / "net")
    found = loaded.signatures["serve_image_bytes"](tf.constant([data]))
    assert np.sum(found["probabilities"]) == pytest.approx(1)
    ((name, probability), *_) = ka.predict(model, tmp_path / "1.png")[0]
    assert found["classes"][0, 0].numpy().decode() == name
    assert float(found["scores"][0, 0]) == pytest.approx(probability, abs=1e-3)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_half_precision_is_written_in_float32(policy, wrap, suffix, tmp_path):
    pytest.importorskip({"onnx": "tf2onnx", "tflite": "ai_edge_litert"}[suffix])
    plain = small("caffe_alexnet")
    keras.config.set_dtype_policy(policy)
    try:
        model = small("caffe_alexnet")
        if wrap:
            inputs = keras.Input(model.input_shape[1:])
            model = keras.Sequential([inputs, model])
    finally:
        keras.config.set_dtype_policy("float32")
    model.set_weights(plain.get_weights())
    path = tmp_path / f"net.{suffix}"
    assert export_model(model, path).difference < 1e-5
    images = images_for(plain)
    expected = plain.predict(images, verbose=0)
    np.testing.assert_allclose(answers(path, images), expected, atol=1e-5)


def test_a_clone_is_exported_with_its_classes(tmp_path):
    network = ka.AlexNet("cifar10_18pct", weights="cifar10")
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    texts = [
        str(export_model(model, tmp_path / "net")) for model in (network, clone)
    ]
    assert texts[0] == texts[1]
    assert "serve_image_bytes" in texts[1]


def test_a_changed_clone_is_of_no_variant():
    """As with another pooling: then its preprocessing is not known either."""
    network = ka.AlexNet("cifar10_18pct", weights="cifar10")

    def change(layer):
        config = layer.get_config()
        if layer.name == "pool1":
            config["pool_size"] = 2
        return type(layer).from_config(config)

    clone = keras.models.clone_model(network, clone_function=change)
    assert clone.variant is None and not clone.checks_range


class NotSerializable(keras.layers.Layer):
    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def test_layers_that_keras_cannot_copy(tmp_path):
    """Are exported in float32, and named in another precision."""
    pytest.importorskip("tf2onnx")
    model = small("lenet5")
    own = keras.Sequential(
        [keras.Input(model.input_shape[1:]), NotSerializable(abs), model]
    )
    assert export_model(own, tmp_path / "net.onnx").difference < 1e-5
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        own = keras.Sequential(
            [keras.Input((32, 32, 1)), NotSerializable(abs), small("lenet5")]
        )
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match="cannot be copied in float32"):
        export_model(own, tmp_path / "other.onnx")
