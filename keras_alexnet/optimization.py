"""The paper's rule of learning, its rates, and what is measured."""

import keras


@keras.saving.register_keras_serializable(package="keras_alexnet")
class PaperSGD(keras.optimizers.SGD):
    """Stochastic gradient descent as Section 5 of the AlexNet paper prints it.

    ```
    v <- momentum * v - decay * rate * w - rate * gradient
    w <- w + v
    ```

    The decay stands inside the velocity; Keras' own `weight_decay` stands
    outside of it, which is about ten times too weak. Biases do not decay,
    as in the 2012 code.

    Args:
        learning_rate: Float.
        momentum: Float.
        decay: Float, applied to all variables but those named "bias".
        **kwargs: Further arguments of `keras.optimizers.SGD`.

    Reference:
        - [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824)
    """

    def __init__(
        self,
        learning_rate=0.01,
        momentum=0.9,
        decay=0.0005,
        name="paper_sgd",
        **kwargs,
    ):
        super().__init__(learning_rate, momentum, name=name, **kwargs)
        self.decay = decay

    def build(self, variables):
        super().build(variables)
        # Asked here, since TensorFlow's own variables have other names.
        self._decays = [variable.name != "bias" for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        if self._decays[self._get_variable_index(variable)]:
            gradient = gradient + self.decay * keras.ops.cast(
                variable, gradient.dtype
            )
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "decay": self.decay}


def rate_at(epoch, learning_rate, rate_drops):
    """The rate of an epoch (counted from 0), a tenth after each drop."""
    return learning_rate / 10 ** sum(epoch >= drop for drop in rate_drops)


def metrics(classes):
    """Top-1 and top-5 accuracy (top-k with fewer than five classes)."""
    return [
        keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        keras.metrics.SparseTopKCategoricalAccuracy(
            min(5, classes), name="top5_accuracy"
        ),
    ]
