"""The paper's rule, against the formula in NumPy."""

import gc
import json
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_alexnet.layers.cuda_convnet import LocallyConnected2D
from keras_alexnet.training import optimizer as paper_sgd
from keras_alexnet.training.optimizer import PaperSGD
from keras_alexnet.training.schedules import EndGame
from keras_alexnet.training.schedules import PlateauDrops
from keras_alexnet.training.schedules import rate_at
from keras_alexnet.training.schedules import rate_of


@pytest.mark.parametrize("kind", [keras.Variable, tf.Variable])
def test_update_equals_the_papers_formula_over_rate_drops(kind):
    generator = np.random.default_rng(0)
    kernel, bias = generator.normal(size=(4, 3)), generator.normal(size=3)
    variables = [
        kind(value.astype("float32"), name=name)
        for name, value in (("kernel", kernel), ("bias", bias))
    ]
    optimizer = PaperSGD(0.01)
    speeds = [np.zeros_like(kernel), np.zeros_like(bias)]
    values = [kernel.copy(), bias.copy()]
    for step in range(100):
        rate = rate_at(step, 0.01, (40, 80))
        optimizer.learning_rate = rate
        gradients = [generator.normal(size=v.shape) for v in values]
        optimizer.apply(
            [g.astype("float32") for g in gradients],
            trainable_variables=variables,
        )
        for i, decay in enumerate((0.0005, 0.0)):
            # v <- .9 v - .0005 eps w - eps g; w <- w + v (Section 5)
            speeds[i] = (
                0.9 * speeds[i] - decay * rate * values[i] - rate * gradients[i]
            )
            values[i] = values[i] + speeds[i]
    for variable, value in zip(variables, values, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, atol=1e-6)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_in_float32(precision):
    """Where the rule takes the gradient before it is made float32."""
    dense = keras.layers.Dense(64, dtype=precision)
    dense.build((None, 32))
    generator = np.random.default_rng(0)
    x, upstream = generator.normal(size=(2, 16, 32)).astype("float32")
    upstream = np.tile(upstream, 2)
    optimizer = PaperSGD(0.01)
    optimizer.build(dense.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            y = tf.cast(dense(x), "float32")
        gradients = tape.gradient(y, dense.trainable_variables, upstream)
        optimizer.apply(gradients)
        return gradients

    kernel, velocity = dense.kernel.numpy(), 0.0
    for _ in range(20):
        gradient = step()[0].numpy()
        assert gradient.dtype == "float32" and gradient.std() > 0.1
        velocity = 0.9 * velocity - 0.01 * (gradient + 0.0005 * kernel)
        kernel = kernel + velocity
    np.testing.assert_allclose(dense.kernel.numpy(), kernel, atol=1e-5)
    assert dense.kernel.dtype == "float32"


@pytest.mark.parametrize(
    "momentum, nesterov", [(0.0, False), (0.9, False), (0.9, True)]
)
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_without_decay_it_is_keras_own(momentum, nesterov, layer):
    given = {"learning_rate": 0.1, "momentum": momentum, "nesterov": nesterov}
    weights = []
    for optimizer in (
        PaperSGD(decay=0.0, **given),
        keras.optimizers.SGD(**given),
    ):
        generator = np.random.default_rng(4)
        dense = keras.layers.Dense(4, name=layer)
        dense.build((None, 3))
        dense.set_weights([generator.normal(size=(3, 4)), np.ones(4)])
        for _ in range(20):
            gradients = [generator.normal(size=s) for s in ((3, 4), (4,))]
            optimizer.apply(
                [g.astype("float32") for g in gradients],
                dense.trainable_variables,
            )
        weights.append(dense.get_weights())
    for ours, keras_own in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wide", ["float32", "float16"])
@pytest.mark.parametrize(
    ("shape", "length"),
    [((1024, 1024), 16384), ((1031, 2048), 8248), ((3, 3, 384, 384), 16384)],
)
def test_by_rows_it_is_bit_for_bit_what_it_is_as_a_whole(
    shape, length, wide, monkeypatch
):
    lengths, plain = [], paper_sgd._compiled

    def compiled(forms):
        lengths.extend((of, row) for of, _, row, _ in forms)
        return plain(forms)

    monkeypatch.setattr(paper_sgd, "_compiled", compiled)

    def learned(few_processors):
        monkeypatch.setattr(paper_sgd, "FEW_PROCESSORS", few_processors)
        generator = np.random.default_rng(0)

        def values():
            return generator.normal(size=shape).astype("float32")

        kernel = keras.Variable(values(), name="kernel")
        bias = keras.Variable(np.zeros(7), dtype="float32", name="bias")
        optimizer = PaperSGD(0.01)
        for _ in range(3):
            gradient = tf.cast(tf.constant(values().astype(wide)), "float32")
            optimizer.apply([gradient, tf.ones(7)], [kernel, bias])
        return kernel.numpy(), optimizer.momentums[0].numpy()

    for whole, by_rows in zip(learned(0), learned(10**6), strict=True):
        np.testing.assert_array_equal(by_rows, whole)
    assert set(lengths) == {(shape, None), (shape, length), ((7,), None)}


def test_many_variables_are_no_reason_to_warn_of_retracing(caplog):
    logger = logging.getLogger("tensorflow")
    logger.addHandler(caplog.handler)
    variables = [keras.Variable(np.ones(n)) for n in range(1, 10)]
    gradients = [tf.ones(v.shape) for v in variables]
    PaperSGD(0.01).apply(gradients, variables)
    logger.removeHandler(caplog.handler)
    assert "retracing" not in caplog.text


def test_rates_are_divided_by_ten():
    rates = [rate_at(epoch, 0.01, (2, 3)) for epoch in range(4)]
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.001, 0.0001])


def test_config_round_trip():
    optimizer = PaperSGD(0.02, momentum=0.8, decay=0.001)
    config = keras.saving.serialize_keras_object(optimizer)
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, PaperSGD)
    assert again.get_config() == optimizer.get_config()


def test_only_biases_do_not_decay_whatever_their_rank():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            LocallyConnected2D(2, 3),
            keras.layers.Flatten(),
        ]
    )
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    optimizer = PaperSGD(1.0, momentum=0.0, decay=0.1)
    zeros = [np.zeros(v.shape, "float32") for v in model.trainable_variables]
    optimizer.apply(zeros, model.trainable_variables)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(kernel, 0.9)
    np.testing.assert_allclose(bias, 1.0)


# --- biases -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "bias_rate", "bias_decay"),
    [
        ({"bias_rate": 2.0}, 2.0, 0.0),
        ({"bias_decay": True}, 1.0, 0.01),
        ({"bias_rate": 2.0, "bias_decay": True}, 2.0, 0.01),
    ],
)
def test_biases_learn_faster_and_may_decay(options, bias_rate, bias_decay):
    """As layer-params-*.cfg say: epsW .01, epsB .02, wc 0 for biases."""
    generator = np.random.default_rng(1)
    values = [generator.normal(size=(4, 3)), generator.normal(size=3)]
    variables = [
        keras.Variable(value.astype("float32"), name=name)
        for name, value in zip(("kernel", "bias"), values, strict=True)
    ]
    optimizer = PaperSGD(0.01, decay=0.01, **options)
    speeds = [np.zeros_like(value) for value in values]
    for step in range(100):
        rate = rate_at(step, 0.01, (40, 80))
        optimizer.learning_rate = rate
        gradients = [generator.normal(size=v.shape) for v in values]
        optimizer.apply([g.astype("float32") for g in gradients], variables)
        for i, (factor, decay) in enumerate(
            ((1.0, 0.01), (bias_rate, bias_decay))
        ):
            eps = factor * rate
            speeds[i] = (
                0.9 * speeds[i] - decay * eps * values[i] - eps * gradients[i]
            )
            values[i] = values[i] + speeds[i]
    for variable, value in zip(variables, values, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, atol=1e-6)


def test_a_layer_may_have_a_decay_of_its_own():
    """As layer-params-18pct.cfg: wc .004 for all but fc10, which has 1."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, name="fc1"),
            keras.layers.Dense(3, name="fc10"),
            keras.layers.Dense(3, name="fc2a"),
        ]
    )
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    decays = {"fc10": 0.5, "fc2": 0.0}
    optimizer = PaperSGD(0.1, momentum=0.0, decay=0.1, layer_decay=decays)
    zeros = [np.zeros(v.shape, "float32") for v in model.trainable_variables]
    optimizer.apply(zeros, model.trainable_variables)
    for layer, decay in (("fc1", 0.1), ("fc10", 0.5), ("fc2a", 0.0)):
        kernel, bias = model.get_layer(layer).get_weights()
        np.testing.assert_allclose(kernel, 1 - 0.1 * decay, rtol=1e-6)
        np.testing.assert_allclose(bias, 1)
    config = keras.saving.serialize_keras_object(optimizer)
    again = keras.saving.deserialize_keras_object(config)
    assert again.layer_decay == decays


# --- conv1 near the end -----------------------------------------------------


def two_layers(conv1="conv1", **options):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(2, 3, name=conv1),
            keras.layers.Conv2D(2, 3, name="conv2"),
            keras.layers.Flatten(),
        ]
    )
    model.compile(PaperSGD(0.001, **options), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def step(model, gradient=1.0):
    """Weights and velocities before and after a step, by their paths."""
    optimizer = model.optimizer
    variables = [*model.trainable_variables, *optimizer.momentums]
    before = {v.path: v.numpy() for v in variables}
    gradients = [
        keras.ops.full(v.shape, gradient, "float32")
        for v in model.trainable_variables
    ]
    optimizer.apply(gradients)
    return before, {v.path: v.numpy() for v in variables}


def test_the_end_game_slows_and_freezes_conv1_alone():
    model = two_layers(momentum=0.9, decay=0.5)
    step(model)  # so that there are velocities
    end_game = EndGame(2, 4, rate=1e-5)
    end_game.set_model(model)
    factors = []
    for epoch in range(6):
        end_game.on_epoch_begin(epoch)
        factors.append(model.optimizer.conv1_rate.numpy())
    np.testing.assert_allclose(factors, [1, 1, 0.01, 0.01, 0, 0], rtol=1e-6)
    for gradient in (1.0, np.nan):
        before, after = step(model, gradient)
        frozen = {path for path in before if "conv1" in path}
        assert len(frozen) == 4 and len(before) == 8
        for path in before:
            same = np.array_equal(before[path], after[path])
            assert same == (path in frozen), path


def test_a_frozen_conv1_stays_as_it_is_in_a_fit():
    """As above, in the graph that `fit` makes."""
    model = two_layers(momentum=0.9, decay=0.5)
    x, y = np.ones((4, 6, 6, 1)), np.ones((4, 8))
    model.fit(x, y, verbose=0)
    before = model.get_weights()
    model.fit(x, y, verbose=0, epochs=2, callbacks=[EndGame(0, 0)])
    same = [
        np.array_equal(a, b)
        for a, b in zip(before, model.get_weights(), strict=True)
    ]
    assert same == [True, True, False, False]


def test_the_end_game_of_a_fresh_model():
    model = two_layers()
    x, y = np.ones((4, 6, 6, 1)), np.ones((4, 8))
    before = model.get_weights()
    model.fit(x, y, verbose=0, epochs=2, callbacks=[EndGame(0, 0)])
    assert np.array_equal(before[0], model.get_weights()[0])
    assert not np.array_equal(before[2], model.get_weights()[2])
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="needs the optimizer `PaperSGD`"):
        model.fit(x, y, verbose=0, callbacks=[EndGame(0, 0)])


@pytest.mark.parametrize("name", ["conv1", "conv1a", "conv1b", "conv10"])
def test_the_factor_is_that_of_conv1s_rate(name):
    """A step of factor 1/4 is a quarter of a step; decay has its share."""
    moves = []
    for factor in (1.0, 0.25):
        model = two_layers(name, momentum=0.0, decay=0.1)
        model.set_weights([np.ones_like(w) for w in model.get_weights()])
        model.optimizer.conv1_rate.assign(factor)
        before, after = step(model)
        kernel = model.get_layer(name).kernel.path
        moves.append(after[kernel] - before[kernel])
    expected = 1.0 if name == "conv10" else 0.25
    np.testing.assert_allclose(moves[1], expected * moves[0], rtol=1e-3)
    np.testing.assert_allclose(moves[0], -0.001 * 1.1, rtol=1e-3)


def test_the_end_game_reaches_into_the_optimizer_of_float16():
    model = two_layers()
    model.compile(keras.optimizers.LossScaleOptimizer(PaperSGD(0.001)), "mse")
    model.optimizer.build(model.trainable_variables)
    end_game = EndGame(1, 2)
    end_game.set_model(model)
    factors = []
    for epoch in range(3):
        end_game.on_epoch_begin(epoch)
        inner = model.optimizer.inner_optimizer
        factors.append(inner.conv1_rate.numpy())
    np.testing.assert_allclose(factors, [1, 0.01, 0], rtol=1e-6)


# --- dropping the rate on a plateau -----------------------------------------

# What happens with patience 2: (accuracy, rate after the epoch).
PLATEAU = (
    (0.2, 0.01),
    (0.3, 0.01),
    (0.3, 0.01),  # equal is no improvement
    (0.31, 0.01),
    (0.3, 0.01),
    (0.2, 0.001),  # two epochs without one
    (0.31, 0.001),  # waits anew
    (0.4, 0.001),
    (0.4, 0.001),
    (0.4, 0.0001),
    (0.1, 0.0001),
    (0.1, 0.0001),  # twice is enough
    (0.1, 0.0001),
    (0.1, 0.0001),
)


def plateau_drops(model):
    callback = PlateauDrops(patience=2, times=2)
    callback.set_model(model)
    return callback


def test_the_rate_drops_where_the_accuracy_stops_rising():
    model = two_layers()
    model.optimizer.learning_rate = 0.01
    callback = plateau_drops(model)
    for epoch, (accuracy, rate) in enumerate(PLATEAU):
        callback.on_epoch_end(epoch, {"val_accuracy": accuracy})
        assert rate_of(model.optimizer) == rate, epoch
    assert callback.state["drops"] == 2


def test_a_plateau_of_what_is_not_measured_is_refused():
    model = two_layers()
    callbacks = [PlateauDrops(patience=1)]
    with pytest.raises(ValueError, match="'val_accuracy', which is not"):
        model.fit(np.ones((4, 6, 6, 1)), np.ones((4, 8)), 4, 1, 0, callbacks)


@pytest.mark.parametrize("patience, times", [(0, 3), (-1, 3), (2, -1)])
def test_refused_plateaus(patience, times):
    with pytest.raises(ValueError, match="`patience` must be at least 1"):
        PlateauDrops(patience, times)


@pytest.mark.parametrize(
    "given",
    [
        {"decay": -0.0005},
        {"decay": float("nan")},
        {"bias_rate": -1.0},
        {"bias_rate": float("inf")},
        {"layer_decay": {"conv1": -1.0}},
    ],
)
def test_refused_decays(given):
    (name,) = given.get("layer_decay", given)
    told = f"must be finite and not negative.*{name}="
    with pytest.raises(ValueError, match=told):
        PaperSGD(**given)


@pytest.mark.parametrize("stop", range(1, len(PLATEAU)))
def test_a_restored_plateau_goes_on_the_same(stop):
    model = two_layers()
    model.optimizer.learning_rate = 0.01
    callback = plateau_drops(model)
    for epoch, (accuracy, rate) in enumerate(PLATEAU):
        if epoch == stop:
            kept = json.loads(json.dumps(callback.state))
            callback = plateau_drops(model)
            callback.state.update(kept)
        callback.on_epoch_end(epoch, {"val_accuracy": accuracy})
        assert rate_of(model.optimizer) == rate, epoch


def test_the_rate_is_read_as_it_was_given():
    for rate in (0.01, 0.001, 1e-5, 0.02, 0.1234567):
        assert rate_of(PaperSGD(rate)) == rate
    optimizer = PaperSGD(0.01)
    for power in range(3, 8):
        optimizer.learning_rate = rate_of(optimizer) / 10
        assert rate_of(optimizer) == float(f"1e-{power}")


def test_names_are_numbered_as_those_of_keras():
    names = [PaperSGD().name for _ in range(2)]
    assert names[0] != names[1]
    assert all(name.startswith("paper_sgd") for name in names)
    assert PaperSGD(name="mine").name == "mine"


@pytest.mark.parametrize("name", ["conv9", "Conv1", "conv"])
def test_a_decay_of_a_layer_that_is_none(name):
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3, name="conv1")]
    )
    model.compile(PaperSGD(layer_decay={name: 0.1}), "mse")
    with pytest.raises(ValueError, match=f"'{name}'.*conv1"):
        model.fit(np.zeros((2, 4, 4, 1)), np.zeros((2, 2, 2, 2)), verbose=0)


@pytest.mark.parametrize("kind", [tf.constant, tuple, list, np.array])
def test_sparse_gradients_are_what_dense_ones_are(kind):
    variable = keras.Variable(np.ones((3, 2), "float32"))
    optimizer = PaperSGD(0.5, momentum=0.0, decay=0.0)
    optimizer.build([variable])
    gradient = tf.IndexedSlices(
        kind([[1.0, 2.0]]), kind([1]), dense_shape=kind([3, 2])
    )
    optimizer.apply_gradients([(gradient, variable)])
    expected = [[1.0, 1.0], [0.5, 0.0], [1.0, 1.0]]
    assert variable.numpy().tolist() == expected


def trained_with(callback, rate=0.1, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(
        PaperSGD(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    x, y = np.ones((4, 3)), np.array([0, 1, 0, 1])
    options = {"validation_data": (x, y), "epochs": 6} | options
    model.fit(x, y, callbacks=[callback], verbose=0, **options)
    return callback.state


def test_epochs_that_are_not_validated_do_not_count():
    """Of six epochs three are: the best, and two without improvement."""
    state = trained_with(PlateauDrops(patience=2), validation_freq=2)
    assert state["drops"] == 1


def test_of_a_loss_less_is_better():
    """It falls in each epoch, so that the rate does not."""
    state = trained_with(PlateauDrops(1, monitor="val_loss"), 0.01, epochs=4)
    assert state["drops"] == 0
    assert 0.5 < state["best"] < 3


def test_what_a_plateau_cannot_watch():
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    with pytest.raises(ValueError, match="a schedule sets already"):
        trained_with(PlateauDrops(1), rate)
    with pytest.raises(ValueError, match="'val_accuracy', which is not"):
        trained_with(PlateauDrops(1), validation_data=None)
    with pytest.raises(ValueError, match="'val_acuracy', which is not"):
        trained_with(PlateauDrops(1, monitor="val_acuracy"))


def test_an_optimizer_that_is_wrapped_anew_keeps_its_variables():
    variable = keras.Variable(np.ones(3, "float32"))
    optimizer = PaperSGD(0.1)
    for _ in range(2):
        keras.optimizers.LossScaleOptimizer(optimizer).build([variable])
        assert len(optimizer.variables) == 4


def test_models_that_are_gone_leave_no_graph():
    """As of a search over many of them."""

    def graphs_after(count):
        for _ in range(count):
            layers = [keras.layers.Dense(3), keras.layers.Dense(2)]
            model = keras.Sequential([keras.Input((4,)), *layers])
            model.compile(PaperSGD(0.1, decay=0.01), "mse")
            model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
        del model
        gc.collect()
        # Not `isinstance`, which some objects of PyTorch's answer by a warning.
        kinds = map(type, gc.get_objects())
        return sum(issubclass(kind, tf.Graph) for kind in kinds)

    assert graphs_after(2) == graphs_after(3)
