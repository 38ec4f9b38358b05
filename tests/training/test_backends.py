"""`ka.train` on TensorFlow, JAX and PyTorch: the same steps, one state."""

import functools
import json
import shutil

import numpy as np
import pytest
from machines import run_together
from movement import apart
from movement import distance
from on_backend import arguments
from on_backend import on_backend
from PIL import Image
from train_anywhere import first_weights

BACKENDS = ["tensorflow", "jax", "torch"]
# Of the movement: one step in float32, ten in float64.
BOUNDS = {"float32": 1e-5, "float64": 1e-9}


def train(backend, *words, script="train_anywhere.py"):
    """What a process says that trains on a backend, without TensorFlow."""
    return "".join(on_backend(backend, script, *words))


def ends(folder):
    with np.load(folder / "ends.npz") as arrays:
        return [arrays[f"arr_{place}"] for place in range(len(arrays))]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Runs that TensorFlow has begun: the state before the first step."""
    root = tmp_path_factory.mktemp("begun")
    for precision in BOUNDS:
        train("tensorflow", root / precision, precision, 0)
    return root


@pytest.fixture(scope="module")
def ended(begun, tmp_path_factory):
    """The same, ended by TensorFlow."""
    root = tmp_path_factory.mktemp("ended")
    for precision in BOUNDS:
        shutil.copytree(begun / precision, root / precision)
        train("tensorflow", root / precision, precision)
    return root


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_run_of_tensorflow_goes_on_as_it_would(
    backend, precision, begun, ended, tmp_path
):
    folder = tmp_path / "run"
    shutil.copytree(begun / precision, folder)
    start = first_weights(folder, len(ends(ended / precision)))
    said = train(backend, folder, precision)
    assert f"goes on with {backend} from a checkpoint of tensorflow" in said
    found, expected = ends(folder), ends(ended / precision)
    assert distance(start, expected) > 1e-3 * distance(
        start, [0 * w for w in start]
    )
    bound = BOUNDS[precision]
    if (backend, precision) == ("torch", "float64"):
        bound = 1e-6  # Keras 3.15 clips, and divides by 5 images, in float32
    assert apart(start, expected, found) <= bound


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_was_stopped_ends_as_if_it_had_not(backend, tmp_path):
    train(backend, tmp_path / "whole", "float64")
    train(backend, tmp_path / "parts", "float64", 4)
    train(backend, tmp_path / "parts", "float64")
    for one, other in zip(
        ends(tmp_path / "whole"), ends(tmp_path / "parts"), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_run_goes_on_in_tensorflow(backend, tmp_path):
    train(backend, tmp_path / "run", "float64", 4)
    said = train("tensorflow", tmp_path / "run", "float64")
    assert f"goes on with tensorflow from a checkpoint of {backend}" in said


@pytest.fixture(scope="module")
def on_one(begun, tmp_path_factory):
    """Function of backend and precision: the weights of the run's end."""
    root = tmp_path_factory.mktemp("one")

    @functools.cache
    def ended_on(backend, precision):
        folder = root / f"{backend}-{precision}"
        shutil.copytree(begun / precision, folder)
        train(backend, folder, precision)
        return ends(folder)

    return ended_on


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize(
    ("backend", "devices", "parts"),
    [("jax", 2, 1), ("jax", 3, 1), ("jax", 2, 2), ("torch", 1, 4)],
)
def test_devices_and_parts_are_one(
    backend, devices, parts, precision, begun, on_one, tmp_path
):
    """Also of batches of 8, and a last one of 5, on three devices."""
    folder = tmp_path / "run"
    shutil.copytree(begun / precision, folder)
    train(backend, folder, precision, "never", devices, parts)
    expected = on_one(backend, precision)
    start = first_weights(begun / precision, len(expected))
    assert apart(start, expected, ends(folder)) <= BOUNDS[precision]


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize(
    ("machines", "devices", "parts"), [(2, 1, 1), (3, 1, 1), (2, 2, 2)]
)
def test_machines_of_jax_are_one(
    machines, devices, parts, precision, begun, on_one, tmp_path
):
    folder = tmp_path / "run"
    shutil.copytree(begun / precision, folder)
    words = folder, precision, "never", devices, parts
    command = arguments("jax", "train_anywhere.py", *words)
    run_together(command, tmp_path, machines, "jax")
    expected = on_one("jax", precision)
    start = first_weights(begun / precision, len(expected))
    assert apart(start, expected, ends(folder)) <= BOUNDS[precision]


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    """Function of a backend: what `fit` gave there, and the movement."""
    folder = tmp_path_factory.mktemp("fits")

    @functools.cache
    def fitted(backend):
        if backend != "tensorflow":
            fitted("tensorflow")  # whose weights all begin with
        said = train(backend, folder, script="fit_anywhere.py")
        movements = []
        for kind in ("", "-float64"):
            with np.load(folder / f"{backend}{kind}.npz") as arrays:
                movements.append([arrays[name] for name in arrays])
        facts = said[said.index('{"steps') :].splitlines()[0]
        return json.loads(facts), movements

    return fitted


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_steps_of_fit(backend, fits):
    """Fifty at a rate of .001; at .01 TensorFlow itself is 3e-2 from itself."""
    (facts, found), (_, expected) = fits(backend), fits("tensorflow")
    assert facts["steps"] == 50
    for one, other, bound in zip(expected, found, (5e-3, 1e-9), strict=True):
        assert apart([0 * movement for movement in one], one, other) <= bound


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_fit_with_callbacks_parts_and_mixed_precision(backend, fits):
    (found, _), (expected, _) = fits(backend), fits("tensorflow")
    for kind, bound in (
        ("float32", 1e-5),
        ("in parts", 1e-5),
        ("mixed_float16", 1e-3),
        # Without AVX-512 TensorFlow sums the biases' gradients in bfloat16.
        ("mixed_bfloat16", 1e-2),
    ):
        assert found[kind]["told"] == expected[kind]["told"]
        for name in ("loss", "val_loss", "learning_rate"):
            np.testing.assert_allclose(
                found[kind][name], expected[kind][name], rtol=bound
            )
    losses = found["float32"]["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(found["in parts"]["loss"], losses, rtol=1e-5)


def test_machines_are_refused(tmp_path, monkeypatch):
    """Each would train alone, into the same folder."""
    monkeypatch.setenv("TF_CONFIG", "{}")
    said = train("torch", tmp_path, "refused", script="fit_anywhere.py")
    assert "torch trains on one machine here" in said
    assert not any(tmp_path.iterdir())


def test_images_on_a_device_are_cut_as_elsewhere(tmp_path):
    """All steps of an epoch in one call, in calls of two, and stopped; to the
    same weights, and the same lists of what cannot be read."""
    photos = random_photos(tmp_path / "photos")

    def trained(name, *words):
        words = (photos, tmp_path / name, *words)
        said = train("jax", *words, script="train_on_device.py")
        return said, tmp_path / name

    _, fed = trained("fed", 0)
    said, whole = trained("whole", 100)
    assert said.count("test accuracy") == 3
    start = [0 * weight for weight in ends(fed)]
    assert apart(start, ends(fed), ends(whole)) <= 1e-6
    expected, found = (
        np.genfromtxt(folder / "log.csv", delimiter=",")[1:]
        for folder in (fed, whole)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    skipped = (whole / "skipped.csv").read_text()
    assert skipped == (fed / "skipped.csv").read_text()
    trained("stopped", 2, 5)  # in the middle of the second epoch
    said, stopped = trained("stopped", 100)
    assert "step 6 of 9" in said
    for one, other in zip(ends(whole), ends(stopped), strict=True):
        np.testing.assert_array_equal(one, other)


def random_photos(folder):
    """Fifteen photos of two classes, of which one cannot be read."""
    generator = np.random.default_rng(0)
    for place in range(15):
        path = folder / "ab"[place % 2] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (*generator.integers(45, 90, 2), 3)
        pixels = generator.integers(0, 256, shape, "uint8")
        Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:200])
    return folder
