"""The commands about training: `train`, `recipes`, `fine-tune`, `plan`."""

import argparse
import pathlib
from dataclasses import MISSING
from dataclasses import fields

from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.cli.arguments import SOURCES
from keras_alexnet.cli.arguments import add_bad_ratio
from keras_alexnet.cli.arguments import add_command
from keras_alexnet.cli.arguments import add_format
from keras_alexnet.cli.arguments import load_keras
from keras_alexnet.cli.arguments import minutes
from keras_alexnet.cli.arguments import names
from keras_alexnet.cli.arguments import positive
from keras_alexnet.cli.arguments import print_table
from keras_alexnet.files import holds_only
from keras_alexnet.runs.recipe import CHOICES
from keras_alexnet.runs.recipe import OPTIONS
from keras_alexnet.runs.recipes import RECIPES
from keras_alexnet.runs.recipes import RecipesTable
from keras_alexnet.runs.recipes import from_json
from keras_alexnet.runs.recipes import get_recipe
from keras_alexnet.runs.recipes import same_training
from keras_alexnet.runs.recipes import with_full_paths
from keras_alexnet.terminal import say
from keras_alexnet.training.planning import Plan

# Options that change the recipe, with what `--help` says; named as its fields.
CHANGES = (
    ("data", str, "DIR", "folder of class folders, or of train/..."),
    ("variant", str, "VARIANT", "the network"),
    ("weights", str, "SRC", "start from a run folder or a file of weights"),
    ("frozen", names, "LAYERS", "that do not learn, such as conv1,conv2"),
    ("dropout", float, "RATE", "of all dropout layers"),
    ("epochs", int, "N", None),
    ("batch-size", int, "N", "over all devices"),
    ("accumulation-steps", int, "N", "parts of a batch, to save memory"),
    ("learning-rate", float, "RATE", None),
    ("resize-pixels", int, "N", None),
    ("crop-pixels", int, "N", None),
    ("color-noise", float, "X", "along the principal components; 0.1 in 2012"),
    ("global-clipnorm", float, "X", "gradients are scaled down to this norm"),
    ("precision", str, None, "what layers compute in; weights stay float32"),
    ("seed", int, "N", None),
)

HELP = {
    "gpus": "of all machines together",
    "images_per_second_per_gpu": "what one GPU trains alone, as measured",
    "machines": "among which the GPUs are divided evenly",
    "batch_per_gpu": "images that a GPU takes in a step",
    "cores": "CPU cores of each machine",
    "disk_gigabytes": "a second, that each machine reads",
    "link_gigabytes": "a second, from GPU to GPU in a machine",
    "network_gigabits": "a second, from machine to machine",
}


def add_parsers(commands):
    """Add `train`, `recipes`, `fine-tune` and `plan`."""
    text = "train a network; without options: the bundled Fashion-MNIST images"
    _add_train(add_command(commands, "train", _train, text))
    text = "list the recipes: whose they are, what they take and what they gave"
    add_format(add_command(commands, "recipes", _recipes, text))
    text = "train a trained network on other images: the last layer, then all"
    _add_fine_tune(add_command(commands, "fine-tune", _fine_tune, text))
    text = "compute what GPUs and machines of a given speed need"
    _add_plan(add_command(commands, "plan", _plan, text))


def _add_train(parser):
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        metavar="RECIPE",
        help="see `keras-alexnet recipes`; default: fashion, or folder with "
        "--data",
    )
    choices = {"variant": VARIANTS, "precision": CHOICES["precision"]}
    for name, kind, metavar, text in CHANGES:
        parser.add_argument(
            f"--{name}",
            type=positive if kind is int and name != "seed" else kind,
            choices=choices.get(name),
            metavar=metavar,
            help=text,
        )
    parser.add_argument(
        "--scaled-decoding",
        action="store_true",
        default=None,
        help="decode large JPEG files at a smaller size: faster, other pixels",
    )
    add_bad_ratio(parser)
    parser.add_argument(
        "--run-dir",
        metavar="DIR",
        help="default: runs/RECIPE, or the next that is free or unfinished",
    )
    parser.add_argument(
        "--distribute",
        choices=("auto", "none", "mirrored", "multiworker"),
        default="auto",
        help="one device, this machine's, or several machines (TF_CONFIG)",
    )
    parser.add_argument(
        "--devices",
        type=positive,
        metavar="N",
        help="GPUs, or virtual CPU devices where there are none",
    )
    parser.add_argument(
        "--checkpoint-minutes",
        type=minutes,
        default=5.0,
        metavar="X",
        help="how often all is saved; 0 for every step; default: 5",
    )
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="operations repeat bit for bit",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write what TensorBoard shows",
    )


def _train(options):
    name = options.recipe or ("fashion" if options.data is None else "folder")
    changes = {name: getattr(options, name) for name in OPTIONS}
    changes = {n: value for n, value in changes.items() if value is not None}
    recipe = with_full_paths(get_recipe(name, **changes))
    if not recipe.data:
        raise ValueError(f"The recipe {name} needs --data DIR.")
    if options.run_dir == "":  # a shell's variable that is not set
        raise ValueError("--run-dir is empty; name a folder, or leave it out.")
    from keras_alexnet.data.datasets import check_folder
    from keras_alexnet.runs.run_folder import onednn_of

    check_folder(recipe.data)
    folder = options.run_dir or folder_for(recipe)
    load_keras(onednn_of(folder))
    from keras_alexnet.training.start import train

    run = train(
        recipe,
        folder,
        options.devices,
        verbose=1,
        distribute=options.distribute,
        checkpoint_minutes=options.checkpoint_minutes,
        deterministic=options.deterministic,
        tensorboard=options.tensorboard,
    )
    results = run.results
    if not results:
        return  # not the chief
    say(
        f"Test accuracy {results['accuracy']:.4f} on {results['examples']} "
        f"images (top-1 error {results['top1_error_percent']:.2f} %). "
        f"Everything is in {run.folder}"
    )
    if results["skipped_files"]:
        listed = run.path("skipped.csv")
        say(f"{results['skipped_files']} files were skipped, see {listed}")


def folder_for(recipe):
    """The first folder that is free, or holds this training unfinished."""
    first = pathlib.Path("runs") / recipe.name
    numbered = (first.with_name(f"{recipe.name}-{i}") for i in range(2, 1000))
    return next(f for f in (first, *numbered) if _fits(f, recipe))


def _fits(folder, recipe):
    from keras_alexnet.runs.run_folder import is_finished

    if holds_only(folder):
        return True
    try:
        text = (folder / "recipe.json").read_text(encoding="utf-8")
        return not is_finished(folder) and same_training(
            from_json(text), recipe
        )
    except (OSError, ValueError, TypeError):
        return False


def _recipes(options):
    print_table(RecipesTable(), options.format)


def _add_fine_tune(parser):
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


def _fine_tune(options):
    from keras_alexnet.data.datasets import check_folder
    from keras_alexnet.runs.run_folder import check_trained
    from keras_alexnet.runs.run_folder import onednn_of

    check_trained(options.source)
    check_folder(options.data)
    folder = pathlib.Path(options.run_dir)
    load_keras(onednn_of(folder / "all", folder / "head"))
    from keras_alexnet.training.fine_tuning import fine_tune

    changes = {
        name: getattr(options, name)
        for name in ("batch_size", "learning_rate", "frozen")
        if getattr(options, name) is not None
    }
    run = fine_tune(
        options.source,
        options.data,
        folder,
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


def _add_plan(parser):
    for field in fields(Plan):
        whole, required = field.type is int, field.default is MISSING
        text = HELP[field.name]
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            required=required,
            default=None if required else field.default,
            type=positive if whole else _speed,
            metavar="N" if whole else "RATE",
            help=text if required else f"{text}; default: {field.default:g}",
        )
    add_format(parser)


def _plan(options):
    given = {name: getattr(options, name) for name in HELP}
    print_table(Plan(**given), options.format)


def _speed(text):
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:20]!r} is not a number"
        ) from None
