"""The paper's rule of learning."""

import contextlib
import functools
import math
import os
from collections.abc import Mapping

import keras
from keras import ops

from keras_alexnet.models.keras_private import index_of
from keras_alexnet.models.keras_private import strategy_of


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
        bias_rate: Float, biases learn at so many times the rate (2 in the
            2012 code).
        bias_decay: Boolean, whether biases decay as well (as in PyTorch).
        layer_decay: Dict from the name of a layer that learns to a decay of
            its own.
        name: Name of the optimizer; by default "paper_sgd", with a number.
        **kwargs: Further arguments of `keras.optimizers.SGD`.

    Attributes:
        conv1_rate: Variable, there once it is built, the factor of conv1's
            rate; at 0 conv1 does not change at all. See `EndGame`.

    Raises:
        ValueError: if a decay or `bias_rate` is negative or not finite, or,
            when it is built, if none of the variables is of a layer in
            `layer_decay`.

    Reference:
        - [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824)

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(PaperSGD(0.01), "mse")
    """

    def __init__(
        self,
        learning_rate: float
        | keras.optimizers.schedules.LearningRateSchedule = 0.01,
        momentum: float = 0.9,
        decay: float = 0.0005,
        bias_rate: float = 1.0,
        bias_decay: bool = False,
        layer_decay: Mapping[str, float] | None = None,
        name: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(learning_rate, momentum, name=name, **kwargs)
        layer_decay = dict(layer_decay or {})
        # A decay below zero would blow the weights up.
        given = [("decay", decay), ("bias_rate", bias_rate)]
        for of, value in [*given, *layer_decay.items()]:
            if not 0 <= value < math.inf:
                raise ValueError(
                    "Decays and `bias_rate` must be finite and not negative. "
                    f"Received: {of}={value}"
                )
        self.decay = decay
        self.bias_rate = bias_rate
        self.bias_decay = bias_decay
        self.layer_decay = layer_decay

    def build(self, variables):
        if self.built:  # as a `LossScaleOptimizer` around it asks again
            return
        self._check_layers(variables)
        super().build(variables)
        self.conv1_rate = self.add_variable(
            (), initializer="ones", name="conv1_rate"
        )
        # Asked here: `update_step` gets what is in Keras' variables.
        self._are_biases = [_names(v)[-1] == "bias" for v in variables]
        self._are_conv1 = [_is_of("conv1", variable) for variable in variables]
        self._decays = [self._decay_of(variable) for variable in variables]

    def _check_layers(self, variables):
        for layer in self.layer_decay:
            if not any(_is_of(layer, variable) for variable in variables):
                names = [n for v in variables for n in _names(v)[:-1]]
                raise ValueError(
                    f"`layer_decay` names {layer!r}, but of those that learn "
                    f"none is called so: {', '.join(dict.fromkeys(names))}."
                )

    def add_variable_from_reference(self, reference_variable, **kwargs):
        # A velocity, on the device of its variable: what updates both of them
        # in place reaches one device.
        place = contextlib.nullcontext()
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            is_keras = isinstance(reference_variable, keras.Variable)
            variable = (
                reference_variable.value if is_keras else reference_variable
            )
            place = tf.device(variable.device)
        with place:
            return super().add_variable_from_reference(
                reference_variable, **kwargs
            )

    def _decay_of(self, variable):
        if _names(variable)[-1] == "bias" and not self.bias_decay:
            return 0.0
        for layer, decay in self.layer_decay.items():
            if _is_of(layer, variable):
                return decay
        return self.decay

    def update_step(self, gradient, variable, learning_rate):
        values, rule = self._values_and_rule(gradient, variable, learning_rate)
        if keras.backend.backend() == "tensorflow":
            self._update_in_place([(variable, values, rule)])
            return
        velocity, *values = values
        before = map(_tensor, (variable, velocity))
        changed = _learn(*before, *values, *rule)
        for value, new in zip((variable, velocity), changed, strict=True):
            if value is not None:
                self.assign(value, new)

    def _values_and_rule(self, gradient, variable, learning_rate):
        """Velocity, gradient, rate and factor; decay, momentum, whether it is
        Nesterov's."""
        index = index_of(self, variable)
        learning_rate, factor = (
            ops.cast(value, variable.dtype)
            for value in (learning_rate, self.conv1_rate)
        )
        if self._are_biases[index]:
            learning_rate = learning_rate * self.bias_rate
        if not self._are_conv1[index]:
            factor = None
        velocity = self.momentums[index] if self.momentum else None
        rule = (self._decays[index], self.momentum, self.nesterov)
        if keras.backend.backend() == "tensorflow":
            gradient = _narrow(_dense(gradient))
        values = map(_tensor, (gradient, learning_rate, factor))
        return (velocity, *values), rule

    # Small variables in one call, which takes less time to compile and to
    # begin; the large ones do not wait for one another's gradients.
    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if keras.backend.backend() != "tensorflow" or not _is_alone(self):
            super()._backend_update_step(
                grads, trainable_variables, learning_rate
            )
            return
        small = {}
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            if isinstance(variable, keras.Variable):
                variable = variable.value
            update = (
                variable,
                *self._values_and_rule(gradient, variable, learning_rate),
            )
            if math.prod(variable.shape) < LARGE:
                small.setdefault(variable.device, []).append(update)
            else:
                self._update_in_place([update])
        for updates in small.values():
            self._update_in_place(updates)

    def _update_in_place(self, updates):
        """Update some variables of one device."""
        import tensorflow as tf

        forms, given = [], []
        for variable, (velocity, *values), rule in updates:
            form = tuple(variable.shape), variable.dtype
            row = _row_length(*form, variable.device, values, rule)
            forms.append((*form, row, rule))
            velocity = self._handle_of(velocity, variable)
            given.append((variable.handle, velocity, *values))
        with tf.device(variable.device):  # XLA reaches no other's
            _compiled(tuple(forms))(given)

    def _handle_of(self, velocity, variable):
        """Where several devices mirror it, of the one of its variable's."""
        if velocity is None:
            return None
        mirrors = strategy_of(self).experimental_local_results(velocity.value)
        here = (v for v in mirrors if v.device == variable.device)
        return next(here, mirrors[0]).handle

    # Keras' sum over one device keeps the model's graph for ever.
    def _all_reduce_sum_gradients(self, grads_and_vars):
        if strategy_of(self).num_replicas_in_sync == 1:
            return grads_and_vars
        return super()._all_reduce_sum_gradients(grads_and_vars)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "decay": self.decay,
            "bias_rate": self.bias_rate,
            "bias_decay": self.bias_decay,
            "layer_decay": self.layer_decay,
        }


def _learn(
    variable,
    velocity,
    gradient,
    learning_rate,
    factor,
    decay,
    momentum,
    nesterov,
):
    """What the variable and its velocity become."""
    gradient = ops.cast(gradient, variable.dtype)
    if keras.backend.backend() == "jax" and hasattr(gradient, "todense"):
        gradient = gradient.todense()  # which no product or sum is made of
    if factor is not None:
        learning_rate = learning_rate * factor
    if decay:
        gradient = gradient + decay * variable
    change = new_velocity = -learning_rate * gradient
    if velocity is not None:
        new_velocity = momentum * velocity + change
        change = new_velocity
        if nesterov:
            change = momentum * new_velocity - learning_rate * gradient
    new = variable + change
    if factor is not None:
        frozen = ops.equal(factor, 0)
        new = ops.where(frozen, variable, new)
        if velocity is not None:
            new_velocity = ops.where(frozen, velocity, new_velocity)
    return new, new_velocity


def _dense(gradient):
    """A sparse gradient of TensorFlow's as a tensor, whatever it is made of."""
    import tensorflow as tf

    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    parts = gradient.values, gradient.indices, gradient.dense_shape
    return tf.convert_to_tensor(tf.IndexedSlices(*map(_tensor, parts)))


def _narrow(gradient):
    """The gradient as mixed precision has it, before it is made wide.

    The compiled rule makes it wide where that takes no memory.
    """
    wide = gradient
    while hasattr(wide, "op") and wide.op.type in ("Identity", "IdentityN"):
        wide = wide.op.inputs[wide.value_index]
    if hasattr(wide, "op") and wide.op.type == "Cast":
        (narrow,) = wide.op.inputs
        if narrow.dtype.is_floating and narrow.dtype.size < wide.dtype.size:
            return narrow
    return gradient


# A loop over rows is one thread's. Up to so many processors a few large
# variables keep them all busy.
FEW_PROCESSORS = 4
LARGE = 2**20  # values
# Of which three rows stay in a processor's own cache (512 KB and more).
SHORTEST_ROW, LONGEST_ROW = 2**12, 2**14


def _row_length(shape, dtype, device, values, rule):
    """Values of the rows that a large variable on a CPU is updated by, or
    `None` where it is updated as a whole."""
    import tensorflow as tf

    count = math.prod(shape)
    _, _, factor = values
    _, momentum, nesterov = rule
    kind = tf.DeviceSpec.from_string(device).device_type
    if (
        kind != "CPU"
        or (os.cpu_count() or 1) > FEW_PROCESSORS
        or count < LARGE
        or dtype != tf.float32
        or factor is not None
        or nesterov
        or not momentum
    ):
        return None
    lengths = range(LONGEST_ROW, SHORTEST_ROW - 1, -1)
    return next((n for n in lengths if count % n == 0), None)


@functools.lru_cache(maxsize=1024)
def _compiled(forms):
    """The rule for some variables as one function that XLA compiles.

    One pass over the memory for the velocity and one for the variable, in
    place: half of the time of the single operations (benchmarks/README.md).
    By rows, the second pass finds in the cache what the first has read, which
    takes two thirds of the time and gives the same values bit for bit.
    XLA compiles it once for their shapes: one function for all shapes
    TensorFlow would trace again and again, and warn. It takes the handles of
    variables, since a function that takes variables can outlive none of them.
    """
    import tensorflow as tf

    # A partial, since TensorFlow would take all closures for the same function.
    update = functools.partial(_assign_all, forms=forms)
    return tf.function(update, jit_compile=True, autograph=False)


def _assign_all(given, forms):
    for values, form in zip(given, forms, strict=True):
        _assign(*values, form=form)


def _assign(variable, velocity, *values, form):
    """The rule for a variable and its velocity or `None`, by their handles."""
    import tensorflow as tf

    _, dtype, row, rule = form
    handles = variable, velocity
    before = [
        None
        if handle is None
        else tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
        for handle in handles
    ]
    learn = _learn if row is None else functools.partial(_learn_by_rows, row)
    after = learn(*before, *values, *rule)
    for handle, new in zip(handles, after, strict=True):
        if handle is not None:
            tf.raw_ops.AssignVariableOp(resource=handle, value=new)


def _learn_by_rows(length, variable, velocity, gradient, rate, *rule):
    """As `_learn`, without a factor, in one pass over the memory.

    The velocity is a row ahead of the variable: of the same row, XLA would
    compute the velocity twice from what it was, and copy it for that.
    """
    import tensorflow as tf

    count = math.prod(variable.shape) // length

    def row(values, i):
        return ops.slice(values, (i, 0), (1, length))

    def learn(i, variable, velocity):
        last = tf.minimum(i, count - 1)
        values = [row(v, last) for v in (variable, velocity, gradient)]
        _, new = _learn(*values, rate, *rule)
        new = tf.where(i < count, new, values[1])
        velocity = ops.slice_update(velocity, (last, 0), new)
        before = tf.maximum(i - 1, 0)
        old = row(variable, before)
        new = tf.where(i > 0, old + row(velocity, before), old)
        return i + 1, ops.slice_update(variable, (before, 0), new), velocity

    shape = variable.shape
    variable, velocity, gradient = (
        tf.reshape(values, (count, length))
        for values in (variable, velocity, gradient)
    )
    _, variable, velocity = tf.while_loop(
        lambda i, *_: i <= count, learn, (0, variable, velocity)
    )
    return tf.reshape(variable, shape), tf.reshape(velocity, shape)


def _tensor(value):
    """What a variable holds now."""
    return None if value is None else ops.convert_to_tensor(value)


def _is_alone(optimizer):
    """Whether no `tf.distribute.Strategy` is there, not even of one device."""
    import tensorflow as tf

    default = tf.distribute.get_strategy()
    return not tf.distribute.has_strategy() and (
        strategy_of(optimizer) is default
    )


def _is_of(layer, variable):
    """Whether a variable is of that layer, or of one of its two towers."""
    return not {layer, f"{layer}a", f"{layer}b"}.isdisjoint(_names(variable))


def _names(variable):
    """Those of its model, its layer and its own."""
    # TensorFlow's own variables have no path; their names end in ":0".
    path = getattr(variable, "path", variable.name.split(":")[0])
    return path.split("/")
