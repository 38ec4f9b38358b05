"""What the paper states about the training and its results.

Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep
Convolutional Neural Networks", NIPS 2012. Left out is what only a training on
ImageNet can show, but for the numbers that the authors' own log confirms.
"""

import math

from keras_alexnet.architectures.rows import Dropout
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.paper import measures as m
from keras_alexnet.paper.authors_log import errors
from keras_alexnet.paper.authors_log import points
from keras_alexnet.paper.statement import stated
from keras_alexnet.runs.recipes import RECIPES

PAPER = RECIPES["paper"]


TRAINING = (
    stated(
        "Section 4",
        "bits that 1000 classes impose on a mapping",
        10,
        lambda: round(math.log2(VARIANTS["alexnet"].classes)),
    ),
    stated(
        "Section 4.1",
        "crops and reflections of an image",
        2048,
        m.places,
        224,
        right=2178,
        why="printed is 32*32*2; a square of 224 has 33 places along a side of "
        "256, and the code draws offsets of 0 to 32: 33*33*2",
    ),
    stated("Section 4.1", "patches of an image in testing", 10, m.ten_crops),
    stated(
        "Section 4.1",
        "deviation of the color noise",
        0.1,
        lambda: PAPER.color_noise,
    ),
    stated(
        "Section 4.1",
        "what it is multiplied by",
        "eigenvalue",
        lambda: PAPER.color_unit,
        why="the code multiplies by its square root: recipe alexnet_2012",
    ),
    stated(
        "Section 4.1",
        "principal components of RGB that are at right angles",
        3,
        m.orthogonal_components,
    ),
    stated("Section 4.2", "part that dropout leaves", 0.5, m.left_by_dropout),
    stated(
        "Section 4.2", "dropout stands behind", "fc6, fc7", m.before, Dropout
    ),
    stated("Section 5", "batch", 128, lambda: PAPER.batch_size),
    stated("Section 5", "momentum", 0.9, lambda: PAPER.momentum),
    stated("Section 5", "weight decay", 0.0005, lambda: PAPER.weight_decay),
    stated(
        "Section 5",
        "w = 1, v = .5 after a step with gradient 2",
        round(1 + 0.9 * 0.5 - 0.0005 * 0.01 * 1 - 0.01 * 2, 6),
        m.step,
        within=1e-6,
        why="v <- .9 v - .0005 eps w - eps g; w <- w + v",
    ),
    *(
        stated(
            "Section 5",
            f"initial weights of {name}",
            "0.000 +- 0.010",
            m.initial,
            name,
        )
        for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc8")
    ),
    stated(
        "Section 5",
        "biases that begin at 1",
        "conv2, conv4, conv5, fc6, fc7",
        m.initial_biases,
        1,
    ),
    stated(
        "Section 5",
        "biases that begin at 0",
        "conv1, conv3, fc8",
        m.initial_biases,
        0,
    ),
    stated("Section 5", "first rate", 0.01, lambda: PAPER.learning_rate),
    stated(
        "Section 5", "how often the rate falls", 3, lambda: PAPER.plateau_drops
    ),
    stated("Section 5", "epochs, roughly", 90, lambda: PAPER.epochs),
)

RESULTS = (
    stated(
        "Abstract, Table 1",
        "top-1 and top-5 error on ILSVRC-2010, %",
        [37.5, 17.0],
        errors,
        "145-2010",
        why="of the authors' log, not of a training here",
    ),
    stated(
        "Section 6",
        "the same without the ten patches",
        [39.0, 18.3],
        errors,
        "145-2010 center",
        why="log",
    ),
    stated(
        "Table 2",
        "1 CNN on ILSVRC-2012 val",
        [40.7, 18.2],
        errors,
        "145",
        why="log",
    ),
    stated(
        "Table 2", "1 CNN*", [39.0, 16.6], errors, "146-2012-2011", why="log"
    ),
    stated(
        "Section 3.2",
        "points that two GPUs win over the half net",
        [1.7, 1.2],
        points,
        "145-half",
        "145-2010",
        why="log",
    ),
    stated(
        "Section 3.3",
        "points that normalization wins",
        [1.4, 1.2],
        points,
        "148",
        "145",
        why="log: 1.370 and 1.152",
    ),
    stated(
        "Section 3.4",
        "points that overlapping pooling wins",
        [0.4, 0.3],
        points,
        "147",
        "145",
        why="log: .394 and .300",
    ),
)

TRAINING_STATEMENTS = (*TRAINING, *RESULTS)
