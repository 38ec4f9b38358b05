"""What a network begins with if not with random values."""

from keras_alexnet.runs.open_trained import open_trained
from keras_alexnet.runs.run import Run
from keras_alexnet.weights.assign import grouped_weights
from keras_alexnet.weights.assign import put_weights
from keras_alexnet.weights.assign import refolded


def start_from(source, network, run):
    """Give the network of a run the weights of a trained one.

    The last layer is taken over if the classes are the same and otherwise
    keeps its random values.

    Args:
        source: As in `open_trained`; a run need not be finished.
        network: The model that the run trains.
        run: The `Run`.

    Raises:
        ValueError: if there is no such source, or it does not fit.
    """
    trained = open_trained(source)
    is_run = isinstance(trained, Run)
    model = trained.load_newest() if is_run else trained.load_model()
    weights = refolded(
        grouped_weights(model),
        trained.architecture.preprocessing,
        run.architecture.preprocessing,
    )
    if tuple(trained.class_names) != tuple(run.class_names):
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
