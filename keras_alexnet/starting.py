"""What a network begins with if not with random values."""

from keras_alexnet.architectures import get_architecture
from keras_alexnet.trained import open_trained
from keras_alexnet.weights import grouped_weights
from keras_alexnet.weights import put_weights
from keras_alexnet.weights import refolded


def start_from(source, network, class_names):
    """Give a network the weights of a trained one.

    The last layer is taken over if the classes are the same and otherwise
    keeps its random values.

    Args:
        source: As in `open_trained`.
        network: A model made by `AlexNet`.
        class_names: Tuple of the names of its classes.

    Raises:
        ValueError: if there is no such source, or it does not fit.
    """
    trained = open_trained(source)
    weights = refolded(
        grouped_weights(trained.load_model()),
        get_architecture(trained.recipe.variant).preprocessing,
        get_architecture(network.variant).preprocessing,
    )
    if tuple(trained.class_names) != tuple(class_names):
        *_, last = weights
        *_, random = grouped_weights(network).values()
        weights[last] = random
    put_weights(network, weights)


def freeze(network, names):
    """Keep layers as they are, both towers of them.

    Args:
        network: A model made by `AlexNet`.
        names: The paper's names of the layers.
    """
    wanted = {name + tower for name in names for tower in ("", "a", "b")}
    for layer in network.layers:
        if layer.name in wanted:
            layer.trainable = False
