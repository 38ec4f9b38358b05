"""What the layers of any Keras model make and cost, read from its graph."""

from math import prod

from keras_alexnet.architectures.arithmetic import BYTES_PER_VALUE
from keras_alexnet.architectures.arithmetic import LayerFacts


def shape_text(shape):
    """(55, 55, 96) -> "55x55x96"; several shapes with a plus between."""
    if shape and isinstance(shape[0], tuple):
        return " + ".join(map(shape_text, shape))
    return "x".join("?" if side is None else str(side) for side in shape)


def input_shapes(model):
    """The shape of one image that a functional model takes, or several."""
    return _one_or_all([_shape(x) for x in functional(model).inputs])


def functional(model):
    """The graph of a functional or built sequential model.

    Raises:
        ValueError: if it has none, as a subclassed model.
    """
    return _nodes_and_graph(model)[1]


def _nodes_and_graph(model):
    # A variant's summary needs no Keras.
    from keras_alexnet.models.keras_private import nodes_of

    try:
        return nodes_of(model)
    except AttributeError as error:
        raise ValueError(
            f"{model!r} has no graph of layers to follow; pass the name of a "
            "variant, a functional keras.Model, or a keras.Sequential that "
            "has been built."
        ) from error


def uses(model):
    """The layers of a functional model, each with its nodes in the graph.

    Args:
        model: a functional or built sequential `keras.Model`.

    Returns:
        A list of `(layer, nodes)` in the order in which the data meets them.
        A node has `input_tensors` and `output_tensors`; a shared layer has
        several.
    """
    # `layer.input` and `layer.output` refuse layers that are used twice, also
    # if the second use is in another model.
    nodes, graph = _nodes_and_graph(model)
    return [
        (layer, [node for node in nodes if node.operation is layer])
        for layer in graph.operations
    ]


def output_text(nodes):
    """What a layer hands on, at its first use: "55x55x48"."""
    return shape_text(_one_or_all([_shape(x) for x in nodes[0].output_tensors]))


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
        words.append(f"stride {shape_text(sorted(set(strides)))}")
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


def model_facts(model):
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
            inside = list(model_facts(layer))
        except ValueError:  # a subclassed one
            return None, None
        return tuple(
            _sum(getattr(layer, key) for layer in inside * len(nodes))
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
