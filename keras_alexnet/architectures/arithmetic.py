"""Shapes, neurons, parameters, multiply-adds, memory and receptive fields.

Computed from the rows of an `Architecture` alone, apart from Keras, so that
the agreement of the two is a real test.
"""

from dataclasses import dataclass
from math import prod

from keras_alexnet.architectures import rows as kinds
from keras_alexnet.architectures.modifiers import with_padding
from keras_alexnet.architectures.variants import get_architecture

BYTES_PER_VALUE = 4  # float32


@dataclass(frozen=True)
class LayerFacts:
    """What one row of an architecture costs, for one image.

    `neurons` counts the units of the layers that have weights, as the paper
    does. `multiply_adds` counts those of the same layers. `memory` is the
    size of the output in bytes of float32. `receptive_field` is the side,
    in input pixels, of the square that one output value sees (`None`: the
    whole image); `jump` the distance in pixels between two neighbors.
    """

    name: str
    kind: str
    detail: str
    output_shape: tuple[int, ...]
    neurons: int
    parameters: int
    multiply_adds: int
    memory: int
    receptive_field: int | None
    jump: int | None


def output_size(size, window, strides, padding):
    """The number of windows along one axis of `size` values."""
    if padding == "same":
        return -(-size // strides)
    if size < window:  # layer.py of 2012 refuses this for "ceil" too
        return 0
    if padding == "valid":
        return (size - window) // strides + 1
    return -(-(size - window) // strides) + 1


def ceil_pad(size, window, strides):
    """Values to add behind an axis so that rounding down equals rounding up.

    `size` may be a tensor.
    """
    return (window - size) % strides


def _windows(shape, row, padding):
    *sizes, channels = shape
    window = row.kernel if hasattr(row, "kernel") else row.size
    strides = getattr(row, "strides", 1)
    sizes = [output_size(s, window, strides, padding) for s in sizes]
    return (*sizes, channels)


def _output_shape(row, shape, classes):
    match row:
        case kinds.ZeroPad():
            return (*(s + 2 * row.pixels for s in shape[:-1]), shape[-1])
        case kinds.Conv():
            return (*_windows(shape, row, row.padding)[:-1], row.filters)
        case kinds.LocallyConnected():
            return (*shape[:-1], row.filters)
        case kinds.MaxPool() | kinds.AveragePool():
            return _windows(shape, row, row.padding)
        case kinds.AdaptiveAveragePool():
            return (row.size, row.size, shape[-1])
        case kinds.Flatten():
            return (prod(shape),)
        case kinds.Dense():
            return (row.units or classes,)
        case _:
            return shape


def _weights(row, shape, output_shape):
    """Parameters and multiply-adds of a row."""
    positions, filters = prod(output_shape[:-1]), output_shape[-1]
    match row:
        case kinds.Conv():
            fan_in = row.kernel**2 * shape[-1] // row.groups
            return (fan_in + 1) * filters, positions * fan_in * filters
        case kinds.LocallyConnected():
            fan_in = row.kernel**2 * shape[-1]
            connections = positions * fan_in * filters
            return connections + positions * filters, connections
        case kinds.Dense():
            return (shape[0] + 1) * filters, shape[0] * filters
        case _:
            return 0, 0


def _receptive_field(row, field, jump):
    match row:
        case kinds.Conv() | kinds.LocallyConnected():
            window, strides = row.kernel, getattr(row, "strides", 1)
        case kinds.MaxPool() | kinds.AveragePool():
            window, strides = row.size, row.strides
        case kinds.LocalResponseNorm(window="within_map"):
            window, strides = row.size, 1
        case kinds.Dense() | kinds.Flatten() | kinds.AdaptiveAveragePool():
            return None, None
        case _:
            return field, jump
    if field is None:
        return None, None
    return field + (window - 1) * jump, jump * strides


def describe(row):
    """The numbers of a row in words: "96@11x11, stride 4, 2 towers"."""
    match row:
        case kinds.ZeroPad():
            return f"{row.pixels} px on each side"
        case kinds.Conv():
            words = [f"{row.filters}@{row.kernel}x{row.kernel}"]
            words += [f"stride {row.strides}"] if row.strides > 1 else []
            words += [row.padding]
            words += [f"{row.towers} towers"] if row.towers > 1 else []
            words += ["each sees its own"] if row.groups > 1 else []
            words += [row.activation] if row.activation else []
            return ", ".join(words)
        case kinds.LocallyConnected():
            return f"{row.filters}@{row.kernel}x{row.kernel}, {row.activation}"
        case kinds.LocalResponseNorm():
            alpha = f"{row.alpha:g}" + ("/n" * (row.alpha_mode == "mean"))
            words = [f"n {row.size}", f"k {row.k:g}", f"alpha {alpha}"]
            words += [f"beta {row.beta:g}"]
            words += ["within map"] if row.window == "within_map" else []
            words += ["per tower"] if row.towers > 1 else []
            return ", ".join(words)
        case kinds.MaxPool() | kinds.AveragePool():
            size = f"{row.size}x{row.size}"
            return f"{size}, stride {row.strides}, {row.padding}"
        case kinds.AdaptiveAveragePool():
            return f"to {row.size}x{row.size}"
        case kinds.Activation():
            return row.function
        case kinds.Dense():
            return row.activation or "logits"
        case kinds.Dropout():
            return f"rate {row.rate:g}"
        case _:
            return ""


def features(rows):
    """The rows in front of the classifier."""
    names = [type(row) for row in rows]
    end = names.index(kinds.Flatten)
    if end and names[end - 1] is kinds.AdaptiveAveragePool:
        end -= 1
    return rows[:end]


def trace(variant, input_shape=None, classes=None, padding=None):
    """Follow one image through an architecture.

    Args:
        variant: name of a variant, or an `Architecture`.
        input_shape: `(height, width, channels)` in pixels; the variant's own
            if `None`.
        classes: number of classes; the variant's own if `None`.
        padding: see `AlexNet`.

    Returns:
        A list of `LayerFacts`, one for each row.

    Raises:
        ValueError: if the image is too small for the network.
    """
    architecture = with_padding(get_architecture(variant), padding)
    shape = architecture.input_shape if input_shape is None else input_shape
    classes = architecture.classes if classes is None else classes
    counts = (*shape, classes)
    if len(counts) != 4 or not all(isinstance(n, int) for n in counts):
        raise ValueError(
            "`input_shape` must be three integers (height, width, channels) "
            f"and `classes` one. Received: input_shape={tuple(shape)}, "
            f"classes={classes}"
        )
    check_size(architecture, shape)
    if min(shape[2], classes) < 1:
        raise ValueError(
            "An image has at least one channel and a network at least one "
            f"class. Received: {shape[2]} and {classes}"
        )
    return _trace(architecture, tuple(shape), classes)


def weight_shapes(architecture, input_shape, classes, include_top=True):
    """The shapes of an architecture's weights, its towers joined.

    Args:
        architecture: an `Architecture`.
        input_shape: `(height, width, channels)` in pixels; a side may be
            `None` where the weights do not depend on it.
        classes: number of classes.
        include_top: whether those of the classifier are among them.

    Returns:
        A dict: name of the row -> shapes of kernel and bias, as in Keras.
    """
    *sides, channels = input_shape
    smallest = smallest_input(architecture)
    shape = (*(smallest if s is None else s for s in sides), channels)
    rows = architecture.rows
    shapes = {}
    for row in rows if include_top else features(rows):
        output_shape = _output_shape(row, shape, classes)
        kernel, places = _kernel_shape(row, shape)
        if kernel:
            filters = output_shape[-1]
            shapes[row.name] = [(*kernel, filters), (*places, filters)]
        shape = output_shape
    return shapes


def _kernel_shape(row, shape):
    """Shapes of a row's kernel and bias, both without their last axis."""
    match row:
        case kinds.Conv():
            return (row.kernel, row.kernel, shape[-1] // row.groups), ()
        case kinds.LocallyConnected():
            *places, channels = shape
            return (*places, row.kernel**2 * channels), places
        case kinds.Dense():
            return shape, ()
        case _:
            return (), ()


def training_operations(variant, input_shape=None, classes=None):
    """Floating-point operations of one image's training step.

    A multiply-add is two. Backward takes twice what forward takes, but for
    the first convolution, whose input needs no gradient. The arguments are
    those of `trace`.
    """
    layers = trace(variant, input_shape, classes)
    conv1 = [layer for layer in layers if layer.name.startswith("conv1")]
    whole, first = (
        sum(layer.multiply_adds for layer in some) for some in (layers, conv1)
    )
    return 2 * (3 * whole - first)


def _trace(architecture, shape, classes):
    layers, field, jump = [], 1, 1
    for row in architecture.rows:
        output_shape = _output_shape(row, shape, classes)
        parameters, multiply_adds = _weights(row, shape, output_shape)
        field, jump = _receptive_field(row, field, jump)
        layers.append(
            LayerFacts(
                name=row.name,
                kind=type(row).__name__,
                detail=describe(row),
                output_shape=output_shape,
                neurons=prod(output_shape) if parameters else 0,
                parameters=parameters,
                multiply_adds=multiply_adds,
                memory=BYTES_PER_VALUE * prod(output_shape),
                receptive_field=field,
                jump=jump,
            )
        )
        shape = output_shape
    return layers


def _fits(rows, size):
    shape = (size, size, 1)
    for row in rows:
        shape = _output_shape(row, shape, None)
        if min(shape) < 1:
            return False
    return True


def smallest_input(architecture):
    """The smallest side in pixels that leaves at least one value."""
    rows = features(architecture.rows)
    return next(size for size in range(1, 10_000) if _fits(rows, size))


def check_size(architecture, shape):
    """Refuse an image that is too small, naming the smallest that works.

    Args:
        architecture: an `Architecture`.
        shape: `(height, width, channels)`; a side may be `None` (unknown).
    """
    smallest = smallest_input(architecture)
    if any(side is not None and side < smallest for side in shape[:2]):
        raise ValueError(
            f"An image of {shape[0]}x{shape[1]} pixels is too small for "
            f"{architecture.name}: nothing would be left of it. The smallest "
            f"size that works is {smallest}x{smallest}."
        )
