"""What is measured while a network is trained and validated, exactly."""

import keras
from keras import ops

NAMES = ("loss", "accuracy", "top5_accuracy")


@keras.saving.register_keras_serializable(package="keras_alexnet")
class ImageCounts(keras.metrics.Metric):
    """Mean loss, top-1 and top-5 accuracy, counting every image once.

    Images of weight 0 do not count, all others alike. The sums are kept in
    double precision, on JAX where that is enabled, and are the same on every
    replica, so that they can be saved and restored in the middle of an epoch.

    Args:
        classes: Integer; with fewer than five, top-5 is top-`classes`.
        name: Name of the metric.

    Call arguments:
        y_true: Labels, `(batch,)`.
        y_pred: Logits, `(batch, classes)`.
        sample_weight: `(batch,)`.
    """

    def __init__(self, classes: int, name: str = "image_counts") -> None:
        super().__init__(name=name)
        self.classes = classes
        self.sums = self.add_variable(
            (len(NAMES) + 1,),
            "zeros",
            dtype=_widest(),
            aggregation="only_first_replica",
            name="sums",
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        logits = ops.convert_to_tensor(y_pred)
        if keras.backend.standardize_dtype(logits.dtype) != "float64":
            logits = ops.cast(logits, "float32")
        counts = ops.ones_like(logits[:, 0])
        if sample_weight is not None:
            counts = ops.sign(ops.cast(sample_weight, logits.dtype))
        values = ops.stack(
            [
                ops.sparse_categorical_crossentropy(
                    labels, logits, from_logits=True
                ),
                _among_the_first(labels, logits, 1),
                _among_the_first(labels, logits, min(5, self.classes)),
                ops.ones_like(counts),
            ]
        )
        # Not multiplied: a blank image's loss may be infinite.
        values = ops.where(counts > 0, values, ops.zeros_like(values))
        sums = ops.sum(ops.cast(values, self.sums.dtype), axis=1)
        self.sums.assign_add(_over_replicas(sums))

    def result(self) -> dict:
        sums = ops.convert_to_tensor(self.sums)
        means = ops.divide_no_nan(sums[:-1], sums[-1])
        return {name: means[place] for place, name in enumerate(NAMES)}

    def get_config(self) -> dict:
        return {"classes": self.classes, "name": self.name}


def _among_the_first(labels, logits, k):
    """1 for each image whose label is among its first `k` answers.

    Of equal logits the first is the answer, as in an evaluation: by
    `tf.math.in_top_k` a network that gives the same to all is always right.
    An image with a logit that is not finite has no answers.
    """
    own = ops.take_along_axis(logits, labels[:, None], axis=1)
    places = ops.arange(logits.shape[1], dtype="int32")[None]
    is_before = places < labels[:, None]
    better = (logits > own) | ((logits == own) & is_before)
    rank = ops.sum(ops.cast(better, "int32"), axis=1)
    is_finite = ops.all(ops.isfinite(logits), axis=1)
    return ops.cast((rank < k) & is_finite, logits.dtype)


def _widest():
    """Double precision, where the backend has it."""
    if keras.backend.backend() != "jax":
        return "float64"
    import jax

    return "float64" if jax.config.jax_enable_x64 else "float32"


def _over_replicas(sums):
    """The sums over all devices of `tf.distribute`."""
    if keras.backend.backend() != "tensorflow":
        return sums
    from keras_alexnet.models.replica_steps import sum_over_replicas

    return sum_over_replicas(sums)
