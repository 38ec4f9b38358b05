"""`summary(...)`: what each layer of a network makes and costs, as a table."""

from dataclasses import asdict
from dataclasses import dataclass
from math import prod

from keras_alexnet.architectures import VARIANTS
from keras_alexnet.architectures import Architecture
from keras_alexnet.architectures import get_architecture
from keras_alexnet.arithmetic import BYTES_PER_VALUE
from keras_alexnet.arithmetic import LayerFacts
from keras_alexnet.arithmetic import trace


def summary(model_or_variant, *, padding=None, input_shape=None, classes=None):
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
            tuple(input_shape or architecture.input_shape),
            tuple(trace(architecture, input_shape, classes, padding)),
        )
    if (padding, input_shape, classes) != (None, None, None):
        raise ValueError(
            "`padding`, `input_shape` and `classes` are for variants; a model "
            "has its own, so give them to `AlexNet` and leave them out here."
        )
    shapes = [_shape(x) for x in functional(model_or_variant).inputs]
    return Summary(
        model_or_variant.name,
        "a Keras model",
        "its own layers",
        _one_or_all(shapes),
        tuple(_model_facts(model_or_variant)),
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


class _Table:
    """Prints as an aligned table, and as a real one in a notebook.

    `_heading()` is a line of text, `_header` names the columns, `_cells()`
    gives the lines as strings; `_right` are the columns to align right.
    """

    def __str__(self):
        lines = [self._header, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["-" * width for width in widths])
        text = []
        for line in lines:
            cells = [
                cell.ljust(w) for cell, w in zip(line, widths, strict=True)
            ]
            for i in self._right:
                cells[i] = line[i].rjust(widths[i])
            text.append("  ".join(cells).rstrip())
        return "\n".join([self._heading(), "", *text])

    def __repr__(self):
        return str(self)

    def to_markdown(self):
        """The table in Markdown."""
        rule = [
            "--:" if i in self._right else ":--"
            for i in range(len(self._header))
        ]
        lines = [self._header, rule, *self._cells()]
        table = [f"| {' | '.join(line)} |" for line in lines]
        return "\n".join([self._heading(), "", *table])

    _repr_markdown_ = to_markdown


@dataclass(frozen=True, repr=False)
class Summary(_Table):
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
        "sees",
        "kind",
    )
    _right = (2, 3, 4, 5, 6)

    @property
    def totals(self):
        """Sums over the layers; `layers` counts those with weights."""
        counted = ("parameters", "neurons", "multiply_adds", "memory")
        return {
            "layers": sum(bool(facts.parameters) for facts in self.layers),
            **{
                key: sum(getattr(facts, key) or 0 for facts in self.layers)
                for key in counted
            },
        }

    @property
    def _partial(self):
        return any(facts.multiply_adds is None for facts in self.layers)

    def to_dict(self):
        """Everything as plain values, ready for `json.dump`."""
        layers = [asdict(facts) for facts in self.layers]
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
            f"{_by(self.input_shape)}; {totals['parameters']:,} parameters, "
            f"{totals['neurons']:,} neurons, "
            f"{'at least ' * self._partial}{_millions(totals)} "
            "multiply-adds for one image."
        )

    def _cells(self):
        for facts in self.layers:
            yield (
                facts.name,
                _by(facts.output_shape),
                _count(facts.neurons),
                _count(facts.parameters),
                _count(facts.multiply_adds),
                _bytes(facts.memory),
                _field(facts),
                f"{facts.kind} {facts.detail}".strip(),
            )
        totals = self.totals
        counts = [
            _count(totals[key])
            for key in ("neurons", "parameters", "multiply_adds")
        ]
        yield ("total", "", *counts, _bytes(totals["memory"]), "", "")


@dataclass(frozen=True, repr=False)
class VariantsTable(_Table):
    """The summaries of all variants, printed as one line each."""

    summaries: tuple[Summary, ...]

    _header = (
        "variant",
        "input",
        "parameters",
        "neurons",
        "multiply-adds",
        "what tells it apart",
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
                _by(each.input_shape),
                _count(totals["parameters"]),
                _count(totals["neurons"]),
                _millions(totals),
                each.title,
                each.source,
            )


def _by(shape):
    """(55, 55, 96) -> "55x55x96"; several shapes with a plus between."""
    if shape and isinstance(shape[0], tuple):
        return " + ".join(map(_by, shape))
    return "x".join("?" if side is None else str(side) for side in shape)


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


def _field(facts):
    """The side of the square that a value sees, in pixels."""
    if facts.receptive_field is not None:
        return str(facts.receptive_field)
    return "all" if len(facts.output_shape) == 1 else "-"


def functional(model):
    """The graph of a functional or built sequential model.

    Raises:
        ValueError: if it has none, as a subclassed model.
    """
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_nodes_by_depth"):
        raise ValueError(
            f"{model!r} has no graph of layers to follow; pass the name of a "
            "variant, a functional keras.Model, or a keras.Sequential that "
            "has been built."
        )
    return graph


def uses(model):
    """The layers of a functional model, each with its nodes in the graph.

    Args:
        model: a functional or built sequential `keras.Model`.

    Returns:
        A list of `(layer, nodes)` in the order in which the data meets them.
        A node has `input_tensors` and `output_tensors`; a shared layer has
        several.
    """
    graph = functional(model)
    # `layer.input` and `layer.output` refuse layers that are used twice, also
    # if the second use is in another model.
    nodes = [n for level in graph._nodes_by_depth.values() for n in level]
    return [
        (layer, [node for node in nodes if node.operation is layer])
        for layer in graph.operations
    ]


def output_text(nodes):
    """What a layer hands on, at its first use: "55x55x48"."""
    return _by(_one_or_all([_shape(x) for x in nodes[0].output_tensors]))


def describe_layer(layer):
    """The numbers of a Keras layer in words: "48@11x11, stride 4, valid"."""
    words = _describe_window(layer)
    if hasattr(layer, "units"):
        words.append(f"{layer.units} units")
    if hasattr(layer, "alpha_mode"):
        alpha = f"{layer.alpha:g}" + "/n" * (layer.alpha_mode == "mean")
        words += [f"n {layer.size}", f"k {layer.k:g}", f"alpha {alpha}"]
        words += [f"beta {layer.beta:g}"]
        words += ["within map"] if layer.window == "within_map" else []
    if getattr(layer, "groups", 1) > 1:
        words.append(f"groups {layer.groups}")
    if hasattr(layer, "rate"):
        words.append(f"rate {layer.rate:g}")
    function = getattr(layer, "activation", None)
    name = getattr(function, "__name__", type(function).__name__)
    if function is not None and name != "linear":
        words.append(name)
    return ", ".join(words)


def _describe_window(layer):
    window = _window(layer)
    if window is None:
        return []
    words = ["x".join(map(str, window))]
    if hasattr(layer, "filters"):
        words = [f"{layer.filters}@{words[0]}"]
    strides = _sides(getattr(layer, "strides", 1))
    if set(strides) != {1}:
        words.append(f"stride {_by(sorted(set(strides)))}")
    dilation = _sides(getattr(layer, "dilation_rate", 1))
    words += [f"dilation {dilation[0]}"] if dilation[0] > 1 else []
    padding = getattr(layer, "padding", None)
    return words + ([padding] if isinstance(padding, str) else [])


def _sides(value):
    return value if isinstance(value, tuple | list) else (value, value)


def _window(layer):
    """The sides of the window that a layer slides over maps, or `None`."""
    window = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
    return None if window is None else tuple(_sides(window))


def _shape(tensor):
    return tuple(tensor.shape[1:])


def _one_or_all(shapes):
    return shapes[0] if len(shapes) == 1 else tuple(shapes)


def _model_facts(model):
    """`LayerFacts` of each layer but the inputs."""
    seen = {}  # id of a tensor -> its receptive field and jump, in pixels
    for layer, nodes in uses(model):
        for node in nodes:
            sources = [seen[id(x)] for x in node.input_tensors]
            shapes = [_shape(x) for x in node.output_tensors]
            field = _receptive_field(layer, sources, shapes[0])
            seen.update((id(x), field) for x in node.output_tensors)
        if node.input_tensors:
            yield _layer_facts(layer, nodes, *field)


def _layer_facts(layer, nodes, field, jump):
    shapes = [_shape(x) for node in nodes for x in node.output_tensors]
    values = _sum(_values(shape) for shape in shapes)
    neurons, multiply_adds = _work(layer, nodes, values)
    return LayerFacts(
        name=layer.name,
        kind=type(layer).__name__,
        detail=describe_layer(layer),
        output_shape=_one_or_all([_shape(x) for x in nodes[0].output_tensors]),
        neurons=neurons,
        parameters=sum(prod(v.shape) for v in getattr(layer, "weights", ())),
        multiply_adds=multiply_adds,
        memory=None if values is None else BYTES_PER_VALUE * values,
        receptive_field=field,
        jump=jump,
    )


def _values(shape):
    return None if None in shape else prod(shape)


def _sum(counts):
    counts = list(counts)
    return None if None in counts else sum(counts)


def _work(layer, nodes, values):
    """Neurons and multiply-adds of a layer with a kernel or layers inside."""
    from keras import layers

    if hasattr(layer, "layers"):  # a model in the model
        try:
            inside = list(_model_facts(layer))
        except ValueError:  # a subclassed one
            return None, None
        return tuple(
            _sum(getattr(facts, key) for facts in inside * len(nodes))
            for key in ("neurons", "multiply_adds")
        )
    if values is None and getattr(layer, "weights", ()):
        return None, None
    plain = layers.Conv1D | layers.Conv2D | layers.Conv3D | layers.Dense
    if isinstance(layer, plain):
        # Each value is made from one filter's share of the kernel.
        return values, values * prod(layer.kernel.shape[:-1])
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        return values, values * prod(layer.kernel_size)
    if type(layer).__name__ == "LocallyConnected2D":
        return values, len(nodes) * prod(layer.kernel.shape)
    if any(len(v.shape) > 1 for v in getattr(layer, "weights", ())):
        return None, None  # what it does with its matrices is not known
    return 0, 0


def _receptive_field(layer, sources, shape):
    """The field and jump behind a layer, given those of its inputs."""
    if not sources:
        return 1, 1
    fields, jumps = zip(*sources, strict=True)
    window = _window(layer)
    name = type(layer).__name__
    if getattr(layer, "window", None) == "within_map":
        window = (layer.size,)
    if (
        None in fields
        or len(shape) < 3
        or hasattr(layer, "layers")
        or name.startswith(("Adaptive", "UpSampling", "Resizing"))
        or name.endswith("Transpose")
    ):
        return None, None
    field, jump = max(fields), max(jumps)
    if window is None:
        return field, jump
    dilation = _sides(getattr(layer, "dilation_rate", 1))[0]
    strides = _sides(getattr(layer, "strides", 1))[0]
    return field + (window[0] - 1) * dilation * jump, jump * strides
