"""What the paper states about the network, and what is computed here.

Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep
Convolutional Neural Networks", NIPS 2012. Left out is what only a training on
ImageNet can show, but for the numbers that the authors' own log confirms.
"""

from keras_alexnet.architectures.rows import Conv
from keras_alexnet.architectures.rows import Dense
from keras_alexnet.architectures.rows import LocalResponseNorm
from keras_alexnet.architectures.rows import MaxPool
from keras_alexnet.paper import measures as m
from keras_alexnet.paper.statement import stated
from keras_alexnet.runs.recipes import RECIPES

PAPER = RECIPES["paper"]

ABSTRACT = (
    stated(
        "Abstract",
        "parameters",
        60_000_000,
        m.parameters,
        within=0.02,
        why="rounded; exactly 60,965,224",
    ),
    stated(
        "Abstract",
        "neurons",
        650_000,
        m.all_neurons,
        within=0.02,
        why="rounded; exactly 659,272, with conv1's right 290,400",
    ),
    stated("Abstract", "convolutional layers", 5, m.count, Conv),
    stated("Abstract", "fully connected layers", 3, m.count, Dense),
    stated(
        "Abstract",
        "ways of the softmax",
        1000,
        lambda: m.model().output_shape[1],
    ),
    stated(
        "Section 1",
        "largest share of the parameters in a convolution, %",
        1,
        m.largest_share,
        right=1.45,
        why="conv3 has 885,120 of 60,965,224, conv4 1.09 %",
    ),
    stated(
        "Section 2",
        "the shorter side is resized to",
        256,
        lambda: PAPER.resize_pixels,
    ),
    stated(
        "Section 2", "the central patch is cut out", True, lambda: PAPER.square
    ),
    stated(
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
    stated(
        "Section 3.2",
        "layer 3 takes input from",
        "both towers",
        m.sees,
        "conv3",
    ),
    stated(
        "Section 3.2", "layer 4 takes input from", "own tower", m.sees, "conv4"
    ),
    stated(
        "Section 3.2, footnote",
        "kernels in the half net's last convolution",
        256,
        lambda: m.row("conv5", "half").filters,
    ),
    stated(
        "Section 3.2, footnote",
        "the half net's parameters are about the same in number",
        60_965_224,
        m.parameters,
        None,
        "half",
        within=0.02,
        why="59,798,312: 1.9 % less",
    ),
    stated("Section 3.3", "k", 2, m.norms, "k"),
    stated("Section 3.3", "n", 5, m.norms, "size"),
    stated("Section 3.3", "alpha", 1e-4, m.norms, "alpha"),
    stated("Section 3.3", "beta", 0.75, m.norms, "beta"),
    stated(
        "Section 3.3",
        "a response of 100 among four of 100 becomes",
        m.normalization_by_hand(),
        m.normalized,
        within=1e-4,
        why="the text's formula, computed by the layer",
    ),
    stated(
        "Section 3.3",
        "the same in the code that won",
        m.normalization_by_hand(),
        m.normalized,
        "alexnet_2012",
        right=m.normalization_by_hand(alpha=1e-4 / 5),
        why="layer.py:1183 divides alpha by n, as Caffe, PyTorch and ONNX",
    ),
    stated("Section 3.4", "pooling windows and strides", "z 3, s 2", m.pool),
    stated(
        "Section 3.4",
        "z 2, s 2 gives maps of the same sides",
        [27, 13, 6],
        m.plain_pools,
    ),
    stated(
        "Section 3.5",
        "values of the 224x224x3 input",
        150_528,
        m.input_values,
        right=154_587,
        why="with floor rounding 227x227x3 gives the paper's 55x55 maps; the "
        "code rounds up, see the next line",
    ),
    stated(
        "Section 3.5",
        "values of the input in the code that won",
        150_528,
        m.input_values,
        "alexnet_2012",
        why="layer.py rounds up: 1 + ceil((224 - 11) / 4) = 55",
    ),
    stated(
        "Section 3.5", "conv1's kernels", "96 of 11x11x3", m.kernels, "conv1"
    ),
    stated("Section 3.5", "conv1's stride", 4, lambda: m.row("conv1").strides),
    stated(
        "Section 3.5", "conv2's kernels", "256 of 5x5x48", m.kernels, "conv2"
    ),
    stated(
        "Section 3.5", "conv3's kernels", "384 of 3x3x256", m.kernels, "conv3"
    ),
    stated(
        "Section 3.5", "conv4's kernels", "384 of 3x3x192", m.kernels, "conv4"
    ),
    stated(
        "Section 3.5", "conv5's kernels", "256 of 3x3x192", m.kernels, "conv5"
    ),
    stated(
        "Section 3.5",
        "layer 2 sees",
        "own tower",
        m.sees,
        "conv2",
    ),
    stated("Section 3.5", "layer 5 sees", "own tower", m.sees, "conv5"),
    stated(
        "Section 3.5",
        "normalization follows",
        "conv1, conv2",
        m.before,
        LocalResponseNorm,
    ),
    stated(
        "Section 3.5",
        "max-pooling follows",
        "conv1, conv2, conv5",
        m.before,
        MaxPool,
    ),
    stated(
        "Section 3.5",
        "layers without ReLU",
        "",
        m.linear_layers,
        right="fc8",
        why="the text says that every layer has one; fc8 feeds the softmax "
        "(layers-145.cfg: no neuron)",
    ),
    *(
        stated("Section 3.5", f"neurons of {name}", 4096, m.neurons, name)
        for name in ("fc6", "fc7")
    ),
)

FIGURE2 = (
    stated(
        "Figure 2",
        "neurons of conv1",
        253_440,
        m.neurons,
        "conv1",
        right=290_400,
        why="printed is 55*48*96; the maps are 55x55: 55*55*96",
    ),
    *(
        stated("Figure 2", f"neurons of {name}", printed, m.neurons, name)
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

ARCHITECTURE_STATEMENTS = (*ABSTRACT, *ARCHITECTURE, *FIGURE2)
