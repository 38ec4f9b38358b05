"""Keras' files are read in the order of their models, and nothing runs."""

import io
import json
import os
import time
import zipfile

import h5py
import hostile_files as hostile
import keras
import numpy as np
import pytest
from peak import peak_of

from keras_alexnet import AlexNet
from keras_alexnet.weights.read_keras import read_keras_layers

MOST_MEGABYTES = 128  # all of the hostile files together, h5py's import too


def assert_same(layers, model):
    """The layers of a model with weights, those of models within it too."""
    expected = {}

    def collect(layer):
        for inner in getattr(layer, "layers", []):
            collect(inner)
        if not hasattr(layer, "layers") and layer.weights:
            expected[layer.name] = layer.get_weights()

    collect(model)
    assert list(layers) == list(expected)
    for name, arrays in expected.items():
        assert len(layers[name]) == len(arrays)
        for one, other in zip(layers[name], arrays, strict=True):
            assert one.dtype == "float32"
            np.testing.assert_array_equal(one, other.astype("float32"))


def small_net():
    """Names that are not in the order of the alphabet, eleven convolutions."""
    x = inputs = keras.Input((12, 12, 3))
    for index in range(11):
        x = keras.layers.Conv2D(2, 2, name=f"{'zyxwvutsrqp'[index]}_conv")(x)
    x = keras.layers.Dropout(0.5, name="d")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(3, name="second", use_bias=False)(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="first")(x))


def nested_net():
    features = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(2, 3, name="conv1"),
            keras.layers.Conv2D(4, 3, name="conv2"),
            keras.layers.Flatten(),
            keras.layers.Dense(5, name="fc6"),
        ],
        name="features",
    )
    inputs = keras.Input((8, 8, 3))
    head = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    return keras.Model(inputs, head(features(inputs)))


ENDS = ("keras", "weights.h5", "h5")


def save(model, path):
    save = model.save_weights if "weights" in path.name else model.save
    save(path)
    return path


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    "variant", ["alexnet_2012", "torchvision", "cifar10_13pct", "lenet5"]
)
def test_our_own_models(tmp_path, variant, end):
    size = {"alexnet_2012": (67, 67, 3), "torchvision": (63, 63, 3)}
    sizes = {"input_shape": size[variant]} if variant in size else {}
    model = AlexNet(variant, pooling="avg", include_top=False, **sizes)
    layers, config = read_keras_layers(save(model, tmp_path / f"model.{end}"))
    assert_same(layers, model)
    assert (config is None) == (end == "weights.h5")
    if config:
        assert config["config"]["name"] == model.name


@pytest.mark.parametrize("end", ENDS)
def test_any_names_and_more_than_ten_of_a_kind(tmp_path, end):
    model = small_net()
    layers, _ = read_keras_layers(save(model, tmp_path / f"model.{end}"))
    assert_same(layers, model)


@pytest.mark.parametrize("end", ["keras", "h5"])
def test_models_within_models(tmp_path, end):
    model = nested_net()
    layers, _ = read_keras_layers(save(model, tmp_path / f"model.{end}"))
    assert_same(layers, model)


def test_an_order_that_weights_alone_do_not_tell(tmp_path):
    path = save(nested_net(), tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match="does not say whether .* comes first"):
        read_keras_layers(path)


def test_frozen_layers_stay_in_their_place(tmp_path):
    """Keras' .h5 keeps what is not trainable of an inner model at the end."""
    model = nested_net()
    model.get_layer("features").get_layer("conv1").trainable = False
    layers, _ = read_keras_layers(save(model, tmp_path / "model.h5"))
    assert_same(layers, model)


def test_a_trained_model_has_more_than_weights_in_its_file(tmp_path):
    layers = [keras.Input((4,)), keras.layers.Dropout(0.5)]
    model = keras.Sequential([*layers, keras.layers.Dense(2)])
    model.compile("adam", "mse", metrics=["mae"])
    model.train_on_batch(np.ones((4, 4)), np.ones((4, 2)))
    for end in ENDS:
        found, _ = read_keras_layers(save(model, tmp_path / f"model.{end}"))
        assert_same(found, model)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_types_become_float32(tmp_path, end, dtype):
    layers = [
        keras.Input((8, 8, 3)),
        keras.layers.Conv2D(2, 3, dtype=dtype),
        keras.layers.Flatten(),
        keras.layers.Dense(2, dtype=dtype),
    ]
    model = keras.Sequential(layers)
    layers, _ = read_keras_layers(save(model, tmp_path / f"model.{end}"))
    assert_same(layers, model)


def test_a_model_of_ones_own_class(tmp_path):
    """Its weights lie under the names of its attributes."""

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.fc1 = keras.layers.Dense(2)
            self.conv10 = keras.layers.Conv2D(2, 2)
            self.conv9 = keras.layers.Conv2D(4, 3)
            self.flatten = keras.layers.Flatten()

        def call(self, x):
            return self.fc1(self.flatten(self.conv10(self.conv9(x))))

    model = Net()
    model(np.zeros((1, 8, 8, 3)))
    model.save_weights(tmp_path / "model.weights.h5")
    layers, _ = read_keras_layers(tmp_path / "model.weights.h5")
    order = (model.conv9, model.conv10, model.fc1)
    for arrays, layer in zip(layers.values(), order, strict=True):
        for one, other in zip(arrays, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def without_names(data):
    """The same HDF5 file without what newer versions of Keras add."""
    file = io.BytesIO(data)
    with h5py.File(file, "a") as root:
        groups = []
        root.visititems(lambda _, item: groups.append(item))
        for group in groups:
            group.attrs.pop("name", None)
    return file.getvalue()


def test_files_without_the_names(tmp_path):
    model = small_net()
    bare = tmp_path / "bare.weights.h5"
    bare.write_bytes(
        without_names(save(model, tmp_path / "a.weights.h5").read_bytes())
    )
    values = [
        array
        for arrays in read_keras_layers(bare)[0].values()
        for array in arrays
    ]
    for one, other in zip(values, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with zipfile.ZipFile(save(model, tmp_path / "a.keras")) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    weights = without_names(records["model.weights.h5"])
    path = tmp_path / "bare.keras"
    path.write_bytes(hostile.zipped(records | {"model.weights.h5": weights}))
    assert_same(read_keras_layers(path)[0], model)


def keras_1_file(path, fixed=True, **attributes):
    """The layout of heuritech's alexnet_weights.h5: towers, no slashes."""
    generator = np.random.default_rng(0)
    shapes = {
        "convolution2d_input": [],
        "conv_1": [(6, 3, 3, 3), (6,)],
        "convpool_1": [],
        "conv_2_1": [(4, 3, 3, 3), (4,)],
        "conv_2_2": [(4, 3, 3, 3), (4,)],
        "dense_1": [(8, 5), (5,)],
    }
    expected = {}
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        names = list(shapes)
        file.attrs["layer_names"] = (
            np.array([name.encode() for name in names]) if fixed else names
        )
        for name in sorted(shapes):
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array(
                [f"{name}_{x}".encode() for x in "Wb"][: len(shapes[name])]
            )
            for kind, shape in zip("Wb", shapes[name], strict=False):
                values = generator.normal(size=shape).astype("<f4")
                group[f"{name}_{kind}"] = values
                expected.setdefault(name, []).append(values)
    return {name: expected[name] for name in names if name in expected}


@pytest.mark.parametrize("fixed", [True, False])
def test_keras_1(tmp_path, fixed):
    expected = keras_1_file(tmp_path / "a.h5", fixed)
    layers, config = read_keras_layers(tmp_path / "a.h5")
    assert config is None
    assert list(layers) == ["conv_1", "conv_2_1", "conv_2_2", "dense_1"]
    for name, arrays in expected.items():
        for one, other in zip(layers[name], arrays, strict=True):
            np.testing.assert_array_equal(one, other)


def test_kernels_that_keras_2_saved_on_theano_are_turned(tmp_path):
    """Theano convolves, TensorFlow correlates: keras.utils.convert_kernel."""
    about = {"keras_version": np.bytes_("2.0.8"), "backend": b"theano"}
    expected = keras_1_file(tmp_path / "a.h5", **about)
    layers, _ = read_keras_layers(tmp_path / "a.h5")
    kernel = expected["conv_1"][0]
    np.testing.assert_array_equal(layers["conv_1"][0], kernel[::-1, ::-1])
    np.testing.assert_array_equal(layers["dense_1"][0], expected["dense_1"][0])
    expected = keras_1_file(tmp_path / "b.h5", **about | {"backend": b"cntk"})
    layers, _ = read_keras_layers(tmp_path / "b.h5")
    np.testing.assert_array_equal(layers["conv_1"][0], expected["conv_1"][0])


def test_a_list_of_names_in_pieces_and_packed_numbers(tmp_path):
    """What Keras does with names of more than 64 kB, and h5repack."""
    path = tmp_path / "a.h5"
    kernels = np.random.default_rng(0).normal(size=(3, 40, 40)).astype("<f4")
    with h5py.File(path, "w") as file:
        file.attrs["layer_names0"] = np.array([b"b", b"a"])
        file.attrs["layer_names1"] = np.array([b"c"])
        for name, kernel in zip("bac", kernels, strict=True):
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array([b"dense/kernel:0"])
            group.create_dataset(
                "dense/kernel:0",
                data=kernel,
                compression="gzip",
                shuffle=True,
                fletcher32=True,
            )
    layers, _ = read_keras_layers(path)
    assert list(layers) == ["b", "a", "c"]
    for (found,), kernel in zip(layers.values(), kernels, strict=True):
        np.testing.assert_array_equal(found, kernel)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_texts_are_those_that_h5py_reads(tmp_path, libver):
    """In both forms of HDF5's headers, one text or many, of any length."""
    path = tmp_path / "a.h5"
    names = [f"größe_{index}" * index for index in range(1, 90)]
    with h5py.File(path, "w", libver=libver, track_order=True) as file:
        file.attrs["other"] = 3.5
        file.attrs["many"] = np.arange(500)
        file.attrs["model_config"] = json.dumps({"config": {}})
        file.attrs["layer_names"] = names
        for name in names:
            group = file.create_group(name)
            group.attrs["nothing"] = h5py.Empty("f4")
            group.attrs["weight_names"] = np.array([b"w"])
            group["w"] = np.zeros(3, "f4")
    layers, config = read_keras_layers(path)
    assert list(layers) == names
    assert config == {"config": {}}


def test_a_whole_model_of_keras_1(tmp_path):
    """A Sequential's config was a list, the weights a group."""
    expected = keras_1_file(tmp_path / "a.h5")
    layers = [
        {"class_name": "Dense", "config": {"name": name}} for name in expected
    ]
    config = {"class_name": "Sequential", "config": layers}
    with h5py.File(tmp_path / "b.h5", "w") as file:
        with h5py.File(tmp_path / "a.h5") as weights:
            file.copy(weights, file, "model_weights")
            file["model_weights"].attrs.update(weights.attrs)
        file.attrs["model_config"] = json.dumps(config).encode()
    layers, found = read_keras_layers(tmp_path / "b.h5")
    assert list(layers) == list(expected)
    assert found == config


def of_kind(path):
    return path.endswith((".keras", ".h5"))


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "<i4"])
@pytest.mark.parametrize(
    "packed",
    [
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"compression": "gzip", "libver": "latest"},
        {"fletcher32": True},
        {"shuffle": True},
        {"chunks": (7, 5)},
        {"chunks": (7, 5), "maxshape": (None, 23), "libver": "latest"},
    ],
    ids=lambda packed: "-".join(packed),
)
def test_packed_numbers_are_those_that_h5py_reads(tmp_path, packed, dtype):
    """Pieces that do not divide the shape, of all orders of bytes."""
    packed = dict(packed)
    values = np.random.default_rng(0).normal(0, 99, (31, 23)).astype(dtype)
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w", libver=packed.pop("libver", None)) as file:
        packed.setdefault("chunks", (13, 6))
        file.create_dataset("layers/dense/vars/0", data=values, **packed)
    with h5py.File(path) as file:
        expected = file["layers/dense/vars/0"][()]
    ((found,),) = read_keras_layers(path)[0].values()
    kind = "int32" if dtype == "<i4" else "float32"
    np.testing.assert_array_equal(found, expected.astype(kind))
    assert found.dtype == kind


def test_a_flipped_bit_of_packed_numbers_is_found(tmp_path):
    path = tmp_path / "a.weights.h5"
    values = np.arange(4000, dtype="<f4").reshape(40, 100)
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "layers/dense/vars/0", data=values, fletcher32=True
        )
        assert data.id.get_chunk_info(0).size >= 100
        start = data.id.get_chunk_info(0).byte_offset
    good = path.read_bytes()
    for place in range(start, start + 200, 7):
        damaged = bytearray(good)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="against its checksum"):
            read_keras_layers(path)


def test_a_keras_file_that_was_zipped_again(tmp_path):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(700)])
    path = save(model, tmp_path / "model.keras")
    with zipfile.ZipFile(path) as old:
        records = {name: old.read(name) for name in old.namelist()}
    path.write_bytes(hostile.zipped(records, zipfile.ZIP_DEFLATED))
    assert_same(read_keras_layers(path)[0], model)


def test_hostile_files_are_refused(tmp_path, monkeypatch):
    """With its reason and soon (alone within a second each; the process that
    runs all tests is large and slow); nothing runs, nothing is written."""
    monkeypatch.chdir(tmp_path)
    cases = [x for x in hostile.hostile_files(tmp_path) if of_kind(x[0])]
    before = sorted(os.listdir())
    assert len(cases) > 50
    for path, pattern in cases:
        start = time.process_time()
        with pytest.raises(ValueError, match=pattern) as refusal:
            read_keras_layers(path)
        assert time.process_time() - start < 10, path
        message = str(refusal.value)
        assert message.startswith(repr(path)), message
        assert len(message) < len(path) + 500, message
        assert message.isprintable(), message
    assert sorted(os.listdir()) == before


def test_hostile_files_do_not_fill_the_memory(tmp_path):
    cases = [x for x in hostile.hostile_files(tmp_path) if of_kind(x[0])]
    growth, refused, modules = peak_of(
        read_keras_layers, *(p for p, _ in cases)
    )
    assert (refused, modules) == (len(cases), [])
    assert growth < MOST_MEGABYTES * 2**20


def test_a_lambda_layer_that_keras_saved(tmp_path):
    """Keras' own file, in each place where it can keep code."""
    inputs = keras.Input((2,))
    outputs = keras.layers.Lambda(lambda x: x + 1, name="plus_one")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    for end in ("keras", "h5"):
        path = save(model, tmp_path / f"model.{end}")
        with pytest.raises(ValueError, match="Lambda layer, 'plus_one'"):
            read_keras_layers(path)
    # Without the config there is no code.
    layers, _ = read_keras_layers(save(model, tmp_path / "model.weights.h5"))
    assert_same(layers, model)


def test_damage_anywhere_ends_in_a_sentence(tmp_path):
    """Bits flipped, bytes cut: read or refused, never another error."""
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3)]
    )
    generator = np.random.default_rng(0)
    for end in ENDS:
        path = save(model, tmp_path / f"model.{end}")
        data = path.read_bytes()
        for _ in range(150):
            damaged = bytearray(data)
            for place in generator.integers(len(data), size=3):
                damaged[place] ^= 1 << generator.integers(8)
            end = (
                generator.integers(len(data))
                if generator.random() < 0.1
                else None
            )
            path.write_bytes(damaged[:end])
            try:
                read_keras_layers(path)
            except ValueError as error:
                assert str(path) in str(error)


def test_a_flipped_bit_of_the_numbers_in_a_keras_file_is_found(tmp_path):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(7)])
    path = save(model, tmp_path / "model.keras")
    data = path.read_bytes()
    start = data.index(model.get_weights()[0].tobytes())
    for place in range(start, start + 140, 9):
        damaged = bytearray(data)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="CRC"):
            read_keras_layers(path)


def test_well_formed_files_with_nan_are_read_as_they_are(tmp_path):
    """It is `convert_weights` that refuses what is not finite."""
    hostile.hostile_files(tmp_path, not_finite=True)
    for name, layer in (("nan.h5", "conv_1"), ("nan.keras", "conv1")):
        ((array,),) = read_keras_layers(tmp_path / name)[0].values()
        np.testing.assert_array_equal(array, [1, np.nan, np.inf, -1])
        assert layer in read_keras_layers(tmp_path / name)[0]


def test_links_to_other_files_are_not_opened(tmp_path):
    """Not even to see what they are: the other file is a pipe."""
    os.mkfifo(tmp_path / "pipe.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layers"] = h5py.ExternalLink(str(tmp_path / "pipe.h5"), "/")
    with pytest.raises(ValueError, match="ExternalLink"):
        read_keras_layers(tmp_path / "a.h5")
