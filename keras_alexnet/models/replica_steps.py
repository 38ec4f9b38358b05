"""One step of training or testing, exact over all devices.

Keras' own steps average the replicas' averages, clip gradients before they
are added up, and call the network with no images where a batch is too small
for all replicas. These give what one device gives, up to the rounding of sums
in another order, whatever the batch.
"""

import contextlib

import keras
import tensorflow as tf

from keras_alexnet.models.batch_parts import check_parts
from keras_alexnet.models.batch_parts import measured
from keras_alexnet.models.batch_parts import reduction


def train_step(model, data, parts=1):
    """A step of gradient descent on this replica's share of a batch.

    Args:
        model: A compiled `keras.Model`.
        data: This replica's `(x, y)` or `(x, y, sample_weight)`.
        parts: In how many parts the share is computed, one after another,
            which needs the memory of one.

    Returns:
        Dict of the model's metrics.
    """
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    total = sum_over_replicas(_counted(model, x, weight))

    def forward(x, y, weight):
        y_pred = _call(model, x, training=True)
        loss = model.compute_loss(x, y, y_pred, weight, training=True)
        return y_pred, _share(model, loss, x, weight, total)

    y_pred, loss, gradients = _in_parts(model, forward, (x, y, weight), parts)
    variables = model.trainable_variables
    if variables:  # not where all layers are frozen
        gradients = _clipped(model.optimizer, gradients)
        model.optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return _measured(model, (x, y, weight), y_pred, loss)


def test_step(model, data):
    """The loss and the metrics of this replica's share of a batch."""
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    y_pred = _call(model, x, training=False)
    loss = model.compute_loss(x, y, y_pred, weight, training=False)
    total = sum_over_replicas(_counted(model, x, weight))
    loss = _share(model, loss, x, weight, total)
    return _measured(model, (x, y, weight), y_pred, loss)


def predict_step(model, data):
    """The predictions for this replica's share of a batch."""
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    return _call(model, x, training=False)


def train_on_batch(model, x, y, sample_weight):
    """The step of one batch, each replica getting its share of it.

    Keras 3.15 gives each the whole batch.

    Returns:
        Dict of the metrics.
    """
    columns = [c for c in (x, y, sample_weight) if c is not None]
    data = tf.data.Dataset.from_tensor_slices(tuple(columns))
    data = data.batch(keras.tree.flatten(x)[0].shape[0])
    batches = model.distribute_strategy.experimental_distribute_dataset(data)
    model.make_train_function()
    model.reset_metrics()
    model.train_function(iter(batches))  # gives the replicas' average
    logs = model.get_metrics_result()
    return {name: float(value) for name, value in logs.items()}


def every_step(model, step):
    """What `fit` calls for each step, on several devices or machines.

    On several machines, Keras 3.15 averages what a step returns over an axis
    that scalars do not have (keras-team/keras#20585); the model's step must
    return the same on every replica, as that of `PixelModel` does.
    """

    def one_step(data):
        strategy = model.distribute_strategy
        logs = strategy.run(step, args=(data,))
        return tf.nest.map_structure(
            lambda value: strategy.experimental_local_results(value)[0], logs
        )

    if not model.run_eagerly:
        one_step = tf.function(one_step, reduce_retracing=True)
    return lambda iterator: one_step(next(iterator))


def _replicas():
    return tf.distribute.get_replica_context().num_replicas_in_sync


def is_in_scope():
    """Whether a strategy of `tf.distribute` is in force."""
    return tf.distribute.has_strategy()


def sum_over_replicas(value):
    """The sum of what each of the replicas has."""
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def _rows(x):
    return tf.shape(tf.nest.flatten(x)[0])[0]


def _share(model, loss, x, weight, total):
    """What a loss adds to that of the whole batch.

    Keras divides a mean by this replica's images and by the replicas; here it
    is divided by all images.
    """
    if reduction(model) == "sum":
        return loss
    share = tf.math.divide_no_nan(_counted(model, x, weight), total)
    return loss * tf.cast(share * _replicas(), loss.dtype)


def _counted(model, x, weight):
    """By what the loss of a batch is divided.

    In double precision: a share of 5/9 in float32 is off by 1e-8.
    """
    if reduction(model) == "mean_with_sample_weight" and weight is not None:
        return tf.reduce_sum(tf.cast(weight, tf.float64))
    return tf.cast(_rows(x), tf.float64)


def _call(model, x, training):
    """The model's answers; also none, to no images.

    Convolutions of oneDNN cannot be given an empty batch, as one replica gets
    it at the end of an epoch; an empty image takes its place.
    """
    if tf.nest.flatten(x)[0].shape[0]:
        return model(x, training=training)
    rows = _rows(x)

    def blank(value):
        shape = tf.concat([[1], tf.shape(value)[1:]], axis=0)
        filled = tf.cond(
            rows > 0, lambda: value, lambda: tf.zeros(shape, value.dtype)
        )
        return tf.ensure_shape(filled, value.shape)

    y_pred = model(tf.nest.map_structure(blank, x), training=training)
    return tf.nest.map_structure(lambda value: value[:rows], y_pred)


def _in_parts(model, forward, data, parts):
    """Answers, loss and gradients, summed over the parts of the data."""

    def compute(x, y, weight):
        with tf.GradientTape() as tape:
            y_pred, loss = forward(x, y, weight)
            scaled = model.optimizer.scale_loss(loss)
        return y_pred, loss, tape.gradient(scaled, model.trainable_variables)

    if parts == 1:
        return compute(*data)
    data = _split(data, parts)

    def part(i):
        return tf.nest.map_structure(
            lambda value: None if value is None else value[i], data
        )

    # A loop, so that not more than one part is in memory; the gradients of
    # the first part show the shapes.
    answers, loss, gradients = compute(*part(0))
    collected = tf.TensorArray(
        answers.dtype, parts, element_shape=answers.shape
    )
    collected = collected.write(0, answers)

    def body(i, collected, loss, gradients):
        answers, more, others = compute(*part(i))
        gradients = [a + b for a, b in zip(gradients, others, strict=True)]
        return i + 1, collected.write(i, answers), loss + more, gradients

    _, collected, loss, gradients = tf.while_loop(
        lambda i, *_: i < parts,
        body,
        (tf.constant(1), collected, loss, gradients),
        parallel_iterations=1,
    )
    return collected.concat(), loss, gradients


def _split(data, parts):
    """The same, each `(rows, ...)` as `(parts, rows / parts, ...)`."""
    rows = tf.nest.flatten(data)[0].shape[0]
    check_parts(parts, rows)

    def split(value):
        if value is None:
            return None
        # By shape: XLA does not know the size of a slice whose place is a
        # tensor.
        rest = tf.shape(value)[1:]
        shape = tf.concat([[parts, rows // parts], rest], axis=0)
        known = (parts, rows // parts, *value.shape[1:])
        return tf.ensure_shape(tf.reshape(value, shape), known)

    return tf.nest.map_structure(split, data)


def _clipped(optimizer, gradients):
    """Gradients clipped as one device would clip their sum.

    All replicas then hold the same, and a share of it, which the optimizer
    adds up again. A scaled loss needs that too: Keras asks one replica only
    whether its gradients are finite.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    limits = inner.clipnorm, inner.global_clipnorm, inner.clipvalue
    if _replicas() == 1 or (inner is optimizer and not any(limits)):
        return gradients
    gradients = sum_over_replicas(gradients)
    scale = 1.0 if inner is optimizer else optimizer.dynamic_scale
    if inner.clipnorm:
        limit = inner.clipnorm * scale
        gradients = [tf.clip_by_norm(g, limit) for g in gradients]
    elif inner.global_clipnorm:
        limit = inner.global_clipnorm * scale
        gradients, _ = tf.clip_by_global_norm(gradients, limit)
    elif inner.clipvalue:
        limit = inner.clipvalue * scale
        gradients = [_clipped_values(g, limit) for g in gradients]
    return [gradient / _replicas() for gradient in gradients]


def _clipped_values(gradient, limit):
    """What is not finite stays: a scaled loss leaves out such a step."""
    clipped = tf.clip_by_value(gradient, -limit, limit)
    return tf.where(tf.math.is_finite(gradient), clipped, gradient)


def _measured(model, data, y_pred, loss):
    loss = sum_over_replicas(loss)
    return measured(model, data, y_pred, loss, _rows(data[0]))


@contextlib.contextmanager
def one_strategy():
    """Say what has happened where TensorFlow mixes up two strategies.

    Raises:
        ValueError: if its collective operations fail.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if "CollectiveReduce" not in str(error):
            raise
        raise ValueError(
            "The devices could not add up their gradients: TensorFlow mixes up "
            "the collective operations of several strategies in one process "
            "(tensorflow/tensorflow#62790). Make one "
            "`tf.distribute.MirroredStrategy` and use it for all trainings; "
            "or give each `cross_device_ops="
            "tf.distribute.ReductionToOneDevice()`."
        ) from error


def check_options(model):
    """Refuses what Keras 3.15 cannot do under a strategy.

    Raises:
        ValueError: if the model was compiled with such an option.
    """
    strategy = model.distribute_strategy
    # In mixed float16 it is wrapped, for the scale of the loss.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    machines = tf.distribute.MultiWorkerMirroredStrategy
    if isinstance(strategy, machines) and model.made_in_scope:
        raise ValueError(
            "Keras' `fit` cannot start on several machines "
            "(keras-team/keras#20585); use "
            "`keras_alexnet.train(recipe, distribute='multiworker')`."
        )
    for name, breaks, instead in (
        (
            "jit_compile=True",
            model.jit_compile is True,
            "leave it at 'auto'; the normalization is compiled anyway",
        ),
        (
            "steps_per_execution > 1",
            model.steps_per_execution != 1,
            "leave it at 1",
        ),
        (
            "gradient_accumulation_steps",
            getattr(optimizer, "gradient_accumulation_steps", None),
            "set the model's `accumulation_steps` instead",
        ),
    ):
        if breaks:
            raise ValueError(
                f"`{name}` does not work in Keras on several devices; "
                f"{instead}."
            )
