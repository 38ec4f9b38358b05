"""The networks that the literature calls AlexNet, as a table of flat rows.

One row is one step of the network, in the order in which the data meets it,
like the authors' own `layers-*.cfg` of 2012. How a network is trained stands
in `runs/recipes.py`. Standard library only.

Sources, by the names used in the comments below:

- "Section N": Krizhevsky, Sutskever & Hinton, "ImageNet Classification with
  Deep Convolutional Neural Networks", NIPS 2012.
- "layers-145.cfg" and other `.cfg`: the authors' 2012 source, published by
  the Computer History Museum (computerhistory/AlexNet-Source-Code).
- "layers-223-1gpu.cfg", "layers-cifar10-11pct.cfg": akrizhevsky/cuda-convnet2.
- "train_val.prototxt": BVLC/caffe, models/bvlc_alexnet and
  models/bvlc_reference_caffenet.
- "alexnet.py": pytorch/vision, torchvision/models/alexnet.py.
- "convnets.py": heuritech/convnets-keras, as its forks keep it.
- "seed NNN": the five articles that this project started from.
"""

from dataclasses import dataclass
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from keras_alexnet.architectures.rows import WITH_WEIGHTS
from keras_alexnet.architectures.rows import Activation
from keras_alexnet.architectures.rows import AdaptiveAveragePool
from keras_alexnet.architectures.rows import AveragePool
from keras_alexnet.architectures.rows import Conv
from keras_alexnet.architectures.rows import Dense
from keras_alexnet.architectures.rows import Dropout
from keras_alexnet.architectures.rows import Flatten
from keras_alexnet.architectures.rows import LocallyConnected
from keras_alexnet.architectures.rows import LocalResponseNorm
from keras_alexnet.architectures.rows import MaxPool
from keras_alexnet.architectures.rows import ZeroPad


@dataclass(frozen=True)
class Preprocessing:
    """What the network wants to see, made from RGB values of 0..255.

    (pixel * scale - mean) / std, per channel, in the stated channel order.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    channel_order: str = "RGB"


@dataclass(frozen=True)
class Architecture:
    """A network: its rows and what it is made for."""

    name: str
    title: str
    source: str
    rows: tuple
    input_shape: tuple[int, int, int]
    classes: int
    preprocessing: Preprocessing


# cuda-convnet2 make-data/input_meta: mean R, G, B of the 2012 training set.
# Section 2 subtracts the mean image; its color average is what can be
# shipped as three numbers.
KRIZHEVSKY = Preprocessing(mean=(127.305, 119.715, 104.913))
# train_val.prototxt, "mean pixel": B, G, R.
CAFFE = Preprocessing(mean=(104.0, 117.0, 123.0), channel_order="BGR")
# heuritech/convnets-keras README.md; initial values as CaffeNet's, since its
# weights came from elsewhere.
HEURITECH = Preprocessing(mean=(123.68, 116.779, 103.939))
# pytorch/vision references/classification: presets.py.
TORCHVISION = Preprocessing(
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), scale=1 / 255
)

# PyTorch's default for Conv2d and Linear, which alexnet.py leaves untouched:
# weights and biases uniform in +-1/sqrt(fan in).
TORCH = {"kernel_init": "torch_uniform", "bias_init": "torch_uniform"}
# Section 5 and layers-145.cfg: N(0, .01), bias 1 in the hidden layers.
PAPER_HIDDEN = {"kernel_init": 0.01, "bias_init": 1.0}
# Keras' default, which the usual listings leave untouched.
KERAS = {"kernel_init": "glorot_uniform", "bias_init": "zeros"}


def _classifier(hidden, output=MappingProxyType({})):
    """fc6, fc7 and fc8, with the paper's dropout after the first two.

    Section 3.5: 4096, 4096, classes. Section 4.2: dropout .5 on the first
    two. `hidden` and `output` are the initial values.
    """
    return (
        Flatten(),
        Dense("fc6", 4096, **hidden),
        Dropout("drop6"),
        Dense("fc7", 4096, **hidden),
        Dropout("drop7"),
        Dense("fc8", None, None, **output),
    )


def _paper_features(filters, towers, normalize=True, **init):
    """The five convolutions of Section 3.5, for one tower or two.

    Kernels 11x11 stride 4, 5x5, 3x3, 3x3, 3x3; layer 3 sees both towers,
    layers 2, 4 and 5 their own. Normalization (Section 3.3: k 2, n 5,
    alpha 1e-4, beta .75) after the ReLU of layers 1 and 2. Pooling
    (Section 3.4: z 3, s 2) after layers 1, 2 and 5. Section 5: weights
    N(0, .01), bias 1 in layers 2, 4 and 5. The text gives no padding;
    layers-145.cfg has 2 for 5x5 and 1 for 3x3, which is "same".
    """
    one = init or {"bias_init": 1.0}
    own = {"towers": towers, "groups": towers, **one}
    both = {"towers": towers, **init}
    f1, f2, f3, f4, f5 = filters
    rows = (
        Conv("conv1", f1, 11, strides=4, padding="valid", **both),
        LocalResponseNorm("norm1", towers=towers),
        MaxPool("pool1"),
        Conv("conv2", f2, 5, **own),
        LocalResponseNorm("norm2", towers=towers),
        MaxPool("pool2"),
        Conv("conv3", f3, 3, **both),
        Conv("conv4", f4, 3, **own),
        Conv("conv5", f5, 3, **own),
        MaxPool("pool5"),
    )
    if normalize:
        return rows
    return tuple(r for r in rows if not isinstance(r, LocalResponseNorm))


def _cuda_convnet_features(filters, towers, spatial_norm2):
    """layers-145.cfg and layers-223-1gpu.cfg: what the code ran.

    Layer 1 is conv, norm, pool, ReLU; layer 5 is conv, pool, ReLU. Alpha
    is divided by the window (layer.py), biases are 1 in layers 2, 4 and 5,
    weights .01 in layers 1 and 2 and .03 in layers 3 to 5.
    layer-params-145.cfg: scale .0001, pow .75, minDiv 2.
    """
    norm = {"k": 2.0, "alpha_mode": "mean", "towers": towers}
    wide = {"kernel_init": 0.03, "towers": towers}
    own = {"bias_init": 1.0, "groups": towers}
    f1, f2, f3, f4, f5 = filters
    # A second, spatial normalization, which the text does not mention.
    # layer-params-145.cfg: cnorm2a scale .001, pow .75; rnorm has no minDiv.
    cnorm2 = LocalResponseNorm(
        "cnorm2", 5, 1e-3, k=1.0, alpha_mode="mean", window="within_map"
    )
    return (
        Conv("conv1", f1, 11, 4, "ceil", towers=towers, activation=None),
        LocalResponseNorm("norm1", **norm),
        MaxPool("pool1", padding="ceil"),
        Activation("relu1"),
        Conv("conv2", f2, 5, towers=towers, **own),
        LocalResponseNorm("norm2", **norm),
        *((replace(cnorm2, towers=towers),) if spatial_norm2 else ()),
        MaxPool("pool2", padding="ceil"),
        Conv("conv3", f3, 3, **wide),
        Conv("conv4", f4, 3, **wide, **own),
        Conv("conv5", f5, 3, activation=None, **wide, **own),
        MaxPool("pool5", padding="ceil"),
        Activation("relu5"),
    )


def _caffe_features(bias, pool_first):
    """train_val.prototxt: one blob of 96 maps, convolutions in 2 groups.

    Normalization with Caffe's default k 1, alpha divided by n, windows that
    cross from one group into the other; Caffe's pooling rounds up. `bias` is
    that of conv2, conv4 and conv5; CaffeNet pools before it normalizes.
    """
    norm = {"k": 1.0, "alpha_mode": "mean"}
    pool1, norm1 = (
        MaxPool("pool1", padding="ceil"),
        LocalResponseNorm("norm1", **norm),
    )
    pool2, norm2 = (
        MaxPool("pool2", padding="ceil"),
        LocalResponseNorm("norm2", **norm),
    )
    own = {"towers": 2, "groups": 2, "bias_init": bias}
    return (
        Conv("conv1", 96, 11, strides=4, padding="valid"),
        *((pool1, norm1) if pool_first else (norm1, pool1)),
        Conv("conv2", 256, 5, **own),
        *((pool2, norm2) if pool_first else (norm2, pool2)),
        Conv("conv3", 384, 3),
        Conv("conv4", 384, 3, **own),
        Conv("conv5", 256, 3, **own),
        MaxPool("pool5", padding="ceil"),
    )


def _heuritech_features():
    """convnetskeras/convnets.py and customlayers.py: CaffeNet's order with
    the paper's constants, across both groups; windows that do not fit are
    dropped (Keras' "valid")."""

    def changed(row):
        if isinstance(row, LocalResponseNorm):
            return LocalResponseNorm(row.name)
        if isinstance(row, MaxPool):
            return replace(row, padding="valid")
        return row

    rows = _caffe_features(bias=1.0, pool_first=True)
    return tuple(changed(row) for row in rows)


def _torch_features(filters):
    """alexnet.py: padding 2 before conv1, no normalization, no towers."""
    f1, f2, f3, f4, f5 = filters
    return (
        ZeroPad("pad1", 2),
        Conv("conv1", f1, 11, strides=4, padding="valid", **TORCH),
        MaxPool("pool1"),
        Conv("conv2", f2, 5, **TORCH),
        MaxPool("pool2"),
        Conv("conv3", f3, 3, **TORCH),
        Conv("conv4", f4, 3, **TORCH),
        Conv("conv5", f5, 3, **TORCH),
        MaxPool("pool5"),
    )


def _torch_classifier(dropout):
    """alexnet.py drops before fc6 and fc7; the paper drops after them."""
    return (
        Flatten(),
        *((Dropout("drop6"),) if dropout else ()),
        Dense("fc6", 4096, **TORCH),
        *((Dropout("drop7"),) if dropout else ()),
        Dense("fc7", 4096, **TORCH),
        Dense("fc8", None, None, **TORCH),
    )


def _cifar10_18pct():
    """layers-cifar/layers-18pct.cfg, layer-params-18pct-noisylr.cfg.

    Normalization within the map: size 3, scale .00005, pow .75; rnorm has
    no minDiv, so k is 1.
    """
    norm = {
        "size": 3,
        "alpha": 5e-5,
        "k": 1.0,
        "alpha_mode": "mean",
        "window": "within_map",
    }
    return (
        Conv("conv1", 32, 5, activation=None, kernel_init=1e-4),
        MaxPool("pool1", padding="ceil"),
        Activation("relu1"),
        LocalResponseNorm("norm1", **norm),
        Conv("conv2", 32, 5),
        AveragePool("pool2", padding="ceil"),
        LocalResponseNorm("norm2", **norm),
        Conv("conv3", 64, 5),
        AveragePool("pool3", padding="ceil"),
        Flatten(),
        Dense("fc10", None, None),
    )


def _cifar10_local(local3_filters, normalize):
    """layers-conv-local-13pct.cfg and layers-cifar10-11pct.cfg.

    The second has normalization (size 9, scale .001, pow .75, minDiv 1 by
    layer.py's default) after pool1 and after conv2, and 64 filters in local3.
    """
    norm = {"size": 9, "alpha": 1e-3, "k": 1.0, "alpha_mode": "mean"}
    return (
        Conv("conv1", 64, 5, kernel_init=1e-4),
        MaxPool("pool1", padding="ceil"),
        *((LocalResponseNorm("norm1", **norm),) if normalize else ()),
        Conv("conv2", 64, 5),
        *((LocalResponseNorm("norm2", **norm),) if normalize else ()),
        MaxPool("pool2", padding="ceil"),
        LocallyConnected("local3", local3_filters, 3, kernel_init=0.04),
        LocallyConnected("local4", 32, 3, kernel_init=0.04),
        Flatten(),
        Dense("fc10", None, None),
    )


def _lenet5():
    """The LeNet-5 of today's textbooks, as articles on AlexNet mean it.

    LeCun et al. 1998: maps 6, 16, then 120, 84, 10, tanh units, 2x2
    subsampling. Left out: the trainable subsampling, C3's partial
    connections and the RBF output of the original.
    """
    tanh = {"activation": "tanh", **KERAS}
    return (
        Conv("conv1", 6, 5, padding="valid", **tanh),
        AveragePool("pool1", 2, 2),
        Conv("conv2", 16, 5, padding="valid", **tanh),
        AveragePool("pool2", 2, 2),
        Flatten(),
        Dense("fc3", 120, **tanh),
        Dense("fc4", 84, **tanh),
        Dense("fc5", None, None, **KERAS),
    )


# Section 3.5 and layers-145.cfg; alexnet.py and layers-223-1gpu.cfg;
# layers-145-half.cfg.
WIDE = (96, 256, 384, 384, 256)
ONE_WEIRD_TRICK = (64, 192, 384, 256, 256)
HALF = (48, 128, 192, 192, 256)

# The paper says 224; 227 gives the same 55x55 maps with floor rounding.
IMAGENET_227: dict[str, Any] = {"input_shape": (227, 227, 3), "classes": 1000}
IMAGENET_224: dict[str, Any] = {"input_shape": (224, 224, 3), "classes": 1000}
# cuda-convnet subtracts the mean image of CIFAR-10; this is its color
# average over the 50,000 training images.
CIFAR10: dict[str, Any] = {
    "input_shape": (32, 32, 3),
    "classes": 10,
    "preprocessing": Preprocessing(mean=(125.31, 122.95, 113.87)),
}

_ARCHITECTURES = (
    Architecture(
        "alexnet",
        "The paper's text: two towers, normalization per tower",
        "Krizhevsky et al. 2012, Sections 3 to 5",
        _paper_features(WIDE, towers=2) + _classifier(PAPER_HIDDEN),
        **IMAGENET_227,
        preprocessing=KRIZHEVSKY,
    ),
    Architecture(
        "alexnet_2012",
        "The code that won: norm before ReLU, alpha/n, a spatial norm, ceil",
        "layers-145.cfg, layer-params-145.cfg",
        _cuda_convnet_features(WIDE, towers=2, spatial_norm2=True)
        + _classifier(PAPER_HIDDEN),
        **IMAGENET_224,
        preprocessing=KRIZHEVSKY,
    ),
    Architecture(
        "caffe_alexnet",
        "BVLC AlexNet: norm across both groups, k 1, alpha/n, BGR",
        "BVLC/caffe models/bvlc_alexnet/train_val.prototxt",
        _caffe_features(bias=0.1, pool_first=False)
        + _classifier({"kernel_init": 0.005, "bias_init": 0.1}),
        **IMAGENET_227,
        preprocessing=CAFFE,
    ),
    Architecture(
        "caffenet",
        "BVLC CaffeNet: as caffe_alexnet, but pools before it normalizes",
        "BVLC/caffe models/bvlc_reference_caffenet/train_val.prototxt",
        _caffe_features(bias=1.0, pool_first=True)
        + _classifier({"kernel_init": 0.005, "bias_init": 1.0}),
        **IMAGENET_227,
        preprocessing=CAFFE,
    ),
    Architecture(
        "heuritech",
        "Keras 1's AlexNet: CaffeNet's order, the paper's k and alpha, RGB",
        "heuritech/convnets-keras convnets.py, customlayers.py",
        _heuritech_features()
        + _classifier({"kernel_init": 0.005, "bias_init": 1.0}),
        **IMAGENET_227,
        preprocessing=HEURITECH,
    ),
    Architecture(
        "single_tower",
        "One wide tower without normalization, the usual Keras listing",
        "article: AlexNet's architecture explained",
        _paper_features(WIDE, towers=1, normalize=False, **KERAS)
        + _classifier(KERAS, KERAS),
        **IMAGENET_227,
        preprocessing=KRIZHEVSKY,
    ),
    Architecture(
        "single_tower_lrn",
        "One wide tower with the paper's normalization",
        "Sections 3 to 5 without 3.2",
        _paper_features(WIDE, towers=1) + _classifier(PAPER_HIDDEN),
        **IMAGENET_227,
        preprocessing=KRIZHEVSKY,
    ),
    Architecture(
        "single_tower_pad2",
        "One wide tower, padding 2 before conv1 (56x56 maps), no norm",
        "article: Looking back at a classic",
        _torch_features(WIDE) + _classifier(TORCH, TORCH),  # drops after
        **IMAGENET_227,
        preprocessing=TORCHVISION,
    ),
    Architecture(
        "half",
        "One narrow tower, the control of Section 3.2",
        "Section 3.2, layers-145-half.cfg",
        _paper_features(HALF, towers=1) + _classifier(PAPER_HIDDEN),
        **IMAGENET_227,
        preprocessing=KRIZHEVSKY,
    ),
    Architecture(
        "one_weird_trick",
        "The 2014 one-tower net of cuda-convnet2, with normalization",
        "arXiv 1404.5997, layers-223-1gpu.cfg",
        _cuda_convnet_features(ONE_WEIRD_TRICK, 1, spatial_norm2=False)
        + _classifier(
            PAPER_HIDDEN, {"bias_init": -7.0}
        ),  # layers-223: initB=-7
        **IMAGENET_224,
        preprocessing=KRIZHEVSKY,
    ),
    Architecture(
        "torchvision",
        "torchvision's: the 2014 widths, no norm, dropout before fc6, fc7",
        "torchvision's alexnet.py",
        _torch_features(ONE_WEIRD_TRICK)
        + (AdaptiveAveragePool("avgpool"),)
        + _torch_classifier(dropout=True),
        **IMAGENET_224,
        preprocessing=TORCHVISION,
    ),
    Architecture(
        "torchvision_no_dropout",
        "torchvision's first form, as articles copy it: no dropout",
        "article: Notes on the AlexNet paper",
        _torch_features(ONE_WEIRD_TRICK) + _torch_classifier(dropout=False),
        **IMAGENET_224,
        preprocessing=TORCHVISION,
    ),
    Architecture(
        "cifar10_18pct",
        "CIFAR-10, three convolutions: 18 % test error",
        "layers-18pct.cfg, layer-params-18pct-noisylr.cfg",
        _cifar10_18pct(),
        **CIFAR10,
    ),
    Architecture(
        "cifar10_13pct",
        "CIFAR-10, two convolutions, two local layers: 13 % (Section 3.3)",
        "layers-conv-local-13pct.cfg",
        _cifar10_local(local3_filters=32, normalize=False),
        **CIFAR10,
    ),
    Architecture(
        "cifar10_11pct",
        "CIFAR-10, with normalization, wider local3: 11 % (Section 3.3)",
        "cuda-convnet2 layers-cifar10-11pct.cfg",
        _cifar10_local(local3_filters=64, normalize=True),
        **{**CIFAR10, "input_shape": (24, 24, 3)},  # --inner-size 24
    ),
    Architecture(
        "lenet5",
        "LeNet-5, with which articles compare AlexNet",
        "LeCun et al. 1998",
        _lenet5(),
        input_shape=(32, 32, 1),
        classes=10,
        preprocessing=Preprocessing(mean=(0.0,), std=(1.0,), scale=1 / 255),
    ),
)

VARIANTS = MappingProxyType({a.name: a for a in _ARCHITECTURES})


def get_architecture(variant):
    """The architecture of that name; an `Architecture` is returned as it is.

    Raises:
        ValueError: if there is no variant of that name.
    """
    if isinstance(variant, Architecture):
        return variant
    if isinstance(variant, str) and variant in VARIANTS:
        return VARIANTS[variant]
    raise ValueError(
        f"There is no variant {variant!r}; the variants are "
        f"{', '.join(VARIANTS)}."
    )


def layer_names(architecture):
    """The paper's names of the layers that have weights, in order."""
    return [
        row.name for row in architecture.rows if isinstance(row, WITH_WEIGHTS)
    ]
