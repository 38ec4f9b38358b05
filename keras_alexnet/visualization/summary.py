"""`summary(...)`: what each layer of a network makes and costs, as a table."""

from dataclasses import asdict
from dataclasses import dataclass

from keras_alexnet.architectures.arithmetic import LayerFacts
from keras_alexnet.architectures.arithmetic import trace
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.architectures.variants import Architecture
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.visualization.model_graph import input_shapes
from keras_alexnet.visualization.model_graph import model_facts
from keras_alexnet.visualization.model_graph import shape_text
from keras_alexnet.visualization.table import Table


def summary(
    model_or_variant,
    *,
    padding: str | tuple[str, str] | None = None,
    input_shape: tuple[int, ...] | None = None,
    classes: int | None = None,
) -> "Summary":
    """What each layer of a network makes and costs, for one image.

    Args:
        model_or_variant: Name of a variant or an `Architecture`, counted by
            arithmetic without Keras, or a functional `keras.Model`, whose
            own layers are counted.
        padding: Of a variant: see `AlexNet`.
        input_shape: Of a variant: `(height, width, channels)` in pixels.
        classes: Of a variant: number of classes.

    Returns:
        A `Summary`, which prints as a table.

    Raises:
        ValueError: if there is no such variant, the model is not functional,
            or the other arguments do not fit.

    Example:

    >>> summary("alexnet").totals["parameters"]
    60965224
    """
    if isinstance(model_or_variant, str | Architecture):
        architecture = get_architecture(model_or_variant)
        return Summary(
            architecture.name,
            architecture.title,
            architecture.source,
            tuple(
                architecture.input_shape if input_shape is None else input_shape
            ),
            tuple(trace(architecture, input_shape, classes, padding)),
        )
    if (padding, input_shape, classes) != (None, None, None):
        raise ValueError(
            "`padding`, `input_shape` and `classes` are for variants; a model "
            "has its own, so give them to `AlexNet` and leave them out here."
        )
    shapes = input_shapes(model_or_variant)  # refuses what is no such model
    return Summary(
        model_or_variant.name,
        "a Keras model",
        "its own layers",
        shapes,
        tuple(model_facts(model_or_variant)),
    )


def variants_table():
    """All variants, one line each, with their totals.

    Returns:
        A `VariantsTable`, which prints as a table.

    Example:

    >>> len(variants_table().to_dict()["variants"]) == len(VARIANTS)
    True
    """
    return VariantsTable(tuple(summary(name) for name in VARIANTS))


@dataclass(frozen=True, repr=False)
class Summary(Table):
    """A network and the `LayerFacts` of its layers.

    In a model, a count of `None` (printed "?") is one that is not known
    without knowing the layer or the image's size; it is left out of the
    totals.
    """

    name: str
    title: str
    source: str
    input_shape: tuple
    layers: tuple[LayerFacts, ...]

    _header = (
        "layer",
        "output",
        "neurons",
        "parameters",
        "multiply-adds",
        "memory",
        "receptive field",
        "kind",
    )
    _right = (2, 3, 4, 5, 6)

    @property
    def totals(self):
        """Sums over the layers; `layers` counts those with weights."""
        counted = ("parameters", "neurons", "multiply_adds", "memory")
        return {
            "layers": sum(bool(layer.parameters) for layer in self.layers),
            **{
                key: sum(getattr(layer, key) or 0 for layer in self.layers)
                for key in counted
            },
        }

    @property
    def _partial(self):
        return any(layer.multiply_adds is None for layer in self.layers)

    def to_dict(self):
        """Everything as plain values, ready for `json.dump`."""
        layers = [asdict(layer) for layer in self.layers]
        for layer in layers:
            layer["output_shape"] = list(layer["output_shape"])
        return {
            "name": self.name,
            "title": self.title,
            "source": self.source,
            "input_shape": list(self.input_shape),
            "layers": layers,
            "totals": self.totals,
        }

    def _heading(self):
        totals = self.totals
        return (
            f"{self.name}: {self.title} ({self.source}). Input "
            f"{shape_text(self.input_shape)}; "
            f"{totals['parameters']:,} parameters, "
            f"{totals['neurons']:,} neurons, "
            f"{'at least ' * self._partial}{_millions(totals)} "
            "multiply-adds for one image."
        )

    def _cells(self):
        for layer in self.layers:
            yield (
                layer.name,
                shape_text(layer.output_shape),
                _count(layer.neurons),
                _count(layer.parameters),
                _count(layer.multiply_adds),
                _bytes(layer.memory),
                _field(layer),
                f"{layer.kind} {layer.detail}".strip(),
            )
        totals = self.totals
        counts = [
            _count(totals[key])
            for key in ("neurons", "parameters", "multiply_adds")
        ]
        yield ("total", "", *counts, _bytes(totals["memory"]), "", "")


@dataclass(frozen=True, repr=False)
class VariantsTable(Table):
    """The summaries of all variants, printed as one line each."""

    summaries: tuple[Summary, ...]

    _header = (
        "variant",
        "input",
        "parameters",
        "neurons",
        "multiply-adds",
        "distinguishing features",
        "source",
    )
    _right = (2, 3, 4)

    def to_dict(self):
        """Everything as plain values, ready for `json.dump`."""
        rows = []
        for each in self.summaries:
            row = each.to_dict()
            del row["layers"]
            rows.append(row)
        return {"variants": rows}

    def _heading(self):
        return f"{len(self.summaries)} variants, counted for one image."

    def _cells(self):
        for each in self.summaries:
            totals = each.totals
            yield (
                each.name,
                shape_text(each.input_shape),
                _count(totals["parameters"]),
                _count(totals["neurons"]),
                _millions(totals),
                each.title,
                each.source,
            )


def _count(number):
    return "?" if number is None else f"{number:,}"


def _millions(totals):
    number = totals["multiply_adds"]
    return f"{number / 1e6:,.1f} M" if number >= 1e5 else f"{number:,}"


def _bytes(count):
    if count is None:
        return "?"
    for unit, size in (("MB", 1e6), ("KB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def _field(layer):
    """The side of the square that a value sees, in pixels."""
    if layer.receptive_field is not None:
        return str(layer.receptive_field)
    return "all" if len(layer.output_shape) == 1 else "-"
