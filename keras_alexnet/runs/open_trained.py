"""A trained network, whether it is in a run folder or in a file."""

import os
import pathlib

from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.data import imagenet
from keras_alexnet.data.preprocessing import PixelsToInput
from keras_alexnet.models.convert_weights import convert_weights
from keras_alexnet.runs.recipe import Recipe
from keras_alexnet.runs.run import Run
from keras_alexnet.weights.published import is_alias


def open_trained(path):
    """A `Run` of a run folder, or a `ModelFile` of a file of weights.

    Args:
        path: Path of a folder that `keras-alexnet train` has written, or of
            a file that `convert_weights` reads, or the alias of a published
            one.

    Returns:
        A `Run` or a `ModelFile`, which can be asked the same.

    Raises:
        ValueError: if it is neither.
    """
    is_folder = os.path.isdir(path) and not is_alias(path)
    return Run(path) if is_folder else ModelFile(path)


class ModelFile:
    """A network of a single file, with what is known of its images.

    Args:
        path: As in `open_trained`.
        variant: Name of the variant, for a file that does not say it.

    Attributes:
        recipe: A `Recipe` that says the variant and the sizes of images.
        class_names: Names of the classes.
        results: Empty.
    """

    def __init__(self, path, variant=None):
        self._model = convert_weights(path, variant)
        self.path = os.fspath(path)
        height, width, self.channels = self._model.input_shape[1:]
        if height != width:
            raise ValueError(
                f"{self.path!r} sees images of {width}x{height} pixels; "
                "expected a square."
            )
        expected = get_architecture(self._model.variant).input_shape[-1]
        if self.channels != expected:
            raise ValueError(
                f"{self.path!r} sees images of {self.channels} channels; "
                f"those of {self._model.variant} have {expected}."
            )
        self.recipe = Recipe(
            pathlib.PurePath(self.path).stem,
            data="",
            variant=self._model.variant,
            padding=self._model.padding,
            resize_pixels=self._model.resize_pixels or _resize_pixels(height),
            crop_pixels=height,
            color_noise=0.0,
        )
        classes = self._model.output_shape[-1]
        self.class_names = tuple(self._model.class_names or _names(classes))
        if len(self.class_names) != classes:
            raise ValueError(
                f"{self.path!r} is damaged: it has {classes} classes and "
                f"{len(self.class_names)} names for them."
            )
        self.results = {}

    @property
    def architecture(self):
        """The `Architecture` of the network."""
        return get_architecture(self.recipe.variant)

    @property
    def sizes(self):
        """How images are cut for the network, as `pipeline` takes it."""
        return self.recipe.sizes

    def pixels_to_input(self):
        """The layer that makes of pixels what the network was trained on."""
        return PixelsToInput(self.recipe.variant)

    def load_model(self, **kwargs):
        """The network; with `kwargs` of `AlexNet`, made anew."""
        if not kwargs:
            return self._model
        return convert_weights(self._model, self.recipe.variant, **kwargs)


def _resize_pixels(crop):
    # Section 2, Caffe and torchvision: 256, of which 224 or 227 are cut out.
    return 256 if crop in (224, 227) else crop


def _names(count):
    if count == 1000:  # the published files are all of ILSVRC-2012
        return imagenet.class_names()
    return [f"class {number}" for number in range(count)]
