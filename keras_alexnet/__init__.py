"""AlexNet for Keras: the networks that the literature calls by that name.

>>> import keras_alexnet as ka
>>> model = ka.AlexNet()
"""

import importlib
import sys

__version__ = "0.1.0"

# What stands where; Keras is imported at the first use, not before, so that
# the command line answers at once.
_PLACES = {
    "AlexNet": "model",
    "Checkpoints": "resuming",
    "Dropout": "dropout",
    "EndGame": "rates",
    "Architecture": "architectures",
    "Examples": "images",
    "Features": "feature_files",
    "ImageCounts": "counting",
    "Interrupted": "interruption",
    "LocalResponseNormalization": "normalization",
    "PaperSGD": "optimization",
    "PixelsToInput": "pixels",
    "Plan": "planning",
    "PlateauDrops": "rates",
    "RECIPES": "recipes",
    "Recipe": "recipe",
    "Run": "checkpoint",
    "VARIANTS": "architectures",
    "check_data": "inspection",
    "check_paper": "paper",
    "color_scores": "kernels",
    "convert_weights": "conversion",
    "dense_form": "sliding",
    "decode_predictions": "imagenet",
    "evaluate": "evaluation",
    "evaluation_batches": "pipeline",
    "export_model": "export",
    "features": "extraction",
    "fine_tune": "fine_tuning",
    "finished": "pixels",
    "grad_cam": "activations",
    "grouped_weights": "weights",
    "heat_map": "sliding",
    "iter_predictions": "prediction",
    "load_examples": "images",
    "nearest": "similarity",
    "open_trained": "trained",
    "noted_signals": "interruption",
    "paper_differences": "differences",
    "plot_activations": "activations",
    "plot_figure2": "figure2",
    "plot_grad_cam": "activations",
    "plot_heat_map": "sliding",
    "plot_kernels": "kernels",
    "plot_model": "diagrams",
    "plot_nearest": "similarity",
    "predict": "prediction",
    "prepare_data": "preparation",
    "preprocess_input": "pixels",
    "run_experiment": "reproduction",
    "summary": "tables",
    "ten_crops": "geometry",
    "train": "training",
    "training_batches": "pipeline",
    "two_device_alexnet": "two_devices",
    "write_report": "report",
}

__all__ = [*_PLACES, "__version__"]


def __getattr__(name):
    if name not in _PLACES:
        raise AttributeError(
            f"module 'keras_alexnet' has no attribute {name!r}"
        )
    module = importlib.import_module(f"keras_alexnet.{_PLACES[name]}")
    return getattr(module, name)


def __dir__():
    return __all__


# Saved models name our layers, and Keras finds them once they are imported.
# Whoever has imported Keras already does not wait for it again.
if "keras" in sys.modules:
    importlib.import_module("keras_alexnet.model")
    importlib.import_module("keras_alexnet.optimization")
