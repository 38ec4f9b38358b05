"""An architecture with one thing changed.

Standard library only.
"""

from dataclasses import replace
from types import MappingProxyType

from keras_alexnet.architectures.rows import PADDINGS
from keras_alexnet.architectures.rows import Activation
from keras_alexnet.architectures.rows import AveragePool
from keras_alexnet.architectures.rows import Conv
from keras_alexnet.architectures.rows import Dropout
from keras_alexnet.architectures.rows import LocalResponseNorm
from keras_alexnet.architectures.rows import MaxPool
from keras_alexnet.architectures.rows import ZeroPad
from keras_alexnet.architectures.variants import TORCHVISION
from keras_alexnet.architectures.variants import Preprocessing


def with_padding(architecture, padding):
    """The same network with other rounding in conv1 and the pools.

    Args:
        padding: `None` (unchanged), "valid", "same", "ceil", or a pair of
            them: one for the first convolution, one for all pools. Zeros
            before the first convolution are dropped, since the new rounding
            takes their place.

    Raises:
        ValueError: if `padding` is none of these.
    """
    if padding is None:
        return architecture
    pair = (padding, padding) if isinstance(padding, str) else padding
    fits = isinstance(pair, tuple | list) and len(pair) == 2
    if not fits or not all(p in PADDINGS for p in pair):
        raise ValueError(
            "`padding` must be None, 'valid', 'same', 'ceil' or a pair of "
            f"them (first convolution, pools). Received: padding={padding!r}"
        )
    first = next(r for r in architecture.rows if isinstance(r, Conv))
    rows = []
    for row in architecture.rows:
        if row is first:
            row = replace(row, padding=pair[0])
        elif isinstance(row, MaxPool | AveragePool):
            row = replace(row, padding=pair[1])
        if not isinstance(row, ZeroPad):
            rows.append(row)
    return replace(architecture, rows=tuple(rows))


def with_initialization(architecture, other):
    """The same network with the initial values of another's rows.

    Args:
        architecture: `Architecture`.
        other: `Architecture` with rows of the same names.

    Raises:
        ValueError: if a row has no namesake.
    """
    values = {
        row.name: (row.kernel_init, row.bias_init)
        for row in other.rows
        if hasattr(row, "kernel_init")
    }
    rows = []
    for row in architecture.rows:
        if hasattr(row, "kernel_init"):
            if row.name not in values:
                raise ValueError(
                    f"{other.name} has no {row.name} whose initial values "
                    f"{architecture.name} could take."
                )
            kernel_init, bias_init = values[row.name]
            row = replace(row, kernel_init=kernel_init, bias_init=bias_init)
        rows.append(row)
    return replace(architecture, rows=tuple(rows))


def with_dropout(architecture, rate):
    """The same network with another rate of all its dropout layers.

    If it has none, one stands before the last layer.
    """
    rows = [
        replace(row, rate=rate) if isinstance(row, Dropout) else row
        for row in architecture.rows
    ]
    if not any(isinstance(row, Dropout) for row in rows):
        rows.insert(-1, Dropout("dropout", rate))
    return replace(architecture, rows=tuple(rows))


def without_normalization(architecture):
    """The same network without its normalization (layers-148.cfg)."""
    rows = tuple(
        row
        for row in architecture.rows
        if not isinstance(row, LocalResponseNorm)
    )
    return replace(architecture, rows=rows)


def with_plain_pooling(architecture):
    """The same network with 2x2 windows that do not overlap.

    Section 3.4: "s = 2, z = 2"; the strides and, for maps of odd size, the
    sizes of the maps stay as they are.
    """
    rows = tuple(
        replace(row, size=row.strides)
        if isinstance(row, MaxPool | AveragePool)
        else row
        for row in architecture.rows
    )
    return replace(architecture, rows=rows)


def with_tanh(architecture):
    """The same network with tanh in the place of every ReLU (Section 3.1)."""
    rows = []
    for row in architecture.rows:
        if isinstance(row, Activation) and row.function == "relu":
            row = replace(row, function="tanh")
        elif getattr(row, "activation", None) == "relu":
            row = replace(row, activation="tanh")
        rows.append(row)
    return replace(architecture, rows=tuple(rows))


def with_unit_range(architecture):
    """The same network, fed with 0..1: pixels / 255, no mean subtracted."""
    mean = (0.0,) * len(architecture.preprocessing.mean)
    preprocessing = Preprocessing(mean=mean, scale=1 / 255)
    return replace(architecture, preprocessing=preprocessing)


def with_unit_deviation(architecture):
    """The same network, fed with ImageNet's mean 0 and deviation 1."""
    count = len(architecture.preprocessing.mean)  # one, where images are gray
    preprocessing = replace(
        TORCHVISION,
        mean=TORCHVISION.mean[:count],
        std=TORCHVISION.std[:count],
    )
    return replace(architecture, preprocessing=preprocessing)


def with_relu_after_pool(architecture):
    """layers-145.cfg: conv1, norm1, pool1, ReLU; conv5, pool5, ReLU.

    The normalization of layer 1 then sees negative values.
    """
    rows, waiting = [], None
    for row in architecture.rows:
        if isinstance(row, Conv) and row.name in ("conv1", "conv5"):
            waiting = Activation(f"relu{row.name[-1]}", row.activation)
            row = replace(row, activation=None)
        rows.append(row)
        if isinstance(row, MaxPool) and waiting:
            rows.append(waiting)
            waiting = None
    return replace(architecture, rows=tuple(rows))


def with_spatial_norm2(architecture):
    """layers-145.cfg: a second normalization in layer 2, within each map.

    layer-params-145.cfg: window 5x5, scale .001, pow .75; layer.py's minDiv
    is 1.
    """
    rows = []
    for row in architecture.rows:
        rows.append(row)
        if isinstance(row, LocalResponseNorm) and row.name == "norm2":
            rows.append(
                LocalResponseNorm(
                    "cnorm2",
                    alpha=1e-3,
                    k=1.0,
                    alpha_mode="mean",
                    window="within_map",
                    towers=row.towers,
                )
            )
    return replace(architecture, rows=tuple(rows))


def with_alpha_over_n(architecture):
    """layer.py:1183: alpha is divided by the number of values in the window."""
    rows = tuple(
        replace(row, alpha_mode="mean")
        if isinstance(row, LocalResponseNorm)
        else row
        for row in architecture.rows
    )
    return replace(architecture, rows=rows)


# What Section 3 measures by leaving it out; inputs that the paper's initial
# values were not made for; what the code of 2012 does otherwise than the text.
VARIATIONS = MappingProxyType(
    {
        "no_normalization": without_normalization,
        "plain_pooling": with_plain_pooling,
        "tanh": with_tanh,
        "unit_range": with_unit_range,
        "unit_deviation": with_unit_deviation,
        "relu_after_pool": with_relu_after_pool,
        "spatial_norm2": with_spatial_norm2,
        "alpha_over_n": with_alpha_over_n,
    }
)
