"""Where the code that won differs from the paper's text, switch by switch."""

from dataclasses import dataclass

from keras_alexnet.architectures.rows import WITH_WEIGHTS
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.runs.recipes import RECIPES
from keras_alexnet.visualization.table import Table


@dataclass(frozen=True)
class Difference:
    """One thing that text and code do otherwise.

    Args:
        what: What it is.
        text: What the paper's text says; in brackets what stands for it in
            `alexnet` and the recipe `paper`, where that is something else.
        code: What the code gives here: `alexnet_2012` and its recipe.
        switch: The fields of a `Recipe` that select what the code does;
            none if `alexnet` does so already.
        source: Where the code says it.
    """

    what: str
    text: object
    code: object
    switch: dict
    source: str


def paper_differences():
    """The twelve differences between the paper's text and the code of 2012.

    Each but the third can be turned alone. All fields of `switch` together
    make of the recipe `paper` what `alexnet_2012` trains.

    Returns:
        A `DifferencesTable`, which prints as a table.

    Reference:
        - computerhistory/AlexNet-Source-Code, `layers-145.cfg`,
          `layer-params-145.cfg`

    Example:

    >>> paper_differences().differences[3].switch
    {'variations': ('alpha_over_n',)}
    """
    return DifferencesTable((*_of_networks(), *_of_recipes()))


def _of_networks():
    """The differences between the two networks."""
    text, code = VARIANTS["alexnet"], VARIANTS["alexnet_2012"]
    norms = [_row(a, "norm1") for a in (text, code)]
    conv4s = [_row(a, "conv4") for a in (text, code)]
    crossing = _row(VARIANTS["single_tower_lrn"], "norm1")
    cfg = "layers-145.cfg"
    return (
        Difference(
            "layers 1 and 5",
            f"{_order(text, 'conv1')}; {_order(text, 'conv5')}",
            f"{_order(code, 'conv1')}; {_order(code, 'conv5')}",
            {"variations": ("relu_after_pool",)},
            cfg,
        ),
        Difference(
            "layer 2",
            _order(text, "conv2"),
            _order(code, "conv2"),
            {"variations": ("spatial_norm2",)},
            cfg,
        ),
        Difference(
            "a normalization's window",
            f"{_windows(crossing)} (here: {_windows(norms[0])})",
            _windows(norms[1]),
            {},
            f"{cfg}; in Caffe and `single_tower_lrn` it crosses",
        ),
        Difference(
            "alpha of each square",
            *map(_alpha, norms),
            {"variations": ("alpha_over_n",)},
            "layer.py:1183",
        ),
        Difference(
            "image and rounding",
            f"224 px, rounding not said (here: {_rounding(text)})",
            _rounding(code),
            {"padding": "ceil", "crop_pixels": code.input_shape[0]},
            "layer.py: 1 + ceil((2 pad + size - kernel) / stride)",
        ),
        Difference(
            "deviation of conv3 to conv5's initial weights",
            *(row.kernel_init for row in conv4s),
            {"initialization": code.name},
            cfg,
        ),
    )


def _of_recipes():
    """The differences in the training, each a field of the recipe."""
    paper, code = RECIPES["paper"], RECIPES["alexnet_2012"]
    fields = {
        "crop_chunk": ("images that share a crop and a flip", "convdata.py"),
        "training_divisor": (
            "pixels in training are divided by",
            "convdata.py",
        ),
        "color_unit": ("the color noise is a multiple of the", "convdata.py"),
        "bias_rate": ("biases learn at so many times the rate", "epsB = .02"),
        "end_game": (
            "epochs: no color noise and conv1 slow; conv1 frozen",
            "log of layer-params-145.cfg",
        ),
    }
    # "Subtracting the mean activity over the training set from each pixel"
    # (Section 2): in `paper` a mean color stands for that image.
    mean = Difference(
        "the mean that is subtracted",
        f"image (here: {paper.mean})",
        code.mean,
        {"mean": code.mean},
        "convdata.py",
    )
    others = (
        Difference(
            what,
            getattr(paper, field),
            getattr(code, field),
            {field: getattr(code, field)},
            source,
        )
        for field, (what, source) in fields.items()
    )
    return [mean, *others]


def _row(architecture, name):
    return next(row for row in architecture.rows if row.name == name)


def _order(architecture, name):
    """A layer's steps, from its weights to the next ones."""
    names, inside = [], False
    for row in architecture.rows:
        if isinstance(row, WITH_WEIGHTS):
            inside = row.name == name
        if inside and row.name != "flatten":
            names.append(row.name)
            if getattr(row, "activation", None):
                names.append("ReLU")
    return ", ".join("ReLU" if n.startswith("relu") else n for n in names)


def _windows(row):
    return "crosses towers" if row.towers == 1 else "within a tower"


def _rounding(architecture):
    conv1 = _row(architecture, "conv1")
    return f"{architecture.input_shape[0]} px, {conv1.padding}"


def _alpha(row):
    over = row.size if row.alpha_mode == "mean" else 1
    return f"{row.alpha / over:g}"


@dataclass(frozen=True, repr=False)
class DifferencesTable(Table):
    """The differences, one line each."""

    differences: tuple[Difference, ...]

    _header = ("", "what", "text", "code", "switch", "source")
    _right = (0,)

    def to_dict(self):
        """The table as plain values."""
        return {"differences": [vars(d) for d in self.differences]}

    def _heading(self):
        return (
            "What the code that won (config 145) does otherwise than the "
            "paper's text, and the fields of a recipe that select it"
        )

    def _cells(self):
        return [
            (
                str(number),
                d.what,
                str(d.text),
                str(d.code),
                ", ".join(f"{k}={v!r}" for k, v in d.switch.items())
                or "none: `alexnet` has it",
                d.source,
            )
            for number, d in enumerate(self.differences, 1)
        ]
