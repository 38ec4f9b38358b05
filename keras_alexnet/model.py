"""`AlexNet(...)`: a Keras model from the rows of an architecture."""

import numbers
import os
from dataclasses import replace

import keras
import tensorflow as tf

from keras_alexnet import rows as kinds
from keras_alexnet import steps
from keras_alexnet.architectures import get_architecture
from keras_alexnet.arithmetic import check_size
from keras_alexnet.arithmetic import features
from keras_alexnet.building import apply_row
from keras_alexnet.building import regroup
from keras_alexnet.normalization import exporting
from keras_alexnet.signal import first_images
from keras_alexnet.signal import test_images
from keras_alexnet.signal import warn_if_unlearnable
from keras_alexnet.variations import with_padding


@keras.saving.register_keras_serializable(package="keras_alexnet")
class AlexNetModel(keras.Model):
    """What `AlexNet` returns: a functional model with a few habits more.

    `fit` warns before the first step if the images are in a range that the
    initialization cannot learn from. Made and compiled in the scope of a
    `tf.distribute.MirroredStrategy`, it trains as on one device: uneven
    batches, clipping and losses are exact, and `fit` refuses what Keras
    cannot do there. `export` uses the operations that converters know.

    Attributes:
        accumulation_steps: In how many parts a batch is computed, one after
            another, before the weights are changed once; to save memory.
    """

    accumulation_steps = 1

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.made_in_scope = tf.distribute.has_strategy()

    def fit(self, x=None, *args, **kwargs):
        if self.compiled:
            if self._replicas > 1:
                steps.check_options(self)
            elif keras.backend.backend() != "tensorflow":
                steps.check_backend(self)
            if self.optimizer.iterations.numpy() == 0:
                warn_if_unlearnable(self, first_images(x))
        return super().fit(x, *args, **kwargs)

    # Keras on JAX calls these with a state in front of the data.
    def train_step(self, *args):
        if self._replicas == self.accumulation_steps == 1:
            return super().train_step(*args)
        return steps.train_step(self, *args, self.accumulation_steps)

    def test_step(self, *args):
        if self._replicas == 1:
            return super().test_step(*args)
        return steps.test_step(self, *args)

    def predict_step(self, *args):
        if self._replicas == 1:
            return super().predict_step(*args)
        return steps.predict_step(self, *args)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # The only private name of Keras here. To learn the shapes, Keras 3.15
        # adds up the replicas' shares of a batch, which fails where they are
        # uneven; one share tells the shapes too.
        if iterator is not None and self._replicas > 1 and self.made_in_scope:
            local = self.distribute_strategy.experimental_local_results
            for _, _, batches in iterator:
                data_batch = tf.nest.map_structure(
                    lambda value: local(value)[0], next(batches)
                )
                break
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    @property
    def _replicas(self):
        if keras.backend.backend() != "tensorflow":
            return 1
        return self.distribute_strategy.num_replicas_in_sync

    def export(self, *args, **kwargs):
        with exporting():
            return super().export(*args, **kwargs)


def AlexNet(
    variant="alexnet",
    *,
    padding=None,
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name=None,
):
    """Instantiates AlexNet, in any of the forms that the literature knows.

    Args:
        variant: Name of a variant, one of `keras_alexnet.VARIANTS`, or an
            `Architecture`.
        padding: How conv1 and the pools round where the window does not fit:
            `None` (the variant's own), `"valid"`, `"same"`, `"ceil"` (the
            2012 code's: 224 pixels give 55x55 maps), or a pair of them, for
            conv1 and for the pools.
        include_top: Whether to include fc6, fc7 and fc8.
        weights: `None` (the variant's own random initialization) or the path
            of a weights file.
        input_tensor: Optional Keras tensor to use as image input.
        input_shape: Shape of one image in pixels, `(height, width, 3)` (or
            `(3, height, width)` with channels first). The variant's own if
            `None`. Without the top, height and width may be `None`.
        pooling: What to do with the last maps if `include_top` is `False`:
            `None` (4D output), `"avg"` or `"max"` (global pooling).
        classes: Number of classes. The variant's own if `None`: 1000, or 10
            for the CIFAR-10 nets and LeNet-5.
        classifier_activation: Activation of the last layer; `None` returns
            the logits.
        name: Name of the model; the variant's if `None`.

    Returns:
        A functional `keras.Model`. Layers have the paper's names (`conv1`,
        `norm1`, `pool1`, ..., `fc8`); of two towers, `conv1a` and `conv1b`.

    Raises:
        ValueError: if an argument is invalid, or the image is too small.

    Reference:
        - [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824)

    Example:

    >>> model = AlexNet()
    >>> model.count_params()
    60965224
    """
    architecture = with_padding(get_architecture(variant), padding)
    classes = architecture.classes if classes is None else classes
    _check_arguments(weights, include_top, classes, pooling)
    inputs, images, shape = _inputs(
        architecture, include_top, input_tensor, input_shape
    )
    rows = architecture.rows if include_top else features(architecture.rows)
    axis = -1 if keras.config.image_data_format() == "channels_last" else 1
    towers, previous = [images], "image"
    for row in rows:
        if isinstance(row, kinds.Dense) and row.units is None:
            row = replace(row, units=classes, activation=classifier_activation)
        towers = apply_row(row, towers, previous, axis)
        previous = row.name
    (outputs,) = regroup(towers, 1, previous, axis)
    if pooling == "avg" and not include_top:
        outputs = keras.layers.GlobalAveragePooling2D(name="avg_pool")(outputs)
    elif pooling == "max" and not include_top:
        outputs = keras.layers.GlobalMaxPooling2D(name="max_pool")(outputs)
    model = AlexNetModel(inputs, outputs, name=name or architecture.name)
    if weights is not None:
        model.load_weights(weights)
    elif input_tensor is not None and None not in shape:
        # There may be a rescaling in front that spoils the initial values.
        warn_if_unlearnable(model, test_images(inputs))
    return model


def _check_arguments(weights, include_top, classes, pooling):
    if weights is not None and not (
        isinstance(weights, str | os.PathLike) and os.path.isfile(weights)
    ):
        raise ValueError(
            "The `weights` argument should be either `None` (random "
            "initialization) or the path of a weights file; no trained "
            "ImageNet weights are shipped with this package. "
            f"Received: weights={weights}"
        )
    if isinstance(classes, bool) or not (
        isinstance(classes, numbers.Integral) and classes >= 1
    ):
        raise ValueError(
            f"`classes` must be a positive integer. Received: {classes}"
        )
    if pooling not in (None, "avg", "max"):
        raise ValueError(
            "The `pooling` argument should be `None`, 'avg' or 'max'. "
            f"Received: pooling={pooling!r}"
        )


def _inputs(architecture, include_top, input_tensor, input_shape):
    """The model's inputs, the images, and the shape of one image."""
    last = keras.config.image_data_format() == "channels_last"
    if input_tensor is not None and not keras.backend.is_keras_tensor(
        input_tensor
    ):
        input_tensor = keras.Input(tensor=input_tensor)
    if input_tensor is not None:
        shape = tuple(input_tensor.shape[1:])
        if input_shape is not None and tuple(input_shape) != shape:
            raise ValueError(
                "`input_shape` and the shape of `input_tensor` must agree. "
                f"Received: {tuple(input_shape)} and {shape}"
            )
    elif input_shape is not None:
        sequence = isinstance(input_shape, tuple | list)
        shape = tuple(input_shape) if sequence else (input_shape,)
    else:
        height, width, channels = architecture.input_shape
        shape = (height, width, channels) if last else (channels, height, width)
    _check_shape(architecture, shape, last, include_top)
    if input_tensor is None:
        image = keras.Input(shape, name="image")
        return image, image, shape
    sources = keras.utils.get_source_inputs(input_tensor)
    inputs = sources[0] if len(sources) == 1 else sources
    return inputs, input_tensor, shape


def _check_shape(architecture, shape, channels_last, include_top):
    channels = shape[-1 if channels_last else 0] if shape else None
    sizes = [n for n in shape if n is not None]
    if (
        len(shape) != 3
        or channels is None
        or not all(isinstance(n, numbers.Integral) and n > 0 for n in sizes)
    ):
        raise ValueError(
            "`input_shape` must be a tuple of three integers: height, width "
            f"and channels. Received: input_shape={shape}"
        )
    sides = shape[:2] if channels_last else shape[1:]
    needs_size = any(
        isinstance(row, kinds.LocallyConnected) for row in architecture.rows
    )
    if None in sides and (include_top or needs_size):
        raise ValueError(
            "If `include_top` is True, or the network has locally connected "
            "layers, `input_shape` must give the height and the width. "
            f"Received: input_shape={shape}"
        )
    check_size(architecture, (*sides, None))
