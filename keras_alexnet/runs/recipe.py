"""What a recipe of training says, field by field."""

import math
import os
from dataclasses import dataclass

from keras_alexnet.architectures.modifiers import VARIATIONS
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.architectures.variants import layer_names

# The fields that `keras-alexnet train` has an option for, named as they are.
OPTIONS = (
    "data",
    "variant",
    "weights",
    "frozen",
    "dropout",
    "epochs",
    "batch_size",
    "accumulation_steps",
    "learning_rate",
    "resize_pixels",
    "crop_pixels",
    "scaled_decoding",
    "color_noise",
    "global_clipnorm",
    "precision",
    "seed",
    "max_bad_ratio",
)


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Args:
        name: Name of the recipe.
        data: `"fashion"`, the bundled images, or the path of a folder of
            class folders.
        variant: Name of the architecture.
        padding: As in `AlexNet`.
        initialization: Name of the variant whose initial values the network
            gets; its own if `None`.
        weights: What the training starts from, if not from random values:
            a run folder, a file of weights or the alias of a published one.
            The last layer is new, unless the classes are the same.
        frozen: Names of the layers ("conv1") that do not learn.
        dropout: Rate of all dropout layers (of one before the last layer
            where the variant has none); the variant's if `None`.
        variations: How the network differs from the variant, some of the
            names in `modifiers.VARIATIONS`: `"no_normalization"`,
            `"plain_pooling"` (windows that do not overlap), `"tanh"` (in the
            place of ReLU), `"unit_range"` (fed with 0..1),
            `"unit_deviation"` (with mean 0, deviation 1), and what the code
            of 2012 does otherwise than the paper: `"relu_after_pool"`,
            `"spatial_norm2"`, `"alpha_over_n"`.
        resize_pixels: The short side of an image is resized to this.
        crop_pixels: Side of the square cut out of it, the network's input.
        square: Whether crops come from the central square of the resized
            image, or from all of it.
        smallest_crop_area: If given, a crop is not a square of that side but a
            random part of at least this share of the image's area, of 3:4 to
            4:3 in shape, resized to it (torchvision's RandomResizedCrop).
        scaled_decoding: Whether large JPEG files that are trained on are
            decoded at a smaller size, as in `training_batches`.
        flip: Whether to mirror a training image with probability 1/2.
        color_noise: Strength of the noise along the principal components of
            the colors; 0 for none.
        color_unit: `"deviation"` (the 2012 code) or `"eigenvalue"` (the
            paper's text), see `color.ColorStatistics.shifts`.
        color_source: `"imagenet"` (the authors' components) or `"fitted"` (to
            the training images).
        mean: `"variant"` (the mean color that belongs to the variant) or
            `"image"` (the mean of the training images, pixel by pixel).
        training_divisor: In training, pixels minus mean are divided by it.
        crop_chunk: How many images in a row share a crop and a flip.
        end_game: A pair of epochs, counted from 1: after the first there is
            no color noise and conv1 learns at a rate of 1e-5, after the
            second conv1 is frozen.
        batch_size: Images in a step, over all devices.
        accumulation_steps: In how many parts a device computes its share of
            a batch, one after another, to save memory.
        epochs: Passes over the training images.
        stop_accuracy: If given, the training ends with the first epoch whose
            training accuracy is at least this.
        learning_rate: Of the first epoch.
        rate_drops: Epochs, counted from 1, after which the rate is divided
            by ten.
        plateau_epochs: If given, the rate is also divided by ten when the
            validation error has not improved for so many epochs.
        plateau_drops: How often at most.
        momentum: As in the paper's rule.
        weight_decay: As in the paper's rule.
        layer_decay: Pairs of a layer's name and a decay of its own.
        bias_rate: Biases learn at so many times the rate.
        bias_decay: Whether biases decay as well.
        global_clipnorm: If given, gradients are scaled down to this norm.
        precision: What the layers compute in while they learn: `"float32"`,
            `"bfloat16"` or `"float16"` (with a scaled loss), both with weights
            of float32; or `"float64"`, for comparisons. The trained network
            answers in float32, in float64 after the last.
        validation_fraction: Part of each class that is held out where the
            data has no folder for it.
        max_bad_ratio: The largest part of the images that may be unreadable
            and skipped; with 0 the first stops the training.
        seed: Of everything that is random.
    """

    name: str
    data: str = "fashion"
    variant: str = "alexnet"
    padding: str | tuple[str, str] | None = None
    initialization: str | None = None
    weights: str | None = None
    frozen: tuple[str, ...] = ()
    dropout: float | None = None
    variations: tuple[str, ...] = ()
    resize_pixels: int = 256  # Section 2
    crop_pixels: int = 227
    square: bool = True  # Section 2
    smallest_crop_area: float | None = None
    scaled_decoding: bool = False
    flip: bool = True  # Section 4.1
    color_noise: float = 0.1  # Section 4.1
    color_unit: str = "deviation"
    color_source: str = "imagenet"
    mean: str = "variant"
    training_divisor: float = 1.0
    crop_chunk: int = 1
    end_game: tuple[int, int] | None = None
    batch_size: int = 128  # Section 5
    accumulation_steps: int = 1
    epochs: int = 90  # Section 5
    stop_accuracy: float | None = None
    learning_rate: float = 0.01  # Section 5
    rate_drops: tuple[int, ...] = ()
    plateau_epochs: int | None = None
    plateau_drops: int = 3  # Section 5
    momentum: float = 0.9  # Section 5
    weight_decay: float = 0.0005  # Section 5
    layer_decay: tuple[tuple[str, float], ...] = ()
    bias_rate: float = 1.0
    bias_decay: bool = False
    global_clipnorm: float | None = None
    precision: str = "float32"
    validation_fraction: float = 0.2
    max_bad_ratio: float = 0.01
    seed: int = 0

    def __post_init__(self):
        for field in ("name", "variant"):
            if not isinstance(getattr(self, field), str):
                raise ValueError(
                    f"`{field}` must be a text. "
                    f"Received: {getattr(self, field)!r}"
                )
        for field, (kind, least, most) in NUMBERS.items():
            _check(field, getattr(self, field), kind, least, most)
        for field, (kind, least, most) in OPTIONAL.items():
            if getattr(self, field) is not None:
                _check(field, getattr(self, field), kind, least, most)
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(
                    f"`{field}` must be one of {', '.join(choices)}. "
                    f"Received: {getattr(self, field)!r}"
                )
        for field in ("flip", "square", "bias_decay", "scaled_decoding"):
            if not isinstance(getattr(self, field), bool):
                raise ValueError(
                    f"`{field}` is true or false. "
                    f"Received: {getattr(self, field)!r}"
                )
        if not isinstance(self.data, str | os.PathLike):
            raise ValueError(f"`data` must be a path. Received: {self.data!r}")
        object.__setattr__(self, "data", os.fspath(self.data))
        if isinstance(self.padding, list):  # as JSON has it
            object.__setattr__(self, "padding", tuple(self.padding))
        self._check_epochs()
        self._check_images()
        self._check_start()
        self._check_layer_decay()

    @property
    def sizes(self):
        """How images are cut for the network, as `pipeline` takes it."""
        return {
            "resize_pixels": self.resize_pixels,
            "crop_pixels": self.crop_pixels,
            "channels": VARIANTS[self.variant].input_shape[-1],
        }

    @property
    def dtype(self):
        """Of the weights, and of what the trained network computes."""
        return "float64" if self.precision == "float64" else "float32"

    def _check_epochs(self):
        for field in ("rate_drops", "end_game"):
            value = getattr(self, field)
            if value is None and field == "end_game":
                continue
            if not isinstance(value, tuple | list):
                raise ValueError(
                    f"`{field}` must be a list of epochs. Received: {value!r}"
                )
        for drop in self.rate_drops:
            _check("rate_drops", drop, int, 1, None)
        object.__setattr__(self, "rate_drops", tuple(self.rate_drops))
        if self.rate_drops and self.plateau_epochs:
            raise ValueError(
                "The rate falls either after the epochs of `rate_drops` or on "
                "a plateau of `plateau_epochs`; set one of them."
            )
        if self.end_game is None:
            return
        pair = tuple(self.end_game)
        for epoch in pair:
            _check("end_game", epoch, int, 1, None)
        if len(pair) != 2 or pair[0] > pair[1]:
            raise ValueError(
                "`end_game` must be two epochs, the first not after the "
                f"second. Received: {pair}"
            )
        object.__setattr__(self, "end_game", pair)

    def _check_start(self):
        if self.weights is not None:
            if not isinstance(self.weights, str | os.PathLike):
                raise ValueError(
                    "`weights` must be a path or an alias. "
                    f"Received: {self.weights!r}"
                )
            object.__setattr__(self, "weights", os.fspath(self.weights))
        if not isinstance(self.frozen, tuple | list):
            raise ValueError(
                f"`frozen` must be a list of names. Received: {self.frozen!r}"
            )
        object.__setattr__(self, "frozen", tuple(self.frozen))
        names = layer_names(VARIANTS[self.variant])
        unknown = [name for name in self.frozen if name not in names]
        if unknown or set(names) <= {*self.frozen}:
            raise ValueError(
                f"`frozen` takes some of {', '.join(names)}, not all of them. "
                f"Received: {', '.join(map(str, self.frozen))}"
            )

        listed = isinstance(self.variations, tuple | list)
        if not listed or not all(
            v in list(VARIATIONS) for v in self.variations
        ):
            raise ValueError(
                f"`variations` takes a list of some of {', '.join(VARIATIONS)}."
                f" Received: {self.variations!r}"
            )
        object.__setattr__(self, "variations", tuple(self.variations))

    def _check_layer_decay(self):
        names = layer_names(VARIANTS[self.variant])
        listed = isinstance(self.layer_decay, tuple | list)
        for pair in self.layer_decay if listed else [self.layer_decay]:
            fits = isinstance(pair, tuple | list) and len(pair) == 2
            if not listed or not fits or pair[0] not in names:
                raise ValueError(
                    "`layer_decay` takes a list of pairs, a layer, one of "
                    f"{', '.join(names)}, and its decay. Received: {pair!r}"
                )
            _check("layer_decay", pair[1], int | float, 0, None)
        pairs = tuple(map(tuple, self.layer_decay))
        object.__setattr__(self, "layer_decay", pairs)

    def _check_images(self):
        for variant in (self.variant, self.initialization or self.variant):
            if not isinstance(variant, str) or variant not in VARIANTS:
                raise ValueError(f"There is no variant {variant!r}.")
        channels = VARIANTS[self.variant].input_shape[-1]
        if channels != 3 and (self.color_noise or self.mean != "variant"):
            raise ValueError(
                f"{self.variant} sees gray images, which have no color noise "
                "and no mean color image; set `color_noise` to 0 and `mean` "
                "to 'variant'."
            )
        if self.crop_pixels > self.resize_pixels:
            raise ValueError(
                f"`crop_pixels` ({self.crop_pixels}) must not be larger than "
                f"`resize_pixels` ({self.resize_pixels}), the side of the "
                "image that the crop is cut out of."
            )


# Kind, least and largest value.
NUMBERS = {
    "resize_pixels": (int, 1, None),
    "crop_pixels": (int, 1, None),
    "color_noise": (int | float, 0, None),
    "training_divisor": (int | float, 1, None),
    "crop_chunk": (int, 1, None),
    "batch_size": (int, 1, None),
    "accumulation_steps": (int, 1, None),
    "epochs": (int, 1, None),
    "learning_rate": (int | float, 0, None),
    "plateau_drops": (int, 0, None),
    "momentum": (int | float, 0, 0.9999),
    "weight_decay": (int | float, 0, None),
    "bias_rate": (int | float, 0, None),
    "validation_fraction": (float, 0, 0.9),
    "max_bad_ratio": (int | float, 0, 1),
    "seed": (int, 0, 2**32 - 1),
}
OPTIONAL = {
    "smallest_crop_area": (int | float, 0.01, 1),
    "dropout": (int | float, 0, 0.99),
    "stop_accuracy": (int | float, 0, 1),
    "plateau_epochs": (int, 1, None),
    "global_clipnorm": (int | float, 1e-12, None),
}
CHOICES = {
    "color_unit": ("deviation", "eigenvalue"),
    "color_source": ("imagenet", "fitted"),
    "mean": ("variant", "image"),
    "precision": ("float32", "bfloat16", "float16", "float64"),
}


def _check(name, value, kind, least, most):
    fits = isinstance(value, kind) and not isinstance(value, bool)
    most = math.inf if most is None else most
    if not fits or not least <= value <= most or value == math.inf:
        limit = f"at least {least}"
        limit += f", at most {most}" if most < math.inf else ""
        raise ValueError(
            f"`{name}` must be a number, {limit}. Received: {name}={value!r}"
        )
