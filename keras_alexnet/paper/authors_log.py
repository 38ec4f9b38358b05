"""The authors' own log: what each of their trainings gave.

Read from the comments at the head of layers/layer-params-*.cfg, one training
each, so that the noise is unknown.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from keras_alexnet.visualization.table import Table


class LogLine(NamedTuple):
    """What a training of the authors gave.

    Args:
        change: What differs from config 145, AlexNet as it won.
        top1: Top-1 error, %.
        top5: Top-5 error, %.
        images: The images that it was tested on.
        crops: How many crops of each image.
        ours: What trains the same here: a variant and changes of its recipe,
            or an empty string.
    """

    change: str
    top1: float
    top5: float | None
    images: str = "ILSVRC-2012 val"
    crops: int = 10
    ours: str = ""


_2010 = "ILSVRC-2010 test"
# From computerhistory/AlexNet-Source-Code; the key names the config.
LOG = MappingProxyType(
    {
        "145": LogLine("AlexNet", 40.664, 18.210, ours="recipe alexnet_2012"),
        "145 continued": LogLine(
            "rate raised to .001 and lowered again, 135 epochs", 40.250, 17.994
        ),
        "145-2010": LogLine("the same, on ILSVRC-2010", 37.473, 16.999, _2010),
        "145-2010 center": LogLine(
            "the same, center crop", 39.025, 18.295, _2010, 1
        ),
        "145-half": LogLine(
            "half of the kernels, one tower",
            39.168,
            18.229,
            _2010,
            ours="variant half",
        ),
        "147": LogLine(
            "2x2 pooling without overlap",
            41.058,
            18.510,
            ours="variations plain_pooling",
        ),
        "148": LogLine(
            "no normalization",
            42.034,
            19.362,
            ours="variations no_normalization",
        ),
        "150": LogLine("the towers never talk", 41.828, 19.330),
        "131": LogLine("normalize, then pool", 40.934, 18.574),
        "120": LogLine("pool, then normalize", 41.044, 18.714),
        "135": LogLine("131 with k = 2 for k = 1", 41.070, 18.416),
        "146-2012-2011": LogLine(
            'a sixth convolution, pretrained on 2011 ("1 CNN*")', 38.990, 16.622
        ),
        "170": LogLine("the rate falls exponentially", 40.528, 18.048),
        "167": LogLine("170 without the second normalization", 40.488, 18.118),
        "170-256": LogLine("170 at batch 128", 42.341, None, crops=1),
        "170-256-double": LogLine(
            "170 at batch 256, twice the rate", 42.273, None, crops=1
        ),
    }
)


def errors(config):
    """Top-1 and top-5 error, rounded as the paper prints them.

    >>> errors("145")
    [40.7, 18.2]
    """
    line = LOG[config]
    return [round(line.top1, 1), round(line.top5, 1)]


def points(config, other):
    """By how many points the first's errors are above the other's, rounded.

    >>> points("148", "145")
    [1.4, 1.2]
    """
    one, two = LOG[config], LOG[other]
    return [round(one.top1 - two.top1, 1), round(one.top5 - two.top5, 1)]


@dataclass(frozen=True, repr=False)
class LogTable(Table):
    """The authors' own log, one line for each training."""

    _header = (
        "config",
        "change",
        "top-1, %",
        "top-5, %",
        "images",
        "crops",
        "here",
    )
    _right = (2, 3, 5)

    def to_dict(self):
        """The table as plain values."""
        return {"log": {name: line._asdict() for name, line in LOG.items()}}

    def _heading(self):
        return (
            "The authors' log: errors in the comments of "
            "layers/layer-params-*.cfg, one training each"
        )

    def _cells(self):
        return [
            (
                name,
                line.change,
                f"{line.top1:.3f}",
                "" if line.top5 is None else f"{line.top5:.3f}",
                line.images,
                str(line.crops),
                line.ours,
            )
            for name, line in LOG.items()
        ]
