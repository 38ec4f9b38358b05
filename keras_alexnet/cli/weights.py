"""The commands about weights of others: `convert` and `fine-tune`."""

import pathlib

from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.environment import load_tensorflow
from keras_alexnet.terminal import say
from keras_alexnet.weights.published import PUBLISHED

SOURCES = (
    "file of weights (.keras, .h5, .pth, .safetensors, .caffemodel, .onnx, "
    f".npy), run folder, cifar10, or one of {', '.join(PUBLISHED)}, which are "
    "downloaded"
)


def add_convert(parser):
    """Give the parser of `convert` its options."""
    parser.set_defaults(command=_convert)
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
    load_tensorflow()
    from keras_alexnet.export.convert_file import convert_file

    say(
        convert_file(
            options.source,
            options.to_file,
            options.variant,
            unscaled_dropout=options.unscaled_dropout,
        )
    )


def add_fine_tune(parser, positive):
    """Give the parser of `fine-tune` its options."""
    parser.set_defaults(command=_fine_tune)
    parser.add_argument("source", metavar="SRC", help=SOURCES)
    parser.add_argument(
        "--data", metavar="DIR", required=True, help="folder of class folders"
    )
    parser.add_argument(
        "--run-dir", metavar="DIR", default="runs/fine_tune", help="%(default)s"
    )
    for name, default, text in (
        ("head-epochs", 5, "of the first stage: the last layer alone"),
        ("epochs", 20, "of the second stage: all layers"),
        ("batch-size", None, "over all devices"),
    ):
        parser.add_argument(
            f"--{name}",
            type=positive,
            default=default,
            metavar="N",
            help=text + (f"; default: {default}" if default else ""),
        )
    parser.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="of the first stage; the second has a tenth of it",
    )
    parser.add_argument(
        "--frozen",
        type=names,
        metavar="LAYERS",
        help="stay frozen in the second stage too, such as conv1,conv2",
    )


def names(text):
    """The names in a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _fine_tune(options):
    load_tensorflow()
    from keras_alexnet.training.fine_tuning import fine_tune

    changes = {
        name: getattr(options, name)
        for name in ("batch_size", "learning_rate", "frozen")
        if getattr(options, name) is not None
    }
    run = fine_tune(
        options.source,
        options.data,
        pathlib.Path(options.run_dir),
        head_epochs=options.head_epochs,
        epochs=options.epochs,
        **changes,
    )
    results = run.results
    say(
        f"Test accuracy {results['accuracy']:.4f} on {results['examples']} "
        f"images (top-1 error {results['top1_error_percent']:.2f} %). "
        f"Everything is in {run.folder}"
    )
