"""Private names: all that this package uses, which a release may change.

They are Keras', and one of TensorFlow.

At the import of a version of Keras that was not tried, a warning says so, and
which of the names it lacks.
"""

import functools
import warnings
import weakref

import keras

TRIED = ("3.15",)  # the versions that all tests pass with


def names():
    """The private names, each behind what should have it."""
    optimizer = keras.optimizers.SGD
    found = [
        (_graph_without_layers(), "_nodes_by_depth"),
        (_graph_without_layers(), "_run_through_graph"),
        (_graph_without_layers(), "_flatten_metrics_in_order"),
        (keras.Sequential(), "_functional"),
        (optimizer(), "_get_variable_index"),
    ]
    if keras.backend.backend() == "tensorflow":
        found.append((keras.Model, "_maybe_symbolic_build"))
        found.append((optimizer(), "_distribution_strategy"))
        found.append((optimizer(), "_all_reduce_sum_gradients"))
        found.append((optimizer(), "_backend_update_step"))
        found.append((_of_tensorflow(), "_pywrap_util_port"))
    else:
        found.append((_tensorflow_of_keras(), "_available"))
    return found


def missing():
    """The names that this version of Keras does not have any more."""
    return [name for owner, name in names() if not hasattr(owner, name)]


def nodes_of(model):
    """The nodes of a functional or built sequential model and its graph.

    Raises:
        AttributeError: of any other model.
    """
    graph = getattr(model, "_functional", None) or model
    levels = graph._nodes_by_depth.values()
    return [node for level in levels for node in level], graph


def index_of(optimizer, variable):
    """The place of a variable among those that an optimizer was built for."""
    return optimizer._get_variable_index(variable)


def strategy_of(optimizer):
    """The `tf.distribute.Strategy` that an optimizer was made in."""
    return optimizer._distribution_strategy


def learns_shapes_by(first_batch):
    """Decorates a class of models whose shapes one share of a batch tells.

    Keras 3.15 adds up the replicas' shares of a batch, to learn the shapes,
    which fails where they are uneven.

    Args:
        first_batch: Function of a model and an iterator of its batches, which
            gives the share, or `None` for Keras' own way.
    """

    def decorate(model_class):
        if keras.backend.backend() != "tensorflow":
            return model_class
        build = model_class._maybe_symbolic_build

        @functools.wraps(build)
        def build_by_share(self, iterator=None, data_batch=None):
            share = None
            if iterator is not None:
                share = first_batch(self, iterator)
            if share is not None:
                iterator, data_batch = None, share
            build(self, iterator, data_batch)

        model_class._maybe_symbolic_build = build_by_share
        return model_class

    return decorate


def in_order(model, logs):
    """The measures in a dict as `train_on_batch` gives them: a list or one."""
    return model._flatten_metrics_in_order(logs)


def note_origin(outputs, model):
    """Note on symbolic outputs by which model's graph they were made."""
    for tensor in keras.tree.flatten(outputs):
        if keras.backend.is_keras_tensor(tensor):
            tensor.made_by = weakref.ref(model)


def origin_of(model):
    """The model by whose graph this one's was made, or `None`."""
    made_by = getattr(model.outputs[0], "made_by", None)
    return made_by and made_by()


def onednn_is_on():
    """Whether TensorFlow computes by oneDNN; `None` where nothing tells."""
    if keras.backend.backend() != "tensorflow":
        return None
    port = getattr(_of_tensorflow(), "_pywrap_util_port", None)
    return port and port.IsMklEnabled()


def leave_out_tensorflow():
    """Have Keras on another backend not look for TensorFlow in this process.

    It looks by importing it, which takes seconds, whenever a configuration is
    written or a seed is set. Where it is needed it is still imported.
    """
    if keras.backend.backend() != "tensorflow":
        _tensorflow_of_keras()._available = False


def _tensorflow_of_keras():
    from keras.src.utils import module_utils

    return module_utils.tensorflow


def _of_tensorflow():
    from tensorflow.python import util

    return util


def _graph_without_layers():
    inputs = keras.Input((1,))
    return keras.Model(inputs, inputs)


def warn_if_untried(version=keras.__version__):
    """Warn of a version of Keras that was not tried with this package."""
    if version.rpartition(".")[0] in TRIED:
        return
    lacks = missing()
    state = f"it lacks {', '.join(lacks)}" if lacks else "all it needs is there"
    warnings.warn(
        f"This version of keras_alexnet was tried with Keras "
        f"{', '.join(TRIED)}; this is {version}: {state}.",
        stacklevel=2,
    )


warn_if_untried()
