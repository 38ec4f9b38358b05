"""`plot_model(...)`: the graph of a network as a picture."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pydot

from keras_alexnet.architectures.variants import Architecture
from keras_alexnet.files import AnyPath
from keras_alexnet.files import replacing
from keras_alexnet.terminal import printable
from keras_alexnet.visualization.html import escape
from keras_alexnet.visualization.model_graph import describe_layer
from keras_alexnet.visualization.model_graph import output_text
from keras_alexnet.visualization.model_graph import uses

# The light colors of Paul Tol's qualitative schemes: distinct for
# color-blind people, and black text is legible on all of them.
COLORS = {
    "input": "#DDDDDD",
    "convolution": "#77AADD",
    "normalization": "#EEDD88",
    "pooling": "#44BB99",
    "dense": "#EE8866",
    "dropout": "#FFAABB",
    "other": "#FFFFFF",
}
# What the class of a layer contains in its name, and what it is then.
_KINDS = {
    "InputLayer": "input",
    "Conv": "convolution",
    "LocallyConnected": "convolution",
    "Normalization": "normalization",
    "Pooling": "pooling",
    "Dense": "dense",
    "Dropout": "dropout",
}
_FORMATS = (".png", ".svg", ".dot", ".pdf", ".ps")
_NEEDS_SYSTEM_DOT = (".pdf", ".ps")  # graphviz-pure has neither
_FONT = "Helvetica"


def plot_model(model_or_variant, to_file: AnyPath = "img/alexnet.png"):
    """Draw the graph of a network: its layers, their numbers, their shapes.

    Two towers stand side by side. The text of `.dot` and `.svg` files is the
    same at every run.

    Args:
        model_or_variant: A functional `keras.Model`, or the name of a
            variant or an `Architecture`, which is then built.
        to_file: Path of the picture; its ending says the format: `.png`,
            `.svg`, `.dot`, `.pdf` or `.ps`. The folder is made if missing.

    Returns:
        The path of the picture.

    Raises:
        ValueError: if the model is not functional, the ending is unknown, or
            no renderer of that format is installed.

    Example:

    >>> plot_model("alexnet", "img/alexnet.svg")
    PosixPath('img/alexnet.svg')
    """
    # What cannot be rendered is refused before the model is built.
    kind, renderer = renderer_of(to_file)
    path = Path(to_file)
    if isinstance(model_or_variant, str | Architecture):
        from keras_alexnet.models.alexnet import AlexNet

        model_or_variant = AlexNet(model_or_variant)
    picture = to_dot(model_or_variant).encode()
    if renderer is not None:
        picture = _render(renderer, kind, picture)
    with replacing(path) as temporary:
        Path(temporary).write_bytes(picture)
    return path


def renderer_of(to_file):
    """The format of a picture by its ending, and what draws it; `None` of .dot.

    Raises:
        ValueError: if the ending is unknown, or nothing that draws it is
            installed.
    """
    kind = Path(to_file).suffix.lower()
    if kind not in _FORMATS:
        raise ValueError(
            f"The ending of {str(to_file)!r} names no format that can be "
            f"drawn; use one of {', '.join(_FORMATS)}."
        )
    return kind, None if kind == ".dot" else _find_renderer(kind)


def to_dot(model):
    """The graph of a functional model in Graphviz' language.

    Args:
        model: a functional or built sequential `keras.Model`.

    Returns:
        The text, whose node names are the names of the layers.

    Raises:
        ValueError: if the model is not functional.
    """
    graph = pydot.Dot(
        _quote(model.name),
        graph_type="digraph",
        fontname=_FONT,
        newrank="true",  # ranks across towers: joins come after them
        ranksep="0.25",
        nodesep="0.3",
    )
    graph.set_node_defaults(
        shape="box", style="filled,rounded", fontname=_FONT, fontsize="11"
    )
    graph.set_edge_defaults(color="#555555", arrowsize="0.7")
    layers = uses(model)
    towers = _towers([layer.name for layer, _ in layers])
    clusters = {
        letter: pydot.Cluster(
            f"tower_{letter}",
            label=_quote(f"Tower {letter.upper()}"),
            style="rounded,dashed",
            color="#555555",
        )
        for letter in sorted(set(towers.values()))
    }
    for layer, nodes in layers:
        home = clusters.get(towers.get(layer.name), graph)
        box = _box(layer, nodes)
        if layer.name in towers:
            box.set_group(towers[layer.name])  # in a straight line
        home.add_node(box)
    for cluster in clusters.values():
        graph.add_subgraph(cluster)
    for source, target in _edges(layers):
        graph.add_edge(pydot.Edge(_quote(source), _quote(target)))
    return graph.to_string()


def _towers(names):
    """{"conv1a": "a", "conv1b": "b"}: the layers that come in such twins."""
    names = set(names)
    return {
        name + letter: letter
        for name in {n[:-1] for n in names if re.search(r"\d[ab]$", n)}
        if {name + "a", name + "b"} <= names
        for letter in "ab"
    }


def _edges(layers):
    """Pairs of names: who hands a tensor to whom."""
    makers = {
        id(x): layer.name
        for layer, nodes in layers
        for node in nodes
        for x in node.output_tensors
    }
    # A dict, since a layer may get two tensors of the same maker.
    return dict.fromkeys(
        (makers[id(x)], layer.name)
        for layer, nodes in layers
        for node in nodes
        for x in node.input_tensors
    )


def _box(layer, nodes):
    kind = type(layer).__name__
    color = next((c for k, c in _KINDS.items() if k in kind), "other")
    lines = [f"<b>{escape(layer.name)}</b>  {escape(kind)}"]
    lines += [escape(line) for line in _wrap(describe_layer(layer))]
    lines += [f"<i>{escape(output_text(nodes))}</i>"]
    return pydot.Node(
        _quote(layer.name),
        label=f"<{'<br/>'.join(lines)}>",
        fillcolor=COLORS[color],
    )


def _wrap(words, width=40):
    """Lines of at most `width` characters, broken at the commas."""
    lines = []
    for word in words.split(", ") if words else []:
        if lines and len(lines[-1]) + len(word) < width:
            lines[-1] += f", {word}"
        else:
            lines.append(word)
    return lines


def _quote(text):
    """A name in Graphviz' quotes, where it may hold any character."""
    text = printable(text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _find_renderer(kind):
    """The Graphviz program that is to draw a picture of this kind."""
    renderer = os.environ.get("GRAPHVIZ_DOT") or shutil.which("dot")
    if renderer is None:
        folders = (
            sysconfig.get_path("scripts"),
            os.path.dirname(sys.executable),
            os.environ.get("PATH", ""),
        )
        renderer = shutil.which("graphviz-pure", path=os.pathsep.join(folders))
    if renderer is None:
        raise ValueError(
            "No program was found that draws graphs; install one with `pip "
            "install graphviz-pure`, or Graphviz itself (`dot`), or write a "
            ".dot file."
        )
    pure = Path(renderer).name.startswith("graphviz-pure")
    if pure and kind in _NEEDS_SYSTEM_DOT:
        raise ValueError(
            f"graphviz-pure cannot write {kind} files; install Graphviz "
            "itself (`dot`), or write .svg, .png or .dot."
        )
    return renderer


def _render(renderer, kind, text):
    # Paper wants 150 dots per inch; the other formats have no dots.
    options = ["-Gdpi=150"] if kind == ".png" else []
    try:
        done = subprocess.run(
            [renderer, f"-T{kind[1:]}", *options],
            input=text,
            capture_output=True,
            check=True,
        )
    except OSError as error:
        raise ValueError(
            f"{renderer} could not be started ({error.strerror}); mend or "
            "unset the environment variable GRAPHVIZ_DOT."
        ) from error
    except subprocess.CalledProcessError as error:
        message = error.stderr.decode(errors="replace").strip()
        raise ValueError(
            f"{renderer} could not draw the graph and said: {message}"
        ) from error
    return done.stdout
