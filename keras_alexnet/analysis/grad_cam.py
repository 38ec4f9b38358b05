"""Where in an image the evidence for a class lies: Grad-CAM."""

import math
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_alexnet.architectures.rows import Activation
from keras_alexnet.architectures.rows import Conv
from keras_alexnet.architectures.rows import LocallyConnected
from keras_alexnet.files import AnyPath
from keras_alexnet.runs.network import Network
from keras_alexnet.runs.network import Trained
from keras_alexnet.runs.preprocessor import AnyImage
from keras_alexnet.visualization.image_grids import draw_overlay
from keras_alexnet.visualization.image_grids import save


class Heat(NamedTuple):
    """The evidence for a class at each position of an image.

    Args:
        values: `float32` array `(rows, columns)`.
        image: `uint8` array `(height, width, channels)`, what the network
            saw.
        extent: Left, right, bottom and top of the values in its pixels.
        class_name: The class.
        probability: Of the class in this image; the largest of a map.
    """

    values: np.ndarray
    image: np.ndarray
    extent: tuple[float, float, float, float]
    class_name: str
    probability: float


def grad_cam(
    trained: Trained, image: AnyImage, class_name: str | None = None
) -> Heat:
    """Where in an image the evidence for a class lies (Grad-CAM).

    The heat is `relu(sum_k a_k A_k)`: `A_k` are the maps of the last
    convolution behind its ReLU and before the last pooling, of both towers;
    `a_k` is the mean over the positions of the gradient of the class's
    logit (not of its probability) with respect to `A_k`.

    Args:
        trained: What `open_trained` gives or takes, or a Keras model with
            trained weights, as in `preprocessor`.
        image: An image, in a form that `preprocessor` takes.
        class_name: Name of the class; the most probable if `None`.

    Returns:
        A `Heat`.

    Raises:
        ValueError: if the image cannot be read, or there is no such class.

    Reference:
        - [Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391)

    Example:

    ```python
    heat = ka.grad_cam(ka.open_trained("runs/photos"), "a.jpg", "daisy")
    heat.values.shape  # (13, 13)
    ```
    """
    network = Network.of(trained)
    prepare = network.preprocessor
    (crop,) = crops = prepare.crops([image])
    return GradCam(network)(crop, prepare.prepared(crops), class_name)


class GradCam:
    """Grad-CAM of a network that is asked more than once: loaded once.

    Args:
        network: A `Network`.

    Call arguments:
        crop: The square of an image that the network saw.
        inputs: What it was fed of it, a batch of one.
        class_name: As in `grad_cam`.
    """

    def __init__(self, network):
        self._network = network
        model = network.load_model(classifier_activation=None)
        last, self._jump, self._rectified = _last_maps(network.architecture)
        towers = _towers(model, last)
        self._to_maps = keras.Model(model.input, towers)
        self._to_logits = keras.Model(towers, model.outputs[0])

    def __call__(self, crop, inputs, class_name=None):
        # Keras unpacks a list of one.
        towers = keras.tree.flatten(self._to_maps(inputs, training=False))
        logits = self._to_logits(towers, training=False)
        probabilities = ops.convert_to_numpy(ops.softmax(logits))[0]
        place = self._network.place_of(class_name, probabilities)
        gradients = _gradients(self._to_logits, towers, place)
        maps, gradients = (
            np.concatenate([ops.convert_to_numpy(t)[0] for t in each], -1)
            for each in (towers, gradients)
        )
        if not self._rectified:  # the ReLU is behind the pooling: the same
            maps = np.maximum(maps, 0)
        weights = gradients.mean(axis=(0, 1))
        heat = np.maximum(maps @ weights, 0)
        return Heat(
            heat,
            crop,
            _extent(crop.shape, heat.shape, self._jump),
            self._network.names[place],
            float(probabilities[place]),
        )


def _gradients(model, values, place):
    """The gradient of one of a model's outputs by its inputs."""

    def output(values):
        return model(values, training=False)[0, place]

    match keras.backend.backend():
        case "jax":
            import jax

            return jax.grad(output)(values)
        case "torch":
            import torch

            values = [value.detach().requires_grad_() for value in values]
            return torch.autograd.grad(output(values), values)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(values)  # layers may be frozen
        logit = output(values)
    return tape.gradient(logit, values)


def _last_maps(architecture):
    """The last convolution, the pixels between two of its positions, and
    whether its ReLU (or its tanh) is its own or follows the pooling."""
    rows = architecture.rows
    convolutions = [
        place
        for place, row in enumerate(rows)
        if isinstance(row, Conv | LocallyConnected)
    ]
    last = convolutions[-1]
    jump = math.prod(getattr(row, "strides", 1) for row in rows[: last + 1])
    behind = [row for row in rows[last:] if isinstance(row, Activation)]
    return rows[last].name, jump, not behind


def _towers(model, name):
    names = {layer.name for layer in model.layers}
    wanted = [name] if name in names else [name + "a", name + "b"]
    return [model.get_layer(tower).output for tower in wanted]


def _extent(image_shape, heat_shape, jump):
    """The maps lie in the middle of the image, one position a `jump`."""
    height, width = image_shape[:2]
    down, across = (jump * side / 2 for side in heat_shape)
    x, y = (width - 1) / 2, (height - 1) / 2
    return x - across, x + across, y + down, y - down


def plot_grad_cam(
    trained: Trained,
    image: AnyImage,
    to_file: AnyPath,
    class_name: str | None = None,
) -> Heat:
    """Draw where in an image the evidence for a class lies.

    Args:
        trained: As in `grad_cam`.
        image: As in `grad_cam`.
        to_file: Path of the picture, ending in `.png`, `.svg` or `.pdf`.
        class_name: As in `grad_cam`.

    Returns:
        The `Heat` that is drawn.

    Raises:
        ValueError: as in `grad_cam`, or if the ending is unknown.
    """
    cam = grad_cam(trained, image, class_name)
    title = f"{cam.class_name}, probability {cam.probability:.3f}"
    label = "evidence, relative to its maximum"
    heat = cam.values / (cam.values.max() or 1)
    figure = draw_overlay(
        cam.image, heat, cam.extent, title, label, smooth=True
    )
    save(figure, to_file)
    return cam
