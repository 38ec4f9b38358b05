"""How the networks are trained: the named recipes.

The network itself stands in `architectures/variants.py`: two documents, as in
2012.
"""

import json
import os
from dataclasses import asdict
from dataclasses import fields
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from keras_alexnet.files import check_newer
from keras_alexnet.runs.recipe import Recipe
from keras_alexnet.visualization.table import Table

FORMAT = 1  # of recipe.json; version 0.1.0 wrote no number

_RECIPES = (
    # Sections 2 to 5 of the paper, for ImageNet. The rate "was divided by 10
    # when the validation error stopped improving", by hand, three times;
    # after how many epochs they do not say, five are ours.
    Recipe("paper", data="", color_unit="eigenvalue", plateau_epochs=5),
    # The 2012 code and its log, for ImageNet: layers-145.cfg and
    # layer-params-145.cfg, convdata.py. epsB stands at .02 there to the end;
    # here biases learn at twice the rate of the kernels throughout.
    Recipe(
        "alexnet_2012",
        data="",
        variant="alexnet_2012",
        crop_pixels=224,
        mean="image",
        training_divisor=1.1,
        crop_chunk=32,
        epochs=91,  # "epoch 91: killed"
        rate_drops=(25, 51, 79),
        end_game=(67, 72),
        bias_rate=2.0,
    ),
    # BVLC/caffe models/bvlc_alexnet/solver.prototxt, train_val.prototxt: batch
    # 256, step policy of 100,000 of 450,000 iterations, 20 of 90 epochs;
    # images squeezed to 256x256 there, here cut to the central square.
    Recipe(
        "caffe",
        data="",
        variant="caffe_alexnet",
        color_noise=0.0,
        batch_size=256,
        rate_drops=(20, 40, 60, 80),
        bias_rate=2.0,  # lr_mult 2, decay_mult 0
    ),
    # pytorch/vision references/classification: "--model alexnet --lr 1e-2" on
    # 8 GPUs with 32 images each, step of 30 of 90 epochs, decay 1e-4 of all
    # parameters, RandomResizedCrop(224).
    Recipe(
        "torchvision",
        data="",
        variant="torchvision",
        crop_pixels=224,
        square=False,
        smallest_crop_area=0.08,
        color_noise=0.0,
        batch_size=256,
        rate_drops=(30, 60),
        weight_decay=1e-4,
        bias_decay=True,
    ),
    # AlexNet on small images: 28 pixels enlarged to 70, random crops of 67,
    # the smallest that the paper's sizes allow. Caffe's initial values: from
    # the paper's own (weights .01, bias 1 in fc6 and fc7) the loss was still
    # at ln(10) after three epochs. No flips: all these shoes point left.
    Recipe(
        "fashion",
        variant="caffe_alexnet",
        resize_pixels=70,
        crop_pixels=67,
        flip=False,
        color_noise=0.0,  # they are gray
        batch_size=64,  # more steps in the few epochs that there is time for
        epochs=7,
        learning_rate=0.015,
        rate_drops=(5,),
    ),
    # flower_photos (3,670 photos of 5 classes), on two cores. The paper's
    # network; its own initial values learn too slowly from so few photos, so
    # Caffe's; random areas, since plain crops are learned by heart.
    Recipe(
        "flowers",
        data="",
        initialization="caffe_alexnet",
        square=False,
        smallest_crop_area=0.3,
        batch_size=32,
        epochs=60,
        learning_rate=0.005,
        rate_drops=(40, 54),
    ),
    # layer-params-18pct-noisylr.cfg: "Reduce all learning rates by factor of
    # 10 after 120 epochs. Then another factor of 10 after 10 more epochs."
    # Whole images, neither crops nor flips. Batch 128: convnet.py's default.
    Recipe(
        "cifar10_18pct",
        data="",
        variant="cifar10_18pct",
        resize_pixels=32,
        crop_pixels=32,
        flip=False,
        color_noise=0.0,
        epochs=140,
        learning_rate=0.001,
        rate_drops=(120, 130),
        weight_decay=0.004,
        layer_decay=(("fc10", 1.0),),
        bias_rate=2.0,
    ),
    # layer-params-conv-local-13pct.cfg and cuda-convnet's Methodology: crops
    # of 24 ("--crop-border=4") and reflections; batches 1 to 4 for 100 epochs,
    # all five for 40 more, 10 and 10 at a tenth of the rate each. Here all
    # five from the start.
    Recipe(
        "cifar10_13pct",
        data="",
        variant="cifar10_13pct",
        resize_pixels=32,
        crop_pixels=24,
        color_noise=0.0,
        epochs=160,
        learning_rate=0.001,
        rate_drops=(140, 150),
        weight_decay=0.004,
        layer_decay=(("conv1", 0.0), ("conv2", 0.0)),
        bias_rate=2.0,
    ),
    # cuda-convnet2 layer-params-cifar10-11pct.cfg: the same, 350 epochs, 150,
    # 10 and 10. Its file also names two dropouts that keep .75, for layers
    # that the net of layers-cifar10-11pct.cfg does not have.
    Recipe(
        "cifar10_11pct",
        data="",
        variant="cifar10_11pct",
        resize_pixels=32,
        crop_pixels=24,
        color_noise=0.0,
        epochs=520,
        learning_rate=0.001,
        rate_drops=(500, 510),
        weight_decay=0.004,
        layer_decay=(("conv1", 0.0), ("conv2", 0.0), ("fc10", 0.01)),
        bias_rate=2.0,
    ),
    # Any folder of photos: as `flowers`, for a third of the time, and of a
    # prepared folder the central squares will do.
    Recipe(
        "folder",
        data="",
        initialization="caffe_alexnet",
        smallest_crop_area=0.3,
        batch_size=32,
        epochs=20,
        learning_rate=0.005,
        rate_drops=(15, 18),
    ),
    # The last layer anew, then all at a tenth of this rate; the variant, the
    # sizes and, for some, the rate are those of what it starts from.
    Recipe(
        "fine_tune",
        data="",
        color_noise=0.0,
        batch_size=32,
        epochs=20,
        learning_rate=0.01,
    ),
    # Does everything once; for tests.
    Recipe(
        "smoke",
        variant="cifar10_18pct",
        resize_pixels=32,
        crop_pixels=32,
        color_noise=0.0,
        epochs=1,
        learning_rate=0.001,
    ),
)


UNMEASURED = ("not measured", "not measured", "not measured")
TWO_CORES = "2 vCPUs, Intel Xeon 2.3 GHz"
ONE_CORE = "one of 2 vCPUs, Intel Xeon 2.3 GHz"
RECIPES = MappingProxyType({recipe.name: recipe for recipe in _RECIPES})


class About(NamedTuple):
    """Where a recipe comes from, and what it gave.

    Args:
        source: The document that the values are taken from.
        hardware: What the time and the result were measured on.
        time: Of the whole training.
        result: On the test images.
    """

    source: str
    hardware: str
    time: str
    result: str


ABOUT = MappingProxyType(
    {
        "paper": About("Krizhevsky et al. 2012, Sections 2 to 5", *UNMEASURED),
        "alexnet_2012": About(
            "layers-145.cfg, layer-params-145.cfg", *UNMEASURED
        ),
        "caffe": About(
            "BVLC/caffe models/bvlc_alexnet/solver.prototxt", *UNMEASURED
        ),
        "torchvision": About(
            "pytorch/vision references/classification/README.md", *UNMEASURED
        ),
        "fashion": About(
            "ours, for the bundled images",
            TWO_CORES,
            "4 min 39 s",
            "accuracy 0.8720 of 2,000",
        ),
        "flowers": About(
            "ours, for flower_photos",
            TWO_CORES,
            "about 85 min (85 s an epoch)",
            "accuracy 0.8166 of 736",
        ),
        "cifar10_18pct": About(
            "layer-params-18pct-noisylr.cfg",
            ONE_CORE,
            "2 h 35 min, other work beside it",
            "test error 19.75 % of 10,000 (JPEG copies)",
        ),
        "cifar10_13pct": About(
            "layer-params-conv-local-13pct.cfg", *UNMEASURED
        ),
        "cifar10_11pct": About(
            "cuda-convnet2 layer-params-cifar10-11pct.cfg", *UNMEASURED
        ),
        "folder": About("ours, for any folder of photos", *UNMEASURED),
        "fine_tune": About(
            "ours, for a trained network",
            ONE_CORE,
            "about 1 min (15 epochs of 32 pixels)",
            "accuracy 0.7147 of 736, CIFAR-10 to flowers at .01; from "
            "scratch 0.6430",
        ),
        "smoke": About("ours, to try everything once", *UNMEASURED),
    }
)


def get_recipe(recipe, **changes):
    """The recipe of that name (or the `Recipe` itself), with changes.

    Another `variant` brings its own initial values, unless `initialization`
    is given too.

    Raises:
        ValueError: if there is no such recipe or field.
    """
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise ValueError(
                f"There is no recipe {recipe!r}; the recipes are "
                f"{', '.join(RECIPES)}."
            )
        recipe = RECIPES[recipe]
    unknown = changes.keys() - {field.name for field in fields(Recipe)}
    if unknown:
        raise ValueError(f"A recipe has no field {', '.join(sorted(unknown))}.")
    if changes.get("variant", recipe.variant) != recipe.variant:
        changes.setdefault("initialization", None)
    return replace(recipe, **changes)


def same_training(one, other):
    """Whether two recipes train the same; one may bear more bad files."""
    return replace(one, max_bad_ratio=other.max_bad_ratio) == other


def with_full_paths(recipe):
    """The recipe with absolute paths, as a run folder keeps it."""
    changes = {}
    if recipe.data not in ("", "fashion"):
        changes["data"] = os.path.abspath(recipe.data)
    if recipe.weights is not None and _holds_weights(recipe.weights):
        changes["weights"] = os.path.abspath(recipe.weights)
    return replace(recipe, **changes)


def _holds_weights(path):
    """Whether it is a file or a run folder, not an alias, for which a folder
    of the same name may hold the data."""
    run = os.path.join(path, "recipe.json")
    return os.path.isfile(path) or os.path.isfile(run)


def to_json(recipe):
    """The recipe as JSON text."""
    fields = {"format": FORMAT, **asdict(recipe)}
    return json.dumps(fields, indent=2) + "\n"


def from_json(text):
    """The recipe that `to_json` wrote.

    Raises:
        ValueError: if it is none, or a newer version wrote it.
    """
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError("a recipe is a JSON object")
    check_newer(fields.pop("format", FORMAT), FORMAT, "recipe.json")
    return Recipe(**fields)


class RecipesTable(Table):
    """The recipes: what they train, how, and what that gave."""

    _header = (
        "recipe",
        "variant",
        "batch",
        "rate",
        "falls after epoch",
        "epochs",
        "command",
        "source",
        "hardware",
        "time",
        "result",
    )
    _right = (2, 3, 5)

    def to_dict(self):
        """The table as plain values."""
        return {
            "recipes": [
                {**asdict(recipe), **ABOUT[name]._asdict()}
                for name, recipe in RECIPES.items()
            ]
        }

    def _heading(self):
        return f"{len(RECIPES)} recipes"

    def _cells(self):
        return [
            (
                name,
                recipe.variant,
                str(recipe.batch_size),
                f"{recipe.learning_rate:g}",
                _falls(recipe),
                str(recipe.epochs),
                _command(name, recipe),
                *ABOUT[name],
            )
            for name, recipe in RECIPES.items()
        ]


def _falls(recipe):
    if recipe.plateau_epochs:
        return f"plateaus of {recipe.plateau_epochs}"
    return ", ".join(map(str, recipe.rate_drops)) or "never"


def _command(name, recipe):
    data = "" if recipe.data else " --data DIR"
    return f"keras-alexnet train --recipe {name}{data}"
