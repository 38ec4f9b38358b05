"""What is measured while a network is trained and validated, exactly."""

import keras
import tensorflow as tf

NAMES = ("loss", "accuracy", "top5_accuracy")


@keras.saving.register_keras_serializable(package="keras_alexnet")
class ImageCounts(keras.metrics.Metric):
    """Mean loss, top-1 and top-5 accuracy, counting every image once.

    Images of weight 0 do not count, all others alike. The sums are kept in
    double precision and are the same on every replica, so that they can be
    saved and restored in the middle of an epoch.

    Args:
        classes: Integer; with fewer than five, top-5 is top-`classes`.
        name: Name of the metric.

    Call arguments:
        y_true: Labels, `(batch,)`.
        y_pred: Logits, `(batch, classes)`.
        sample_weight: `(batch,)`.
    """

    def __init__(self, classes, name="image_counts"):
        super().__init__(name=name)
        self.classes = classes
        self.sums = self.add_variable(
            (len(NAMES) + 1,),
            "zeros",
            dtype="float64",
            aggregation="only_first_replica",
            name="sums",
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels = tf.reshape(tf.cast(y_true, tf.int32), [-1])
        logits = y_pred
        if logits.dtype != tf.float64:
            logits = tf.cast(logits, tf.float32)
        counts = tf.ones_like(logits[:, 0])
        if sample_weight is not None:
            counts = tf.sign(tf.cast(sample_weight, logits.dtype))
        values = tf.stack(
            [
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits),
                _among_the_first(labels, logits, 1),
                _among_the_first(labels, logits, min(5, self.classes)),
                tf.ones_like(counts),
            ]
        )
        # Not multiplied: a blank image's loss may be infinite.
        values = tf.where(counts > 0, values, tf.zeros_like(values))
        sums = tf.reduce_sum(tf.cast(values, tf.float64), axis=1)
        context = tf.distribute.get_replica_context()
        self.sums.assign_add(
            context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        )

    def result(self):
        sums = tf.convert_to_tensor(self.sums)
        means = tf.math.divide_no_nan(sums[:-1], sums[-1])
        return dict(zip(NAMES, tf.unstack(means), strict=True))

    def get_config(self):
        return {"classes": self.classes, "name": self.name}


def _among_the_first(labels, logits, k):
    """1 for each image whose label is among its first `k` answers.

    Of equal logits the first is the answer, as in an evaluation: by
    `tf.math.in_top_k` a network that gives the same to all is always right.
    An image with a logit that is not finite has no answers.
    """
    own = tf.gather(logits, labels[:, tf.newaxis], axis=1, batch_dims=1)
    places = tf.range(tf.shape(logits)[1])[tf.newaxis]
    is_before = places < labels[:, tf.newaxis]
    better = (logits > own) | ((logits == own) & is_before)
    rank = tf.reduce_sum(tf.cast(better, tf.int32), axis=1)
    is_finite = tf.reduce_all(tf.math.is_finite(logits), axis=1)
    return tf.cast((rank < k) & is_finite, logits.dtype)
