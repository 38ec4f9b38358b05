"""The kinds of rows that an architecture is made of: one step each.

Standard library only.
"""

from dataclasses import dataclass

# How a row rounds its output size where the window does not fit exactly:
# "valid" drops the rest, "same" is TensorFlow's, "ceil" is the 2012 code's
# (layer.py: 1 + ceil((2 * padding + size - kernel) / stride)).
PADDINGS = ("valid", "same", "ceil")


@dataclass(frozen=True)
class ZeroPad:
    """Zeros around the image, before a convolution."""

    name: str
    pixels: int


@dataclass(frozen=True)
class Conv:
    """A convolution, computed as `towers` narrow ones side by side.

    With `groups=1` every tower sees all input maps, with `groups=towers`
    only its own. `kernel_init` is the standard deviation of a zero-mean
    Gaussian, or the name of an initializer; `bias_init` is a constant or
    the name of an initializer.
    """

    name: str
    filters: int
    kernel: int
    strides: int = 1
    padding: str = "same"
    towers: int = 1
    groups: int = 1
    activation: str | None = "relu"
    kernel_init: float | str = 0.01
    bias_init: float | str = 0.0


@dataclass(frozen=True)
class LocallyConnected:
    """A convolution whose every position has a kernel and bias of its own."""

    name: str
    filters: int
    kernel: int
    activation: str | None = "relu"
    kernel_init: float | str = 0.01
    bias_init: float | str = 0.0


@dataclass(frozen=True)
class LocalResponseNorm:
    """x / (k + alpha * sum of squares in the window) ** beta.

    `alpha_mode="mean"` divides alpha by the number of values in the window.
    `window` runs over neighboring maps ("cross_map") or over a square of
    positions in the same map ("within_map"). With `towers=2` no window
    crosses from one tower into the other.
    """

    name: str
    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0
    alpha_mode: str = "sum"
    window: str = "cross_map"
    towers: int = 1


@dataclass(frozen=True)
class MaxPool:
    """The maximum of each window (Section 3.4: z 3, s 2)."""

    name: str
    size: int = 3
    strides: int = 2
    padding: str = "valid"


@dataclass(frozen=True)
class AveragePool:
    """The average of each window."""

    name: str
    size: int = 3
    strides: int = 2
    padding: str = "valid"


@dataclass(frozen=True)
class AdaptiveAveragePool:
    """PyTorch's nn.AdaptiveAvgPool2d: any map becomes `size` x `size`."""

    name: str
    size: int = 6


@dataclass(frozen=True)
class Activation:
    """A nonlinearity that stands apart from its layer."""

    name: str
    function: str = "relu"


@dataclass(frozen=True)
class Flatten:
    """The maps of an image as one vector, channels last."""

    name: str = "flatten"


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; `units=None` stands for the classes.

    Computed as `towers` narrow ones side by side, each of which sees all.
    """

    name: str
    units: int | None
    activation: str | None = "relu"
    towers: int = 1
    kernel_init: float | str = 0.01
    bias_init: float | str = 0.0


@dataclass(frozen=True)
class Dropout:
    """Each value is set to 0 with probability `rate` (Section 4.2)."""

    name: str
    rate: float = 0.5  # Section 4.2


WITH_WEIGHTS = Conv | LocallyConnected | Dense
