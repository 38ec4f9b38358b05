"""The commands that show networks: `variants`, `summary` and `plot`."""

from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.cli.arguments import add_command
from keras_alexnet.cli.arguments import add_format
from keras_alexnet.cli.arguments import load_keras
from keras_alexnet.cli.arguments import positive
from keras_alexnet.cli.arguments import print_table
from keras_alexnet.terminal import say


def add_parsers(commands):
    """Add `variants`, `summary` and `plot`."""
    _variants_parser(commands)
    _summary_parser(commands)
    _plot_parser(commands)


def _variants_parser(commands):
    text = "list all networks, one line each"
    parser = add_command(commands, "variants", _variants, text)
    add_format(parser)


def _variants(options):
    from keras_alexnet.visualization.summary import variants_table

    print_table(variants_table(), options.format)


def _architecture_options(parser):
    parser.add_argument("variant", choices=VARIANTS, metavar="VARIANT")
    parser.add_argument(
        "--padding",
        help="valid, same or ceil; or two of them as conv1/pools, same/valid",
    )
    parser.add_argument(
        "--input-size",
        type=positive,
        metavar="PIXELS",
        help="side of the image",
    )
    parser.add_argument("--classes", type=positive, metavar="N")


def _architecture_arguments(options):
    padding = options.padding
    if padding and "/" in padding:
        padding = tuple(padding.split("/"))
    shape = None
    if options.input_size is not None:
        channels = VARIANTS[options.variant].input_shape[-1]
        shape = (options.input_size, options.input_size, channels)
    return {
        "padding": padding,
        "input_shape": shape,
        "classes": options.classes,
    }


def _summary_parser(commands):
    text = "print shapes, neurons, parameters and multiply-adds of a network"
    parser = add_command(commands, "summary", _summary, text)
    _architecture_options(parser)
    add_format(parser)


def _summary(options):
    from keras_alexnet.visualization.summary import summary

    arguments = _architecture_arguments(options)
    print_table(summary(options.variant, **arguments), options.format)


def _plot_parser(commands):
    text = "draw a network (PNG, SVG; PDF where Graphviz is installed)"
    parser = add_command(commands, "plot", _plot, text)
    _architecture_options(parser)
    parser.add_argument(
        "--to-file", metavar="FILE", help="default: img/VARIANT.png"
    )
    parser.add_argument(
        "--figure2",
        action="store_true",
        help="draw the towers as blocks, like the paper's figure 2",
    )


def _plot(options):
    arguments = _architecture_arguments(options)
    if options.figure2:
        from keras_alexnet.visualization.figure2 import plot_figure2

        to_file = options.to_file or f"img/{options.variant}_figure2.png"
        say(plot_figure2(options.variant, to_file, **arguments))
        return
    from keras_alexnet.visualization.plot_model import plot_model
    from keras_alexnet.visualization.plot_model import renderer_of

    to_file = options.to_file or f"img/{options.variant}.png"
    renderer_of(to_file)
    load_keras()
    from keras_alexnet.models.alexnet import AlexNet

    say(plot_model(AlexNet(options.variant, **arguments), to_file))
