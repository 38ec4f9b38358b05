"""Dropout (Section 4.2) whose noise is another one on every device."""

import keras

PRIME = 1000003  # distance of the seeds of two devices


@keras.saving.register_keras_serializable(package="keras_alexnet")
class Dropout(keras.layers.Dropout):
    """Sets each value to 0 with probability `rate`, in training.

    As `keras.layers.Dropout`, and on one device the same values. Under
    `tf.distribute`, where that layer draws one mask for all replicas (its
    seed is copied to them), each replica draws its own, reproducible from the
    seed.

    Args:
        rate: Float between 0 and 1.
        **kwargs: As of `keras.layers.Dropout`.

    Input shape:
        Any.

    Output shape:
        The same.

    Reference:
        - [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824),
          Section 4.2; Keras scales in training, the paper at the test.

    Example:

    >>> Dropout(0.5)(np.ones((2, 3)), training=False)
    <tf.Tensor: shape=(2, 3), dtype=float32, numpy=
    array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float32)>
    """

    def call(self, inputs, training=False):
        replica = _replica()
        if not training or replica is None or not 0 < self.rate < 1:
            return super().call(inputs, training=training)
        import tensorflow as tf

        # keras.random.dropout takes no seed that is a tensor.
        state = tf.cast(self.seed_generator.next(), tf.int32)
        shift = tf.stack([tf.cast(replica, tf.int32) * PRIME, 0])
        noise_shape = None
        if self.noise_shape is not None:
            noise_shape = [
                tf.shape(inputs)[axis] if size is None else size
                for axis, size in enumerate(self.noise_shape)
            ]
        return tf.nn.experimental.stateless_dropout(
            inputs, self.rate, seed=state + shift, noise_shape=noise_shape
        )


def _replica():
    """Which of several replicas this is; `None` if there is one."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    if not tf.distribute.has_strategy():
        return None
    context = tf.distribute.get_replica_context()
    return context and context.replica_id_in_sync_group
