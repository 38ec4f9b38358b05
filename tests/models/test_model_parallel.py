"""A tower on each device: where everything is, and that it is AlexNet."""

import json
import os
import subprocess
import sys

import pytest
from movement import BOUNDS

import keras_alexnet as ka

SCRIPT = """
import json
import sys

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)

import keras
import keras_alexnet as ka
from movement import STEPS
from movement import apart


# The weights of the one as the other has them.
def joined(placed, plain):
    weights = {v.path.split("/", 1)[1]: v.numpy() for v in placed.weights}
    values = []
    for variable in plain.weights:
        name, kind = variable.path.split("/")
        value = weights.get(f"{name}/{kind}")
        if value is None:  # fc6, fc7
            halves = [weights[f"{name}{tower}/{kind}"] for tower in "ab"]
            value = np.concatenate(halves, axis=-1)
        values.append(value)
    return values


# The network on two devices, and the plain one with its weights.
def pair():
    size = {"input_shape": (67, 67, 3), "classes": 5}
    placed = ka.two_device_alexnet("alexnet", ("CPU:0", "CPU:1"), **size)
    plain = ka.AlexNet("alexnet", **size)
    plain.set_weights(joined(placed, plain))
    for layer in [*plain.layers, *(l.layer for l in placed.layers[1:])]:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # else two masks of 2048 are not one of 4096
    return placed, plain


generator = np.random.default_rng(0)
x = generator.normal(size=(4, 67, 67, 3)) * 50
y = np.array([0, 1, 2, 3])
placed, plain = pair()


@tf.function
def step(x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            keras.losses.sparse_categorical_crossentropy(
                y, placed(x, training=True)
            )
        )
    return tape.gradient(loss, placed.trainable_variables)


graph = step.get_concrete_function(
    tf.constant(x, "float32"), tf.constant(y)
).graph
outputs = [model.predict(x, verbose=0) for model in (placed, plain)]
distances = {}
for precision, steps in STEPS.items():
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)
    placed, plain = pair()
    start = plain.get_weights()
    for model in (placed, plain):
        optimizer = ka.PaperSGD(0.01)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        model.fit(x.astype(precision), y, epochs=steps, verbose=0)
    distances[precision] = apart(
        start, plain.get_weights(), joined(placed, plain)
    )
json.dump(
    {
        "operations": [
            (op.type, op.name, op.device[-5:]) for op in graph.get_operations()
        ],
        "variables": [
            (v.path.split("/")[0], v.value.device[-5:])
            for v in placed.trainable_variables
        ],
        "velocities": [
            (v.path.split("/")[1].split("_")[0], v.value.device[-5:])
            for v in placed.optimizer.variables
            if "momentum" in v.path
        ],
        "difference": float(np.abs(outputs[0] - outputs[1]).max()),
        "apart": distances,
    },
    open(sys.argv[1], "w"),
)
"""
FORWARD = {"Conv2D", "MatMul", "MaxPool", "Relu", "BiasAdd", "ConcatV2"}
BACKWARD = {"Conv2DBackpropFilter", "MaxPoolGrad", "ReluGrad"}


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    file = tmp_path_factory.mktemp("towers") / "facts.json"
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    subprocess.run(
        [sys.executable, "-c", SCRIPT, file],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
    )
    return json.loads(file.read_text())


def device_of(layer):
    return "CPU:1" if layer.endswith("b") else "CPU:0"


@pytest.mark.parametrize("kinds", [FORWARD, BACKWARD])
def test_every_operation_is_on_its_towers_device(facts, kinds):
    found = set()
    for kind, name, device in facts["operations"]:
        layers = [p for p in name.split("/") if p.startswith(LAYERS)]
        if kind in kinds and layers:
            layer = layers[0].split("_")[0]
            assert device == device_of(layer), (kind, name, device)
            found.add(layer)
    pairs = {f"conv{i}{tower}" for i in range(1, 6) for tower in "ab"}
    if kinds is FORWARD:
        assert pairs | {"fc6a", "fc6b", "fc7a", "fc7b", "fc8"} <= found


LAYERS = ("conv", "pool", "norm", "fc", "drop")


def test_towers_meet_only_before_conv3_and_the_full_layers(facts):
    joins = {
        name.split("/")[1].split("_")[0]
        for kind, name, _ in facts["operations"]
        if kind == "ConcatV2" and "gradient" not in name and "/norm" not in name
    }
    assert joins == {"pool2", "pool5", "drop6", "drop7"}


def test_variables_and_velocities_are_on_their_towers_device(facts):
    for places in (facts["variables"], facts["velocities"]):
        assert len(places) == 30  # 15 layers with weights
        for layer, device in places:
            assert device == device_of(layer)


def test_it_computes_what_alexnet_does(facts):
    assert facts["difference"] < 1e-5


@pytest.mark.parametrize(
    "precision",
    ["float32", "float64"],
)
def test_it_learns_what_alexnet_does(facts, precision):
    assert facts["apart"][precision] <= BOUNDS[precision]


def test_keras_does_not_let_xla_compile_it_by_itself():
    from keras.src.trainers.trainer import model_supports_jit

    devices = ("CPU:0", "CPU:0")
    model = ka.two_device_alexnet("alexnet", devices, input_shape=(67, 67, 3))
    assert not model_supports_jit(model)
    assert model_supports_jit(ka.AlexNet(input_shape=(67, 67, 3)))


def test_one_tower_and_missing_devices_are_refused():
    with pytest.raises(ValueError, match="half has one tower"):
        ka.two_device_alexnet("half")
    with pytest.raises(ValueError, match="`devices` must be two of CPU:0"):
        ka.two_device_alexnet("alexnet", ("CPU:0", "GPU:7"))
