"""PyTorch's and NumPy's files are read exactly, and nothing in them runs."""

import argparse
import collections
import datetime
import decimal
import enum
import os
import pathlib
import pickle
import re
import struct
import subprocess
import sys
import time
import types
import uuid

import hostile_files as hostile
import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from peak import peak_of

from keras_alexnet.export.torch_files import write_pth
from keras_alexnet.weights import read_torch
from keras_alexnet.weights.read_numpy import read_npy_layers
from keras_alexnet.weights.read_torch import read_pth_tensors

# Far above the largest hostile file (1.3 MB), far below what bombs ask for.
MOST_MEGABYTES = 64


def write(path, data):
    path.write_bytes(data)
    return path


def network(torch):
    torch.manual_seed(0)
    features = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 3)
    )
    classifier = torch.nn.Sequential(torch.nn.Linear(8, 5))
    return torch.nn.ModuleDict({"features": features, "classifier": classifier})


def assert_same(arrays, tensors):
    assert list(arrays) == list(tensors)
    for name, tensor in tensors.items():
        expected = tensor.detach()
        if expected.is_floating_point():
            expected = expected.float()
        assert arrays[name].dtype == expected.numpy().dtype
        np.testing.assert_array_equal(arrays[name], expected.numpy())


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_state_dict_of_pytorch(tmp_path, is_zip, dtype):
    torch = pytest.importorskip("torch")
    model = network(torch).to(getattr(torch, dtype))
    path = tmp_path / "model.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=is_zip)
    assert_same(read_pth_tensors(path), model.state_dict())


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_of_all_kinds(tmp_path, is_zip, protocol):
    torch = pytest.importorskip("torch")
    numbers = torch.arange(120, dtype=torch.float32)
    shared = numbers.reshape(4, 5, 6)
    tensors = {
        "transposed": shared.permute(2, 0, 1),
        "cut": shared[1:, ::2, 3],
        "shared": numbers[7:],
        "expanded": torch.ones(1, 3).expand(2, 3),
        "parameter": torch.nn.Parameter(numbers.clone()),
        "scalar": torch.tensor(3.5),
        "none": torch.zeros(0, 4),
        "int64": torch.arange(-3, 3),
        "int8": torch.arange(-3, 3, dtype=torch.int8),
        "uint8": torch.arange(6, dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
    }
    path = tmp_path / "model.pth"
    torch.save(
        tensors,
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=is_zip,
    )
    assert_same(read_pth_tensors(path), tensors)


@pytest.mark.parametrize("name", ["state_dict", "model_state_dict", "model"])
def test_a_checkpoint_around_the_weights(tmp_path, name):
    torch = pytest.importorskip("torch")
    model = network(torch)
    optimizer = torch.optim.Adam(model.parameters())
    sum(x.sum() for x in model.parameters()).backward()
    optimizer.step()
    path = tmp_path / "checkpoint.pth.tar"
    torch.save(
        {
            "epoch": 90,
            "arch": "alexnet",
            name: model.state_dict(),
            "best_acc1": torch.tensor(56.5),
            "best": np.float64(56.5),
            "mean": np.arange(3.0),
            "optimizer": optimizer.state_dict(),
            "settings": {"lr": 0.01, "steps": [30, 60], 3: None, "a": (1, b"")},
        },
        path,
    )
    assert_same(read_pth_tensors(path), model.state_dict())


class Settings:
    """As a training script has it."""

    def __init__(self):
        self.rate = 0.1


class Mode(enum.Enum):
    FAST = 1


def inert_things(torch):
    """What training scripts save beside the weights."""
    now = datetime.datetime.now(datetime.UTC)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], 0.1)
    return {
        "arguments": argparse.Namespace(rate=0.1, out=pathlib.Path("runs")),
        "paths": [pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("b")],
        "device": torch.device("cuda:0"),
        "dtype": torch.float16,
        "sets": [{1, 2}, frozenset(["a"]), set()],
        "tables": [
            collections.defaultdict(list, {"a": [1]}),
            collections.Counter("aab"),
            collections.deque([1, 2], maxlen=3),
            types.SimpleNamespace(a=1),
        ],
        "times": [now, now.date(), datetime.timedelta(1)],
        "numbers": [decimal.Decimal(1), 2**70, 1j, range(3), bytearray(b"a")],
        "identity": uuid.uuid4(),
        "own": [Settings(), Mode.FAST],
        "random": [torch.get_rng_state(), np.random.RandomState(0)],
        "schedule": torch.optim.lr_scheduler.StepLR(optimizer, 3),
        "version": torch.__version__,
    }


THINGS = ["arguments", "paths", "device", "dtype", "sets", "tables", "times"]
THINGS += ["numbers", "identity", "own", "random", "schedule", "version"]


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("form", ["wrapped", "beside", "legacy"])
def test_inert_things_do_not_stop_the_reading(
    thing, protocol, form, tmp_path, monkeypatch
):
    torch = pytest.importorskip("torch")
    for kind in (Settings, Mode):  # saved by the script that was run
        monkeypatch.setattr(kind, "__module__", "__main__")
        monkeypatch.setattr(
            sys.modules["__main__"], kind.__name__, kind, raising=False
        )
    expected = network(torch).state_dict()
    inert, path = inert_things(torch)[thing], tmp_path / "net.pth"
    saved = {"model": expected, thing: inert}
    if form == "beside":
        saved = {**expected, thing: inert}
    torch.save(
        saved,
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=form != "legacy",
    )
    assert_same(read_pth_tensors(path), expected)


@pytest.mark.parametrize("name", ["net", "network", "weights"])
def test_weights_under_any_name(tmp_path, name):
    torch = pytest.importorskip("torch")
    expected = network(torch).state_dict()
    torch.save({name: expected, "acc": 1, "epoch": 2}, tmp_path / "net.pth")
    assert_same(read_pth_tensors(tmp_path / "net.pth"), expected)
    torch.save({name: expected, "ema": expected}, tmp_path / "two.pth")
    with pytest.raises(ValueError, match="of several networks"):
        read_pth_tensors(tmp_path / "two.pth")


def test_weights_in_a_defaultdict_and_tables_by_other_things(tmp_path):
    torch = pytest.importorskip("torch")
    expected = network(torch).state_dict()
    table = collections.defaultdict(lambda: None)
    table.default_factory = None
    table.update(expected)
    by_things = {torch.float32: 1, pathlib.PurePosixPath("a"): 2}
    saved = {"state_dict": table, "of": by_things}
    torch.save(saved, tmp_path / "net.pth")
    assert_same(read_pth_tensors(tmp_path / "net.pth"), expected)


def test_the_weights_of_a_loss_are_none_of_the_network(tmp_path):
    torch = pytest.importorskip("torch")
    expected = network(torch).state_dict()
    others = ("criterion.weight", "loss_fn.pos_weight", "model.loss.weight")
    saved = {**expected, **dict.fromkeys(others, torch.ones(5))}
    torch.save(saved, tmp_path / "net.pth")
    assert_same(read_pth_tensors(tmp_path / "net.pth"), expected)


def test_a_weight_that_is_none_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    saved = network(torch).state_dict()
    saved["classifier.0.bias"] = argparse.Namespace()
    torch.save(saved, tmp_path / "net.pth")
    with pytest.raises(ValueError, match="classifier.0.bias.*no tensor"):
        read_pth_tensors(tmp_path / "net.pth")


def test_prefixes_of_wrapped_models_are_left_out(tmp_path):
    torch = pytest.importorskip("torch")
    plain = network(torch)
    expected = plain.state_dict()
    path = tmp_path / "model.pth"
    torch.save(torch.nn.DataParallel(plain).state_dict(), path)
    assert_same(read_pth_tensors(path), expected)
    compiled = {f"_orig_mod.module.{k}": v for k, v in expected.items()}
    torch.save(compiled, path)
    assert_same(read_pth_tensors(path), expected)
    # pytorch/examples' imagenet/main.py, for AlexNet and VGG.
    plain["features"] = torch.nn.DataParallel(plain["features"])
    assert "features.module.0.weight" in plain.state_dict()
    torch.save(plain.state_dict(), path)
    assert_same(read_pth_tensors(path), expected)


def test_any_folder_within_the_archive(tmp_path):
    steps = hostile.table(w=hostile.tensor((2, 3, 3, 3)))
    data = hostile.pth(steps, [hostile.KERNEL.tobytes()], "alexnet-owt")
    (array,) = read_pth_tensors(write(tmp_path / "a.pth", data)).values()
    np.testing.assert_array_equal(array, hostile.KERNEL)


def test_what_pytorch_wrote_before_1_0(tmp_path):
    """Parameters as objects, the first `_rebuild_tensor`, keys of bytes."""
    old = hostile.tensor((2, 3, 3, 3)).replace(b"_v2", b"")
    old = old.replace(b"\x89ccollections\nOrderedDict\n)R", b"")
    old = b"ctorch.nn.parameter\nParameter\n" + old + b"\x85\x81(\x88\x89NtbU"
    oldest = b"ctorch\nFloatTensor\n)R("
    oldest += hostile.storage(2, "1") + b"K\x00K\x02\x85K\x01\x85tb"
    pairs = b"](](U\x06weight" + old[:-1] + b"e](U\x04bias" + oldest + b"ee"
    steps = b"ccollections\nOrderedDict\n" + pairs + b"\x85R"
    numbers = (hostile.KERNEL, hostile.BIAS)
    data = b"".join(x.size.to_bytes(8, "little") + x.tobytes() for x in numbers)
    keys = b"](U\x010U\x011e"
    path = write(tmp_path / "a.pth", hostile.legacy_pth(steps, keys, data))
    arrays = read_pth_tensors(path)
    np.testing.assert_array_equal(arrays["weight"], hostile.KERNEL)
    np.testing.assert_array_equal(arrays["bias"], hostile.BIAS)


def test_numbers_too_large_for_float32_become_infinite(tmp_path):
    steps = hostile.table(w=hostile.tensor((2,), kind="DoubleStorage"))
    data = np.array([1e300, 1.5]).tobytes()
    array = read_pth_tensors(
        write(tmp_path / "a.pth", hostile.pth(steps, [data]))
    )["w"]
    assert array.tolist() == [np.inf, 1.5]


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    shape=st.lists(st.integers(0, 5), max_size=4),
    strides=st.lists(st.integers(0, 7), min_size=4, max_size=4),
    offset=st.integers(0, 9),
)
def test_any_strides_within_the_storage(tmp_path, shape, strides, offset):
    numbers = np.arange(40, dtype="<f4")
    strides = strides[: len(shape)]
    places = offset + np.tensordot(
        np.indices(shape), strides, axes=([0], [0])
    ).astype(int)
    steps = hostile.tensor(shape, strides, offset, count=40)
    data = hostile.pth(hostile.table(w=steps), [numbers.tobytes()])
    path = write(tmp_path / "a.pth", data)
    if places.size and places.max() >= 40:
        with pytest.raises(ValueError, match="larger than its storage"):
            read_pth_tensors(path)
    elif numbers.itemsize * places.size > len(data):
        with pytest.raises(ValueError, match="larger than the file"):
            read_pth_tensors(path)
    else:
        np.testing.assert_array_equal(
            read_pth_tensors(path)["w"], numbers[places]
        )


def layers():
    generator = np.random.default_rng(0)
    return {
        "conv1": [generator.normal(size=(3, 3, 2, 4)), np.zeros(4)],
        "fc6": [generator.normal(size=(8, 5)), np.ones(5)],
    }


def assert_same_layers(found, expected):
    assert list(found) == list(expected)
    for name, arrays in expected.items():
        assert len(found[name]) == len(arrays)
        for one, other in zip(found[name], arrays, strict=True):
            assert one.dtype == "float32"
            np.testing.assert_array_equal(one, other.astype("float32"))


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_dictionary_of_numpy(tmp_path, dtype, order):
    expected = {
        name: [array.astype(dtype, order=order) for array in arrays]
        for name, arrays in layers().items()
    }
    np.save(tmp_path / "a.npy", expected, allow_pickle=True)
    assert_same_layers(read_npy_layers(tmp_path / "a.npy"), expected)


def test_a_dictionary_as_caffe_tensorflow_writes_it(tmp_path):
    expected = layers()
    named = {
        name: {"biases": bias, "weights": kernel}
        for name, (kernel, bias) in expected.items()
    }
    np.save(tmp_path / "a.npy", named, allow_pickle=True)
    assert_same_layers(read_npy_layers(tmp_path / "a.npy"), expected)


def test_a_dictionary_that_python_3_wrote_for_python_2(tmp_path):
    """Protocol 2: bytes by `_codecs.encode`, names of modules of Python 2."""
    expected = {name.encode(): arrays for name, arrays in layers().items()}
    array = np.array(expected, dtype=object)
    data = pickle.dumps(array, protocol=2, fix_imports=True)
    assert b"_codecs\nencode" in data
    for core in (b"numpy._core", b"numpy.core"):
        body = re.sub(rb"numpy\._?core", core, data)
        # `npy` adds the version and the end of a pickle.
        path = write(tmp_path / "a.npy", hostile.npy(body[2:-1]))
        assert_same_layers(read_npy_layers(path), layers())


def test_a_dictionary_that_python_2_wrote(tmp_path):
    """Texts and numbers as BINSTRING, names as SHORT_BINSTRING."""

    def array(values):
        raw = values.tobytes()
        steps = b"T" + len(raw).to_bytes(4, "little") + raw
        return hostile.numpy_array(steps, values.shape, "f4")

    pair = b"](" + array(hostile.KERNEL) + array(hostile.BIAS) + b"e"
    steps = b"}(U\x05conv1" + pair + b"u"
    body = hostile.numpy_array(b"]" + steps + b"a")
    path = write(tmp_path / "a.npy", hostile.npy(body))
    found = read_npy_layers(path)
    assert_same_layers(found, {"conv1": [hostile.KERNEL, hostile.BIAS]})


def test_names_of_bytes_and_ordered_dicts(tmp_path):
    expected = collections.OrderedDict(layers())
    np.save(tmp_path / "a.npy", expected, allow_pickle=True)
    assert_same_layers(read_npy_layers(tmp_path / "a.npy"), expected)


def of_kind(path):
    return path.endswith((".pth", ".npy"))


def test_hostile_files_are_refused(tmp_path, monkeypatch):
    """With its reason and soon (alone within a second each; the process that
    runs all tests is large and slow); nothing runs, nothing is written."""
    monkeypatch.chdir(tmp_path)
    cases = [x for x in hostile.hostile_files(tmp_path) if of_kind(x[0])]
    before = sorted(os.listdir())
    assert len(cases) > 100
    for path, pattern in cases:
        read = read_pth_tensors if path.endswith(".pth") else read_npy_layers
        start = time.process_time()
        with pytest.raises(ValueError, match=pattern) as refusal:
            read(path)
        assert time.process_time() - start < 10, path
        message = str(refusal.value)
        assert message.startswith(repr(path)), message
        assert len(message) < len(path) + 500, message
        assert message.isprintable(), message
    assert sorted(os.listdir()) == before
    assert hostile.MARKER not in before


@pytest.mark.parametrize(
    "key",
    [
        lambda i: hostile.number(i * (2**61 - 1)),  # all of hash 0
        lambda i: hostile.number(i << 45),
        lambda i: b"G" + struct.pack(">d", i * 2.0**300),
    ],
    ids=["whole", "shifted", "floating"],
)
def test_numbers_that_collide_are_no_slower(tmp_path, key):
    """49,000 of them took a minute."""
    pairs = b"".join(key(i) + b"N" for i in range(1, 30_000))
    path = tmp_path / "net.pth"
    path.write_bytes(hostile.pth(b"}(" + pairs + b"u"))
    start = time.process_time()
    with pytest.raises(ValueError, match="NoneType, no tensor"):
        read_pth_tensors(path)
    assert time.process_time() - start < 5


def test_a_long_text_that_is_no_bytes_is_refused(tmp_path):
    """A single character would make four bytes of each of the others."""
    path = tmp_path / "net.pth"
    path.write_bytes(hostile.pth(hostile.text("a" * 10**6 + "\U0001f600")))
    with pytest.raises(ValueError, match="long text, no bytes"):
        read_pth_tensors(path)


def test_hostile_files_do_not_fill_the_memory(tmp_path):
    cases = [x for x in hostile.hostile_files(tmp_path) if of_kind(x[0])]
    for read in (read_npy_layers, read_pth_tensors):
        paths = [
            p
            for p, _ in cases
            if p.endswith(".npy") == (read is read_npy_layers)
        ]
        growth, refused, _ = peak_of(read, *paths)
        assert refused == len(paths) > 0
        assert growth < MOST_MEGABYTES * 2**20


def test_the_gadgets_are_loaded(tmp_path):
    """Python's own reader runs them, so that the tests above can fail."""
    marker = tmp_path / hostile.MARKER
    touch = hostile.text(f"touch {marker}")
    for steps in (
        b"cposix\nsystem\n(" + touch + b"tR",
        b"(" + touch + b"iposix\nsystem\n",
        b"(cposix\nsystem\n" + touch + b"o",
        hostile.text("posix")
        + hostile.text("system")
        + b"\x93("
        + touch
        + b"tR",
    ):
        pickle.loads(hostile.program(steps, protocol=4))
        marker.unlink()


def test_damage_anywhere_ends_in_a_sentence(tmp_path):
    """Bits flipped, bytes cut: read or refused, never another error."""
    steps = hostile.table(w=hostile.tensor((2, 3, 3, 3)))
    kernel = hostile.KERNEL.tobytes()
    size = (54).to_bytes(8, "little")
    keys = b"]" + hostile.text("0") + b"a"
    pair = b"](" + hostile.numpy_array(b"C\xd8" + kernel, (2, 3, 3, 3), "f4")
    array = hostile.numpy_array(b"]" + hostile.table(conv1=pair + b"e") + b"a")
    files = {
        "a.pth": hostile.pth(steps, [kernel]),
        "b.pth": hostile.legacy_pth(steps, keys, size + kernel),
        "a.npy": hostile.npy(array),
    }
    generator = np.random.default_rng(0)
    for name, data in files.items():
        read = read_npy_layers if name.endswith("npy") else read_pth_tensors
        path = tmp_path / name
        assert len(read(write(path, data))) == 1
        for _ in range(400):
            damaged = bytearray(data)
            for place in generator.integers(len(data), size=2):
                damaged[place] ^= 1 << generator.integers(8)
            end = (
                generator.integers(len(data))
                if generator.random() < 0.1
                else None
            )
            path.write_bytes(damaged[:end])
            try:
                read(path)
            except ValueError as error:
                assert str(path) in str(error)


def test_a_flipped_bit_of_the_numbers_in_a_zip_is_found(tmp_path):
    kernel = hostile.KERNEL.tobytes()
    steps = hostile.table(w=hostile.tensor((2, 3, 3, 3)))
    data = hostile.pth(steps, [kernel])
    start = data.index(kernel)
    for place in range(start, start + len(kernel), 7):
        damaged = bytearray(data)
        damaged[place] ^= 4
        with pytest.raises(ValueError, match="CRC"):
            read_pth_tensors(write(tmp_path / "a.pth", damaged))


def test_well_formed_files_with_nan_are_read_as_they_are(tmp_path):
    """It is `convert_weights` that refuses what is not finite."""
    cases = dict(hostile.hostile_files(tmp_path, not_finite=True))
    expected = [1, np.nan, np.inf, -1]
    array = read_pth_tensors(tmp_path / "nan.pth")["w"]
    np.testing.assert_array_equal(array, expected)
    for array in read_npy_layers(tmp_path / "nan.npy")["conv1"]:
        np.testing.assert_array_equal(array, expected)
    assert set(cases.values()) == {"finite"}


def test_a_large_file_takes_its_own_memory_once(tmp_path):
    """AlexNet's fc6 and fc7 at a quarter of their width, some 30 MB."""
    big = np.ones((2304, 3072), "<f4")
    steps = hostile.table(w=hostile.tensor(big.shape))
    path = write(tmp_path / "a.pth", hostile.pth(steps, [big.tobytes()]))
    growth, refused, modules = peak_of(read_pth_tensors, path)
    assert (refused, modules) == (0, [])
    assert growth < 2 * path.stat().st_size


def test_pytorch_is_not_imported(tmp_path):
    data = hostile.pth(hostile.table(w=hostile.tensor((2,))), [bytes(8)])
    path = write(tmp_path / "a.pth", data)
    code = (
        "import sys\n"
        "from keras_alexnet.weights.read_torch import read_pth_tensors\n"
        "read_pth_tensors(sys.argv[1])\n"
        "print([m for m in ('torch', 'keras', 'tensorflow', 'h5py') if m in "
        "sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(("numbers", "allowed"), [(250, True), (251, False)])
def test_the_limit_of_numbers(numbers, allowed, tmp_path, monkeypatch):
    path = tmp_path / "net.pth"
    write_pth(
        {"a": np.zeros(150, "f4"), "b": np.zeros(numbers - 150, "f4")}, path
    )
    monkeypatch.setattr(read_torch, "MOST_BYTES", 250 * read_torch.NUMBER_BYTES)
    if allowed:
        assert sum(a.size for a in read_pth_tensors(path).values()) == numbers
        return
    with pytest.raises(ValueError, match="more numbers than an AlexNet"):
        read_pth_tensors(path)
