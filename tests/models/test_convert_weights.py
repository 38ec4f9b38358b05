"""Published weights in: files as the frameworks write them give the logits
that the frameworks compute, and every wrong convention would be noticed."""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import lru_cache

import keras
import numpy as np
import pytest
from caffe_files import caffe_layers
from caffe_files import write_caffemodel
from make_parity import CLASSES
from make_parity import NETS
from make_parity import images
from make_parity import torch_network

import keras_alexnet as ka
from keras_alexnet.architectures.rows import LocalResponseNorm
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.export.convert_file import convert_file
from keras_alexnet.weights.assign import put_weights
from keras_alexnet.weights.read_weights import read_weights

torch = pytest.importorskip("torch")
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
# pytorch/vision torchvision/models/alexnet.py
TORCHVISION = (
    *("features.0", "features.3", "features.6", "features.8", "features.10"),
    *("classifier.1", "classifier.4", "classifier.6"),
)
# Images of its own mean and scale: (pixels - mean) / std in RGB or BGR.
MEANS = {
    "torchvision": np.array([0.485, 0.456, 0.406]) * 255,
    "caffe_alexnet": np.array([123.0, 117.0, 104.0]),
    "caffenet": np.array([123.0, 117.0, 104.0]),
}
STDS = {"torchvision": np.array([0.229, 0.224, 0.225]) * 255}


@lru_cache
def framework_weights(name):
    """[kernel, bias] of each layer, in PyTorch's and Caffe's layout."""
    modules = [m for m in torch_network(name) if hasattr(m, "weight")]
    pairs = [
        [m.weight.detach().numpy(), m.bias.detach().numpy()] for m in modules
    ]
    if name == "torchvision":  # which expects inputs of about 1
        pairs[0][0] = pairs[0][0] * 60
    return pairs


def framework_input(name):
    """The images, as the framework's users feed them."""
    side = NETS[name][1]
    pixels = images()[:, :side, :side].astype("float64")
    x = (pixels - MEANS[name]) / STDS.get(name, 1)
    if name.startswith("caffe"):
        x = x[..., ::-1]
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2), "float32")


@lru_cache
def reference(name):
    """PyTorch's logits for the images."""
    x = framework_input(name)
    network = torch_network(name)
    first = next(m for m in network if hasattr(m, "weight"))
    with torch.no_grad():
        first.weight.copy_(torch.tensor(framework_weights(name)[0][0]))
        return network(torch.from_numpy(x)).numpy()


def keras_logits(model, variant):
    side = model.input_shape[1]
    x = ka.preprocess_input(images()[:, :side, :side], variant)
    return model.predict(x, verbose=0)


def state_dict(name):
    return {
        f"{layer}.{kind}": torch.tensor(value)
        for layer, pair in zip(
            TORCHVISION, framework_weights(name), strict=True
        )
        for kind, value in zip(("weight", "bias"), pair, strict=True)
    }


def arguments(name):
    side = NETS[name][1]
    return {
        "input_shape": (side, side, 3),
        "classes": CLASSES,
        "classifier_activation": None,
    }


def write(name, folder, kind):
    """The weights in a file, as the framework writes it."""
    path = folder / f"weights{kind}"
    if kind in (".pth", ".legacy.pth"):
        torch.save(
            state_dict(name),
            path,
            _use_new_zipfile_serialization=kind == ".pth",
        )
    elif kind == ".safetensors":
        from safetensors.torch import save_file

        save_file(state_dict(name), path)
    elif kind == ".onnx":
        write_onnx(name, path)
    else:
        pairs = dict(zip(LAYERS, framework_weights(name), strict=True))
        layers = caffe_layers(pairs, pool_first=name == "caffenet")
        write_caffemodel(path, layers, v1=kind == ".v1.caffemodel")
    return path


def write_onnx(name, path):
    """As the model zoo's bvlcalexnet and torch.onnx write an AlexNet."""
    import onnx
    from onnx import TensorProto
    from onnx import helper
    from onnx import numpy_helper

    nodes, tensors, last = [], [], "data"

    def node(op, *inputs, **attributes):
        nonlocal last
        output = f"{op.lower()}_{len(nodes)}"
        nodes.append(
            helper.make_node(op, [last, *inputs], [output], **attributes)
        )
        last = output

    def normalized():
        node("LRN", alpha=1e-4, beta=0.75, bias=1.0, size=5)

    def pooled():
        ceil = int(name.startswith("caffe"))
        node("MaxPool", ceil_mode=ceil, kernel_shape=[3, 3], strides=[2, 2])

    pads = [2 if name == "torchvision" else 0, 2, 1, 1, 1]
    pairs = framework_weights(name)
    for number, (layer, pair) in enumerate(zip(LAYERS, pairs, strict=True), 1):
        names = [f"{layer}_w_0", f"{layer}_b_0"]
        tensors += [
            numpy_helper.from_array(np.ascontiguousarray(value), each)
            for value, each in zip(pair, names, strict=True)
        ]
        if number <= 5:
            group = 2 if name.startswith("caffe") and number in (2, 4, 5) else 1
            node(
                "Conv",
                *names,
                group=group,
                kernel_shape=pair[0].shape[2:],
                pads=[pads[number - 1]] * 4,
                strides=[4 if number == 1 else 1] * 2,
            )
        else:
            if number == 6:
                node("Flatten")
            node("Gemm", *names, transB=1)
        if number < 8:
            node("Relu")
        steps = [pooled] if number in (1, 2, 5) else []
        if number in (1, 2) and name.startswith("caffe"):
            steps.insert(int(name == "caffenet"), normalized)
        for step in steps:
            step()
    side = NETS[name][1]
    graph = helper.make_graph(
        nodes,
        "alexnet",
        [
            helper.make_tensor_value_info(
                "data", TensorProto.FLOAT, [2, 3, side, side]
            )
        ],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        tensors,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("torchvision", ".pth"),
        ("caffe_alexnet", ".v1.caffemodel"),
        ("caffenet", ".caffemodel"),
    ],
)
def test_logits_are_those_of_the_framework(name, kind, tmp_path):
    path = write(name, tmp_path, kind)
    expected = reference(name)
    assert 0.5 < abs(expected).max() < 60
    model = ka.convert_weights(path, **arguments(name))  # finds the variant
    assert model.variant == name
    np.testing.assert_allclose(
        keras_logits(model, name), expected, rtol=0, atol=2e-4
    )


@pytest.mark.parametrize(
    ("name", "kind", "other"),
    [
        ("torchvision", ".legacy.pth", ".pth"),
        ("torchvision", ".safetensors", ".pth"),
        ("torchvision", ".onnx", ".pth"),
        ("caffe_alexnet", ".caffemodel", ".v1.caffemodel"),
        ("caffe_alexnet", ".onnx", ".v1.caffemodel"),
        ("caffenet", ".onnx", ".caffemodel"),
    ],
)
def test_other_files_hold_the_same(name, kind, other, tmp_path):
    path = write(name, tmp_path, kind)
    # That it is what its name says, by onnxruntime; ONNX has no adaptive
    # pool, which torchvision's needs at this size.
    if kind == ".onnx" and name != "torchvision":
        np.testing.assert_allclose(
            onnx_logits(path, name), reference(name), rtol=0, atol=2e-4
        )
    found = read_weights(path)
    expected = read_weights(write(name, tmp_path, other))
    assert found.variant == expected.variant == name
    pairs = zip(found.layers.values(), expected.layers.values(), strict=True)
    for ours, theirs in pairs:
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def onnx_logits(path, name):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(
        path, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"data": framework_input(name)})[0]


@pytest.fixture(scope="module")
def caffe_file(tmp_path_factory):
    return write("caffe_alexnet", tmp_path_factory.mktemp("f"), ".caffemodel")


@pytest.fixture(scope="module")
def caffe_model(caffe_file):
    return ka.convert_weights(caffe_file, **arguments("caffe_alexnet"))


def conv1(model, variant):
    """conv1's values for the images, of both towers."""
    layers = {layer.name: layer for layer in model.layers}
    names = [name for name in ("conv1", "conv1a", "conv1b") if name in layers]
    outputs = keras.Model(model.input, [layers[n].output for n in names])
    values = outputs(ka.preprocess_input(images(), variant))
    values = values if isinstance(values, list) else [values]
    return np.concatenate([np.array(v) for v in values], axis=-1)


@pytest.mark.parametrize("door", ["AlexNet", "convert_weights"])
def test_another_variant_sees_the_same_in_its_own_colors(
    door, caffe_file, caffe_model
):
    """BGR and Caffe's mean go into conv1 of a network that is fed RGB."""
    given = {**arguments("caffe_alexnet"), "padding": ("valid", "ceil")}
    if door == "AlexNet":
        model = ka.AlexNet("alexnet", weights=caffe_file, **given)
    else:
        model = ka.convert_weights(caffe_file, "alexnet", **given)
    expected = conv1(caffe_model, "caffe_alexnet")
    assert abs(expected).max() > 100
    np.testing.assert_allclose(
        conv1(model, "alexnet"), expected, rtol=1e-5, atol=1e-3
    )
    np.testing.assert_array_equal(
        model.get_layer("fc7").get_weights()[0],
        caffe_model.get_layer("fc7").get_weights()[0],
    )


# --- every wrong convention is noticed --------------------------------------


def norms(**changes):
    rows = [
        replace(row, **changes) if isinstance(row, LocalResponseNorm) else row
        for row in VARIANTS["caffe_alexnet"].rows
    ]
    return {"variant": replace(VARIANTS["caffe_alexnet"], rows=tuple(rows))}


def in_weights(name, change):
    def changed(weights):
        return {**weights, name: [change(weights[name][0]), weights[name][1]]}

    return {"change": changed}


def channels_first_rows(kernel):
    side = NETS["caffe_alexnet"][2]
    maps = kernel.reshape(side, side, -1, kernel.shape[-1])
    return maps.transpose(2, 0, 1, 3).reshape(kernel.shape)


def towers_swapped(kernel):
    return np.concatenate(np.split(kernel, 2, axis=-1)[::-1], axis=-1)


WRONG = {
    "alpha not divided by n": norms(alpha_mode="sum"),
    "k of the paper": norms(k=2.0),
    "normalization per tower": norms(towers=2),
    "RGB": in_weights("conv1", lambda kernel: kernel[:, :, ::-1]),
    "kernels turned": in_weights("conv2", lambda k: k[::-1, ::-1]),
    "height for width": in_weights("conv3", lambda k: k.swapaxes(0, 1)),
    "fc6 by channels": in_weights("fc6", channels_first_rows),
    "towers swapped": in_weights("conv4", towers_swapped),
    "dropout not scaled": in_weights("fc7", lambda kernel: kernel / 2),
    "mean not subtracted": {"fed": lambda x: x + MEANS["caffe_alexnet"][::-1]},
    "pixels of 0..1": {"fed": lambda x: x / 255},
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.filterwarnings("ignore:.*expects values of")
def test_a_wrong_convention_would_be_noticed(wrong, caffe_file, caffe_model):
    given = WRONG[wrong]
    found = read_weights(caffe_file).layers
    model = caffe_model
    if "variant" in given:
        model = ka.AlexNet(given["variant"], **arguments("caffe_alexnet"))
    put_weights(model, given.get("change", dict)(found))
    fed = ka.preprocess_input(images()[:, :103, :103], "caffe_alexnet")
    logits = model.predict(given.get("fed", np.array)(fed), verbose=0)
    put_weights(caffe_model, found)
    assert abs(logits - reference("caffe_alexnet")).max() > 1e-2


# --- the paper's dropout, the range of images, other doors ------------------


@pytest.mark.parametrize(
    ("fed", "warns"),
    [
        (lambda x: x - MEANS["caffe_alexnet"][::-1], False),
        (lambda x: x, True),
        (lambda x: x / 255, True),
        (lambda x: x / 127.5 - 1, True),
    ],
)
def test_images_in_another_range_are_warned_of(fed, warns, caffe_model):
    x = fed(images()[:1, :103, :103].astype("float32"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        caffe_model.predict(x, verbose=0)
    told = [str(w.message) for w in caught if "expects" in str(w.message)]
    assert len(told) == warns
    assert all("expects values of -123 to 151" in text for text in told)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_a_converted_file_is_the_same_network(ending, caffe_model, tmp_path):
    model = caffe_model
    path = tmp_path / f"ours{ending}"
    model.save(path) if ending == ".keras" else model.save_weights(path)
    given = {} if ending == ".keras" else arguments("caffe_alexnet")
    variant = "caffe_alexnet" if given else None
    again = ka.convert_weights(path, variant, **given)
    assert again.variant == "caffe_alexnet"
    np.testing.assert_array_equal(
        keras_logits(again, "caffe_alexnet"),
        keras_logits(model, "caffe_alexnet"),
    )


def test_torch_takes_our_files(tmp_path):
    from safetensors.torch import load_file

    source = write("torchvision", tmp_path, ".pth")
    model = ka.convert_weights(source, **arguments("torchvision"))
    model.save(tmp_path / "ours.keras")
    expected = state_dict("torchvision")
    for ending in (".pth", ".safetensors"):
        path = tmp_path / f"back{ending}"
        convert_file(tmp_path / "ours.keras", path)
        if ending == ".pth":
            found = torch.load(path, weights_only=True)
        else:
            found = load_file(path)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name].numpy(), value.numpy())


def test_pytorch_is_not_needed(tmp_path):
    path = write("torchvision", tmp_path, ".pth")
    code = f"""
import sys
sys.modules.update(torch=None, torchvision=None, onnx=None, caffe=None)
import json, numpy as np, keras_alexnet as ka
model = ka.convert_weights({str(path)!r}, **{arguments("torchvision")!r})
print(json.dumps(np.array(model.get_layer("fc8").get_weights()[1]).tolist()))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    bias = json.loads(run.stdout.splitlines()[-1])
    np.testing.assert_array_equal(
        np.float32(bias), framework_weights("torchvision")[-1][1]
    )


def test_a_state_dict_in_any_order(tmp_path):
    """`load_state_dict` goes by name, so its order means nothing."""
    tensors = state_dict("torchvision")
    read = []
    for order in (list, sorted, lambda names: sorted(names, reverse=True)):
        path = tmp_path / "ordered.pth"
        torch.save({name: tensors[name] for name in order(tensors)}, path)
        read.append(read_weights(path))
    for other in read[1:]:
        assert other.variant == "torchvision"
        assert list(other.layers) == list(read[0].layers)
        for name, pair in other.layers.items():
            for one, two in zip(pair, read[0].layers[name], strict=True):
                np.testing.assert_array_equal(one, two)


def test_a_file_that_does_not_say_its_network(tmp_path):
    path = tmp_path / "paper.pth"
    names = [f"layer{i}" for i in range(8)]
    torch.save(
        {
            f"{layer}.{kind}": torch.tensor(value)
            for layer, pair in zip(
                names, framework_weights("alexnet"), strict=True
            )
            for kind, value in zip(("weight", "bias"), pair, strict=True)
        },
        path,
    )
    with pytest.raises(ValueError, match="does not say which network"):
        ka.convert_weights(path)
    model = ka.convert_weights(path, "alexnet", **arguments("alexnet"))
    x = images()[:, :99, :99].astype("float32") - 115
    with torch.no_grad():
        expected = torch_network("alexnet")(
            torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        ).numpy()
    np.testing.assert_allclose(model(x), expected, rtol=0, atol=1e-4)


def changed_by_keras(how):
    """A trained network, quantized or with LoRA, and its own answers."""
    network = ka.AlexNet("cifar10_18pct", weights="cifar10")
    if how == "int8":
        network.quantize("int8")
        return network
    last = network.layers[-1]
    last.enable_lora(2)
    shape = last.lora_kernel_b.shape
    values = np.random.default_rng(0).normal(0, 0.1, shape)
    last.lora_kernel_b.assign(values)
    return network


@pytest.mark.filterwarnings("ignore")  # Keras': an input is not quantized
@pytest.mark.parametrize("how", ["int8", "lora"])
@pytest.mark.parametrize("kept", ["in memory", ".keras", ".h5"])
def test_quantized_and_adapted_networks(how, kept, tmp_path):
    """Their kernels as the numbers that they stand for."""
    source = changed_by_keras(how)
    colors = np.random.default_rng(1).integers(0, 256, (16, 8, 8, 3))
    images = ka.preprocess_input(
        colors.repeat(4, 1).repeat(4, 2), "cifar10_18pct"
    )
    expected = source.predict(images, verbose=0)
    weights = ka.grouped_weights(source)
    assert [a.dtype for a in weights["fc10"]] == ["float32"] * 2
    if kept != "in memory":
        source.save(tmp_path / f"net{kept}")
        source = tmp_path / f"net{kept}"
    if (how, kept) == ("lora", ".h5"):
        with pytest.raises(ValueError, match="LoRA.*save the model as a .ker"):
            ka.convert_weights(source)
        return
    found = ka.convert_weights(source).predict(images, verbose=0)
    # Keras rounds what comes in to 8 bits as well.
    tolerance = 0.02 if how == "int8" else 1e-6
    np.testing.assert_allclose(found, expected, atol=tolerance)
    assert expected.std() > 0.1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["int4", "float8"])
def test_what_else_is_quantized_is_refused(mode):
    model = ka.AlexNet("lenet5")
    model.quantize(mode)
    with pytest.raises(ValueError, match=rf"quantized \({mode}\)"):
        ka.grouped_weights(model)


def torch_program(path):
    torch = pytest.importorskip("torch")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)


def exported_program(path):
    torch = pytest.importorskip("torch")
    inputs = (torch.zeros(1, 2),)
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), inputs), path)


def archive_of_arrays(path):
    np.savez(path, conv1=np.zeros((3, 3)))
    os.replace(f"{path}.npz", path)


def a_folder(path):
    path.mkdir()


@pytest.mark.filterwarnings("ignore")  # PyTorch's
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (torch_program, "program of TorchScript"),
        (exported_program, "program of torch.export"),
        (archive_of_arrays, "archive of arrays"),
        (a_folder, "is a folder, and weights are read from a file"),
    ],
)
def test_what_holds_no_weights_is_named(make, says, tmp_path):
    make(tmp_path / "net")
    with pytest.raises(ValueError, match=says):
        ka.convert_weights(tmp_path / "net")


def test_a_file_of_four_bits_is_named(tmp_path):
    model = ka.AlexNet("lenet5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.quantize("int4")
        model.save(tmp_path / "net.keras")
    with pytest.raises(ValueError, match="quantized in a way"):
        ka.convert_weights(tmp_path / "net.keras")


@pytest.mark.parametrize("kept", ["in memory", "in a file"])
def test_files_of_either_order_of_channels(kept, tmp_path):
    """They are opened as Keras has channels now."""
    images = np.random.default_rng(0).uniform(-99, 99, (2, 32, 32, 3))
    first = images.transpose(0, 3, 1, 2)
    source = ka.AlexNet("cifar10_18pct", weights="cifar10")
    expected = source.predict(images, verbose=0)
    for data_format, x in (
        ("channels_first", first),
        ("channels_last", images),
    ):
        if kept == "in a file":
            source.save(tmp_path / f"{data_format}.keras")
            source = tmp_path / f"{data_format}.keras"
        keras.config.set_image_data_format(data_format)
        try:
            source = ka.convert_weights(source)
        finally:
            keras.config.set_image_data_format("channels_last")
        assert source.input_shape[1:] == x.shape[1:]
        found = source.predict(x, verbose=0)
        np.testing.assert_allclose(found, expected, atol=1e-5)
