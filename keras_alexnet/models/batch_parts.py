"""A batch computed in parts, one after another, in the memory of one of them.

The loss and the gradients are those of the whole batch, but for the rounding of
sums in another order. On TensorFlow, `replica_steps` does it.
"""

import functools

import keras
from keras import ops


def reduction(model):
    """How the losses are summed over a batch; all in the same way.

    Raises:
        ValueError: if two are in different ways.
    """
    found = {
        getattr(loss, "reduction", "sum_over_batch_size")
        for loss in keras.tree.flatten(model.loss)
        if loss is not None
    }
    if len(found) > 1:
        raise ValueError(
            "On several devices, and in parts, all losses must have the same "
            f"`reduction`. Received: {', '.join(sorted(map(str, found)))}"
        )
    return found.pop() if found else None


def check_parts(parts, rows):
    """Refuses a batch that cannot be computed in so many equal parts."""
    if not isinstance(parts, int) or parts < 1:
        raise ValueError(
            "`accumulation_steps` must be a positive integer. Received: "
            f"{parts!r}"
        )
    if rows is None or rows % parts:
        raise ValueError(
            f"A batch of {rows or 'any number of'} images on a device cannot "
            f"be computed in {parts} equal parts; `accumulation_steps` needs "
            "batches of a fixed size that is a multiple of it, such as a "
            "tf.data.Dataset of `batch(size, drop_remainder=True)`."
        )


def jax_loss(model, compute, values, data, parts):
    """What Keras' `compute_loss_and_updates` gives in training, on JAX.

    Args:
        model: A compiled `keras.Model`.
        compute: That function, of values and data.
        values: Those of the trainable, the other and the metrics' variables.
        data: `(x, y, sample_weight)`.
        parts: Integer.
    """
    import jax

    trainable, *others = values
    check_parts(parts, keras.tree.flatten(data)[0].shape[0])
    share, pieces = _shares(model, data, parts), _split(data, parts)

    def one(trainable, carry, part):
        others, sums = carry

        def shared(trainable):
            loss, (plain, y_pred, *state) = compute(trainable, *others, *part)
            counts = share(part, loss.dtype)
            return loss * counts, (plain * counts, y_pred, state)

        (loss, (plain, y_pred, state)), gradients = jax.value_and_grad(
            shared, has_aux=True
        )(trainable)
        sums = jax.tree.map(lambda a, b: a + b, sums, (loss, plain, gradients))
        return (state, sums), y_pred

    def all_parts(trainable):
        step = functools.partial(one, trainable)
        first = jax.tree.map(lambda values: values[0], pieces)
        begin = others, (0.0, 0.0, trainable)
        (_, shapes), _ = jax.eval_shape(step, begin, first)
        sums = jax.tree.map(
            lambda like: jax.numpy.zeros(like.shape, like.dtype), shapes
        )
        (state, sums), y_pred = jax.lax.scan(step, (others, sums), pieces)
        loss, plain, gradients = sums
        return (loss, (plain, jax.tree.map(_joined, y_pred), *state)), gradients

    # The gradients are there when the loss is: nothing is computed again.
    @jax.custom_vjp
    def total(trainable):
        return all_parts(trainable)[0]

    total.defvjp(
        all_parts,
        lambda gradients, upstream: (
            jax.tree.map(lambda g: g * upstream[0], gradients),
        ),
    )
    return total(trainable)


def _split(data, parts):
    """The same, each `(rows, ...)` as `(parts, rows / parts, ...)`.

    Row by row in turn, so that each of several devices keeps its rows.
    """

    def one(values):
        shape = (-1, parts, *values.shape[1:])
        return ops.swapaxes(ops.reshape(values, shape), 0, 1)

    return keras.tree.map_structure(
        lambda values: None if values is None else one(values), data
    )


def _part_of(pieces, place):
    return keras.tree.map_structure(
        lambda values: None if values is None else values[place], pieces
    )


def _joined(values):
    """The rows of all parts, in the order that they had before `_split`."""
    values = ops.swapaxes(values, 0, 1)
    return ops.reshape(values, (-1, *values.shape[2:]))


def _shares(model, data, parts):
    """What a part's loss counts for in the batch's: of its data and a dtype."""
    weight = data[2]
    if reduction(model) == "sum":
        return lambda part, dtype: ops.ones((), dtype)
    if reduction(model) != "mean_with_sample_weight" or weight is None:
        return lambda part, dtype: ops.ones((), dtype) / parts

    def share(part, dtype):
        own, all_of_it = (
            ops.sum(ops.cast(w, dtype)) for w in (part[2], weight)
        )
        return ops.divide_no_nan(own, all_of_it)

    return share


def torch_step(model, data, parts):
    """A step of gradient descent, on PyTorch.

    Args:
        model: A compiled `keras.Model`.
        data: `(x, y)` or `(x, y, sample_weight)`.
        parts: Integer.

    Returns:
        Dict of the model's metrics.
    """
    import torch

    data = keras.utils.unpack_x_y_sample_weight(data)
    rows = keras.tree.flatten(data[0])[0].shape[0]
    check_parts(parts, rows)
    share, pieces = _shares(model, data, parts), _split(data, parts)
    model.zero_grad()
    weights = model.trainable_variables
    answers, total = [], 0.0
    for place in range(parts):
        x, y, weight = part = _part_of(pieces, place)
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, weight, training=True)
        loss = loss * share(part, loss.dtype)
        if weights:  # not where all layers are frozen
            model.optimizer.scale_loss(loss).backward()
        answers.append(keras.tree.map_structure(lambda v: v.detach(), y_pred))
        total = total + loss.detach()
    if weights:
        with torch.no_grad():
            model.optimizer.apply([v.value.grad for v in weights], weights)
    y_pred = keras.tree.map_structure(
        lambda *values: _joined(ops.stack(values)), *answers
    )
    return measured(model, data, y_pred, total, rows)


def measured(model, data, y_pred, loss, rows):
    """The metrics behind a step, the loss among them where it is tracked."""
    tracker = next((m for m in model.metrics if m.name == "loss"), None)
    if tracker is not None:  # as Keras: the batch's loss, times its images
        tracker.update_state(loss, sample_weight=rows)
    x, y, weight = data
    return model.compute_metrics(x, y, y_pred, weight)
