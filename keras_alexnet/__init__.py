"""AlexNet for Keras: the networks that the literature calls by that name.

>>> import keras_alexnet as ka
>>> model = ka.AlexNet()
"""

import importlib
import sys
import warnings

from keras_alexnet.environment import import_part

__version__ = "0.1.0"

# What stands where; Keras is imported at the first use, not before, so that
# the command line answers at once.
_PLACES = {
    "AlexNet": "models.alexnet",
    "Checkpoints": "training.checkpoints",
    "Dropout": "layers.dropout",
    "EndGame": "training.schedules",
    "Architecture": "architectures.variants",
    "Examples": "data.datasets",
    "Features": "analysis.features",
    "ImageCounts": "training.metrics",
    "Interrupted": "environment",
    "LocalResponseNormalization": "layers.local_response_normalization",
    "PaperSGD": "training.optimizer",
    "PixelsToInput": "data.preprocessing",
    "Plan": "training.planning",
    "PlateauDrops": "training.schedules",
    "RECIPES": "runs.recipes",
    "Recipe": "runs.recipe",
    "Run": "runs.run",
    "VARIANTS": "architectures.variants",
    "check_data": "data.check_data",
    "check_paper": "paper.check_paper",
    "color_scores": "analysis.kernels",
    "convert_weights": "models.convert_weights",
    "dense_form": "analysis.dense_form",
    "decode_predictions": "data.imagenet",
    "evaluate": "evaluation.evaluate",
    "evaluation_batches": "data.pipeline",
    "export_model": "export.export_model",
    "features": "analysis.features",
    "fine_tune": "training.fine_tuning",
    "preprocess_batches": "data.preprocessing",
    "grad_cam": "analysis.grad_cam",
    "grouped_weights": "weights.assign",
    "heat_map": "analysis.heat_map",
    "iter_predictions": "evaluation.predict",
    "load_examples": "data.datasets",
    "nearest": "analysis.nearest",
    "open_trained": "runs.network",
    "deferred_signals": "environment",
    "paper_differences": "paper.differences",
    "plot_activations": "analysis.activations",
    "plot_figure2": "visualization.figure2",
    "plot_grad_cam": "analysis.grad_cam",
    "plot_heat_map": "analysis.heat_map",
    "plot_kernels": "analysis.kernels",
    "plot_model": "visualization.plot_model",
    "plot_nearest": "analysis.nearest",
    "predict": "evaluation.predict",
    "prepare_data": "data.prepare_data",
    "preprocess_input": "data.preprocessing",
    "preprocessor": "runs.network",
    "run_experiment": "paper.run_experiment",
    "summary": "visualization.summary",
    "ten_crops": "data.transforms",
    "train": "training.start",
    "training_batches": "data.pipeline",
    "two_device_alexnet": "models.model_parallel",
    "write_report": "web.report",
}

# Names of before, for one minor version more (docs/compatibility.md).
_DEPRECATED = {
    "finished": "preprocess_batches",
    "noted_signals": "deferred_signals",
}

__all__ = [*_PLACES, "__version__"]


def __getattr__(name):
    if name in _DEPRECATED:
        new = _DEPRECATED[name]
        warnings.warn(
            f"`keras_alexnet.{name}` is called `keras_alexnet.{new}` now; the "
            "old name will be gone in version 0.3.",
            DeprecationWarning,
            stacklevel=2,
        )
        name = new
    if name not in _PLACES:
        raise AttributeError(
            f"module 'keras_alexnet' has no attribute {name!r}"
        )
    return getattr(import_part(_PLACES[name], name), name)


def __dir__():
    return __all__


# Saved models name our layers, and Keras finds them once they are imported.
# Whoever has imported Keras already does not wait for it again.
if "keras" in sys.modules:
    importlib.import_module("keras_alexnet.models.alexnet")
    importlib.import_module("keras_alexnet.training.optimizer")
