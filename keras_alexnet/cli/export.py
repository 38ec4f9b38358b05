"""The command `export`."""

from keras_alexnet.environment import load_tensorflow
from keras_alexnet.export.formats import FORMATS
from keras_alexnet.export.formats import checked_format
from keras_alexnet.terminal import say


def add_export(parser):
    """Give the parser of `export` its options."""
    parser.set_defaults(command=_export)
    parser.add_argument(
        "network",
        metavar="RUN",
        help="run folder, or file of weights that `convert` reads",
    )
    parser.add_argument(
        "to_file",
        metavar="DST",
        help="what to write; its ending tells the format: .keras, .onnx, "
        ".tflite (LiteRT), .xml (OpenVINO), none (folder of a SavedModel)",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="where the ending does not tell",
    )
    parser.add_argument(
        "--quantize",
        action="store_true",
        help="LiteRT with weights of 8 bits: 28 %% of the size",
    )


def _export(options):
    # What cannot begin is refused before TensorFlow is loaded.
    checked_format(options.to_file, options.format, options.quantize)
    load_tensorflow()
    from keras_alexnet.export.export_model import export_model
    from keras_alexnet.runs.open_trained import open_trained

    trained = open_trained(options.network)
    say(
        export_model(trained, options.to_file, options.format, options.quantize)
    )
