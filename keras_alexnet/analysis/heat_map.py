"""The dense form: a network that slides over a larger image."""

import math
from dataclasses import replace

import numpy as np

from keras_alexnet.analysis.dense_form import dense_form
from keras_alexnet.analysis.grad_cam import Heat
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.data import transforms
from keras_alexnet.data.decode import BadImageError
from keras_alexnet.data.image_source import small_picture
from keras_alexnet.data.preprocessing import PixelsToInput
from keras_alexnet.evaluation.scores import as_probabilities
from keras_alexnet.files import AnyPath
from keras_alexnet.runs.network import Network
from keras_alexnet.runs.network import Trained
from keras_alexnet.runs.preprocessor import AnyImage
from keras_alexnet.runs.preprocessor import read_as
from keras_alexnet.visualization.image_grids import draw_overlay
from keras_alexnet.visualization.image_grids import save

# AlexNet takes some 280 bytes for each: 5 GB.
MOST_PIXELS = 2**24


def heat_map(
    trained: Trained,
    image: AnyImage,
    class_name: str | None = None,
    short_side: int | None = None,
) -> Heat:
    """How probable a class is where in a large image.

    The network slides over the image in its dense form; each value is its
    answer for the window around that place.

    Args:
        trained: A `Run` or a file of weights, from `open_trained`. One that
            subtracts a mean image subtracts its mean color here.
        image: An image, in a form that `preprocessor` takes.
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
    network = Network.of(trained)
    recipe, channels = network.recipe, network.channels
    side = 2 * recipe.resize_pixels if short_side is None else short_side
    if side < recipe.crop_pixels:
        raise ValueError(
            f"The short side must be at least {recipe.crop_pixels} pixels, "
            f"the size of the windows. Received: {side}"
        )
    pixels = read_as(image, channels, _resized, side)
    model = network.model
    scores = dense_form(model).predict_on_batch(_inputs(network, pixels))[0]
    probabilities = as_probabilities(model, scores)
    means = probabilities.mean(axis=(0, 1))
    place = network.place_of(class_name, means)
    values = probabilities[..., place]
    rows = network.architecture.rows
    stride = math.prod(getattr(row, "strides", 1) for row in rows)
    start = (recipe.crop_pixels - 1 - stride) / 2
    down, across = (start + stride * count for count in values.shape)
    return Heat(
        values,
        pixels,
        (start, across, down, start),
        network.names[place],
        float(values.max()),
    )


def _resized(picture, side):
    """The pixels, if they are not too many: that is seen before."""
    height, width = transforms.resized_shape(transforms.shape_of(picture), side)
    if height * width > MOST_PIXELS:
        raise BadImageError(
            f"would have {width}x{height} pixels, more than {MOST_PIXELS:,}, "
            f"with a short side of {side}; choose a smaller one"
        )
    return small_picture(picture, side)


def _inputs(network, pixels):
    """The whole image, as the network wants it."""
    layer = network.to_input
    shift = np.zeros(network.channels, "float32")
    if layer.mean_image is not None:
        # Its pixels have no place in an image of another size; their mean has.
        architecture = get_architecture(layer.variant)
        color = layer.mean_preprocessing
        layer = PixelsToInput(replace(architecture, preprocessing=color))
    return layer(pixels[np.newaxis], np.zeros(1, "uint8"), shift[np.newaxis])


def plot_heat_map(
    trained: Trained,
    image: AnyImage,
    to_file: AnyPath,
    class_name: str | None = None,
    short_side: int | None = None,
) -> Heat:
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
    network = Network.of(trained)
    heat = heat_map(network, image, class_name, short_side)
    rows, columns = heat.values.shape
    title = f"{heat.class_name}: {columns}x{rows} windows of "
    title += f"{network.recipe.crop_pixels} pixels"
    label = "probability of the window"
    figure = draw_overlay(heat.image, heat.values, heat.extent, title, label)
    save(figure, to_file)
    return heat
