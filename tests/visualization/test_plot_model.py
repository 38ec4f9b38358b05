"""Pictures: the graph of a model and figure 2."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree

import keras
import matplotlib.image
import pytest

from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.models.alexnet import AlexNet
from keras_alexnet.visualization.figure2 import plot_figure2
from keras_alexnet.visualization.plot_model import plot_model

PNG = b"\x89PNG\r\n\x1a\n"
NAMES = r'^\s*"?(\w+)"? \[.*label='


def small(variant):
    """The network on the smallest image, to be built quickly."""
    return AlexNet(variant, input_shape=(67, 67, 3), classes=3, name="small")


def pure_only(monkeypatch):
    """Leave graphviz-pure as the only renderer."""
    monkeypatch.delenv("GRAPHVIZ_DOT", raising=False)
    monkeypatch.setenv("PATH", sysconfig.get_path("scripts"))
    if not shutil.which("graphviz-pure"):
        pytest.skip("graphviz-pure is not in this environment's scripts")
    if shutil.which("dot"):
        pytest.skip("a `dot` is in this environment's scripts")


def executable(path, script):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_png_is_a_legible_picture(tmp_path):
    path = plot_model(small("alexnet"), tmp_path / "new" / "alexnet.png")
    assert path == tmp_path / "new" / "alexnet.png"
    assert path.read_bytes().startswith(PNG)
    height, width, _ = matplotlib.image.imread(path).shape
    assert height > 1500 and width > 800
    assert os.listdir(path.parent) == ["alexnet.png"]  # nothing left behind


def test_what_matters_stands_in_the_boxes(tmp_path):
    model = small("alexnet")
    text = plot_model(model, tmp_path / "a.dot").read_text()
    names = re.findall(NAMES, text, re.MULTILINE)
    boxes = [name for name in names if not name.startswith("subgraph")]
    assert sorted(boxes) == sorted(layer.name for layer in model.layers)
    for words in (
        "Tower A",
        "Tower B",
        "48@11x11, stride 4, valid, relu",
        "n 5, k 2, alpha 0.0001, beta 0.75",
        "3x3, stride 2, valid",
        "4096 units, relu",
        "3 units, softmax",
        "rate 0.5",
        "15x15x48",  # (67 - 11) / 4 + 1
    ):
        assert words in text
    edges = set(re.findall(r'"(\w+)" -> "(\w+)"', text))
    assert {("pool2", "conv3a"), ("pool2", "conv3b")} <= edges
    assert ("conv4a", "conv5a") in edges
    assert ("conv4a", "conv5b") not in edges


def test_the_towers_can_be_seen(tmp_path):
    one = plot_model(small("single_tower_lrn"), tmp_path / "1.dot").read_text()
    two = plot_model(small("alexnet"), tmp_path / "2.dot").read_text()
    assert one != two
    assert "cluster" in two and "cluster" not in one


def test_a_variant_is_built(tmp_path):
    path = plot_model("cifar10_18pct", tmp_path / "a.svg")
    text = path.read_text()
    assert "<svg" in text and "within map" in text and "alpha 5e" in text


def test_svg_is_the_same_in_every_process(tmp_path):
    code = (
        "import sys\n"
        "from keras_alexnet.visualization.plot_model import plot_model\n"
        "plot_model('lenet5', sys.argv[1])"
    )
    run = [sys.executable, "-c", code, tmp_path / "there.svg"]
    subprocess.run(run, check=True, capture_output=True)
    AlexNet("lenet5")  # so that Keras has counted on
    plot_model("lenet5", tmp_path / "here.svg")
    here, there = (tmp_path / f"{n}.svg" for n in ("here", "there"))
    assert here.read_bytes() == there.read_bytes()


def test_any_functional_model(tmp_path):
    one, two = keras.Input((4,), name='a "b"'), keras.Input((4,), name="c:d")
    shared = keras.layers.Dense(3, name="s<&>")
    grouped = keras.layers.Conv1D(4, 3, groups=2)(keras.Input((8, 2)))
    assert grouped.shape[1:] == (6, 4)
    total = keras.layers.Add()([shared(one), shared(two)])
    model = keras.Model([one, two], [total, total * 2])
    text = plot_model(model, tmp_path / "model.svg").read_text()
    assert "3 units" in text and "s&lt;&amp;&gt;" in text
    plain = keras.Sequential(
        [
            keras.Input((8, 2)),
            keras.layers.Conv1D(4, 3, groups=2),
            keras.layers.BatchNormalization(),
        ]
    )
    text = plot_model(plain, tmp_path / "plain.dot").read_text()
    assert "4@3, valid, groups 2" in text


def test_layers_may_have_any_name(tmp_path):
    name = "a\x1b[31m<b>\n\u732b"
    layers = [keras.Input((4,)), keras.layers.Dense(3, name=name)]
    model = keras.Sequential(layers, name="m\x1b")
    path = plot_model(model, tmp_path / "model.svg")
    texts = [*xml.etree.ElementTree.parse(path).getroot().itertext()]
    assert any(r"\x1b[31m<b>" in text for text in texts), texts


def test_what_cannot_be_drawn_is_refused(tmp_path):
    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match="no graph of layers"):
        plot_model(Subclassed(), tmp_path / "a.dot")
    with pytest.raises(ValueError, match="names no format"):
        plot_model("lenet5", tmp_path / "a.bmp")
    assert os.listdir(tmp_path) == []


def test_a_system_dot_comes_first(tmp_path, monkeypatch):
    executable(tmp_path / "dot", 'echo "system $*"')
    monkeypatch.delenv("GRAPHVIZ_DOT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    pdf = plot_model("lenet5", tmp_path / "a.pdf").read_text()
    assert pdf == "system -Tpdf\n"
    named = executable(tmp_path / "mine", 'echo "mine $*"')
    monkeypatch.setenv("GRAPHVIZ_DOT", named)
    png = plot_model("lenet5", tmp_path / "a.png").read_text()
    assert png == "mine -Tpng -Gdpi=150\n"


def test_graphviz_pure_needs_no_path_but_has_no_pdf(tmp_path, monkeypatch):
    pure_only(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    plot_model("lenet5", tmp_path / "a.svg")
    with pytest.raises(ValueError, match="cannot write .pdf files; install"):
        plot_model("lenet5", tmp_path / "a.pdf")


def test_without_a_renderer(tmp_path, monkeypatch):
    monkeypatch.delenv("GRAPHVIZ_DOT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ValueError, match="pip install graphviz-pure"):
        plot_model("lenet5", tmp_path / "a.png")
    assert plot_model("lenet5", tmp_path / "a.dot").exists()


def test_a_renderer_that_fails(tmp_path, monkeypatch):
    broken = executable(tmp_path / "broken", "echo no luck >&2; exit 1")
    monkeypatch.setenv("GRAPHVIZ_DOT", broken)
    with pytest.raises(ValueError, match="no luck"):
        plot_model("lenet5", tmp_path / "a.png")
    monkeypatch.setenv("GRAPHVIZ_DOT", str(tmp_path / "missing"))
    with pytest.raises(ValueError, match="GRAPHVIZ_DOT"):
        plot_model("lenet5", tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("variant", VARIANTS)
def test_figure2_of_every_variant(variant, tmp_path):
    path = plot_figure2(variant, tmp_path / "new" / "figure2.png")
    assert path.read_bytes().startswith(PNG)
    pixels = matplotlib.image.imread(path)[..., :3]
    # Nothing touches the edge, so nothing is cut off.
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 1).all()


def test_figure2_links_the_towers_where_they_see_each_other(tmp_path):
    def orange(variant):
        svg = plot_figure2(variant, tmp_path / "figure2.svg").read_text()
        return svg.lower().count("stroke: #d55e00")

    assert orange("single_tower") == 0
    # conv3 sees both towers by kernels (two lines each), fc6 and fc7 by
    # arrows (a line and a head each), both in two directions; and the key.
    assert orange("alexnet") == 2 * 2 + 2 * 2 * 2 + 1


def test_figure2_is_the_same_at_every_run(tmp_path):
    for kind in ("svg", "pdf"):
        one = plot_figure2("alexnet", tmp_path / f"one.{kind}")
        two = plot_figure2("alexnet", tmp_path / f"two.{kind}")
        assert one.read_bytes() == two.read_bytes()
    with pytest.raises(ValueError, match="names no format"):
        plot_figure2("alexnet", tmp_path / "figure2.bmp")
