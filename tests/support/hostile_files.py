"""Weight files that must be refused: made here, small and in no time.

Whatever a gadget in them would run creates the file `MARKER` beside them.
"""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib

import h5py
import numpy as np

MARKER = "executed"
KERNEL = np.arange(2 * 3 * 3 * 3, dtype="<f4").reshape(2, 3, 3, 3)
BIAS = np.arange(2, dtype="<f4")


def hostile_files(folder, not_finite=False):
    """Writes the files.

    Args:
        folder: Path of an existing folder.
        not_finite: Instead write files that are well-formed but hold NaN or
            infinity, which is for `convert_weights` to refuse.

    Returns:
        A list of (path, pattern): what the reason must match.
    """
    folder = os.fspath(folder)
    if not_finite:
        files = _not_finite()
    else:
        files = {
            **_gadgets(os.path.join(folder, MARKER)),
            **_pickle_bombs(),
            **_wrong_tensors(),
            **_zip_tricks(),
            **_numpy_files(os.path.join(folder, MARKER)),
            **_keras_files(),
            **_hdf5_files(folder),
            **_other_things(),
        }
    cases = []
    for name, (data, pattern) in files.items():
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(data)
        cases.append((path, pattern))
    return cases if not_finite else cases + _no_files(folder)


# Pickles, step by step: what `pickle.dumps` would never write.


def text(value):
    """The step that pushes a text."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    """The step that pushes an integer."""
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def numbers(values):
    """The steps that push a tuple of integers."""
    return b"(" + b"".join(number(value) for value in values) + b"t"


def storage(count, key="0", kind="FloatStorage"):
    """The steps that push a storage of PyTorch."""
    parts = text("storage") + f"ctorch\n{kind}\n".encode()
    return b"(" + parts + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(shape, strides=None, offset=0, count=None, **kwargs):
    """The steps that push a tensor of PyTorch."""
    if strides is None:
        strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    count = int(np.prod(shape)) if count is None else count
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage(count, **kwargs)
        + number(offset)
        + numbers(shape)
        + numbers(strides)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def table(**items):
    """The steps that push a dict, of values that are steps."""
    pairs = (text(key) + value for key, value in items.items())
    return b"}(" + b"".join(pairs) + b"u"


def program(steps, protocol=2):
    """A whole pickle."""
    return b"\x80" + bytes([protocol]) + steps + b"."


def pth(steps, storages=(), folder="archive", **kwargs):
    """A PyTorch file in the zip format."""
    records = {"data.pkl": program(steps, **kwargs), "byteorder": b"little"}
    records |= {f"data/{i}": x for i, x in enumerate(storages)}
    records["version"] = b"3\n"
    return zipped({f"{folder}/{name}": x for name, x in records.items()})


def legacy_pth(steps, keys=b"]", data=b"", start=None):
    """A PyTorch file in the format before 1.6."""
    start = start or number(0x1950A86A20F9469CFC6C)
    about = b"}(" + text("little_endian") + b"\x88u"
    parts = (start, number(1001), about, steps, keys)
    return b"".join(program(part) for part in parts) + data


def zipped(records, compression=zipfile.ZIP_STORED):
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return file.getvalue()


def claiming(archive, name, size):
    """The same archive, whose list says another size of a record."""
    data = bytearray(archive)
    place = data.rindex(name.encode()) - 46 + 24
    data[place : place + 4] = struct.pack("<I", size)
    return bytes(data)


def npy(steps, descr="|O", shape="()"):
    """An .npy file of one Python object."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}"
    header = header.ljust(117).encode() + b"\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    return start + header + program(steps)


def numpy_array(steps, shape=(), kind="O8"):
    """The steps that push an array with these values."""
    dtype = b"cnumpy\ndtype\n(" + text(kind) + b"\x89\x88tR"
    dtype += b"(K\x03" + text("<") + b"NNNtb"
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85"
    state = b"(K\x01" + numbers(shape) + dtype + b"\x89" + steps + b"t"
    return start + text("b") + b"tR" + state + b"b"


def h5_file(write):
    """The bytes of what `write` puts into an HDF5 file."""
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        write(root)
    return file.getvalue()


def keras_file(config, weights=None):
    """A .keras file."""
    weights = h5_file(_keras_3) if weights is None else weights
    config = config if type(config) is bytes else json.dumps(config).encode()
    records = {"metadata.json": b"{}", "config.json": config}
    return zipped(records | {"model.weights.h5": weights})


def model_config(*layers):
    """The config of a model, as Keras 3 writes it."""
    layers = [
        {"module": "keras.layers", "class_name": kind, "config": config}
        for kind, config in layers
    ]
    config = {"name": "model", "layers": layers}
    return {"class_name": "Sequential", "config": config}


CONV1 = ("Conv2D", {"name": "conv1"})


def _keras_3(root):
    group = root.create_group("layers/conv2d/vars")
    group["0"] = KERNEL.transpose(2, 3, 1, 0)
    group["1"] = BIAS


def _keras_1(root, layer="conv_1", weight="conv_1_W"):
    root.attrs["layer_names"] = np.array([layer.encode()])
    group = root.require_group("conv_1")
    group.attrs["weight_names"] = np.array([weight.encode()])
    return group


def _packed(root, filters, data, pieces=1):
    """A dataset of pieces of 4 MB, each of them these bytes."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((2**20,))
    for kind in filters:
        plan.set_deflate(9) if kind == 1 else plan.set_fletcher32()
    space = h5py.h5s.create_simple((max(pieces, 1) * 2**20,))
    group, float32 = _keras_1(root).id, h5py.h5t.IEEE_F32LE
    dataset = h5py.h5d.create(group, b"conv_1_W", float32, space, plan)
    for piece in range(pieces):
        dataset.write_direct_chunk((piece * 2**20,), data)


def _gadgets(marker):
    command = text(f"touch {marker}")
    python = text(f"__import__('pathlib').Path({marker!r}).touch()")
    system = b"cposix\nsystem\n(" + command + b"tR"
    popen = b"csubprocess\nPopen\n(](" + text("touch") + text(marker) + b"et"
    short = f"touch {marker}".encode()
    good = table(w=tensor((2,)))
    big = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
    keys = b"]" + system + b"a"
    steps = {
        "reduce": (system, "posix.system"),
        "os": (b"cos\nsystem\n(" + command + b"tR", "os.system"),
        "eval": (b"cbuiltins\neval\n(" + python + b"tR", "builtins.eval"),
        "python2": (b"c__builtin__\nexec\n(" + python + b"tR", "__builtin__"),
        "inst": (b"(" + command + b"iposix\nsystem\n", "posix.system"),
        "obj": (b"(cposix\nsystem\n" + command + b"o", "posix.system"),
        "newobj": (popen + b"\x81", "subprocess.Popen"),
        "newobj_ex": (b"csubprocess\nPopen\n)}\x92", "subprocess.Popen"),
        "build": (b"cos\n_Environ\n)R}b", "os._Environ"),
        "stack_global": (
            text("posix") + text("system") + b"\x93(" + command + b"tR",
            "posix.system",
        ),
        "dotted": (text("torch") + text("hub.os.system") + b"\x93", "hub.os"),
        "extension": (b"\x82\x01", "EXT1"),
        "persistent_text": (b"Pposix.system\n", "PERSID"),
        "persistent": (
            b"(" + text("module") + b"NNNNtQ",
            "no storage",
        ),
        "call_of_text": (text("posix.system") + b"(" + command + b"tR", "call"),
        "in_arguments": (
            b"ccollections\nOrderedDict\n(]" + system + b"atR",
            "posix.system",
        ),
        "in_a_value": (table(w=tensor((2,)), epoch=system), "posix.system"),
        "in_a_shape": (
            b"ctorch\nSize\n(" + system + b"tR",
            "posix.system",
        ),
        "whole_model": (
            b"ctorchvision.models.alexnet\nAlexNet\n)\x81}b",
            "torchvision.models.alexnet.AlexNet",
        ),
        "script": (b"c__torch__.net\nNet\n)\x81", "__torch__.net.Net"),
    }
    files = {
        f"{name}.pth": (pth(x, [bytes(8)]), pattern)
        for name, (x, pattern) in steps.items()
    }
    return files | {
        "naked.pth": (program(system), "posix.system"),
        "protocol0.pth": (
            b"cposix\nsystem\n(S'" + short + b"'\ntR.",
            "neither a zip",
        ),
        "legacy_start.pth": (legacy_pth(good, start=system), "posix.system"),
        "legacy_middle.pth": (legacy_pth(system), "posix.system"),
        "legacy_keys.pth": (legacy_pth(good, keys=keys), "posix.system"),
        "legacy_magic.pth": (program(big) + program(system), "posix.system"),
    }


def _pickle_bombs():
    pairs = b")" + b"q\x00h\x00\x86" * 60  # two of the one before
    million = b"(" + b"K\x01" * 1_000_000 + b"t"
    steps = {
        "memo_bomb": (b"Nr\xff\xff\xff\xff", "no dict"),
        "deep_key": (b"})" + b"\x85" * 50_000 + b"K\x01s", "key of type tuple"),
        "deep_value": (b"]" * 40_000 + b"a" * 39_999, "a list, no dict"),
        "deeper": (b"]" * 2_000_000, "more than 100,000 steps"),
        "wide": (million, "more than 100,000 steps"),
        "exponential": (b"}" + pairs + b"K\x01s", "of type tuple"),
        "doubled": (table(w=pairs), "of type tuple, no tensor"),
        "long_number": (b"\x8b\xff\xff\xff\x7f", "LONG4"),
        "long_bytes": (b"\x8e" + struct.pack("<Q", 2**62), "in the middle"),
        "long_text": (b"\x8d" + struct.pack("<Q", 2**62), "in the middle"),
        "negative_length": (b"T\xff\xff\xff\xff", "in the middle"),
        "bytearray": (b"\x96" + struct.pack("<Q", 2**40), "BYTEARRAY8"),
        "long_name": (b"c" + b"a" * 1_000_000 + b"\nb\n", "without an end"),
        "long_key": (table(**{"a" * 1_000_000: b"N"}), "no short text"),
        "no_values": (b"s", "lacks values"),
        "no_end": (b"(" * 5, "damaged|lacks"),
    }
    return {
        f"{name}.pth": (pth(x), pattern) for name, (x, pattern) in steps.items()
    }


def _wrong_tensors():
    four = bytes(16)
    wrong = {
        "far_stride": (tensor((2, 2), (3, 1), count=4), "larger than its sto"),
        "far_offset": (tensor((4,), offset=1, count=4), "larger than its sto"),
        "huge": (tensor((10**9, 10**9), count=4), "larger than its storage"),
        "repeated": (tensor((10**9, 10**9), (0, 0), count=4), "than the file"),
        "negative_stride": (tensor((4,), (-1,), 3, 4), "negative"),
        "negative_offset": (tensor((4,), offset=-1, count=4), "negative"),
        "negative_shape": (tensor((-2, -2), (1, 1), count=4), "negative"),
        "negative_count": (tensor((4,), count=-4), "negative"),
        "many_axes": (tensor((1,) * 70, count=4), "shape"),
        "two_axes": (tensor((2, 2), (1,), count=4), "two numbers of axes"),
        "long_storage": (tensor((5,), count=5), "another length"),
        "short_storage": (tensor((3,), count=3), "another length"),
        "missing_storage": (tensor((4,), key="9"), "lacks the record"),
        "outer_storage": (tensor((4,), key="../../x"), "lacks the record"),
        "complex": (tensor((2,), kind="ComplexFloatStorage"), "ComplexFloat"),
        "no_storage": (
            b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR",
            "without a storage",
        ),
        "an_int": (number(3), "of type int, no tensor"),
        "a_storage": (storage(4), "type Storage, no tensor"),
        "a_type": (b"ctorch\nFloatStorage\n", "no tensor"),
    }
    files = {
        f"{name}.pth": (pth(table(w=x), [four]), pattern)
        for name, (x, pattern) in wrong.items()
    }
    two = table(a=tensor((4,)), b=tensor((2,), count=2, kind="DoubleStorage"))
    same = table(**{"module.w": tensor((4,)), "w": tensor((2,), count=4)})
    keys = b"]" + text("0") + b"a"
    good = table(w=tensor((4,)))
    long = struct.pack("<q", 2**60) + four
    return files | {
        "a_list.pth": (pth(b"](K\x01K\x02e"), "a list, no dict"),
        "nothing.pth": (pth(b"}"), "holds no tensors"),
        "two_kinds.pth": (pth(two, [four]), "of two kinds"),
        "same_names.pth": (pth(same, [four]), "two tensors 'w'"),
        "legacy_long.pth": (legacy_pth(good, keys, long), "another length"),
        "legacy_cut.pth": (
            legacy_pth(good, keys, struct.pack("<q", 4) + four[:-1]),
            "in the middle",
        ),
        "legacy_no_keys.pth": (
            legacy_pth(good, data=four),
            "lacks the storage",
        ),
    }


def _zip_tricks():
    good = pth(table(w=tensor((4,))), [b"storage of four."])
    flipped = bytearray(good)
    flipped[good.index(b"storage of")] ^= 1
    large = bytearray(good)  # its central directory says 4 GB for the storage
    place = good.rindex(b"archive/data/0") - 46
    large[place + 20 : place + 28] = b"\xf0\xff\xff\xff" * 2
    zeros = bytes(5_000_000)
    bomb = {"archive/data.pkl": program(b"}"), "archive/data/0": zeros}
    bomb = zipped(bomb, zipfile.ZIP_DEFLATED)
    long = program(b"N" * 5_000_000)
    long = zipped({"archive/data.pkl": long}, zipfile.ZIP_DEFLATED)
    packed = {"archive/data.pkl": program(b"}")}
    many = {"archive/data.pkl": b""} | {f"{i:060}": b"" for i in range(12_000)}
    big_end = {"archive/data.pkl": program(b"}"), "archive/byteorder": b"big"}
    slip = {"archive/data.pkl": program(b"}"), "../../evil": b"evil"}
    return {
        "flipped.pth": (bytes(flipped), "CRC"),
        "large_record.pth": (bytes(large), "larger than the file"),
        "bomb.pth": (
            claiming(bomb, "archive/data/0", 2**31),
            "larger than the file can be",
        ),
        "hidden_bomb.pth": (claiming(long, "archive/data.pkl", 9), "CRC"),
        "bzip2.pth": (zipped(packed, zipfile.ZIP_BZIP2), "unknown way"),
        "many_records.pth": (zipped(many), "list of records is too long"),
        "big_endian.pth": (zipped(big_end), "order of bytes"),
        "slip.pth": (zipped(slip), "leads out"),
        "absolute.pth": (zipped({"/tmp/evil": b""}), "leads out"),
        "backslash.pth": (zipped({"..\\evil": b""}), "leads out"),
        "other_zip.pth": (zipped({"word/document.xml": b""}), "without data"),
        "truncated.pth": (good[: len(good) // 2], "not a zip"),
        "no_directory.pth": (good[:-30], "zip|directory"),
    }


def _numpy_files(marker):
    system = b"cposix\nsystem\n(" + text(f"touch {marker}") + b"tR"
    array = numpy_array(b"U\x08" + bytes(8), (2,), "f4")
    other = numpy_array(b"U\x08" + bytes(8), (10**6, 10**6), "f4")
    objects = numpy_array(b"]" + system + b"a", (1,))
    encoded = b"c_codecs\nencode\n(" + text("00") + text("unicode_escape")
    layers = {
        "gadget": (system, "posix.system"),
        "shape": (b"](" + other + other + b"e", "larger than the file"),
        "cut": (
            b"](" + array.replace(b"U\x08", b"U\x07") + b"e",
            "pickle|shap",
        ),
        "objects": (b"](" + objects + b"e", "posix.system"),
        "object_array": (b"](" + numpy_array(b"]") + b"e", "not its shape's"),
        "one_array": (array, "no list of arrays"),
        "a_number": (number(7), "no list of arrays"),
        "codec": (encoded + b"tR", "another code than latin-1"),
        "type": (numpy_array(b"N", (1,), "V1000000000"), "V1000000000"),
    }
    files = {
        f"{name}.npy": (npy(numpy_array(b"]" + table(conv1=x) + b"a")), pattern)
        for name, (x, pattern) in layers.items()
    }
    plain = io.BytesIO()
    np.save(plain, KERNEL)
    header = "{'descr': '|O', 'shape': __import__('os').system('true')}"
    header = (
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", len(header))
        + (header.encode())
    )
    return files | {
        "outer_gadget.npy": (npy(system), "posix.system"),
        "empty_dict.npy": (npy(numpy_array(b"]}a")), "no dictionary of layers"),
        "plain.npy": (plain.getvalue(), "holds an array"),
        "header.npy": (header, "malformed"),
        "long_header.npy": (
            b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + bytes(99),
            "header is too long",
        ),
        "text.npy": (b"not an array\n", "no .npy file"),
    }


def _keras_files():
    code = ["4wEAAAAAAAAAAAAAAAMAAABTAAAA8wQAAAAAAQAA", None, None]
    old = ("Lambda", {"name": "evil", "function": code})
    inner = {"class_name": "Lambda", "config": {"name": "inner"}}
    wrapped = ("TimeDistributed", {"name": "t", "layer": inner})
    nested = model_config(old)
    nested = ("Sequential", nested["config"])
    anonymous = {"class_name": "__lambda__", "config": {"value": "4wEAAA=="}}
    activation = ("Conv2D", {"name": "conv1", "activation": anonymous})
    configs = {
        "lambda": (model_config(CONV1, old), "Lambda layer, 'evil'"),
        "lambda_wrapped": (model_config(CONV1, wrapped), "'inner'"),
        "lambda_nested": (model_config(CONV1, nested), "'evil'"),
        "lambda_activation": (model_config(activation), "Lambda"),
        "other_layers": (model_config(("Dense", {"name": "d"})), "no layer"),
        "layers_of_text": (model_config() | {"layers": "abc"}, "are none"),
        "list": ([1, 2], "no dictionary"),
        "deep_json": (b"[" * 1_000_000, "recursion"),
        "long_json": (b" " * 5_000_000 + b"{}", "too long"),
        "cut_json": (b'{"class_name": ', "Expecting"),
        "long_digits": (b'{"a": ' + b"9" * 1_000_000 + b"}", "digits"),
    }
    files = {
        f"{name}.keras": (keras_file(config), pattern)
        for name, (config, pattern) in configs.items()
    }
    config = json.dumps(model_config(CONV1)).encode()
    records = {"config.json": config, "model.weights.h5": bytes(10_000_000)}
    slip = records | {"../../assets/evil": b""}
    link = h5_file(lambda f: f.update(layers=h5py.ExternalLink("x.h5", "/")))
    deflated = zipped(records, zipfile.ZIP_DEFLATED)
    deflated = claiming(deflated, "model.weights.h5", 10**9)
    npz = {"config.json": config, "model.weights.npz": b""}
    return files | {
        "slip.keras": (zipped(slip), "leads out"),
        "bomb.keras": (deflated, "larger than the file can be"),
        "no_hdf5.keras": (zipped(records), "damaged"),
        "npz.keras": (zipped(npz), "without model.weights.h5"),
        "no_config.keras": (
            zipped({"model.weights.h5": b""}),
            "without config",
        ),
        "link.keras": (
            keras_file(model_config(CONV1), link),
            "only a link .ExternalLink",
        ),
    }


def _hdf5_files(folder):
    secret = os.path.join(folder, "secret.bin")  # is never made
    shape = (100_000, 100_000)
    writers = {}

    def case(name, pattern):
        return lambda write: writers.update({name: (write, pattern)})

    @case("external_link", "only a link .ExternalLink")
    def _(root):
        _keras_1(root)["conv_1_W"] = h5py.ExternalLink("/etc/passwd", "/w")

    @case("soft_link", "only a link .SoftLink")
    def _(root):
        _keras_1(root)["conv_1_W"] = h5py.SoftLink("/conv_1/conv_1_W")

    @case("linked_weights", "only a link .ExternalLink")
    def _(root):
        root["model_weights"] = h5py.ExternalLink("other.h5", "/")

    @case("external_data", "another file")
    def _(root):
        places = [(secret, 0, h5py.h5f.UNLIMITED)]
        _keras_1(root).create_dataset("conv_1_W", (4,), "<f4", external=places)

    @case("virtual_data", "another file")
    def _(root):
        layout = h5py.VirtualLayout((4,), "<f4")
        layout[:] = h5py.VirtualSource(secret, "w", (4,))
        _keras_1(root).create_virtual_dataset("conv_1_W", layout)

    @case("shape", "larger than the file")
    def _(root):
        _keras_1(root).create_dataset("conv_1_W", shape, "<f4")

    @case("zeros", "larger than the file")
    def _(root):
        _packed(root, [1], zlib.compress(bytes(2**22)), pieces=100)

    @case("inflating", "unpacks to more")
    def _(root):
        _packed(root, [1], zlib.compress(bytes(2**23)))

    @case("stacked", "unknown way")
    def _(root):
        _packed(root, [1, 1], zlib.compress(zlib.compress(bytes(2**23))))

    @case("half_a_piece", "another size")
    def _(root):
        _packed(root, [1], zlib.compress(bytes(2**21)))

    @case("checksum", "checksum")
    def _(root):
        _packed(root, [3], bytes(2**22) + b"sums")

    @case("lacking", "lacks a part")
    def _(root):
        _packed(root, [1], zlib.compress(bytes(2**22)), pieces=0)

    @case("crumbs", "too many pieces")
    def _(root):
        _keras_1(root).create_dataset(
            "conv_1_W", (300_000,), "<f4", chunks=(1,), compression="gzip"
        )

    @case("never_written", "holds no numbers")
    def _(root):
        _keras_1(root).create_dataset("conv_1_W", (1000, 1000), "<f4")

    @case("chunk", "larger than the file")
    def _(root):
        _keras_1(root).create_dataset(
            "conv_1_W", (4,), "<f4", chunks=(2**28,), maxshape=(None,)
        )

    @case("objects", "values of type")
    def _(root):
        _keras_1(root).create_dataset("conv_1_W", (2,), h5py.string_dtype())

    @case("compound", "values of type")
    def _(root):
        kind = np.dtype([("a", "f4"), ("b", "f4")])
        _keras_1(root).create_dataset("conv_1_W", (2,), kind)

    @case("plugin", "unknown way")
    def _(root):
        _keras_1(root).create_dataset(
            "conv_1_W", data=KERNEL, compression="lzf"
        )

    @case("group_as_weight", "holds no numbers")
    def _(root):
        _keras_1(root).create_group("conv_1_W")

    @case("no_numbers", "holds no numbers")
    def _(root):
        _keras_1(root)["conv_1_W"] = h5py.Empty("f4")

    @case("missing", "lacks 'conv_1_W'")
    def _(root):
        _keras_1(root)

    @case("upward", "leads out")
    def _(root):
        _keras_1(root, weight="../../etc/passwd")

    @case("absolute", "leads out")
    def _(root):
        _keras_1(root, layer="/conv_1")

    @case("numbers_as_names", "no text")
    def _(root):
        root.attrs["layer_names"] = np.arange(5)

    @case("cycle", "too many groups")
    def _(root):
        _keras_3(root)
        root["layers/conv2d/again"] = root["layers"]

    @case("two_orders", "comes first")
    def _(root):
        root["layers/a/vars/0"] = np.zeros((4, 4), "f4")
        root["layers/b/vars/0"] = np.zeros((4, 4), "f4")

    @case("lambda_inside", "Lambda layer, 'evil'")
    def _(root):
        config = model_config(("Lambda", {"name": "evil"}))
        root.attrs["model_config"] = np.bytes_(json.dumps(config))

    files = {
        f"{name}.h5": (h5_file(write), pattern)
        for name, (write, pattern) in writers.items()
    }
    good = h5_file(_keras_3)
    names = np.array([b"a"] * 7777)
    named = h5_file(lambda root: root.attrs.create("layer_names", names))
    claim = named.replace(struct.pack("<Q", 7777), struct.pack("<Q", 2**40))
    # What HDF5 1.14.6 itself fills 4 GB for, or reads forever.
    texts = h5_file(lambda root: root.attrs.update(layer_names=["ab" * 20] * 2))
    heap = texts.index(b"GCOL")
    place = struct.pack("<IQ", 40, heap)
    long = texts.replace(place, struct.pack("<IQ", 2**32 - 16, heap))
    endless = bytearray(texts)
    endless[heap + 24 : heap + 32] = struct.pack("<Q", 2**64 - 16)
    return files | {
        "claim.h5": (claim, "is cut"),
        "long_text.h5": (long, "longer than its place"),
        "endless.h5": (bytes(endless), "longer than its place"),
        "truncated.h5": (good[: len(good) // 2], "truncated"),
        "cut.weights.h5": (good[:100], "damaged"),
        "only_signature.h5": (good[:8], "damaged"),
    }


def _other_things():
    noise = np.random.default_rng(0).bytes(5000)
    page = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
    lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    files = {}
    for end, reason in {
        "pth": "neither a zip archive nor a pickle",
        "npy": "no .npy file",
        "h5": "neither a zip archive nor an HDF5 file",
        "keras": "neither a zip archive nor an HDF5 file",
    }.items():
        files |= {
            f"empty.{end}": (b"", "it is empty"),
            f"noise.{end}": (noise, reason),
            f"page.{end}": (page, reason),
            f"lfs.{end}": (lfs, reason),
        }
    other = pickle.dumps({"w": [1.0, 2.0]}, protocol=5)
    return files | {"plain.pth": (other, "does not begin")}


def _no_files(folder):
    """What has the name of a file and is none."""
    cases = []
    for end in ("pth", "npy", "h5", "keras"):
        paths = {
            name: os.path.join(folder, f"{name}.{end}")
            for name in ("folder", "loop", "pipe", "nowhere")
        }
        os.mkdir(paths["folder"])
        os.symlink(paths["loop"], paths["loop"])
        os.mkfifo(paths["pipe"])
        cases += [
            (paths["folder"], "is a folder"),
            (paths["loop"], "symbolic links"),
            (paths["pipe"], "not a regular file"),
            (paths["nowhere"], "No such file"),
        ]
    return cases


def _not_finite():
    numbers = np.array([1, np.nan, np.inf, -1], "<f4")
    raw = numbers.tobytes()
    array = numpy_array(b"U\x10" + raw, (4,), "f4")
    layers = numpy_array(
        b"]" + table(conv1=b"](" + array + array + b"e") + b"a"
    )

    def write(root):
        _keras_1(root)["conv_1_W"] = numbers

    def write_3(root):
        root["layers/conv2d/vars/0"] = numbers

    config = model_config(CONV1)
    return {
        "nan.pth": (pth(table(w=tensor((4,))), [raw]), "finite"),
        "nan.npy": (npy(layers), "finite"),
        "nan.h5": (h5_file(write), "finite"),
        "nan.keras": (keras_file(config, h5_file(write_3)), "finite"),
    }
