"""A trained network: of a run folder, of a file, or in memory."""

import contextlib
import functools
import os
import pathlib
from typing import TypeAlias

import keras
import numpy as np

from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.data import imagenet
from keras_alexnet.data.preprocessing import PixelsToInput
from keras_alexnet.files import AnyPath
from keras_alexnet.models.builder import has_channels_first
from keras_alexnet.models.convert_weights import convert_weights
from keras_alexnet.models.keras_settings import keras_settings
from keras_alexnet.runs.preprocessor import Preprocessor
from keras_alexnet.runs.recipe import Recipe
from keras_alexnet.runs.run import Run
from keras_alexnet.weights.published import is_alias


class Network:
    """A trained network: its model, its classes, and how images are fed to it.

    Args:
        load_model: Function that gives the model with its weights. It takes
            arguments of `AlexNet`, with which the model is made anew.
        recipe: The `Recipe` it was trained by, or one that says its variant
            and the sizes of its images; `None` of a model that does not say
            how its images are prepared.
        class_names: Names of the classes, or `None`.
        architecture: The `Architecture`, or `None`.
        pixels_to_input: Function that gives the layer which makes of pixels
            what the network was trained on.
        run: The `Run` that it is of, or `None`.
        path: Path of the file that it was read from, or `None`.
    """

    def __init__(
        self,
        load_model,
        recipe=None,
        class_names=None,
        architecture=None,
        pixels_to_input=lambda: None,
        run=None,
        path=None,
    ):
        self.load_model = load_model
        self._recipe = recipe
        self.class_names = class_names
        self.architecture = architecture
        self.pixels_to_input = pixels_to_input
        self.run = run
        self.path = path
        self.results = run.results if run else {}

    @classmethod
    def of(cls, trained):
        """The network of what `open_trained` gives or takes, or of a model.

        Raises:
            ValueError: if it is none of these.
        """
        if isinstance(trained, str | os.PathLike):
            trained = open_trained(trained)
        if isinstance(trained, cls):
            return trained
        if isinstance(trained, Run):
            return cls(
                trained.load_model,
                trained.recipe,
                tuple(trained.class_names),
                trained.architecture,
                trained.pixels_to_input,
                run=trained,
            )
        if not isinstance(trained, keras.Model):
            raise ValueError(
                "`trained` must be a run, a model file or a Keras model, as "
                "`keras_alexnet.open_trained(path)` gives them. Received: "
                f"{type(trained).__name__}"
            )
        return _of_model(trained)

    @functools.cached_property
    def model(self):
        """The Keras model with its trained weights, loaded once."""
        return self.load_model()

    @functools.cached_property
    def to_input(self):
        """`PixelsToInput`, or `None` if it is not known what it is fed."""
        return self.pixels_to_input()

    @property
    def recipe(self):
        """The `Recipe`.

        Raises:
            ValueError: if it is not known how its images are prepared.
        """
        return self._known(self._recipe)

    @property
    def sizes(self):
        """How images are cut for the network, as `pipeline` takes it."""
        return self.recipe.sizes

    @property
    def channels(self):
        """Channels of the network's images: 3, or 1 for gray."""
        return self.sizes["channels"]

    @property
    def preprocessor(self):
        """The `Preprocessor` of its images.

        Raises:
            ValueError: if it is not known how they are prepared.
        """
        return Preprocessor(**self.sizes, to_input=self._known(self.to_input))

    @property
    def takes_files(self):
        """Whether enough is known to answer image files as they are."""
        return None not in (self.class_names, self._recipe)

    def place_of(self, class_name, probabilities):
        """The place of a class; of the most probable if `None` is asked for.

        Raises:
            ValueError: if there is no such class.
        """
        if class_name is None:
            return int(np.argmax(probabilities))
        names, places = self.names, imagenet.places(self.names)
        if class_name not in places:
            shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            raise ValueError(
                f"There is no class {class_name!r}; the {len(names)} classes "
                f"are {shown}."
            )
        return places[class_name]

    @property
    def names(self):
        """Names of the classes; "class 0" and so on of those without.

        The published networks of 1,000 classes are all of ILSVRC-2012.
        """
        if self.class_names is not None:
            return self.class_names
        classes = self.model.output_shape[-1]
        if classes == 1000 and self._recipe is not None:
            return tuple(imagenet.class_names())
        return tuple(f"class {number}" for number in range(classes))

    def _known(self, fact):
        if fact is None:
            raise ValueError(
                "It is not known how the images of this model are prepared; "
                "expected a trained network, or a model with weights that "
                "`AlexNet` or `convert_weights` loaded."
            )
        return fact


Trained: TypeAlias = AnyPath | Run | Network | keras.Model


def open_trained(path: AnyPath) -> Run | Network:
    """A `Run` of a run folder, or the network in a file of weights.

    Args:
        path: Path of a folder that `keras-alexnet train` has written, or of
            a file that `convert_weights` reads, or the alias of a published
            one.

    Returns:
        A `Run` or a `Network`, which can be asked the same.

    Raises:
        ValueError: if it is neither.
    """
    if os.path.isdir(path) and not is_alias(path):
        return Run(path)
    return _of_file(os.fspath(path))


def preprocessor(trained: Trained) -> Preprocessor:
    """The way from photos to what a trained network is fed.

    Args:
        trained: What `open_trained` gives, or a path or alias that it takes;
            or a model that `AlexNet(weights=...)` or `convert_weights` made.

    Returns:
        A `Preprocessor`, to be called with images of any kind.

    Raises:
        ValueError: if it is not known how the network's images are prepared.

    Example:

    >>> import keras_alexnet as ka
    >>> model = ka.AlexNet("cifar10_18pct", weights="cifar10")
    >>> prepared = preprocessor(model)
    >>> prepared(np.zeros((48, 64, 3), "uint8")).shape
    (1, 32, 32, 3)
    """
    return Network.of(trained).preprocessor


def _of_model(model, path=None):
    """The network of a Keras model, with what the model says of itself."""
    architecture = recipe = None
    variant = getattr(model, "variant", None)
    if variant is not None:
        architecture = get_architecture(variant)

    def load_model(**kwargs):
        if not kwargs:
            return model
        with keras_settings() if path else contextlib.nullcontext():
            return convert_weights(model, variant, **kwargs)

    def pixels_to_input():
        return recipe and PixelsToInput(variant)

    if getattr(model, "checks_range", False) or path is not None:
        recipe = _recipe_of(model, path)
    names = getattr(model, "class_names", None)
    return Network(
        load_model,
        recipe,
        names and tuple(names),
        architecture,
        pixels_to_input,
        path=path,
    )


def _recipe_of(model, path):
    """How a model's images are prepared, as far as that is known."""
    height, width, channels = model.input_shape[1:]
    expected = get_architecture(model.variant).input_shape[-1]
    if has_channels_first(model):
        raise ValueError(
            f"{model.name} takes images with their channels first, as which "
            "photos are not prepared; make it anew where Keras' "
            '`image_data_format` is "channels_last", by `convert_weights`.'
        )
    if height is None or height != width or channels != expected:
        return None
    return Recipe(
        model.name if path is None else pathlib.PurePath(path).stem,
        data="",
        variant=model.variant,
        padding=model.padding,
        resize_pixels=model.resize_pixels or _resize_pixels(height),
        crop_pixels=height,
        color_noise=0.0,
    )


def _of_file(path):
    """The network in a file of weights, which must say how it is fed."""
    with keras_settings():
        network = _of_model(convert_weights(path), path)
    model = network.model
    height, width, channels = model.input_shape[1:]
    if height != width:
        raise ValueError(
            f"{path!r} sees images of {width}x{height} pixels; expected a "
            "square."
        )
    if network._recipe is None:
        expected = network.architecture.input_shape[-1]
        raise ValueError(
            f"{path!r} sees images of {channels} channels; those of "
            f"{model.variant} have {expected}."
        )
    classes, network.class_names = model.output_shape[-1], network.names
    if len(network.class_names) != classes:
        raise ValueError(
            f"{path!r} is damaged: it has {classes} classes and "
            f"{len(network.class_names)} names for them."
        )
    return network


def _resize_pixels(crop):
    # Section 2, Caffe and torchvision: 256, of which 224 or 227 are cut out.
    return 256 if crop in (224, 227) else crop
