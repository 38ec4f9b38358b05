"""What the page of `keras-alexnet demo` is told: classes and Grad-CAM."""

import base64
import io
import threading

import numpy as np
from PIL import Image

from keras_alexnet.analysis.grad_cam import GradCam
from keras_alexnet.data.decode import read_image
from keras_alexnet.evaluation.scores import as_probabilities
from keras_alexnet.runs.network import Network
from keras_alexnet.visualization.image_grids import DPI
from keras_alexnet.visualization.image_grids import draw_overlaid

TOP = 5
NAMED_CLASSES = 10  # more are only counted
PICTURE_PIXELS = 454  # twice AlexNet's 227: sharp on a phone as well


class Demo:
    """A trained network that answers photos, one after another.

    Safe to be asked from several threads. Nothing is written to the disk.

    Args:
        trained: What `open_trained` gives or takes.

    Raises:
        ValueError: if a part of it is missing or damaged.
    """

    def __init__(self, trained):
        self._network = network = Network.of(trained)
        self._model = network.model
        self._cam = GradCam(network)
        self._prepare = network.preprocessor
        # One at a time: two photos of the largest size would take 1 GB, and
        # one uses all cores already.
        self._lock = threading.Lock()
        self._is_finished = False
        # Compiled now, not while somebody waits for the first photo.
        side = network.recipe.resize_pixels
        self._look(np.zeros((side, side, network.channels), "uint8"))

    @property
    def facts(self):
        """What is known of the network: list of pairs of a term and a text."""
        recipe, names = self._network.recipe, self._network.names
        side = recipe.crop_pixels
        changed = "".join(f", {name}" for name in recipe.variations)
        network = f"{recipe.variant}{changed}, sees {side}×{side} pixels"
        shown = ", ".join(names[:NAMED_CLASSES])
        more = ", …" if len(names) > NAMED_CLASSES else ""
        facts = [
            ("Network", network),
            (f"{len(names):,} classes", shown + more),
        ]
        results = self._network.results
        if {"accuracy", "examples"} <= results.keys():
            text = (
                f"{results['accuracy']:.4f} on {results['examples']:,} images"
            )
            facts.append(("Test accuracy", text))
        return facts

    def answer(self, data):
        """What the network sees in an image file.

        Args:
            data: The bytes of the file.

        Returns:
            A dict for JSON: `top`, pairs of a class and its probability, the
            most probable first; `seen`, the picture that the network saw;
            `heat`, the same with Grad-CAM of the first class over it, both
            as data URIs.

        Raises:
            BadImageError: if it is not an image that can be read.
            ConnectionAbortedError: after `finish`.
        """
        with self._lock:
            if self._is_finished:
                raise ConnectionAbortedError
            top, heat = self._look(read_image(data, self._network.channels))
            return {
                "top": top,
                "seen": _png(_enlarged(heat.image)),
                "heat": _png(_overlaid(heat)),
            }

    def finish(self):
        """Wait for the photo that is being looked at, and take no other.

        Python must not end while a thread is still inside TensorFlow.
        """
        self._is_finished = True
        with self._lock:  # those who wait, before us or behind, go at once
            pass

    def _look(self, image):
        """The most probable classes, and the `Heat` of the first of them."""
        (crop,) = crops = self._prepare.crops(image)
        inputs = self._prepare.prepared(crops)
        scores = self._model.predict_on_batch(inputs)
        scores = as_probabilities(self._model, scores)[0]
        order = np.argsort(-scores, kind="stable")[:TOP]
        names = self._network.names
        top = [(names[place], float(scores[place])) for place in order]
        return top, self._cam(crop, inputs, top[0][0])


def _enlarged(image):
    """Small images as pixels, not blurred: so the network sees them."""
    times = max(1, PICTURE_PIXELS // image.shape[1])
    image = image.repeat(times, axis=0).repeat(times, axis=1)
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _overlaid(heat):
    """The picture with Grad-CAM over it, relative to its maximum."""
    times = max(1, PICTURE_PIXELS // heat.image.shape[1])
    figure = draw_overlaid(
        heat.image,
        heat.values / (heat.values.max() or 1),
        heat.extent,
        times * heat.image.shape[1],
    )
    file = io.BytesIO()
    figure.savefig(file, dpi=DPI, format="png")
    return Image.open(file)


def _png(picture):
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
