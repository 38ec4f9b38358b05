"""`AlexNet(...)`: a Keras model from the rows of an architecture."""

import numbers
import os
from collections.abc import Callable
from dataclasses import replace

import keras

from keras_alexnet.architectures import rows as kinds
from keras_alexnet.architectures.arithmetic import check_size
from keras_alexnet.architectures.arithmetic import features
from keras_alexnet.architectures.arithmetic import weight_shapes
from keras_alexnet.architectures.modifiers import with_padding
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.architectures.variants import Architecture
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.files import AnyPath
from keras_alexnet.models.alexnet_model import AlexNetModel
from keras_alexnet.models.builder import apply_row
from keras_alexnet.models.builder import regroup
from keras_alexnet.models.input_checks import test_images
from keras_alexnet.models.input_checks import warn_if_unlearnable
from keras_alexnet.weights.assign import check_fit
from keras_alexnet.weights.assign import put_weights
from keras_alexnet.weights.assign import weights_for
from keras_alexnet.weights.published import PUBLISHED
from keras_alexnet.weights.published import is_alias
from keras_alexnet.weights.read_weights import read_weights


def AlexNet(
    variant: str | Architecture = "alexnet",
    *,
    padding: str | tuple[str, str] | None = None,
    include_top: bool = True,
    weights: AnyPath | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: str | Callable | None = "softmax",
    name: str | None = None,
) -> AlexNetModel:
    """Instantiates AlexNet, in any of the forms that the literature knows.

    Args:
        variant: Name of a variant, one of `keras_alexnet.VARIANTS`, or an
            `Architecture`.
        padding: How conv1 and the pools round where the window does not fit:
            `None` (the variant's own), `"valid"`, `"same"`, `"ceil"` (the
            2012 code's: 224 pixels give 55x55 maps), or a pair of them, for
            conv1 and for the pools.
        include_top: Whether to include fc6, fc7 and fc8.
        weights: `None` (the variant's own random initialization), the path
            of a file of weights of Keras, PyTorch, Caffe, ONNX or NumPy (see
            `convert_weights`), `"cifar10"`, which is shipped, or the alias of
            a published one, which is downloaded.
        input_tensor: Optional Keras tensor to use as image input.
        input_shape: Shape of one image in pixels, `(height, width, 3)` (or
            `(3, height, width)` with channels first). The variant's own if
            `None`. Without the top, height and width may be `None`, but for
            networks with locally connected layers or averages of windows
            that are cut off.
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
    architecture = get_architecture(variant)
    classes = architecture.classes if classes is None else classes
    _check_arguments(weights, include_top, classes, pooling)
    values, found = None, None
    if weights is not None:
        found = read_weights(weights)
        values = weights_for(found, architecture)
    model = build_model(
        architecture,
        values,
        padding=padding,
        include_top=include_top,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name,
    )
    if found is not None:
        model.checks_range = found.variant is not None
        if include_top:
            model.class_names = found.metadata.get("class_names")
            model.resize_pixels = found.metadata.get("resize_pixels")
    return model


def build_model(
    variant,
    weights=None,
    *,
    padding=None,
    include_top=True,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name=None,
):
    """What `AlexNet` makes, with given weights in it.

    Args:
        variant: As in `AlexNet`, as all that is not here.
        weights: Dict of name -> arrays, as `put_weights` takes it,
            or `None`. They are compared with the rows of the architecture
            first: a file may claim a million classes.

    Raises:
        ValueError: if an argument is invalid, or the weights do not fit.
    """
    architecture = with_padding(get_architecture(variant), padding)
    classes = architecture.classes if classes is None else classes
    _check_arguments(None, include_top, classes, pooling)
    inputs, images, shape = _inputs(
        architecture, include_top, input_tensor, input_shape
    )
    if weights is not None:
        last = keras.config.image_data_format() == "channels_last"
        image = shape if last else (*shape[1:], shape[0])
        shapes = weight_shapes(architecture, image, int(classes), include_top)
        check_fit(name or architecture.name, shapes, weights, include_top)
    rows = architecture.rows if include_top else features(architecture.rows)
    axis = -1 if keras.config.image_data_format() == "channels_last" else 1
    towers, previous = [images], "image"
    for row in rows:
        if isinstance(row, kinds.Dense) and row.units is None:
            row = replace(
                row, units=int(classes), activation=classifier_activation
            )
        towers = apply_row(row, towers, previous, axis)
        previous = row.name
    (outputs,) = regroup(towers, 1, previous, axis)
    if pooling == "avg" and not include_top:
        outputs = keras.layers.GlobalAveragePooling2D(name="avg_pool")(outputs)
    elif pooling == "max" and not include_top:
        outputs = keras.layers.GlobalMaxPooling2D(name="max_pool")(outputs)
    model = AlexNetModel(inputs, outputs, name=name or architecture.name)
    model.padding = padding
    if VARIANTS.get(architecture.name) == get_architecture(variant):
        model.variant = architecture.name
    if weights is not None:
        put_weights(model, weights, include_top)
    elif input_tensor is not None and None not in shape:
        # There may be a rescaling in front that spoils the initial values.
        warn_if_unlearnable(model, test_images(inputs))
    return model


def _check_arguments(weights, include_top, classes, pooling):
    if weights is not None and not (
        isinstance(weights, str | os.PathLike)
        and (os.path.exists(weights) or is_alias(weights))
    ):
        raise ValueError(
            "The `weights` argument should be either `None` (random "
            "initialization), the path of a weights file, 'cifar10', which is "
            f"shipped, or one of {', '.join(PUBLISHED)}, which are "
            "downloaded; no trained ImageNet weights are shipped. "
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
