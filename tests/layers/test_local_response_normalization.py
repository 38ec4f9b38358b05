"""Local response normalization, against loops in NumPy's float64."""

import gc
import itertools
import json
import os
import subprocess
import sys

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from movement import BOUNDS
from movement import apart

from keras_alexnet.layers.local_response_normalization import (
    LocalResponseNormalization,
)


def neighbors(shape, size, groups, axis, window):
    """A matrix of the values (columns) in the window of a value (rows)."""
    rank, radius = len(shape), size // 2
    axis %= rank
    if window == "cross_map":
        axes = [axis]
    else:
        axes = [a for a in range(1, rank) if a != axis]
    tower = shape[axis] // groups
    number = np.arange(np.prod(shape)).reshape(shape)
    matrix = np.zeros((number.size, number.size))
    for middle in np.ndindex(*shape):
        offsets = [range(-radius, radius + 1)] * len(axes)
        for offset in itertools.product(*offsets):
            other = np.array(middle)
            other[axes] += offset
            inside = np.all(other >= 0) and np.all(other < shape)
            if inside and other[axis] // tower == middle[axis] // tower:
                matrix[number[middle], number[tuple(other)]] = 1.0
    return matrix, size ** len(axes)


def expected(
    x,
    upstream,
    size=5,
    alpha=1e-4,
    beta=0.75,
    k=2.0,
    alpha_mode="sum",
    groups=1,
    axis=-1,
    window="cross_map",
):
    """The output, and the gradient by a step into the complex plane.

    Such a step has no difference in it, so nothing cancels.
    """
    matrix, values = neighbors(x.shape, size, groups, axis, window)
    if alpha_mode == "mean":
        alpha = alpha / values

    def normalized(x):
        return x / (k + alpha * matrix @ x**2) ** beta

    flat = np.asarray(x, "float64").ravel()
    y = normalized(flat)
    step = 1e-100
    stepped = normalized(flat[:, None] + 1j * step * np.eye(flat.size))
    gradient = np.asarray(upstream, "float64").ravel() @ stepped.imag / step
    return y.reshape(x.shape), gradient.reshape(x.shape)


def normal(shape, scale=1.0, seed=0):
    rng = np.random.default_rng([seed, *shape])
    return (scale * rng.normal(size=shape)).astype("float32")


def error(actual, correct):
    """The largest deviation, as a share of the largest value."""
    actual = np.asarray(actual).astype("float64")
    if actual.shape != correct.shape:
        raise ValueError(f"shapes {actual.shape} and {correct.shape}")
    return np.abs(actual - correct).max() / np.abs(correct).max()


def forward_and_gradient(layer, x, upstream):
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    return y, tape.gradient(y, x, tf.cast(upstream, y.dtype))


def check(x, tolerance=1e-6, run=forward_and_gradient, **config):
    """The layer's output and gradient against the loop's."""
    upstream = normal(x.shape, seed=1)
    actual = run(LocalResponseNormalization(**config), x, upstream)
    config.pop("dtype", None)
    for ours, correct in zip(
        actual, expected(x, upstream, **config), strict=True
    ):
        assert error(ours, correct) < tolerance


# Output and gradient


def test_default_is_the_paper():
    """Where the squares weigh: activations in the hundreds."""
    check(normal((2, 3, 3, 8), 200.0))


def test_a_variable_is_normalized_as_what_it_holds():
    x = normal((2, 3, 3, 6))
    for groups in (1, 2):
        layer = LocalResponseNormalization(groups=groups)
        y = layer(tf.constant(x))
        for variable in (tf.Variable(x), keras.Variable(x)):
            np.testing.assert_array_equal(layer(variable), y)
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        y = LocalResponseNormalization()(variable)
    assert tape.gradient(y, variable) is not None


@pytest.mark.parametrize("alpha_mode", ["sum", "mean"])
@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0])
@pytest.mark.parametrize("size", [1, 3, 5, 9])
def test_sizes_exponents_and_meanings_of_alpha(size, beta, alpha_mode):
    config = {"alpha": 0.5, "beta": beta, "k": 1.0, "alpha_mode": alpha_mode}
    check(normal((2, 4, 7)), size=size, **config)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("rank", [2, 3, 4, 5])
def test_across_maps(rank, axis, groups):
    shape = [2, 3, 4, 2, 2][:rank]
    shape[axis] = 8
    check(normal(tuple(shape)), alpha=0.5, axis=axis, groups=groups)


@pytest.mark.parametrize("alpha_mode", ["sum", "mean"])
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("rank", [3, 4, 5])
def test_within_a_map(rank, axis, alpha_mode):
    shape = [2, 3, 4, 3, 2][:rank]
    config = {"axis": axis, "alpha_mode": alpha_mode, "window": "within_map"}
    check(normal(tuple(shape)), size=3, alpha=0.5, **config)


def test_within_maps_of_two_towers():
    """Towers matter to windows across maps only."""
    check(normal((1, 4, 5, 4)), window="within_map", groups=2, alpha=0.5)


@hypothesis.settings(max_examples=10, deadline=None, derandomize=True)
@hypothesis.given(data=st.data())
def test_any_configuration(data):
    rank = data.draw(st.integers(2, 5))
    shape = data.draw(st.tuples(*[st.integers(1, 4)] * rank))
    axis = data.draw(st.sampled_from([*range(1, rank), -1]))
    groups = data.draw(st.integers(1, 3))
    shape = list(shape)
    shape[axis] *= groups
    windows = ["cross_map", "within_map"] if rank > 2 else ["cross_map"]
    check(
        normal(tuple(shape), data.draw(st.sampled_from([0.1, 1.0, 10.0]))),
        size=data.draw(st.sampled_from([1, 3, 5, 7])),
        alpha=data.draw(st.sampled_from([0.0, 0.01, 1.0])),
        beta=data.draw(st.sampled_from([0.75, 0.5, 0.6])),
        k=data.draw(st.sampled_from([0.5, 1.0, 2.0])),
        alpha_mode=data.draw(st.sampled_from(["sum", "mean"])),
        window=data.draw(st.sampled_from(windows)),
        axis=axis,
        groups=groups,
    )


@pytest.mark.parametrize("size", [3, 5])
def test_equals_tensorflow(size):
    x = normal((2, 4, 5, 8), 100.0)
    upstream = normal(x.shape, seed=1)

    def theirs(x):
        return tf.nn.local_response_normalization(x, size // 2, 2.0, 1e-4, 0.75)

    ours = LocalResponseNormalization(size)
    for a, b in zip(
        forward_and_gradient(ours, x, upstream),
        forward_and_gradient(theirs, x, upstream),
        strict=True,
    ):
        assert error(a, b.numpy()) < 2e-6


@pytest.mark.parametrize("size", [3, 5])
def test_equals_torch(size):
    torch = pytest.importorskip("torch")
    x = normal((2, 8, 4, 5), 100.0)
    upstream = normal(x.shape, seed=1)
    theirs = torch.nn.LocalResponseNorm(size, alpha=1e-3, beta=0.6, k=3.0)
    leaf = torch.tensor(x, requires_grad=True)
    y = theirs(leaf)
    y.backward(torch.tensor(upstream))
    ours = LocalResponseNormalization(
        size, 1e-3, 0.6, 3.0, alpha_mode="mean", axis=1
    )
    actual, gradient = forward_and_gradient(ours, x, upstream)
    assert error(actual, y.detach().numpy()) < 2e-6
    assert error(gradient, leaf.grad.numpy()) < 2e-6


# Types

POLICIES = ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_half_precision(policy, scale):
    """The squares of such activations overflow float16."""
    layer = LocalResponseNormalization(dtype=policy)
    compute_dtype = policy.removeprefix("mixed_")
    assert layer(keras.Input((4, 4, 8))).dtype == compute_dtype
    x = np.clip(normal((2, 4, 4, 8), scale), -1000.0, 1000.0)
    x = tf.cast(x, compute_dtype)
    upstream = normal(x.shape, seed=1)
    y, gradient = forward_and_gradient(layer, x, upstream)
    assert y.dtype == compute_dtype
    exact = expected(tf.cast(x, "float64").numpy(), upstream)
    for ours, correct in zip((y, gradient), exact, strict=True):
        ours = tf.cast(ours, "float64").numpy()
        assert np.all(np.isfinite(ours))
        assert error(ours, correct) < 1e-2


@pytest.mark.parametrize("policy", POLICIES)
def test_activations_of_a_thousand_in_half_precision(policy):
    x = tf.fill((1, 2, 2, 8), tf.cast(1000.0, policy.removeprefix("mixed_")))
    layer = LocalResponseNormalization(dtype=policy)
    y = tf.cast(layer(x), "float64").numpy()
    correct, _ = expected(tf.cast(x, "float64").numpy(), y)
    assert np.abs(y / correct - 1.0).max() < 1e-2


def test_double_precision():
    x = normal((2, 3, 3, 6), 100.0).astype("float64") + 1e-9
    layer = LocalResponseNormalization(dtype="float64")
    assert layer(x).dtype == "float64"
    check(x, 1e-13, dtype="float64")


# Eager, traced, compiled, differentiated twice


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("window", ["cross_map", "within_map"])
def test_inside_a_function(window, jit_compile):
    def traced(layer, x, upstream):
        function = tf.function(forward_and_gradient, jit_compile=jit_compile)
        return function(layer, x, upstream)

    x = normal((2, 3, 4, 6), 100.0)
    check(x, run=traced, window=window, groups=2)


@pytest.mark.parametrize("window", ["cross_map", "within_map"])
def test_unknown_sizes(window):
    inputs = keras.Input((None, None, 6))
    config = {"window": window, "groups": 2, "alpha": 0.5}
    layer = LocalResponseNormalization(**config)
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, None, 6)
    shape = tf.TensorSpec((None, None, None, 6))
    function = tf.function(
        lambda x, upstream: forward_and_gradient(model, x, upstream),
        input_signature=[shape, shape],
    )
    for size in ((2, 5, 4), (1, 3, 6), (3, 5, 4)):
        x = normal((*size, 6))
        upstream = normal(x.shape, seed=1)
        for ours, correct in zip(
            function(x, upstream), expected(x, upstream, **config), strict=True
        ):
            assert error(ours, correct) < 1e-6


@pytest.mark.parametrize("groups", [1, 2])
def test_no_examples(groups):
    layer = LocalResponseNormalization(groups=groups)
    for batch in (2, 0, 3):
        x = normal((batch, 4, 4, 6))
        y, gradient = forward_and_gradient(layer, x, x)
        assert y.shape == gradient.shape == x.shape
        assert layer(x).shape == x.shape


@pytest.mark.parametrize("window", ["cross_map", "within_map"])
def test_second_derivative(window):
    """A Hessian-vector product, against differences of first derivatives."""
    x = normal((2, 3, 3, 4)).astype("float64")
    upstream, vector = normal(x.shape, seed=1), normal(x.shape, seed=2)
    config = {"size": 3, "alpha": 0.5, "window": window}
    layer = LocalResponseNormalization(dtype="float64", **config)
    x = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        _, gradient = forward_and_gradient(layer, x, upstream)
    product = outer.gradient(gradient, x, tf.constant(vector, "float64"))
    step = 1e-6 * vector.astype("float64")
    _, ahead = expected(x.numpy() + step, upstream, **config)
    _, behind = expected(x.numpy() - step, upstream, **config)
    assert error(product, (ahead - behind) / 2e-6) < 1e-7


# In models


def small_model(seed=3, **config):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            LocalResponseNormalization(alpha=0.5, groups=2, **config),
            LocalResponseNormalization(3, window="within_map"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )


def fitted(**arguments):
    """The weights after two epochs, with a smaller last batch."""
    model = small_model()
    model.compile(keras.optimizers.SGD(0.05), "mse", **arguments)
    x, y = normal((10, 6, 6, 3)), normal((10, 2))
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()


def test_training_is_the_same_however_it_runs():
    before = small_model().get_weights()
    eager = fitted(run_eagerly=True)
    assert max(map(error, before, eager)) > 1e-3
    for jit_compile in (False, True):
        traced = fitted(jit_compile=jit_compile)
        assert max(map(error, traced, eager)) < 1e-5


@pytest.mark.parametrize("window", ["cross_map", "within_map"])
def test_a_model_that_is_gone_leaves_no_graph(window):
    """TensorFlow keeps each graph, with its weights, that has a gradient."""

    def use():
        normalize = LocalResponseNormalization(3, window=window)
        dense = keras.layers.Dense(4)
        model = keras.Sequential([keras.Input((5, 5, 4)), dense, normalize])
        model.predict(np.ones((2, 5, 5, 4)), verbose=0)

        @tf.function
        def gradient(x):
            with tf.GradientTape() as tape:
                y = model(x)
            return tape.gradient(y, dense.kernel)

        gradient(tf.ones((2, 5, 5, 4)))

    def graphs():
        gc.collect()
        return sum(type(x).__name__ == "FuncGraph" for x in gc.get_objects())

    use()
    before = graphs()
    for _ in range(3):
        use()
    assert graphs() == before


def test_config_round_trip():
    config = {
        "size": 3,
        "alpha": 0.25,
        "beta": 0.5,
        "k": 1.5,
        "alpha_mode": "mean",
        "groups": 2,
        "axis": 1,
        "window": "within_map",
    }
    layer = LocalResponseNormalization(**config, name="norm1", dtype="float64")
    again = LocalResponseNormalization.from_config(
        json.loads(json.dumps(layer.get_config()))
    )
    assert again.get_config() == layer.get_config()
    assert config.items() <= again.get_config().items()
    assert (again.name, again.compute_dtype) == ("norm1", "float64")


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras' own
def test_keras_file(tmp_path):
    model = small_model(alpha_mode="mean", k=1.0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = normal((2, 6, 6, 3))
    assert np.array_equal(model(x), again(x))


def test_clone():
    model = small_model(alpha_mode="mean", k=1.0)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = normal((2, 6, 6, 3))
    assert np.array_equal(model(x), clone(x))


def test_saved_model(tmp_path):
    model = small_model()
    model.export(tmp_path, verbose=False)
    again = tf.saved_model.load(tmp_path)
    for batch in (1, 3):
        x = normal((batch, 6, 6, 3))
        assert error(again.serve(x), model(x).numpy()) < 1e-5


def operations_for(converter, function):
    """The kinds of operations that a converter has TensorFlow trace."""
    namespace = {"__name__": converter}
    exec("def trace(f): return f.get_concrete_function().graph", namespace)
    graph = namespace["trace"](function)
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("shape", [(6,), (4, 6), (4, 4, 6), (3, 4, 4, 6)])
@pytest.mark.parametrize("groups", [1, 2])
def test_converters_get_an_operation_that_they_know(shape, groups):
    x = normal((2, *shape), 100.0)
    config = {"groups": groups, "alpha_mode": "mean", "alpha": 1e-3}
    layer = LocalResponseNormalization(**config)
    signature = tf.TensorSpec((None, *(None for _ in shape[:-1]), shape[-1]))
    function = tf.function(layer, input_signature=[signature])
    assert "LRN" in operations_for("tf2onnx.convert", function)
    y, _ = expected(x, x, **config)
    assert error(function(x), y) < 1e-6


@pytest.mark.parametrize("axis, dtype", [(1, "float32"), (-1, "float64")])
def test_what_the_native_operation_cannot(axis, dtype):
    """Then at least no compiled function hides anything."""
    layer = LocalResponseNormalization(axis=axis, dtype=dtype)
    x = normal((2, 5, 4, 6), 100.0).astype(dtype)
    signature = tf.TensorSpec((None, 5, 4, 6), dtype)
    function = tf.function(layer, input_signature=[signature])
    converter = "tensorflow.python.saved_model.save"
    operations = operations_for(converter, function)
    assert not any("Call" in operation for operation in operations)
    y, _ = expected(x, x, axis=axis)
    assert error(function(x), y) < 1e-6


@pytest.mark.parametrize("module", ["tf2onnx_of_mine", "users", "__main__"])
def test_nobody_else_loses_speed(module):
    signature = tf.TensorSpec((None, 4, 4, 6))
    layer = LocalResponseNormalization()
    function = tf.function(layer, input_signature=[signature])
    operations = operations_for(module, function)
    assert "LRN" not in operations
    assert any("Call" in operation for operation in operations)


@pytest.mark.parametrize(
    ("module", "dtype", "says"),
    [
        ("tensorflow.lite.python.lite", "mixed_float16", "LiteRT.*float16"),
        ("keras.src.export.litert", "mixed_bfloat16", "LiteRT.*bfloat16"),
        ("tf2onnx.convert", "mixed_bfloat16", "ONNX.*bfloat16"),
        ("keras.src.export.onnx", "float64", "ONNX.*float64"),
        ("keras.src.export.openvino", "mixed_bfloat16", "OpenVINO.*bfloat"),
    ],
)
def test_what_a_format_has_no_convolutions_in(module, dtype, says):
    layer = LocalResponseNormalization(dtype=dtype)
    signature = tf.TensorSpec((None, 4, 4, 6), layer.compute_dtype)
    function = tf.function(layer, input_signature=[signature])
    with pytest.raises(ValueError, match=f"{says}.*export_model"):
        operations_for(module, function)


@pytest.mark.filterwarnings("ignore:In the future `np.object`")  # Keras' own
def test_onnx(tmp_path):
    pytest.importorskip("tf2onnx")
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(8, 3),
            LocalResponseNormalization(alpha=0.5),
        ]
    )
    x = normal((3, 6, 6, 3))
    y = model(x)  # Keras exports to ONNX what was called once
    path = str(tmp_path / "model.onnx")
    model.export(path, format="onnx", verbose=False)
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert nodes.count("LRN") == 1
    session = onnxruntime.InferenceSession(path)
    (inputs,) = session.get_inputs()
    (exported,) = session.run(None, {inputs.name: x})
    assert error(exported, y.numpy()) < 1e-6


# In processes of their own


def run_script(script, folder, **environment):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    result = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stderr


TENSORFLOW = """
import sys
import keras
import numpy as np
import tensorflow as tf
from keras_alexnet import LocalResponseNormalization

(cpu,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert mirrored.num_replicas_in_sync == 2
rng = np.random.default_rng(0)
x = rng.normal(size=(16, 6, 6, 3))
y = rng.normal(size=(16, 2))


def fitted(strategy, precision, steps):
    keras.utils.set_random_seed(3)
    with strategy.scope():
        model = keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                keras.layers.Conv2D(8, 3, activation="relu"),
                LocalResponseNormalization(alpha=0.5, groups=2),
                LocalResponseNormalization(3, window="within_map"),
                keras.layers.Flatten(),
                keras.layers.Dense(2),
            ]
        )
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    before = model.get_weights()
    data = x.astype(precision), y.astype(precision)
    batches = tf.data.Dataset.from_tensor_slices(data).batch(8).repeat()
    model.fit(batches.take(steps), shuffle=False, verbose=0)
    return before, model.get_weights()


for precision, steps in (("float64", 10), ("float32", 1)):
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)
    before, one = fitted(tf.distribute.get_strategy(), precision, steps)
    _, two = fitted(mirrored, precision, steps)
    for name, weights in zip(("before", "one", "two"), (before, one, two)):
        np.savez(f"{sys.argv[1]}/{precision}_{name}.npz", *weights)

for maps in (3, 4, 5):
    for alpha in (0.1, 0.2):
        x = tf.ones((1, 2, maps))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = LocalResponseNormalization(alpha=alpha)(x)
        tape.gradient(y, x)
"""


@pytest.fixture(scope="module")
def tensorflow_alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorflow")
    return folder, run_script(TENSORFLOW, folder)


@pytest.mark.parametrize("precision", BOUNDS)
def test_two_devices_learn_what_one_does(tensorflow_alone, precision):
    folder, _ = tensorflow_alone
    before, one, two = (
        list(np.load(folder / f"{precision}_{name}.npz").values())
        for name in ("before", "one", "two")
    )
    assert one[0].dtype == precision
    assert max(map(error, before, one)) > 1e-3
    assert apart(before, one, two) <= BOUNDS[precision]


def test_no_warnings_of_retracing(tensorflow_alone):
    """TensorFlow warns, twice in a process, of five new traces in a row."""
    _, stderr = tensorflow_alone
    assert "retracing" not in stderr


OTHER_BACKEND = """
import sys
import keras
import numpy as np
from keras_alexnet import LocalResponseNormalization

assert keras.backend.backend() == "{backend}"
x, upstream, vector = np.load(sys.argv[1] + "/inputs.npy")


def differentiated(layer):
    if "{backend}" == "jax":
        import jax

        def gradient(x):
            return jax.vjp(layer, x)[1](upstream)[0]

        def second(x):
            return jax.vjp(gradient, x)[1](vector)[0]

        return [jax.jit(f)(x) for f in (layer, gradient, second)]
    import torch

    leaf = torch.tensor(x, requires_grad=True)
    y = layer(leaf)
    (gradient,) = torch.autograd.grad(
        y, leaf, torch.tensor(upstream), create_graph=True
    )
    (second,) = torch.autograd.grad(gradient, leaf, torch.tensor(vector))
    return y.detach(), gradient.detach(), second


for window in ("cross_map", "within_map"):
    layer = LocalResponseNormalization(alpha=0.5, groups=2, window=window)
    results = [np.asarray(value) for value in differentiated(layer)]
    np.save(f"{{sys.argv[1]}}/{{window}}.npy", results)

model = keras.Sequential(
    [
        keras.Input((None, None, 6)),
        keras.layers.Conv2D(8, 3, activation="relu"),
        LocalResponseNormalization(alpha=0.5, groups=2),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2),
    ]
)
model.compile(keras.optimizers.SGD(0.01), "mse")
targets = np.ones((len(x), 2))
history = model.fit(x, targets, batch_size=2, epochs=3, verbose=0).history
assert history["loss"][-1] < history["loss"][0]
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends(backend, tmp_path):
    pytest.importorskip(backend)
    shape = (3, 3, 4, 6)
    x, upstream, vector = inputs = [normal(shape, seed=s) for s in range(3)]
    np.save(tmp_path / "inputs.npy", inputs)
    script = OTHER_BACKEND.format(backend=backend)
    run_script(script, tmp_path, KERAS_BACKEND=backend)
    for window in ("cross_map", "within_map"):
        config = {"alpha": 0.5, "groups": 2, "window": window}
        y, gradient, second = np.load(tmp_path / f"{window}.npy")
        correct = expected(x, upstream, **config)
        assert error(y, correct[0]) < 1e-6
        assert error(gradient, correct[1]) < 1e-6
        step = 1e-6 * vector.astype("float64")
        _, ahead = expected(x + step, upstream, **config)
        _, behind = expected(x - step, upstream, **config)
        assert error(second, (ahead - behind) / 2e-6) < 2e-6


# Refusals


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"size": 4}, "`size` must be an odd positive integer.*size=4"),
        ({"size": -1}, "`size` must be an odd positive integer.*size=-1"),
        ({"size": 5.0}, "`size` must be an odd positive integer.*size=5.0"),
        ({"k": 0}, "`k` must be positive.*k=0"),
        ({"k": -1.0}, "`k` must be positive.*k=-1.0"),
        ({"alpha": -1e-4}, "`alpha` must not be negative.*alpha=-0.0001"),
        ({"alpha_mode": "max"}, "`alpha_mode` must be 'sum'.*'max'"),
        ({"window": "across"}, "`window` must be 'cross_map'.*'across'"),
        ({"groups": 0}, "`groups` must be a positive integer.*0"),
        ({"groups": 1.5}, "`groups` must be a positive integer.*1.5"),
    ],
)
def test_refused_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        LocalResponseNormalization(**arguments)


def test_integers_of_numpy():
    size, groups, axis = np.int64([3, 2, -1])
    layer = LocalResponseNormalization(size, groups=groups, axis=axis)
    plain = LocalResponseNormalization(3, groups=2, axis=-1)
    names = ("size", "groups", "axis")
    config = json.loads(json.dumps({n: layer.get_config()[n] for n in names}))
    assert config == {n: plain.get_config()[n] for n in names}
    x = normal((2, 4, 4, 8))
    np.testing.assert_array_equal(layer(x), plain(x))


@pytest.mark.parametrize(
    "arguments, shape, sentence",
    [
        ({}, (3,), r"at least 2 axes.*\(3,\)"),
        ({"axis": 0}, (2, 4, 6), "axis 0 the maps"),
        ({"axis": -3}, (2, 4, 6), "axis -3 the maps"),
        ({"axis": 3}, (2, 4, 6), "axis 3 the maps"),
        ({"window": "within_map"}, (2, 6), "at least 3 axes"),
        ({"groups": 4}, (2, 4, 6), "multiple of groups=4"),
        ({}, (2, 4, None), "must be known"),
    ],
)
def test_refused_shapes(arguments, shape, sentence):
    layer = LocalResponseNormalization(**arguments)
    with pytest.raises(ValueError, match=sentence):
        layer(keras.Input(batch_shape=shape))


@pytest.mark.parametrize("scale", [1e16, 1e-16])
@pytest.mark.parametrize("k", [2.0, 1e-30])
def test_the_range_of_float32_is_used(scale, k):
    """A product of the denominator and its root would be 0 or infinite."""
    x = np.random.default_rng(0).uniform(-scale, scale, (2, 3, 3, 8))
    wide = LocalResponseNormalization(k=k, dtype="float64")(x)
    found = LocalResponseNormalization(k=k)(x.astype("float32"))
    assert np.isfinite(found).all() and np.any(found)
    np.testing.assert_allclose(found, wide, rtol=2e-5)
