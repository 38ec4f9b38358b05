"""Files for PyTorch, read by PyTorch; safetensors in and out."""

import json
import pickletools
import resource
import struct
import time
import zipfile

import numpy as np
import pytest

from keras_alexnet.export.torch_files import write_pth
from keras_alexnet.export.torch_files import write_safetensors
from keras_alexnet.weights.safetensors_file import read_safetensors
from keras_alexnet.weights.safetensors_file import write_tensors

TORCHVISION = [0, 3, 6, 8, 10]  # the places of its convolutions


@pytest.fixture
def tensors():
    """Small ones by torchvision's names, some of them not contiguous."""
    generator = np.random.default_rng(0)
    found = {}
    for place in TORCHVISION:
        kernel = generator.standard_normal((2, 3, 4, 5), "float32")
        found[f"features.{place}.weight"] = kernel.transpose(3, 2, 0, 1)
        found[f"features.{place}.bias"] = kernel[0, 0, 0]
    for place in (1, 4, 6):
        kernel = generator.standard_normal((7, 6), "float32")
        found[f"classifier.{place}.weight"] = kernel.T
        found[f"classifier.{place}.bias"] = kernel[::2, 0]
    return found


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].shape == value.shape
        np.testing.assert_array_equal(found[name], value)


def test_pytorch_reads_a_pth(tmp_path, tensors):
    torch = pytest.importorskip("torch")
    path = tmp_path / "weights.pth"
    tensors["scalar"] = np.float32(3)
    tensors["empty"] = np.zeros((0, 3), "float32")
    tensors["ölwanne"] = np.ones(3)
    write_pth(tensors, path)
    for mmap in (False, True):
        found = torch.load(path, weights_only=True, mmap=mmap)
        assert type(found).__name__ == "OrderedDict"
        assert_same({n: t.numpy() for n, t in found.items()}, tensors)
        for tensor in found.values():
            assert tensor.dtype == torch.float32
            assert tensor.is_contiguous()
            assert not tensor.requires_grad
            assert tensor.data_ptr() % 64 == 0


def test_a_module_takes_it_strictly(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "weights.pth"
    source, module = (
        torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5), torch.nn.Linear(6, 7))
        for _ in range(2)
    )
    state = {n: t.numpy() for n, t in source.state_dict().items()}
    write_pth(state, path)
    module.load_state_dict(torch.load(path, weights_only=True), strict=True)
    for theirs, ours in zip(
        source.parameters(), module.parameters(), strict=True
    ):
        assert torch.equal(theirs, ours)
    with pytest.raises(RuntimeError, match="Missing"):
        write_pth({"0.weight": state["0.weight"]}, path)
        module.load_state_dict(torch.load(path, weights_only=True))


def test_a_pth_is_aligned_stored_and_the_same_each_time(tmp_path, tensors):
    paths = tmp_path / "a.pth", tmp_path / "b.pth"
    for path in paths:
        write_pth(tensors, path)
    data = paths[0].read_bytes()
    assert data == paths[1].read_bytes()
    with zipfile.ZipFile(paths[0]) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            place = info.header_offset
            sizes = struct.unpack("<HH", data[place + 26 : place + 30])
            assert (place + 30 + sum(sizes)) % 64 == 0
        codes = {
            (code.name, value)
            for code, value, _ in pickletools.genops(archive.read(names[0]))
            if code.name == "GLOBAL"
        }
    assert names[0] == "archive/data.pkl"
    assert codes == {
        ("GLOBAL", "collections OrderedDict"),
        ("GLOBAL", "torch._utils _rebuild_tensor_v2"),
        ("GLOBAL", "torch FloatStorage"),
    }


def test_safetensors_are_written_into_the_file_itself(tmp_path):
    """The package of that name leaves `.tmp` files where it is killed, and
    gives its files rights of their own."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    numpy_file = pytest.importorskip("safetensors.numpy")
    tensors = {
        "byte first": np.arange(3, dtype="uint8"),
        "bool": np.array([True, False]),
        "scalar": np.float64(3.5),
        "bfloat16": np.ones(3, ml_dtypes.bfloat16),
        "half": np.ones((2, 0), "float16"),
        "turned": np.arange(12, dtype="int64").reshape(3, 4).T,
        "größe": np.arange(5, dtype="uint32"),
    }
    path = tmp_path / "tensors"
    path.touch(0o640)
    before = path.stat()
    write_tensors(tensors, path, {"said": "ä"})
    after = path.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    found = numpy_file.load_file(path)
    assert_same({name: found[name] for name in tensors}, tensors)
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype
    content = path.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    assert size % 8 == 0  # so that what is widest, and first, is aligned
    header = json.loads(content[8 : 8 + size])
    assert header.pop("__metadata__") == {"said": "ä"}
    for name, facts in header.items():
        assert facts["data_offsets"][0] % tensors[name].itemsize == 0


def test_safetensors_come_back_in_the_order_of_the_network(tmp_path, tensors):
    path = tmp_path / "weights.safetensors"
    write_safetensors(tensors, path)
    assert_same(read_safetensors(path), tensors)
    header = header_of(path.read_bytes())
    assert header.pop("__metadata__") == {"format": "pt"}
    # As a file by PyTorch: "features.10" before "features.3".
    assert list(header) != list(tensors)


def test_pytorch_reads_safetensors_and_we_read_pytorchs(tmp_path, tensors):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    write_safetensors(tensors, path)
    found = load_file(path)
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name].numpy(), value)
    kinds = ["float64", "float32", "float16", "bfloat16", "int64", "uint8"]
    made = {
        f"x{i}.weight": torch.arange(6).reshape(2, 3).to(getattr(torch, kind))
        for i, kind in enumerate(kinds)
    }
    save_file(made, path)
    for (name, value), kind in zip(
        read_safetensors(path).items(), kinds, strict=True
    ):
        assert value.dtype == kind.replace("bfloat16", "float32")
        np.testing.assert_array_equal(value, made[name].float().numpy())


def header_of(data):
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size])


def with_header(header, data=bytes(24)):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def row(dtype="F32", shape=(2, 3), offsets=(0, 24)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


BAD = {
    "empty": b"",
    "seven bytes": bytes(7),
    "a header of 2**64 bytes": b"\xff" * 8 + b"{}",
    "a header of 2 MB": with_header({"x" * 2**21: row()}),
    "no header": struct.pack("<Q", 2) + b"[]",
    "not JSON": struct.pack("<Q", 2) + b"{ ",
    "a header that ends too early": with_header({"x": row()})[:30],
    "no data": with_header({"x": row()}, b""),
    "too little data": with_header({"x": row()}, bytes(23)),
    "too much data": with_header({"x": row()}, bytes(25)),
    "values beyond the end": with_header({"x": row(offsets=(4, 28))}),
    "values before the start": with_header({"x": row(offsets=(-4, 20))}),
    "overlapping values": with_header({"x": row(), "y": row()}),
    "another shape": with_header({"x": row(shape=(3, 3))}),
    "2**80 values": with_header({"x": row(shape=(2**40, 2**40))}),
    "another type": with_header({"x": row("F64")}),
    "booleans": with_header({"x": row("BOOL", (24,))}),
    "complex numbers": with_header({"x": row("C64", (3,))}),
    "8 bits": with_header({"x": row("F8_E4M3", (24,))}),
    "100 axes": with_header({"x": row(shape=(1,) * 98 + (2, 3))}),
    "a name twice": with_header({"x": row(), "y": 0}).replace(b'"y"', b'"x"'),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_a_bad_safetensors_file_is_refused(tmp_path, data):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(ValueError, match="cannot be read: .*safetensors file"):
        read_safetensors(path)
    assert time.perf_counter() - start < 10


def test_what_the_bad_ones_vary_is_read(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(with_header({"x": row()}))
    assert read_safetensors(path)["x"].shape == (2, 3)


def test_flipped_bits_of_the_header_are_refused_or_harmless(tmp_path, tensors):
    path = tmp_path / "weights.safetensors"
    write_safetensors({n: tensors[n] for n in list(tensors)[:3]}, path)
    data = np.frombuffer(path.read_bytes(), "u1")
    generator, refused = np.random.default_rng(0), 0
    for _ in range(300):
        bad = data.copy()
        bad[generator.integers(300)] ^= 1 << generator.integers(8)
        path.write_bytes(bad.tobytes())
        try:
            found = read_safetensors(path)
        except ValueError:
            refused += 1
        else:
            assert sum(v.nbytes for v in found.values()) <= len(data)
    assert refused > 100


@pytest.mark.parametrize("write", [write_pth, write_safetensors])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, tensors, write):
    path = tmp_path / "weights"
    write(tensors, path)
    before = path.read_bytes()
    with pytest.raises((TypeError, AttributeError)):
        write({**tensors, 3: np.ones(2, "float32")}, path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # as a full disk
    try:
        with pytest.raises(ValueError, match="weights' cannot be written"):
            write(tensors, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]
    with pytest.raises(ValueError, match="cannot be written"):
        write(tensors, path / "below")


@pytest.mark.parametrize("write", [write_pth, write_safetensors])
def test_alexnets_61_million_values_take_a_second_or_two(tmp_path, write):
    tensors = {
        "features.0.weight": np.zeros((64, 3, 11, 11), "float32"),
        "classifier.1.weight": np.zeros((4096, 9216), "float32"),
        "classifier.4.weight": np.zeros((4096, 4096), "float32"),
        "classifier.6.weight": np.zeros((1700, 4096), "float32"),
    }
    path = tmp_path / "weights"
    start = time.perf_counter()
    write(tensors, path)
    assert time.perf_counter() - start < 20  # 1 on an idle machine
    assert path.stat().st_size > 240e6
