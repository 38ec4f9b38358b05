"""The paper's rule, against the formula in NumPy."""

import keras
import numpy as np

from keras_alexnet.layers import LocallyConnected2D
from keras_alexnet.optimization import PaperSGD
from keras_alexnet.optimization import rate_at


def test_update_equals_the_papers_formula_over_rate_drops():
    generator = np.random.default_rng(0)
    kernel, bias = generator.normal(size=(4, 3)), generator.normal(size=3)
    variables = [
        keras.Variable(value.astype("float32"), name=name)
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
