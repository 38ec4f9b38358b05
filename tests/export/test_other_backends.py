"""Exports where Keras' backend is JAX or PyTorch, in processes of their own."""

import functools
import importlib.util
import json

import numpy as np
import pytest
from narrow import images_for
from on_backend import on_backend
from untrained import random_run

import keras_alexnet as ka

NAMES = ("a", "b", "c")
# In a model of the user's; means of windows that overlap, of 7 maps 6.
MORE = ["alexnet within", "torchvision at 256"]
NETWORKS = {
    "torch": [*ka.VARIANTS, *MORE],
    # jax2onnx takes half a minute for each, so a few: all were converted once.
    "jax": ["cifar10_18pct", "torchvision at 256"],
}
ELSEWHERE = (
    "save the network as .keras and export that, or its run folder, under "
    "KERAS_BACKEND=tensorflow.\n"
)
# File -> what is said of it.
WHY_NOT = {
    "torch": {
        "net.tflite": "fixes the number of images there",
        "net": "Keras 3.15 fails there",
    },
    "jax": {
        "net.tflite": "Keras 3.15 has no way from it",
        "net": "SavedModel needs tensorflow, which cannot be imported",
    },
}


def process(backend, *words, hidden=True):
    """What a process prints that exports on a backend."""
    return on_backend(backend, "export_anywhere.py", *words, hidden=hidden)[0]


def skip_without_converter(backend):
    """Not by importing it here, which takes jax2onnx seconds."""
    package = {"torch": "onnx", "jax": "jax2onnx"}[backend]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def answers(path, images):
    """What onnxruntime or OpenVINO answer."""
    if path.suffix == ".onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(path)
        (image,) = session.get_inputs()
        return session.run(None, {image.name: images})[0]
    openvino = pytest.importorskip("openvino")
    precise = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(path, "CPU", precise)
    return model({"image": images})["output"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A function of a backend: the folder of what it has made of networks."""

    @functools.cache
    def write(backend):
        skip_without_converter(backend)
        folder = tmp_path_factory.mktemp(backend)
        process(backend, "networks", folder, *NETWORKS[backend])
        return folder

    return write


@pytest.mark.parametrize(
    ("backend", "name"),
    [(backend, name) for backend, names in NETWORKS.items() for name in names],
)
def test_onnx(backend, name, written):
    onnx = pytest.importorskip("onnx")
    path = written(backend) / f"{name}.onnx"
    with np.load(path.with_suffix(".npz")) as arrays:
        images, expected = arrays["images"], arrays["expected"]
    assert np.ptp(expected, axis=0).max() > 0.1  # the images differ
    for count in (1, 3, len(images)):
        found = answers(path, images[:count])
        np.testing.assert_allclose(found, expected[:count], rtol=0, atol=1e-5)
    rows = ka.VARIANTS[name.split()[0]].rows
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    norms = [row for row in rows if getattr(row, "window", "") == "cross_map"]
    assert ("LRN" in nodes) == (bool(norms) and backend == "torch")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return random_run(tmp_path_factory.mktemp("run") / "run", NAMES)


def exported(backend, run, folder, *names, hidden=True):
    """Dict: file -> exit code and the line that was printed."""
    paths = [folder / name for name in names]
    told = process(backend, "run", run.folder, *paths, hidden=hidden)
    told = json.loads(told)
    assert all(text.count("\n") == 1 for _, text in told.values()), told
    return told


def images_and_answers(run):
    model = run.load_model()
    images = images_for(model)
    return images, model.predict(images, verbose=0)


@pytest.mark.parametrize("backend", WHY_NOT)
def test_a_run(backend, run, tmp_path):
    """Proven there, with the names and the metadata of TensorFlow's."""
    skip_without_converter(backend)
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("openvino")
    names = "net.onnx", "net.xml"
    told = exported(backend, run, tmp_path, *names)
    check_written(told, names)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names, "net.bin"}
    proto = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(proto)
    (image,), (output,) = proto.graph.input, proto.graph.output
    for value, name in ((image, "image"), (output, "output")):
        assert value.name == name
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    stored = {prop.key: prop.value for prop in proto.metadata_props}
    assert json.loads(stored["class_names"]) == list(NAMES)
    assert stored["input"] in told["net.onnx"][1]
    images, expected = images_and_answers(run)
    for name in names:
        for count in (1, 3):
            found = answers(tmp_path / name, images[:count])
            np.testing.assert_allclose(found, expected[:count], atol=1e-5)


def check_written(told, names):
    for name in names:
        code, text = told[name]
        assert code == 0, text
        assert "largest difference to Keras" in text
        assert "RGB of 0..255, minus 125.31/122.95/113.87" in text
        assert "probabilities (batch, 3) of a, b, c" in text


@pytest.mark.parametrize("backend", WHY_NOT)
def test_a_keras_file_and_what_cannot_be_written(backend, run, tmp_path):
    told = exported(backend, run, tmp_path, "net.keras", *WHY_NOT[backend])
    check_written(told, ["net.keras"])
    for name, reason in WHY_NOT[backend].items():
        code, text = told[name]
        assert code == 2
        assert reason in text
        if "needs tensorflow" not in reason:
            assert ELSEWHERE in text
    assert [path.name for path in tmp_path.iterdir()] == ["net.keras"]
    images, expected = images_and_answers(run)
    again = ka.open_trained(tmp_path / "net.keras")
    assert again.class_names == NAMES
    again = again.load_model().predict(images, verbose=0)
    np.testing.assert_allclose(again, expected, atol=1e-5)


def test_a_saved_model_by_jax_with_tensorflow_beside_it(run, tmp_path):
    tf = pytest.importorskip("tensorflow")
    told = exported("jax", run, tmp_path, "net", hidden=False)
    assert told["net"][0] == 0, told
    assert "image files" not in told["net"][1]
    images, expected = images_and_answers(run)
    loaded = tf.saved_model.load(tmp_path / "net")
    assert set(loaded.signatures) == {"serve", "serving_default"}
    for count in (1, 3):
        signature = loaded.signatures["serving_default"]
        (found,) = signature(image=images[:count]).values()
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)
    size = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    weights = 4 * run.load_model().count_params()
    assert weights < size < weights + 5e5
