"""The commands that write weights and networks: `convert` and `export`."""

from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.cli.arguments import NETWORK
from keras_alexnet.cli.arguments import SOURCES
from keras_alexnet.cli.arguments import add_command
from keras_alexnet.cli.arguments import load_keras
from keras_alexnet.export.formats import FORMATS
from keras_alexnet.export.formats import checked_format
from keras_alexnet.terminal import say


def add_parsers(commands):
    """Add `convert` and `export`."""
    text = "turn weights of others into a Keras model, or ours into theirs"
    _add_convert(add_command(commands, "convert", _convert, text))
    text = "write a trained network for another runtime, and prove it there"
    _add_export(add_command(commands, "export", _export, text))


def _add_convert(parser):
    parser.add_argument("source", metavar="SRC", help=SOURCES)
    parser.add_argument(
        "to_file",
        metavar="DST",
        help="what to write: .keras, .weights.h5 (Keras), .safetensors or "
        ".pth (torchvision's names), .onnx",
    )
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        metavar="VARIANT",
        help="network to make; default: that of the file",
    )
    parser.add_argument(
        "--unscaled-dropout",
        action="store_true",
        help="the file was trained with the paper's dropout, which halves at "
        "test time: halve the kernels behind it",
    )


def _convert(options):
    from keras_alexnet.runs.run_folder import check_trained

    check_trained(options.source)
    load_keras()
    from keras_alexnet.export.convert_file import convert_file

    say(
        convert_file(
            options.source,
            options.to_file,
            options.variant,
            unscaled_dropout=options.unscaled_dropout,
        )
    )


def _add_export(parser):
    parser.add_argument(
        "network",
        metavar="RUN",
        help=NETWORK,
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
    from keras_alexnet.runs.run_folder import check_trained

    what = options.to_file, options.format, options.quantize
    checked_format(*what)  # before Keras is loaded, and tells its backend
    check_trained(options.network)
    load_keras()
    from keras_alexnet.export.export_model import export_model

    say(export_model(options.network, *what))
