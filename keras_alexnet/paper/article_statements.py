"""What the five articles state that this project started from (in Chinese)."""

from keras_alexnet.architectures.rows import WITH_WEIGHTS
from keras_alexnet.architectures.rows import Dropout
from keras_alexnet.architectures.rows import LocalResponseNorm
from keras_alexnet.paper import measures as m
from keras_alexnet.paper.authors_log import points
from keras_alexnet.paper.statement import stated
from keras_alexnet.runs.recipes import RECIPES

# The titles of the articles in English. In Chinese: 回顾经典AlexNet网络,
# AlexNet架构解析, Alexnet论文笔记, 经典论文AlexNet,
# PyTorch实现AlexNet示例.
LOOKING_BACK = "Looking back at a classic"
EXPLAINED = "AlexNet's architecture explained"
NOTES = "Notes on the AlexNet paper"
CLASSIC = "The classic paper AlexNet"
IN_PYTORCH = "AlexNet in PyTorch"
LISTING = ", listing"

OF_LOOKING_BACK = (
    stated(
        LOOKING_BACK, "sides of the input", 227, lambda: m.shape("alexnet")[0]
    ),
    stated(LOOKING_BACK, "sides of conv1's maps", 55, m.side, "conv1"),
    *(
        stated(LOOKING_BACK, f"neurons of {name}", printed, m.neurons, name)
        for name, printed in (
            ("conv1", 290_400),
            ("conv2", 186_624),
            ("conv3", 64_896),
            ("conv4", 64_896),
            ("conv5", 43_264),
            ("fc6", 4096),
            ("fc7", 4096),
            ("fc8", 1000),
        )
    ),
    stated(LOOKING_BACK, "neurons in all", 659_272, m.all_neurons),
    *(
        stated(
            LOOKING_BACK, f"parameters of {name}", printed, m.parameters, name
        )
        for name, printed in (
            ("conv1", 34_944),
            ("conv2", 307_456),
            ("conv3", 885_120),
            ("conv4", 663_936),
            ("conv5", 442_624),
            ("fc6", 37_752_832),
            ("fc7", 16_781_312),
        )
    ),
    stated(
        LOOKING_BACK,
        "parameters of fc8",
        4_096_000,
        m.parameters,
        "fc8",
        right=4_097_000,
        why="the article leaves out its 1000 biases",
    ),
    stated(
        LOOKING_BACK,
        "parameters in all",
        60_964_224,
        m.parameters,
        right=60_965_224,
        why="without fc8's 1000 biases",
    ),
    stated(
        LOOKING_BACK + LISTING,
        "parameters, about",
        60_000_000,
        m.parameters,
        None,
        "single_tower_pad2",
        right=62_378_344,
        why="its listing has one wide tower, not the two that it counts",
    ),
    stated(
        LOOKING_BACK + LISTING,
        "sides of conv1's maps",
        55,
        m.side,
        "conv1",
        "single_tower_pad2",
        right=56,
        why="its listing pads 227 by 2",
    ),
    stated(
        LOOKING_BACK + LISTING,
        "values that fc6 sees",
        6 * 6 * 256,
        m.flat,
        "single_tower_pad2",
    ),
    stated(
        LOOKING_BACK + LISTING,
        "normalization layers",
        2,
        m.count,
        LocalResponseNorm,
        "single_tower_pad2",
        right=0,
        why="the text has LRN in C1 and C2, the listing none",
    ),
)

OF_EXPLAINED = (
    stated(
        EXPLAINED,
        "sides of the maps of conv1, pool1, conv2, pool2, conv3, pool5",
        [55, 27, 27, 13, 13, 6],
        lambda: [
            m.side(name, "single_tower")
            for name in ("conv1", "pool1", "conv2", "pool2", "conv3", "pool5")
        ],
    ),
    stated(
        EXPLAINED,
        "(227 + 2*0 - 11) / 4 + 1",
        55,
        m.side,
        "conv1",
        "single_tower",
    ),
    stated(
        EXPLAINED,
        "smallest image of which conv1 makes 55x55 maps, 224 being a slip",
        227,
        lambda: next(
            n
            for n in range(100, 300)
            if m.side("conv1", input_shape=(n, n, 3), padding="ceil") == 55
        ),
        right=224,
        why="the code rounds up, which makes 55 of 224 to 227: no slip",
    ),
    stated(
        EXPLAINED + LISTING,
        "parameters, more than",
        60_000_000,
        m.parameters,
        None,
        "single_tower",
        right=62_378_344,
        why="one wide tower: conv2, conv4 and conv5 see all maps",
    ),
    stated(
        EXPLAINED,
        "layers with weights",
        8,
        lambda: m.count(WITH_WEIGHTS, "single_tower"),
    ),
    stated(
        EXPLAINED + LISTING,
        "dropout stands behind",
        "fc6, fc7",
        m.before,
        Dropout,
        "single_tower",
    ),
)

OF_NOTES = (
    stated(
        NOTES,
        "points that two GPUs win over half of the kernels",
        [1.7, 1.2],
        points,
        "145-half",
        "145-2010",
        why="log",
    ),
    stated(
        NOTES,
        "points that normalization wins",
        [1.4, 1.2],
        points,
        "148",
        "145",
        why="log",
    ),
    stated(
        NOTES,
        "points that overlapping pooling wins",
        [0.4, 0.3],
        points,
        "147",
        "145",
        why="log",
    ),
    stated(NOTES, "conv2's kernels", "256 of 5x5x48", m.kernels, "conv2"),
    stated(NOTES, "conv5's kernels", "256 of 3x3x192", m.kernels, "conv5"),
    stated(
        NOTES + LISTING,
        "conv1's kernels, after the text's 96 of 11x11x3",
        "96 of 11x11x3",
        m.kernels,
        "conv1",
        "torchvision_no_dropout",
        right="64 of 11x11x3",
        why="its listing is torchvision's net, not the paper's",
    ),
    stated(
        NOTES + LISTING,
        "dropout layers, after the text's two",
        2,
        m.count,
        Dropout,
        "torchvision_no_dropout",
        right=0,
        why="its listing leaves them out",
    ),
)

OF_CLASSIC = (
    stated(
        CLASSIC,
        "by how much crops and reflections enlarge the training set",
        2048,
        m.places,
        224,
        right=2178,
        why="33 places along a side, not 32",
    ),
    stated(CLASSIC, "crops of an image in testing", 10, m.ten_crops),
    stated(CLASSIC, "windows and strides of the pools", "z 3, s 2", m.pool),
    stated(CLASSIC, "part that dropout sets to 0", 0.5, m.left_by_dropout),
    stated(
        CLASSIC,
        "radius of the normalization's window, n/2",
        2,
        lambda: m.norms("size") // 2,
    ),
    stated(
        CLASSIC,
        "images are resized to",
        256,
        lambda: RECIPES["paper"].resize_pixels,
    ),
)

OF_IN_PYTORCH = (
    stated(
        IN_PYTORCH + LISTING,
        "the input",
        "224x224x3",
        lambda: "x".join(map(str, m.shape("torchvision"))),
    ),
    stated(
        IN_PYTORCH,
        "strides of conv1 and conv2",
        [4, 2],
        lambda: [m.row(n, "torchvision").strides for n in ("conv1", "conv2")],
        right=[4, 1],
        why="the text gives conv2 a stride of 2, its own listing 1",
    ),
    stated(
        IN_PYTORCH,
        "padding of conv2, pixels",
        0,
        lambda: (m.row("conv2", "torchvision").kernel - 1) // 2,
        right=2,
        why="the text says 0, its own listing 2",
    ),
    stated(
        IN_PYTORCH,
        "normalization layers, said to follow the convolutions",
        2,
        m.count,
        LocalResponseNorm,
        "torchvision",
        right=0,
        why="its listing, torchvision's, has none",
    ),
    stated(
        IN_PYTORCH + LISTING,
        "conv1's kernels",
        "64 of 11x11x3",
        m.kernels,
        "conv1",
        "torchvision",
    ),
    stated(
        IN_PYTORCH + LISTING,
        "parameters, called AlexNet's",
        60_965_224,
        m.parameters,
        None,
        "torchvision",
        right=61_100_840,
        why='"One weird trick": 64-192-384-256-256, no towers',
    ),
)

ARTICLE_STATEMENTS = (
    *OF_LOOKING_BACK,
    *OF_EXPLAINED,
    *OF_NOTES,
    *OF_CLASSIC,
    *OF_IN_PYTORCH,
)
