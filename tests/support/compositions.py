"""What people build of the package's parts, in each way of keeping it.

python tests/support/compositions.py            # all, in a table
python tests/support/compositions.py headed onnx

`REFUSED` lists the cells that are refused, each with whose limit it is.
"""

import copy
import pathlib
import pickle
import subprocess
import sys
import tempfile

import keras
import numpy as np

import keras_alexnet as ka

SHAPE = (67, 67, 3)
TOLERANCE = 2e-4  # of the largest value
NARROW = 5e-2  # of 8 bits, and of float16 and bfloat16


def base(**kwargs):
    return ka.AlexNet(
        "caffe_alexnet", include_top=False, input_shape=SHAPE, **kwargs
    )


def whole(**kwargs):
    return ka.AlexNet("cifar10_18pct", **kwargs)


def wrapped():
    pool = keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([keras.Input(SHAPE), base(), pool])


def headed():
    body = base()
    x = keras.layers.GlobalAveragePooling2D()(body.output)
    return keras.Model(body.input, keras.layers.Dense(5, "softmax")(x))


def nested():
    inputs = keras.Input(SHAPE)
    x = keras.layers.Flatten()(base()(inputs))
    return keras.Model(inputs, keras.layers.Dense(5, "softmax")(x))


def truncated():
    body = base()
    return keras.Model(body.input, body.get_layer("pool2").output)


def several_outputs():
    body, names = base(), ("norm1", "pool2", "pool5")
    outputs = [body.get_layer(name).output for name in names]
    return keras.Model(body.input, outputs)


def own():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Conv2D(32, 5, strides=2, activation="relu"),
            ka.LocalResponseNormalization(alpha=1e-2, alpha_mode="mean"),
            keras.layers.MaxPooling2D(3, 2),
            keras.layers.Flatten(),
            keras.layers.Dense(5),
        ]
    )


def siamese():
    pair, shared = [keras.Input(SHAPE), keras.Input(SHAPE)], base(pooling="avg")
    x = keras.layers.Subtract()([shared(image) for image in pair])
    return keras.Model(pair, keras.layers.Dense(1)(x))


def triplet():
    three, shared = [keras.Input(SHAPE) for _ in range(3)], base(pooling="max")
    x = keras.layers.Concatenate()([shared(image) for image in three])
    return keras.Model(three, x)


def ensemble():
    inputs = keras.Input((32, 32, 3))
    members = [whole(name=name)(inputs) for name in ("first", "second")]
    return keras.Model(inputs, keras.layers.Average()(members))


def time_distributed():
    inputs = keras.Input((2, *SHAPE))
    x = keras.layers.TimeDistributed(base(pooling="avg"))(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(x))


def time_distributed_layer():
    inputs = keras.Input((2, 13, 13, 8))
    layer = keras.layers.TimeDistributed(ka.LocalResponseNormalization())
    return keras.Model(inputs, layer(inputs))


@keras.saving.register_keras_serializable("compositions")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.body = base(pooling="avg")
        self.top = keras.layers.Dense(5, "softmax")

    def call(self, inputs, training=False):
        return self.top(self.body(inputs, training=training))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, *SHAPE), "float32"))
    return model


@keras.saving.register_keras_serializable("compositions")
class Block(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(16, 5, strides=2)
        self.norm = ka.LocalResponseNormalization()

    def build(self, shape):
        self.conv.build(shape)
        self.norm.build(self.conv.compute_output_shape(shape))

    def call(self, inputs):
        return self.norm(self.conv(inputs))

    def compute_output_shape(self, shape):
        return self.conv.compute_output_shape(shape)


def own_layer():
    layers = [keras.Input(SHAPE), Block(), keras.layers.Flatten()]
    return keras.Sequential(layers)


def preprocessed():
    inputs = keras.Input(SHAPE)
    x = ka.preprocess_input(inputs, "caffe_alexnet")
    return keras.Model(inputs, base(pooling="max")(x))


def rescaled():
    front = [keras.Input(SHAPE), keras.layers.Rescaling(1.0, -127.0)]
    return keras.Sequential([*front, base(pooling="avg")])


def frozen():
    body, inputs = base(), keras.Input(SHAPE)
    body.trainable = False
    x = body(inputs, training=False)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


def any_size():
    return ka.AlexNet(
        "caffe_alexnet",
        include_top=False,
        input_shape=(None, None, 3),
        pooling="avg",
    )


def cloned(model):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone


def again(model):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        return keras.models.load_model(path)


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def quantized(model):
    model.quantize("int8")
    return model


def adapted(model):
    """With LoRA in its fully connected layers, not at its start."""
    generator = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.enable_lora(2)
            shape = layer.lora_kernel_b.shape
            layer.lora_kernel_b.assign(generator.normal(0, 0.1, shape))
    return model


def under(policy, build):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(before)


COMPOSITIONS = {
    "whole": whole,
    "logits": lambda: whole(classifier_activation=None),
    "wrapped": wrapped,
    "headed": headed,
    "nested": nested,
    "truncated": truncated,
    "several outputs": several_outputs,
    "own": own,
    "own layer": own_layer,
    "cloned": lambda: cloned(whole()),
    "cloned wrapped": lambda: cloned(wrapped()),
    "cloned headed": lambda: cloned(headed()),
    "cloned truncated": lambda: cloned(truncated()),
    "cloned own": lambda: cloned(own()),
    "deep-copied": lambda: copy.deepcopy(whole()),
    "deep-copied wrapped": lambda: copy.deepcopy(wrapped()),
    "deep-copied headed": lambda: copy.deepcopy(headed()),
    "pickled": lambda: pickled(whole()),
    "pickled headed": lambda: pickled(headed()),
    "saved again": lambda: again(wrapped()),
    "siamese": siamese,
    "triplet": triplet,
    "ensemble": ensemble,
    "time-distributed": time_distributed,
    "time-distributed layer": time_distributed_layer,
    "subclassed": subclassed,
    "preprocessed": preprocessed,
    "rescaled": rescaled,
    "frozen": frozen,
    "any size": any_size,
    "int8": lambda: quantized(whole()),
    "int8 headed": lambda: quantized(headed()),
    "lora": lambda: adapted(whole()),
    "lora headed": lambda: adapted(headed()),
    "float16": lambda: under("mixed_float16", whole),
    "float16 wrapped": lambda: under("mixed_float16", wrapped),
    "float16 headed": lambda: under("mixed_float16", headed),
    "float16 cloned": lambda: cloned(under("mixed_float16", whole)),
    "bfloat16": lambda: under("mixed_bfloat16", whole),
    "bfloat16 wrapped": lambda: under("mixed_bfloat16", wrapped),
    "float64": lambda: under("float64", whole),
}

NO_NARROW = (
    "LiteRT has no convolutions in float16",
    "its runtime's own; `keras_alexnet.export_model` writes a float32 copy",
)
NO_BFLOAT16 = (
    "has no convolutions in bfloat16",
    "the runtimes' own; `keras_alexnet.export_model` writes a float32 copy",
)
# Composition and column: what the refusal says, and whose limit it is.
REFUSED = {
    ("float16 wrapped", "litert"): NO_NARROW,
    ("float16 headed", "litert"): NO_NARROW,
    ("bfloat16 wrapped", "litert"): NO_BFLOAT16,
    ("bfloat16 wrapped", "onnx"): NO_BFLOAT16,
    ("bfloat16 wrapped", "openvino"): NO_BFLOAT16,
    ("any size", "litert"): (
        "needs images of known size",
        "its converter does not learn how many channels a padded image has",
    ),
    ("preprocessed", "h5"): (
        "Unknown layer: 'Cast'",
        "Keras' .h5 files know no operations as layers, only .keras does",
    ),
    ("subclassed", "h5"): (
        "Unknown layer: 'Subclassed'",
        "Keras' .h5 files name a user's class without its package",
    ),
    ("int8", "litert"): (
        "BatchMatMulV3|ConverterError",
        "TensorFlow's converter knows no product of int8 matrices, which "
        "Keras makes of any quantized Dense",
    ),
    ("int8 headed", "litert"): (
        "BatchMatMulV3|ConverterError",
        "as of int8",
    ),
    ("int8 headed", "openvino"): (
        "answers differ",
        "OpenVINO 2026.4 answers otherwise to any quantized Dense of Keras",
    ),
}


def inputs_of(model):
    """Three inputs: an array, or a list of arrays."""
    generator = np.random.default_rng(0)
    shapes = [(None, *SHAPE)]
    if not isinstance(model, Subclassed):
        shapes = [tensor.shape for tensor in model.inputs]
    arrays = [
        generator.normal(0, 50, (3, *(n or SHAPE[0] for n in shape[1:])))
        for shape in shapes
    ]
    arrays = [array.astype("float32") for array in arrays]
    return arrays if len(arrays) > 1 else arrays[0]


def flat(answers):
    """Answers as a list of float32 arrays."""
    to_numpy = keras.ops.convert_to_numpy
    return [
        np.asarray(to_numpy(each)).astype("float32")
        for each in keras.tree.flatten(answers)
    ]


def check_same(expected, found, narrow):
    """Raises an `AssertionError` where answers differ.

    Some formats give more than was asked for, in an order of their own.
    """
    limit = NARROW if narrow else TOLERANCE
    found = flat(found)
    for answer in flat(expected):
        errors = [
            abs(other - answer).max() / abs(answer).max()
            for other in found
            if other.shape == answer.shape
        ]
        assert errors, f"answers of {[each.shape for each in found]}"
        assert min(errors) < limit, f"answers differ by {min(errors):.1e}"


def as_keras(model, inputs, folder, suffix="keras"):
    path = folder / f"model.{suffix}"
    model.save(path)
    return keras.models.load_model(path).predict(inputs, verbose=0)


def as_h5(model, inputs, folder):
    return as_keras(model, inputs, folder, "h5")


def as_onnx(model, inputs, folder):
    import onnxruntime

    path = str(folder / "model.onnx")
    model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    names = [each.name for each in session.get_inputs()]
    return session.run(None, dict(zip(names, listed(inputs), strict=True)))


def as_saved_model(model, inputs, folder):
    import tensorflow as tf

    path = str(folder / "saved_model")
    model.export(path, verbose=False)
    loaded = tf.saved_model.load(path)  # must live while it answers
    return loaded.serve(inputs)


def as_litert(model, inputs, folder):
    from ai_edge_litert.interpreter import Interpreter

    path = str(folder / "model.tflite")
    model.export(path, format="litert", verbose=False)
    runtime = Interpreter(path)
    details = sorted(runtime.get_input_details(), key=lambda d: d["name"])
    arrays = listed(inputs)
    for each, array in zip(details, arrays, strict=True):
        runtime.resize_tensor_input(each["index"], array.shape)
    runtime.allocate_tensors()
    for each, array in zip(details, arrays, strict=True):
        runtime.set_tensor(each["index"], array)
    runtime.invoke()
    places = [each["index"] for each in runtime.get_output_details()]
    return [runtime.get_tensor(place) for place in places]


def as_openvino(model, inputs, folder):
    import openvino

    path = str(folder / "model.xml")
    model.export(path, format="openvino", verbose=False)
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", hint)
    answers = compiled(listed(inputs))
    return [answers[output] for output in compiled.outputs]


FRESH = """
import pathlib, sys, keras, numpy as np, keras_alexnet
import compositions
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
    model = keras.models.load_model(path)
    with np.load(path.with_suffix(".npz")) as arrays:
        inputs = [arrays[name] for name in arrays]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    answers = compositions.flat(model.predict(inputs, verbose=0))
    np.savez(path.with_suffix(".answers.npz"), *answers)
"""


def in_a_fresh_process(folder):
    """Dict: composition -> its own answers, and those of another process."""
    expected = {}
    for name in COMPOSITIONS:
        model, inputs, expected[name] = made(name)
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", *listed(inputs))
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FRESH, str(folder)],
        cwd=pathlib.Path(__file__).parent,
        check=True,
    )
    found = {}
    for name, own in expected.items():
        with np.load(folder / f"{name}.answers.npz") as arrays:
            found[name] = own, [arrays[each] for each in arrays]
    return found


def listed(inputs):
    return inputs if isinstance(inputs, list) else [inputs]


COLUMNS = {
    "keras": as_keras,
    "h5": as_h5,
    "onnx": as_onnx,
    "saved_model": as_saved_model,
    "litert": as_litert,
    "openvino": as_openvino,
}
NEEDED = {
    "onnx": "tf2onnx",
    "litert": "ai_edge_litert",
    "openvino": "openvino",
}


def made(name):
    """A composition, three inputs, and its answers to them."""
    keras.utils.set_random_seed(1)
    model = COMPOSITIONS[name]()
    inputs = inputs_of(model)
    return model, inputs, model.predict(inputs, verbose=0)


def is_narrow(name):
    return "float16" in name or "int8" in name


def main(names, columns):
    for name in names:
        model, inputs, expected = made(name)
        cells = []
        for column in columns:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    folder = pathlib.Path(folder)
                    found = COLUMNS[column](model, inputs, folder)
                    check_same(expected, found, is_narrow(name))
                    cells.append("equal")
                except Exception as error:
                    known = (name, column) in REFUSED
                    text = " ".join(str(error).split())[:200]
                    cells.append("refused" if known else f"FAILED: {text}")
        print(f"{name}: {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:2] or COMPOSITIONS, sys.argv[2:3] or COLUMNS)
