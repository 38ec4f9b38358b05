"""What a network makes of one image: maps of a layer, and Grad-CAM."""

import keras
import numpy as np

from keras_alexnet.analysis.features import layer_output
from keras_alexnet.files import AnyPath
from keras_alexnet.runs.network import Network
from keras_alexnet.runs.network import Trained
from keras_alexnet.runs.preprocessor import AnyImage
from keras_alexnet.visualization.image_grids import draw_sheets
from keras_alexnet.visualization.image_grids import own_range
from keras_alexnet.visualization.image_grids import save
from keras_alexnet.visualization.image_grids import tiled

PIXELS = 52  # at least, of a map in the picture
IMAGE_PIXELS = 150  # at least, of the image above them


def plot_activations(
    trained: Trained, image: AnyImage, to_file: AnyPath, layer: str = "conv1"
) -> np.ndarray:
    """Draw the maps that a layer makes of an image, tower A above tower B.

    Each map is scaled to its own range: its least value is black, its
    largest white; one that is the same everywhere is black.

    Args:
        trained: As in `grad_cam`.
        image: As in `grad_cam`.
        to_file: Path of the picture, ending in `.png`, `.svg` or `.pdf`.
        layer: Name of a layer that makes maps, as in `features`.

    Returns:
        The maps, `float32` array `(height, width, maps)`.

    Raises:
        ValueError: if there is no such layer, or it makes no maps.
    """
    network = Network.of(trained)
    model = network.model
    output = layer_output(model, layer)
    if len(output.shape) != 4:
        raise ValueError(
            f"{layer} gives {output.shape[-1]} values without a place in the "
            "image, so there are no maps to draw; use features."
        )
    prepare = network.preprocessor
    crop = prepare.crops([image])
    inputs = prepare.prepared(crop)
    maps = keras.Model(model.input, output).predict_on_batch(inputs)[0]
    names = {other.name for other in model.layers}
    towers = {"": maps}
    if layer + "a" in names and layer + "b" in names:
        halves = np.split(maps, 2, axis=-1)
        towers = dict(zip(("tower A: ", "tower B: "), halves, strict=True))
    sheets = [
        tiled(
            np.stack([own_range(m) for m in np.moveaxis(tower, -1, 0)])[
                ..., np.newaxis
            ],
            PIXELS,
        )
        for tower in towers.values()
    ]
    height, width, count = maps.shape
    titles = [
        f"{name}{tower.shape[-1]} maps, {_silent(tower)} of them silent"
        for name, tower in towers.items()
    ]
    heading = (
        f"{layer}: {count} maps of {height}x{width}, each in its own range"
    )
    sheets = [tiled(crop, IMAGE_PIXELS), *sheets]
    save(draw_sheets(sheets, ["image", *titles], heading), to_file)
    return maps


def _silent(maps):
    return int((np.ptp(maps, axis=(0, 1)) == 0).sum())
