"""What this package makes of what the paper and the articles state.

Small functions, each of which computes one thing from the package's own
tables, layers and recipes, for the tables of statements to compare.
"""

import functools
import math

import keras
import numpy as np

from keras_alexnet.architectures.arithmetic import trace
from keras_alexnet.architectures.modifiers import with_plain_pooling
from keras_alexnet.architectures.rows import WITH_WEIGHTS
from keras_alexnet.architectures.rows import LocalResponseNorm
from keras_alexnet.architectures.rows import MaxPool
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.data import transforms
from keras_alexnet.data.color import IMAGENET_2012
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.image_source import Source
from keras_alexnet.layers.local_response_normalization import (
    LocalResponseNormalization,
)
from keras_alexnet.models.alexnet import AlexNet
from keras_alexnet.runs.recipes import RECIPES
from keras_alexnet.training.optimizer import PaperSGD


def layer_facts(variant="alexnet", **kwargs):
    """`LayerFacts` by the layers' names."""
    return {fact.name: fact for fact in trace(variant, **kwargs)}


def neurons(layer, variant="alexnet"):
    """Units of a layer."""
    return layer_facts(variant)[layer].neurons


def parameters(layer=None, variant="alexnet"):
    """Parameters of a layer, or of all."""
    if layer:
        return layer_facts(variant)[layer].parameters
    return sum(fact.parameters for fact in trace(variant))


def all_neurons(variant="alexnet"):
    """Units of all layers that have weights."""
    return sum(fact.neurons for fact in trace(variant))


def flat(variant="alexnet", **kwargs):
    """Values that fc6 sees of an image."""
    return math.prod(layer_facts(variant, **kwargs)["pool5"].output_shape)


def input_values(variant="alexnet"):
    """Values of an image."""
    return math.prod(get_architecture(variant).input_shape)


def shape(variant="alexnet"):
    """Height, width and channels of an image."""
    return get_architecture(variant).input_shape


def side(layer, variant="alexnet", **kwargs):
    """Side of a layer's maps."""
    return layer_facts(variant, **kwargs)[layer].output_shape[0]


def row(name, variant="alexnet"):
    """The row of an architecture."""
    rows = get_architecture(variant).rows
    return next(row for row in rows if row.name == name)


def count(kind, variant="alexnet"):
    """How many rows of a kind there are."""
    rows = get_architecture(variant).rows
    return sum(isinstance(row, kind) for row in rows)


def before(kind, variant="alexnet"):
    """Behind which layers with weights rows of a kind stand."""
    found, last = [], None
    for row in get_architecture(variant).rows:
        if isinstance(row, WITH_WEIGHTS):
            last = row.name
        elif isinstance(row, kind):
            found.append(last)
    return ", ".join(found)


def model(variant="alexnet"):
    """The network with its initial values."""
    return _built(get_architecture(variant))


@functools.lru_cache(maxsize=1)
def _built(architecture):
    keras.utils.set_random_seed(0)
    return AlexNet(architecture)


def forget():
    """Give back the memory of the networks that were built."""
    _built.cache_clear()


def kernels(layer, variant="alexnet"):
    """Number and shape of a layer's kernels, as Keras has built them."""
    shapes = [
        keras_layer.kernel.shape
        for keras_layer in model(variant).layers
        if keras_layer.name in (layer, f"{layer}a", f"{layer}b")
    ]
    height, width, depth, _ = shapes[0]
    number = sum(shape[-1] for shape in shapes)
    return f"{number} of {height}x{width}x{depth}"


def initial(layer, weight="kernel"):
    """Mean and deviation of a layer's initial values, to three digits."""
    values = np.concatenate(
        [
            np.ravel(getattr(keras_layer, weight))
            for keras_layer in model().layers
            if keras_layer.name in (layer, f"{layer}a", f"{layer}b")
        ]
    )
    mean, deviation = float(values.mean()), float(values.std())
    return f"{mean:.3f} +- {deviation:.3f}".replace("-0.000", "0.000")


def initial_biases(value):
    """The layers whose biases begin at a value."""
    found = [
        row.name
        for row in get_architecture("alexnet").rows
        if isinstance(row, WITH_WEIGHTS)
        and initial(row.name, "bias") == f"{value:.3f} +- 0.000"
    ]
    return ", ".join(found)


def normalized(variant="alexnet"):
    """A value of 100 among neighbors of 100, after normalization."""
    norm = row("norm1", variant)
    layer = LocalResponseNormalization(
        norm.size, norm.alpha, norm.beta, norm.k, norm.alpha_mode
    )
    maps = np.full((1, 1, 1, 15), 100.0, "float32")
    return round(float(layer(maps)[0, 0, 0, 7]), 3)


def normalization_by_hand(k=2, n=5, alpha=1e-4, beta=0.75):
    """The same by the paper's formula."""
    return round(100 / (k + alpha * n * 100**2) ** beta, 3)


def step():
    """A weight of 1 and a velocity of .5 after one step, gradient 2."""
    weight = keras.Variable(1.0, name="kernel")
    recipe = RECIPES["paper"]
    optimizer = PaperSGD(
        recipe.learning_rate, recipe.momentum, recipe.weight_decay
    )
    optimizer.build([weight])
    optimizer.momentums[0].assign(0.5)
    gradient = keras.ops.convert_to_tensor(2.0, dtype="float32")
    optimizer.apply([gradient], [weight])
    return round(float(keras.ops.convert_to_numpy(weight)), 6)


def left_by_dropout():
    """How much of a million ones is left in training."""
    ones = np.ones((1000, 1000), "float32")
    left = model().get_layer("drop6")(ones, training=True)
    return round(float((keras.ops.convert_to_numpy(left) > 0).mean()), 2)


def orthogonal_components():
    """How many of the authors' color components are unit vectors at right
    angles to the others."""
    components = np.array(IMAGENET_2012.components)
    products = components @ components.T
    return int(np.isclose(products, np.eye(3), atol=1e-6).all(axis=1).sum())


def ten_crops():
    """How many different crops `evaluate --ten-crops` makes of an image."""
    image = np.arange(256 * 256 * 3).reshape(256, 256, 3)
    crops = transforms.ten_crops(image, 224)
    return len({crop.tobytes() for crop in crops})


def places(pixels):
    """How many crops and flips of an image a training can see."""
    resized = RECIPES["paper"].resize_pixels
    image = np.zeros((1, resized, resized, 3), "uint8")
    image[0] = np.arange(resized)[:, np.newaxis, np.newaxis]
    source = Source(
        Examples(image, [0], ("",)), resized, RECIPES["paper"].square, 3
    )
    tops = {
        int(source.random_crop(0, (fraction, 0), pixels)[0, 0, 0])
        for fraction in np.arange(0, 1, 1e-3)
    }
    return 2 * len(tops) ** 2


def plain_pools():
    """Sides of the pools' maps with windows of 2x2."""
    architecture = with_plain_pooling(get_architecture("alexnet"))
    return [side(f"pool{n}", architecture) for n in (1, 2, 5)]


def largest_share():
    """The largest share of the parameters in a convolution, %."""
    most = max(parameters(f"conv{n}") for n in range(1, 6))
    return round(100 * most / parameters(), 2)


def sees(layer):
    """Whether a layer sees the maps of both towers, or its own."""
    return "own tower" if row(layer).groups == 2 else "both towers"


def linear_layers(variant="alexnet"):
    """The layers with weights that no ReLU follows at once."""
    rows = get_architecture(variant).rows
    return ", ".join(
        row.name
        for row in rows
        if isinstance(row, WITH_WEIGHTS) and row.activation != "relu"
    )


def pool():
    """Window and stride of the pools."""
    rows = get_architecture("alexnet").rows
    found = {
        (row.size, row.strides) for row in rows if isinstance(row, MaxPool)
    }
    return ", ".join(f"z {size}, s {strides}" for size, strides in found)


def norms(field):
    """What all normalization layers have in a field."""
    rows = get_architecture("alexnet").rows
    found = {
        getattr(row, field)
        for row in rows
        if isinstance(row, LocalResponseNorm)
    }
    return found.pop() if len(found) == 1 else sorted(found)
