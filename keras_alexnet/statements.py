"""What the paper states, section by section, and what is computed here.

Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep
Convolutional Neural Networks", NIPS 2012. Left out is what only a training on
ImageNet can show, but for the numbers that the authors' own log confirms.
"""

import math
from functools import partial

from keras_alexnet import measures as m
from keras_alexnet.architectures import VARIANTS
from keras_alexnet.authors_log import LOG
from keras_alexnet.authors_log import difference
from keras_alexnet.recipes import RECIPES
from keras_alexnet.rows import Conv
from keras_alexnet.rows import Dense
from keras_alexnet.rows import Dropout
from keras_alexnet.rows import LocalResponseNorm
from keras_alexnet.rows import MaxPool
from keras_alexnet.statement import Statement

PAPER = RECIPES["paper"]


def _logged(config, digits=1):
    """Top-1 and top-5 error of a training in the authors' log, rounded."""
    line = LOG[config]
    return [_rounded(line.top1, digits), _rounded(line.top5, digits)]


def _rounded(value, digits=1):
    """Rounded half up, as people do."""
    factor = 10**digits
    return math.floor(value * factor + 0.5 + 1e-9) / factor


def _points(config, other):
    return [_rounded(points) for points in difference(config, other)]


def _s(where, what, printed, compute, *arguments, **kwargs):
    return Statement(
        where, what, printed, partial(compute, *arguments), **kwargs
    )


ABSTRACT = (
    _s(
        "Abstract",
        "parameters",
        60_000_000,
        m.parameters,
        within=0.02,
        why="rounded; exactly 60,965,224",
    ),
    _s(
        "Abstract",
        "neurons",
        650_000,
        m.all_neurons,
        within=0.02,
        why="rounded; exactly 659,272, with conv1's right 290,400",
    ),
    _s("Abstract", "convolutional layers", 5, m.count, Conv),
    _s("Abstract", "fully connected layers", 3, m.count, Dense),
    _s(
        "Abstract",
        "ways of the softmax",
        1000,
        lambda: m.model().output_shape[1],
    ),
    _s(
        "Section 1",
        "largest share of the parameters in a convolution, %",
        1,
        m.largest_share,
        right=1.45,
        why="conv3 has 885,120 of 60,965,224, conv4 1.09 %",
    ),
    _s(
        "Section 2",
        "the shorter side is resized to",
        256,
        lambda: PAPER.resize_pixels,
    ),
    _s("Section 2", "the central patch is cut out", True, lambda: PAPER.square),
    _s(
        "Section 2",
        "what is subtracted from each pixel: the mean of",
        "image",
        lambda: PAPER.mean,
        right="variant",
        why="the mean color of ImageNet, three numbers that can be shipped; "
        '`mean="image"` takes the mean image of the training data',
    ),
)

ARCHITECTURE = (
    _s(
        "Section 3.2",
        "layer 3 takes input from",
        "both towers",
        m.sees,
        "conv3",
    ),
    _s("Section 3.2", "layer 4 takes input from", "own tower", m.sees, "conv4"),
    _s(
        "Section 3.2, footnote",
        "kernels in the half net's last convolution",
        256,
        lambda: m.row("conv5", "half").filters,
    ),
    _s(
        "Section 3.2, footnote",
        "the half net's parameters are about the same in number",
        60_965_224,
        m.parameters,
        None,
        "half",
        within=0.02,
        why="59,798,312: 1.9 % less",
    ),
    _s("Section 3.3", "k", 2, m.norms, "k"),
    _s("Section 3.3", "n", 5, m.norms, "size"),
    _s("Section 3.3", "alpha", 1e-4, m.norms, "alpha"),
    _s("Section 3.3", "beta", 0.75, m.norms, "beta"),
    _s(
        "Section 3.3",
        "a response of 100 among four of 100 becomes",
        m.normalization_by_hand(),
        m.normalized,
        within=1e-4,
        why="the text's formula, computed by the layer",
    ),
    _s(
        "Section 3.3",
        "the same in the code that won",
        m.normalization_by_hand(),
        m.normalized,
        "alexnet_2012",
        right=m.normalization_by_hand(alpha=1e-4 / 5),
        why="layer.py:1183 divides alpha by n, as Caffe, PyTorch and ONNX",
    ),
    _s("Section 3.4", "pooling windows and strides", "z 3, s 2", m.pool),
    _s(
        "Section 3.4",
        "z 2, s 2 gives maps of the same sides",
        m.pools(),
        m.plain_pools,
    ),
    _s(
        "Section 3.5",
        "values of the 224x224x3 input",
        150_528,
        m.input_values,
        right=154_587,
        why="with floor rounding 227x227x3 gives the paper's 55x55 maps; the "
        "code rounds up, see the next line",
    ),
    _s(
        "Section 3.5",
        "values of the input in the code that won",
        150_528,
        m.input_values,
        "alexnet_2012",
        why="layer.py rounds up: 1 + ceil((224 - 11) / 4) = 55",
    ),
    _s("Section 3.5", "conv1's kernels", "96 of 11x11x3", m.kernels, "conv1"),
    _s("Section 3.5", "conv1's stride", 4, lambda: m.row("conv1").strides),
    _s("Section 3.5", "conv2's kernels", "256 of 5x5x48", m.kernels, "conv2"),
    _s("Section 3.5", "conv3's kernels", "384 of 3x3x256", m.kernels, "conv3"),
    _s("Section 3.5", "conv4's kernels", "384 of 3x3x192", m.kernels, "conv4"),
    _s("Section 3.5", "conv5's kernels", "256 of 3x3x192", m.kernels, "conv5"),
    _s(
        "Section 3.5",
        "layer 2 sees",
        "own tower",
        m.sees,
        "conv2",
    ),
    _s("Section 3.5", "layer 5 sees", "own tower", m.sees, "conv5"),
    _s(
        "Section 3.5",
        "normalization follows",
        "conv1, conv2",
        m.before,
        LocalResponseNorm,
    ),
    _s(
        "Section 3.5",
        "max-pooling follows",
        "conv1, conv2, conv5",
        m.before,
        MaxPool,
    ),
    _s(
        "Section 3.5",
        "layers without ReLU",
        "",
        m.linear_layers,
        right="fc8",
        why="the text says that every layer has one; fc8 feeds the softmax "
        "(layers-145.cfg: no neuron)",
    ),
    *(
        _s("Section 3.5", f"neurons of {name}", 4096, m.neurons, name)
        for name in ("fc6", "fc7")
    ),
)

FIGURE2 = (
    _s(
        "Figure 2",
        "neurons of conv1",
        253_440,
        m.neurons,
        "conv1",
        right=290_400,
        why="printed is 55*48*96; the maps are 55x55: 55*55*96",
    ),
    *(
        _s("Figure 2", f"neurons of {name}", printed, m.neurons, name)
        for name, printed in (
            ("conv2", 186_624),
            ("conv3", 64_896),
            ("conv4", 64_896),
            ("conv5", 43_264),
            ("fc6", 4096),
            ("fc7", 4096),
            ("fc8", 1000),
        )
    ),
)

TRAINING = (
    _s(
        "Section 4",
        "bits that 1000 classes impose on a mapping",
        10,
        lambda: round(math.log2(VARIANTS["alexnet"].classes)),
    ),
    _s(
        "Section 4.1",
        "crops and reflections of an image",
        2048,
        m.places,
        224,
        right=2178,
        why="printed is 32*32*2; a square of 224 has 33 places along a side of "
        "256, and the code draws offsets of 0 to 32: 33*33*2",
    ),
    _s("Section 4.1", "patches of an image in testing", 10, m.ten_crops),
    _s(
        "Section 4.1",
        "deviation of the color noise",
        0.1,
        lambda: PAPER.color_noise,
    ),
    _s(
        "Section 4.1",
        "what it is multiplied by",
        "eigenvalue",
        lambda: PAPER.color_unit,
        why="the code multiplies by its square root: recipe alexnet_2012",
    ),
    _s(
        "Section 4.1",
        "principal components of RGB that are at right angles",
        3,
        m.orthogonal_components,
    ),
    _s("Section 4.2", "part that dropout leaves", 0.5, m.left_by_dropout),
    _s("Section 4.2", "dropout stands behind", "fc6, fc7", m.before, Dropout),
    _s("Section 5", "batch", 128, lambda: PAPER.batch_size),
    _s("Section 5", "momentum", 0.9, lambda: PAPER.momentum),
    _s("Section 5", "weight decay", 0.0005, lambda: PAPER.weight_decay),
    _s(
        "Section 5",
        "w = 1, v = .5 after a step with gradient 2",
        round(1 + 0.9 * 0.5 - 0.0005 * 0.01 * 1 - 0.01 * 2, 6),
        m.step,
        within=1e-6,
        why="v <- .9 v - .0005 eps w - eps g; w <- w + v",
    ),
    *(
        _s(
            "Section 5",
            f"initial weights of {name}",
            "0.000 +- 0.010",
            m.initial,
            name,
        )
        for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc8")
    ),
    _s(
        "Section 5",
        "biases that begin at 1",
        "conv2, conv4, conv5, fc6, fc7",
        m.initial_biases,
        1,
    ),
    _s(
        "Section 5",
        "biases that begin at 0",
        "conv1, conv3, fc8",
        m.initial_biases,
        0,
    ),
    _s("Section 5", "first rate", 0.01, lambda: PAPER.learning_rate),
    _s("Section 5", "how often the rate falls", 3, lambda: PAPER.plateau_drops),
    _s("Section 5", "epochs, roughly", 90, lambda: PAPER.epochs),
)

RESULTS = (
    _s(
        "Abstract, Table 1",
        "top-1 and top-5 error on ILSVRC-2010, %",
        [37.5, 17.0],
        _logged,
        "145-2010",
        why="of the authors' log, not of a training here",
    ),
    _s(
        "Section 6",
        "the same without the ten patches",
        [39.0, 18.3],
        _logged,
        "145-2010 center",
        why="log",
    ),
    _s(
        "Table 2",
        "1 CNN on ILSVRC-2012 val",
        [40.7, 18.2],
        _logged,
        "145",
        why="log",
    ),
    _s("Table 2", "1 CNN*", [39.0, 16.6], _logged, "146-2012-2011", why="log"),
    _s(
        "Section 3.2",
        "points that two GPUs win over the half net",
        [1.7, 1.2],
        _points,
        "145-half",
        "145-2010",
        why="log",
    ),
    _s(
        "Section 3.3",
        "points that normalization wins",
        [1.4, 1.2],
        _points,
        "148",
        "145",
        why="log: 1.370 and 1.152",
    ),
    _s(
        "Section 3.4",
        "points that overlapping pooling wins",
        [0.4, 0.3],
        _points,
        "147",
        "145",
        why="log: .394 and .300",
    ),
)

PAPER_STATEMENTS = (*ABSTRACT, *ARCHITECTURE, *FIGURE2, *TRAINING, *RESULTS)
