"""The dense form: a network that slides over a larger image."""

import math

import keras
import numpy as np

from keras_alexnet.analysis.activations import Heat
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.data import transforms
from keras_alexnet.data.preprocessing import PixelsToInput
from keras_alexnet.evaluation.scores import as_probabilities
from keras_alexnet.layers.cuda_convnet import LocallyConnected2D
from keras_alexnet.runs.one_image import class_place
from keras_alexnet.runs.one_image import one_picture
from keras_alexnet.runs.one_image import one_source
from keras_alexnet.runs.one_image import read_one
from keras_alexnet.visualization.image_grids import draw_overlay
from keras_alexnet.visualization.image_grids import save

# AlexNet takes some 280 bytes for each: 5 GB.
MOST_PIXELS = 2**24


def dense_form(model):
    """The same network as convolutions alone, for images of any larger size.

    fc6 becomes a convolution with kernels as large as the last maps (6x6),
    fc7 and fc8 become 1x1 convolutions. On an image of the model's own size
    the output is the model's, with two axes of length 1; on a larger one it
    has a position for each window of that size, `stride` pixels apart (32
    for AlexNet), with probabilities of its own.

    A window inside a larger image sees what lies around it where the model
    alone pads with zeros (conv2 to conv5), so there the two differ a little;
    without padding they are equal.

    Args:
        model: A model made by `AlexNet`, with its top. Its weights are
            copied.

    Returns:
        A `keras.Model` of images `(batch, height, width, channels)` to
        `(batch, rows, columns, classes)`.

    Raises:
        ValueError: if the model has no fully connected layers, or locally
            connected ones, which have a kernel for each position.

    Example:

    >>> dense = ka.dense_form(ka.AlexNet("alexnet"))
    >>> dense(np.zeros((1, 259, 291, 3))).shape
    TensorShape([1, 2, 3, 1000])
    """
    flatten = _flatten(model)
    pools = _behind_the_maps(model)
    first = _first_dense(model, flatten)
    side = (pools[0] if pools else flatten).input.shape[1]

    def convolution(layer):
        if layer is flatten or layer in pools:
            return keras.layers.Identity(name=layer.name)
        if not isinstance(layer, keras.layers.Dense):
            return type(layer).from_config(layer.get_config())
        return keras.layers.Conv2D(
            layer.units,
            side if layer in first else 1,
            activation=layer.activation,
            use_bias=layer.use_bias,
            dtype=layer.dtype_policy,
            name=layer.name,
        )

    shape = (None, None, model.input_shape[-1])
    image = keras.Input(shape, name=model.inputs[0].name)
    image = image if isinstance(model.input, keras.KerasTensor) else [image]
    dense = keras.models.clone_model(model, image, convolution)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer in first:
            weights[0] = _spread(weights[0], pools, side)
        elif isinstance(layer, keras.layers.Dense):
            weights[0] = weights[0][np.newaxis, np.newaxis]
        dense.get_layer(layer.name).set_weights(weights)
    dense.class_names = getattr(model, "class_names", None)
    return dense


def _flatten(model):
    flattens = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Flatten)
    ]
    if len(flattens) != 1:
        raise ValueError(
            f"{model.name} has no fully connected layers behind its maps, or "
            "is not made by AlexNet; expected a model with its top."
        )
    for layer in model.layers:
        if isinstance(layer, LocallyConnected2D):
            raise ValueError(
                f"{model.name} has no dense form: {layer.name} has a kernel "
                "for each position, which fit one size of images only."
            )
    return flattens[0]


def _behind_the_maps(model):
    """torchvision's adaptive pooling, which makes 6x6 of any maps."""
    kinds = keras.layers.AdaptiveAveragePooling2D | keras.layers.UpSampling2D
    return [layer for layer in model.layers if isinstance(layer, kinds)]


def _first_dense(model, flatten):
    """fc6: the fully connected layers that see the maps."""
    seen, first = [flatten.output], []
    for layer in model.layers:
        if not any(layer.input is tensor for tensor in seen):
            continue
        if isinstance(layer, keras.layers.Dense):
            first.append(layer)
        else:  # torchvision's dropout in front of fc6
            seen.append(layer.output)
    return first


def _spread(kernel, pools, side):
    """fc6's kernel over the maps, the pooling between them worked in."""
    basis = np.eye(side * side, dtype="float32")
    pooled = basis.reshape(side * side, side, side, 1)
    for layer in pools:
        pooled = np.asarray(type(layer).from_config(layer.get_config())(pooled))
    pooled = pooled.reshape(side * side, -1)
    kernel = kernel.reshape(pooled.shape[1], -1, kernel.shape[-1])
    spread = np.tensordot(pooled, kernel, 1)
    return spread.reshape(side, side, *kernel.shape[1:])


def heat_map(trained, image, class_name=None, short_side=None):
    """How probable a class is where in a large image.

    The network slides over the image in its dense form; each value is its
    answer for the window around that place.

    Args:
        trained: A `Run` or a file of weights, from `open_trained`. One that
            subtracts a mean image subtracts its mean color here.
        image: Path of an image, or `uint8` array `(height, width, 3)`.
        class_name: Name of the class; that with the largest mean over all
            windows if `None`.
        short_side: The short side of the image is resized to this; if
            `None`, to twice that of the training's images, so that a window
            sees about half of it.

    Returns:
        A `Heat` of probabilities.

    Raises:
        ValueError: if the image cannot be read or would be too small or too
            large, there is no such class, or the network has no dense form.

    Example:

    ```python
    run = ka.open_trained("runs/photos")
    heat = ka.heat_map(run, "field.jpg", "daisy", short_side=800)
    heat.values.shape  # (18, 31) for an image of 1,200x800
    ```
    """
    recipe = trained.recipe
    side = 2 * recipe.resize_pixels if short_side is None else short_side
    if side < recipe.crop_pixels:
        raise ValueError(
            f"The short side must be at least {recipe.crop_pixels} pixels, "
            f"the size of the windows. Received: {side}"
        )
    channels = trained.sizes["channels"]
    _check_pixels(one_picture(image, channels), side)
    source = one_source(image, side, channels)
    pixels = read_one(source.image, image)
    model = trained.load_model()
    scores = dense_form(model).predict_on_batch(_inputs(trained, pixels))[0]
    probabilities = as_probabilities(model, scores)
    means = probabilities.mean(axis=(0, 1))
    place = class_place(trained, class_name, means)
    values = probabilities[..., place]
    rows = get_architecture(recipe.variant).rows
    stride = math.prod(getattr(row, "strides", 1) for row in rows)
    start = (recipe.crop_pixels - 1 - stride) / 2
    down, across = (start + stride * count for count in values.shape)
    return Heat(
        values,
        pixels,
        (start, across, down, start),
        trained.class_names[place],
        float(values.max()),
    )


def _check_pixels(picture, side):
    """Refuse what would be too large, before it is resized."""
    height, width = transforms.resized_shape(transforms.shape_of(picture), side)
    if height * width > MOST_PIXELS:
        raise ValueError(
            f"With a short side of {side} the image has {width}x{height} "
            f"pixels, more than {MOST_PIXELS:,}; choose a smaller one."
        )


def _inputs(trained, pixels):
    """The whole image, as the network wants it."""
    layer = trained.pixels_to_input()
    shift = np.zeros(trained.sizes["channels"], "float32")
    if layer.mean_image is not None:
        facts = get_architecture(layer.variant).preprocessing
        mean = np.array(facts.mean, "float32") / facts.scale
        if facts.channel_order == "BGR":
            mean = mean[::-1]
        # Its pixels have no place in an image of another size; their mean has.
        shift = mean - layer.mean_image.mean(axis=(0, 1))
        layer = PixelsToInput(layer.variant)
    return layer(pixels[np.newaxis], np.zeros(1, "uint8"), shift[np.newaxis])


def plot_heat_map(trained, image, to_file, class_name=None, short_side=None):
    """Draw how probable a class is where in a large image.

    Args:
        trained: As in `heat_map`.
        image: As in `heat_map`.
        to_file: Path of the picture, ending in `.png`, `.svg` or `.pdf`.
        class_name: As in `heat_map`.
        short_side: As in `heat_map`.

    Returns:
        The `Heat` that is drawn.

    Raises:
        ValueError: as in `heat_map`, or if the ending is unknown.
    """
    heat = heat_map(trained, image, class_name, short_side)
    rows, columns = heat.values.shape
    title = f"{heat.class_name}: {columns}x{rows} windows of "
    title += f"{trained.recipe.crop_pixels} pixels"
    label = "probability of the window"
    figure = draw_overlay(heat.image, heat.values, heat.extent, title, label)
    save(figure, to_file)
    return heat
