"""The commands that look inside a trained network."""

import json
import os
import sys

from keras_alexnet.cli.arguments import add_command
from keras_alexnet.cli.arguments import add_format
from keras_alexnet.cli.arguments import load_keras
from keras_alexnet.cli.arguments import picture
from keras_alexnet.cli.arguments import positive
from keras_alexnet.terminal import say
from keras_alexnet.terminal import say_lines


def add_parsers(commands):
    """Add `features`, `similar`, `kernels`, `activations`, `gradcam` and
    `heatmap`.
    """
    text = "write what a layer makes of images: fc7's 4096 values, and others"
    parser = _trained(add_command(commands, "features", _features, text))
    _images(parser, "images")
    _layer(parser, "fc7")
    _to_file(parser, "features.npz", str)

    text = "find the images that look most alike to the network (figure 4)"
    parser = _trained(add_command(commands, "similar", _similar, text))
    parser.add_argument(
        "among",
        metavar="FOLDER|NPZ",
        help="images to search, or what `features` has written of them",
    )
    _images(parser, "--queries", required=True)
    parser.add_argument("--top", type=positive, default=6, metavar="N")
    parser.add_argument(
        "--layer", metavar="NAME", help="default: fc7, or the file's own"
    )
    _to_file(parser, "similar.png")
    add_format(parser, "text", "json")

    text = "draw conv1's kernels (figure 3) and score their color"
    parser = _trained(add_command(commands, "kernels", _kernels, text))
    _to_file(parser, "kernels.png")
    add_format(parser, "text", "json")

    text = "draw the maps that a layer makes of an image"
    parser = _trained(add_command(commands, "activations", _activations, text))
    parser.add_argument("image", metavar="IMAGE")
    _layer(parser, "conv1")
    _to_file(parser, "activations.png")

    text = "draw where in an image the evidence for a class lies (Grad-CAM)"
    parser = _trained(add_command(commands, "gradcam", _gradcam, text))
    parser.add_argument("image", metavar="IMAGE")
    _class(parser, "the most probable")
    _to_file(parser, "gradcam.png")

    text = "draw how probable a class is where in a large image"
    parser = _trained(add_command(commands, "heatmap", _heatmap, text))
    parser.add_argument("image", metavar="IMAGE")
    _class(parser, "that of the largest mean")
    parser.add_argument(
        "--short-side",
        type=positive,
        metavar="PIXELS",
        help="resize the image to this; default: twice the training's",
    )
    _to_file(parser, "heatmap.png")


def _trained(parser):
    parser.add_argument(
        "trained", metavar="RUN|FILE", help="run folder or file of weights"
    )
    return parser


def _images(parser, name, **kwargs):
    parser.add_argument(
        name,
        nargs="+",
        metavar="IMAGE",
        help="image files, or folders of them",
        **kwargs,
    )


def _layer(parser, default):
    parser.add_argument(
        "--layer",
        default=default,
        metavar="NAME",
        help=f"the paper's name of it; default: {default}",
    )


def _class(parser, default):
    parser.add_argument(
        "--class",
        dest="class_name",
        metavar="NAME",
        help=f"default: {default}",
    )


def _to_file(parser, default, kind=picture):
    parser.add_argument(
        "--to-file",
        type=kind,
        default=default,
        metavar="FILE",
        help=f"default: {default}",
    )


def _open(path, *images):
    """What is trained, after a look whether it, and any image, is there."""
    from keras_alexnet.data.folders import find_images
    from keras_alexnet.runs.run_folder import check_trained

    check_trained(path)
    if images and not any(map(os.path.lexists, find_images(images))):
        raise ValueError(f"{images[0]!r}: there is no such file.")
    load_keras()
    from keras_alexnet.runs.network import open_trained

    return open_trained(path)


def _skipped(*reasons):
    """Name the files that could not be read; the exit code."""
    for file, reason in (pair for some in reasons for pair in some.items()):
        say(f"keras-alexnet: {file!r}: {reason}.", file=sys.stderr)
    return 1 if any(reasons) else 0


def _features(options):
    trained = _open(options.trained, *options.images)
    from keras_alexnet.analysis.features import write_features

    shape, reasons = write_features(
        trained, options.images, options.to_file, options.layer
    )
    size = "x".join(map(str, shape[1:]))
    say(
        f"{options.to_file}: {options.layer} of {shape[0]} images, {size} "
        f"values each; {len(reasons)} could not be read."
    )
    return _skipped(reasons)


def _similar(options):
    trained = _open(options.trained, *options.queries)
    from keras_alexnet.analysis.features import Features
    from keras_alexnet.analysis.features import features
    from keras_alexnet.analysis.nearest import nearest
    from keras_alexnet.analysis.nearest import plot_nearest

    if os.path.isfile(options.among):
        among = Features.load(options.among)
        _check_among(among, options)
    else:
        among = features(trained, options.among, options.layer or "fc7")
    queries = features(trained, options.queries, among.layer)
    found = nearest(among, queries, options.top)
    answers = [
        {
            "query": str(file),
            "nearest": [
                {"file": str(among.files[place]), "distance": float(distance)}
                for place, distance in zip(places, distances, strict=True)
            ],
        }
        for file, places, distances in zip(queries.files, *found, strict=True)
    ]
    path = plot_nearest(among, queries, found, options.to_file)
    if options.format == "json":
        print(json.dumps(answers, indent=2))
    else:
        for answer in answers:
            say(answer["query"])
            for other in answer["nearest"]:
                say(f"  {other['distance']:9.2f}  {other['file']}")
        say(path)
    return _skipped(among.skipped, queries.skipped)


def _check_among(among, options):
    if among.files is None:
        raise ValueError(
            f"{options.among!r} holds features of arrays, not of image "
            "files that could be named and shown."
        )
    if options.layer not in (None, among.layer):
        raise ValueError(
            f"{options.among!r} holds {among.layer}, not {options.layer}; "
            "leave --layer out, or name the folder."
        )


def _kernels(options):
    trained = _open(options.trained)
    from keras_alexnet.analysis.kernels import color_scores
    from keras_alexnet.analysis.kernels import plot_kernels

    path = plot_kernels(trained, options.to_file)
    scores = color_scores(trained) if trained.channels == 3 else None
    if options.format == "json":
        print(json.dumps(scores.to_dict() if scores else {}, indent=2))
    else:
        say_lines(scores or "The network sees gray images: no color to score.")
        say(path)


def _activations(options):
    trained = _open(options.trained, options.image)
    from keras_alexnet.analysis.activations import plot_activations

    plot_activations(trained, options.image, options.to_file, options.layer)
    say(options.to_file)


def _gradcam(options):
    trained = _open(options.trained, options.image)
    from keras_alexnet.analysis.grad_cam import plot_grad_cam

    heat = plot_grad_cam(
        trained, options.image, options.to_file, options.class_name
    )
    say(
        f"{options.to_file}: {heat.class_name}, probability "
        f"{heat.probability:.3f}"
    )


def _heatmap(options):
    trained = _open(options.trained, options.image)
    from keras_alexnet.analysis.heat_map import plot_heat_map

    heat = plot_heat_map(
        trained,
        options.image,
        options.to_file,
        options.class_name,
        options.short_side,
    )
    rows, columns = heat.values.shape
    say(
        f"{options.to_file}: {heat.class_name} in {columns}x{rows} windows, "
        f"probability {heat.values.min():.3f} to {heat.values.max():.3f}"
    )
