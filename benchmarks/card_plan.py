"""What is measured on a card, the most important first."""

import itertools
import math
from dataclasses import dataclass

from benchmarks.rows import PIXELS
from keras_alexnet.architectures.arithmetic import trace

TF32, NARROW = "tensorfloat32", "bfloat16"
SHOWN = {TF32: "TF32", NARROW: NARROW, "float32": "float32"}
JAX, TORCH = "benchmarks.card_columns", "benchmarks.torch_columns"
OURS, PLAIN = "this package on JAX", "plain Keras on JAX"
WHOSE = {OURS: {"whose": "ours"}, PLAIN: {"whose": "plain"}}
PYTORCH = {
    # On the H200 of 2026-11-27 the best of those that worked.
    "PyTorch compiled, channels first": {"compiled": True},
    "PyTorch eager, channels first": {},
    "PyTorch eager, channels last": {"channels_last": True},
    # The normalization alone ended in an illegal memory access there.
    "PyTorch compiled, channels last": {
        "compiled": True,
        "channels_last": True,
    },
}
ALL = (*WHOSE, *PYTORCH)
BEST = ALL[:3]
# Nothing is learned of random images: weights that stay what they are keep
# numbers finite, by whose bits a card's clock goes.
STEP = {"rate": 1e-6}


@dataclass(frozen=True)
class Figure:
    """One measurement.

    Args:
        work: What is done.
        form: Who does it, and how.
        make: `"module:function"` of this folder, which prepares it.
        given: Dict, its arguments, plain values.
        precision: What products are rounded to.
        amount: How much of `unit` a call does: images, TFLOP, GB.
        unit: Its name.
        limit: Seconds after which it is given up.
    """

    work: str
    form: str
    make: str
    given: dict
    precision: str = TF32
    amount: float = 0.0
    unit: str = ""
    limit: float = 90

    @property
    def name(self):
        return f"{self.work}: {self.form}"

    @property
    def framework(self):
        return "torch" if self.make.startswith(TORCH) else "jax"


def networks(kind, variant, batch, precision, forms=ALL):
    """A step or inference of a variant."""
    pixels = PIXELS[variant]
    given = {"variant": variant, "batch": batch, "pixels": pixels}
    given |= {"precision": precision, **(STEP if kind == "step" else {})}
    fused = {"fused": True} if kind == "step" else {}
    work = f"{kind} of `{variant}`, {batch}, {SHOWN[precision]}"
    for form in forms:
        own = WHOSE.get(form) or {**PYTORCH[form], **fused}
        make = f"{JAX if form in WHOSE else TORCH}:{kind}"
        about = (precision, batch, "images")
        yield Figure(work, form, make, {**given, **own}, *about)


def ceilings(small):
    """What the card can do, by each framework."""
    size, size_gb = (256, 0.001) if small else (8192, 1.0)
    amount, moved = 2 * size**3 / 1e12, {"gigabytes": size_gb}
    for by, make in (("JAX", JAX), ("PyTorch", TORCH)):
        for precision in (NARROW, TF32, "float32"):
            work = f"product of {size}x{size}, {SHOWN[precision]}"
            given = {"size": size, "precision": precision}
            about = (precision, amount, "TFLOP")
            yield Figure(work, by, f"{make}:matrices", given, *about)
        # What is copied is read and written.
        about = (TF32, 2 * size_gb, "GB")
        yield Figure("copying", by, f"{make}:copying", moved, *about)
        about = (TF32, size_gb, "GB")
        yield Figure("host to card", by, f"{make}:sending", moved, *about)


def normalization(batch, precision):
    """Alone; forward reads one array and writes one, backward two and one."""
    shape = (batch, 55, 55, 96)
    work = f"normalization of {shape}, {precision}"
    given = {"shape": shape, "precision": precision}
    size_gb = math.prod(shape) * (2 if precision == NARROW else 4) / 1e9
    for form in ALL:
        own, module = PYTORCH.get(form), TORCH
        if form in WHOSE:
            own = {**WHOSE[form], "waits": False}
            module = "benchmarks.keras_columns"
        make = f"{module}:normalization"
        about = (precision, 5 * size_gb, "GB")
        yield Figure(work, form, make, {**given, **own}, *about)


def update():
    """The optimizer alone: three arrays are read, two are written."""
    parameters = sum(layer.parameters for layer in trace("alexnet"))
    work = f"update of {parameters:,} weights"
    about = (TF32, 5 * 4 * parameters / 1e9, "GB")
    make, given = "benchmarks.keras_columns:update", {"waits": False}
    yield Figure(work, OURS, make, {**WHOSE[OURS], **given}, *about)
    make, given = f"{TORCH}:update", {"fused": True}
    yield Figure(work, "PyTorch eager, fused", make, given, *about)


def candidates(batch, precision):
    """The forms of `card_columns.CANDIDATES`."""
    for operation, forms in (
        ("conv1", ("plain", "on blocks of 4x4 pixels")),
        ("max pooling", ("select-and-scatter", "each pixel asks")),
        ("the towers of conv2", ("two convolutions", "grouped")),
    ):
        work = f"{operation}, {batch}, {SHOWN[precision]}"
        given = {"operation": operation, "batch": batch}
        for form in forms:
            own = {**given, "form": form, "precision": precision}
            yield Figure(work, form, f"{JAX}:candidate", own, precision)


def training(cifar, small):
    """A net of CIFAR-10 by its recipe; the time is that of an epoch."""
    images = 128 if small and not cifar else 50000
    form = f"{OURS}, CIFAR-10, all epochs"
    given = {"cifar": cifar, "seconds": 200}
    if not cifar:
        form = f"{OURS}, {images:,} random images: of time only"
        given |= {"epochs": 4, "images": images}
    work = "an epoch of `cifar10_18pct`, float32"
    about = ("float32", images, "images", 230)
    return Figure(work, form, f"{JAX}:training", given, *about)


def plan(small=False, cifar=None):
    """All figures by their names; what comes last is what time cuts off."""
    few, many = (2, 3) if small else (128, 1024)
    learning = training(cifar, small)
    figures = [
        *networks("step", "alexnet", few, NARROW),
        *ceilings(small),
        *([learning] if cifar else []),
        *networks("inference", "alexnet", few, NARROW, BEST),
        *networks("step", "alexnet", many, NARROW, BEST),
        *normalization(few, NARROW),
        *update(),
        *candidates(few, NARROW),
        *networks("step", "torchvision", few, NARROW, BEST),
        *networks("step", "alexnet", few, TF32, BEST),
        learning,
        *normalization(few, "float32"),
        *candidates(few, TF32),
    ]
    kinds = ("step", "inference")
    others = (BEST, ALL), (NARROW, TF32), (few, many), PIXELS, kinds
    for forms, precision, batch, variant, kind in itertools.product(*others):
        figures += networks(kind, variant, batch, precision, forms)
    by_name = {}
    for figure in figures:
        by_name.setdefault(figure.name, figure)
    return by_name
