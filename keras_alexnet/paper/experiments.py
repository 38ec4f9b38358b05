"""What the paper claims and one machine can show: experiments as data."""

import os
from dataclasses import dataclass
from types import MappingProxyType

from keras_alexnet.runs.recipe import Recipe
from keras_alexnet.runs.recipes import RECIPES

# What the search of rates gives each. After 8 epochs .03 leads for tanh, but it
# still has 26 % after 74, while .01 passes it after 10 and has 25 % after 46.
SEARCH_EPOCHS = 16


@dataclass(frozen=True)
class Experiment:
    """Trainings that differ in one thing.

    Args:
        name: Its name on the command line.
        title: What is compared.
        data: The images that it is made for.
        says: What the paper says of it, and where.
        recipe: What all trainings share.
        arms: Dict from the name of each way to its changes of the recipe;
            the first is what the others are compared with.
        seeds: How many trainings of each way.
        rates: Rates among which each way's own is looked for with seed 0 and
            at most `SEARCH_EPOCHS`: the one that gets where the training
            stops in the fewest, or has the lowest training error at the end;
            the recipe's if empty. The seeds of the trainings follow, from 1.
    """

    name: str
    title: str
    data: str
    says: str
    recipe: Recipe
    arms: MappingProxyType
    seeds: int = 3
    rates: tuple[float, ...] = ()

    @property
    def counts_epochs(self):
        """Whether the measure is the epochs that the training takes."""
        return self.recipe.stop_accuracy is not None


def _experiment(name, *, arms, changes, base="cifar10_18pct", **kwargs):
    recipe = Recipe(**{**vars(RECIPES[base]), "name": name, **changes})
    return Experiment(
        name, recipe=recipe, arms=MappingProxyType(arms), **kwargs
    )


# "A four-layer convolutional neural network": three convolutions and one
# fully connected layer. The figure's own net is in neither repository.
_FIGURE1 = _experiment(
    "figure1",
    title="Figure 1: ReLU against tanh",
    data="CIFAR-10",
    says="Section 3.1, Figure 1: with ReLU a four-layer net reaches 25 % "
    "training error on CIFAR-10 six times faster than with tanh; the rates "
    "were chosen independently, no regularization was employed",
    arms={
        "tanh": {"variations": ("no_normalization", "tanh")},
        "ReLU": {"variations": ("no_normalization",)},
    },
    changes={
        "epochs": 100,
        "rate_drops": (),
        "stop_accuracy": 0.75,
        "weight_decay": 0.0,
        "layer_decay": (),
    },
    rates=(0.001, 0.003, 0.01, 0.03, 0.1),
)

# The 18 % net for a fourteenth of its epochs; the rate falls at the end too.
_SECTION3 = _experiment(
    "section3",
    title="Sections 3 and 4 on CIFAR-10, one change at a time",
    data="CIFAR-10",
    says="Section 3.3: normalization takes the test error on CIFAR-10 from "
    "13 % to 11 %; Section 3.4: overlapping pooling takes .4 points off the "
    "top-1 error, .3 off the top-5 error of ImageNet",
    arms={
        "the 18 % net": {},
        "no normalization": {"variations": ("no_normalization",)},
        "pooling without overlap": {"variations": ("plain_pooling",)},
        "dropout before fc10": {"dropout": 0.5},
        "crops of 28 and flips": {"flip": True, "crop_pixels": 28},
        "color noise": {"color_noise": 0.1, "color_source": "fitted"},
    },
    changes={"epochs": 10, "rate_drops": (8, 9)},
)

# "Four-layer CNN": two convolutions and two locally connected layers.
_LOCAL = _experiment(
    "local",
    base="cifar10_13pct",
    title="Section 3.3: the 13 % and the 11 % net, for 3 epochs of their 160 "
    "and 520",
    data="CIFAR-10",
    says='Section 3.3: "a four-layer CNN achieved a 13% test error rate '
    'without normalization and 11% with normalization"',
    arms={
        "the 13 % net": {},
        "the 11 % net": {
            "variant": "cifar10_11pct",
            "layer_decay": RECIPES["cifar10_11pct"].layer_decay,
        },
    },
    changes={"epochs": 3, "rate_drops": ()},
    seeds=1,
)

# Section 2 of the authors' log (results.py), on photos that two cores can
# learn from: crops of 131 pixels, at which all maps keep odd sides (31, 15,
# 7, 3), so that pools with and without overlap give maps of the same size.
_FLOWERS = _experiment(
    "flowers",
    base="flowers",
    title="The authors' ablations, on flower photos",
    data="flower_photos",
    says="Sections 3.2 to 4.2 and the authors' log, on ImageNet: two towers "
    "against half the kernels 1.7 points of top-1 error, normalization 1.4, "
    "overlapping pooling .4; without augmentation and dropout the net "
    "overfits",
    arms={
        "two towers": {},
        "one wide tower": {"variant": "single_tower_lrn"},
        "half of it": {"variant": "half"},
        "no normalization": {"variations": ("no_normalization",)},
        "pooling without overlap": {"variations": ("plain_pooling",)},
        "no dropout": {"dropout": 0.0},
        "no crops, no flips, no color noise": {
            "flip": False,
            "color_noise": 0.0,
            "crop_pixels": 131,
            "resize_pixels": 131,
            "square": True,
            "smallest_crop_area": None,
        },
    },
    changes={
        "resize_pixels": 144,
        "crop_pixels": 131,
        "epochs": 10,
        "rate_drops": (8, 9),
    },
    seeds=2,
)

_START = _experiment(
    "start",
    base="flowers",
    title='Why the loss stays where it is ("stuck at 6.9")',
    data="flower_photos",
    says="Section 5 gives the initial values; facts, section 4: from them and "
    "inputs of 0..1 the loss stays at ln(classes)",
    arms={
        "the code's initial values, 0..255": {"initialization": "alexnet_2012"},
        "Caffe's initial values, 0..255": {},
        "the text's initial values, 0..255": {"initialization": None},
        "the text's, mean 0 and deviation 1": {
            "initialization": None,
            "variations": ("unit_deviation",),
        },
        "the text's, 0..1": {
            "initialization": None,
            "variations": ("unit_range",),
        },
    },
    changes={
        "resize_pixels": 144,
        "crop_pixels": 131,
        "epochs": 3,
        "rate_drops": (),
    },
    seeds=1,
)

EXPERIMENTS = MappingProxyType(
    {e.name: e for e in (_FIGURE1, _SECTION3, _LOCAL, _FLOWERS, _START)}
)


def default_folder(name, quick):
    """Where an experiment is trained if nobody says."""
    return os.path.join("runs", f"{name}-quick" if quick else name)
