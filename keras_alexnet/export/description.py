"""What an exported network takes and gives, in words."""

import keras

from keras_alexnet.architectures.variants import get_architecture

TOP = 5  # more classes are only counted


def input_text(network):
    """What a `Network` expects, in words."""
    shape = ("batch", *network.model.input_shape[1:])
    return f"float32 {_bracketed(shape)}, {_values_text(network.to_input)}"


def _values_text(to_input):
    """What the values of an input are, in words."""
    if to_input is None:
        return "values as in its training"
    preprocessing = get_architecture(to_input.variant).preprocessing
    count = len(preprocessing.mean)
    order = "gray" if count == 1 else preprocessing.channel_order
    text = f"{order} of 0..255"
    if preprocessing.scale != 1:
        text += f", divided by {1 / preprocessing.scale:g}"
    if to_input.mean_image is not None:
        text += ", minus the center of the run's mean_image.npy"
    elif any(preprocessing.mean):
        text += f", minus {_listed(preprocessing.mean)}"
    if any(value != 1 for value in preprocessing.std[:count]):
        text += f", divided by {_listed(preprocessing.std)}"
    return text


def output_text(network):
    """What a `Network` gives, in words."""
    shape = _bracketed(("batch", *network.model.output_shape[1:]))
    last = getattr(network.model.layers[-1], "activation", None)
    softmax = last is keras.activations.softmax
    text = f"{'probabilities' if softmax else 'outputs'} {shape}"
    if network.class_names and len(network.class_names) <= TOP:
        text += f" of {', '.join(network.class_names)}"
    return text


def serves_files(network):
    """Whether a SavedModel of a `Network` answers image files as they are.

    What prepares them is computed by TensorFlow.
    """
    return network.takes_files and keras.backend.backend() == "tensorflow"


def _bracketed(shape):
    return f"({', '.join(str(side or 'any') for side in shape)})"


def _listed(values):
    return "/".join(f"{value:g}" for value in values)
