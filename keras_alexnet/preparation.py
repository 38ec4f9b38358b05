"""`prepare_data`: photos resized once, to be read many times."""

import contextlib
import dataclasses
import hashlib
import json
import multiprocessing.pool
import os
import pathlib

import numpy as np
import rich.console
import rich.progress

from keras_alexnet import geometry
from keras_alexnet.files import replacing
from keras_alexnet.images import Examples
from keras_alexnet.listing import content_of
from keras_alexnet.listing import parts
from keras_alexnet.listing import splits_of
from keras_alexnet.reading import BadImageError
from keras_alexnet.reading import read_picture
from keras_alexnet.shards import FORMAT
from keras_alexnet.shards import MEAN_IMAGE
from keras_alexnet.shards import Shards
from keras_alexnet.shards import is_whole
from keras_alexnet.shards import read_index
from keras_alexnet.shards import write_shard
from keras_alexnet.skipping import SkippedFiles
from keras_alexnet.sources import fit_colors

SHARD_IMAGES = 512  # a hundred megabytes of 256x256


def prepare_data(
    source,
    out,
    *,
    class_names=None,
    resize_pixels=256,
    square=True,
    validation_fraction=0.2,
    seed=0,
    max_bad_ratio=0.01,
    verbose=True,
):
    """Resize a set of photos into shards that are read several times faster.

    A shard is there as a whole or not at all: after a kill the same call
    checks what is there, writes what is missing, and the result is the same,
    byte for byte.

    Args:
        source: A folder, as in `load_examples`; or `Examples`; or a dict of
            `"train"` and `"test"` to `Examples`; or anything that yields
            pairs of an image (`uint8`, RGB or gray) and a label, as a
            `tf.data.Dataset` does, of TFDS for example, which all become
            training examples.
        out: Path of the folder to write.
        class_names: Names of the classes, where `source` does not tell.
        resize_pixels: The short side is resized to this.
        square: Whether to keep only the central square (Section 2).
        validation_fraction: As in `load_examples`.
        seed: As in `load_examples`.
        max_bad_ratio: The largest part of the images that may be unreadable.
        verbose: Whether to show a progress bar.

    Returns:
        The dict that was written to `dataset.json`.

    Raises:
        ValueError: if the source is unusable, too many images are, or `out`
            holds the shards of another set.

    Example:

    >>> import tensorflow_datasets as tfds  # doctest: +SKIP
    >>> photos = tfds.load("imagenette", split="train", as_supervised=True)
    >>> facts = prepare_data(photos, "imagenette", class_names="0123456789")
    """
    splits, class_names = splits_of(
        source, class_names, validation_fraction, seed
    )
    out = pathlib.Path(out)
    options = {
        "format": FORMAT,
        "class_names": list(class_names),
        "resize_pixels": resize_pixels,
        "square": square,
    }
    _claim(out, options, splits)
    total = sum(map(_count, splits.values()))
    skipped = SkippedFiles(total, max_bad_ratio)
    with _progress(verbose, total or None) as advance:
        shards = {
            split: _write_split(out, split, images, options, skipped, advance)
            for split, images in splits.items()
        }
    skipped.check()
    facts = {
        **options,
        "shards": shards,
        **_statistics(out, shards["train"], options),
    }
    facts["images"] = {
        split: sum(len(read_index(out, name)["labels"]) for name in names)
        for split, names in shards.items()
    }
    facts["skipped"] = dict(sorted(skipped.reasons.items()))
    with replacing(out / "dataset.json") as path:
        text = json.dumps(facts, indent=2) + "\n"
        pathlib.Path(path).write_text(text)
    return facts


def _count(images):
    """How many, or 0 where that is not known before."""
    try:
        return len(images)
    except TypeError:
        return 0


def _claim(out, options, splits):
    """Make the folder ours, or see that it is: same images, same options."""
    digest = hashlib.sha256(json.dumps(options).encode())
    for split, images in splits.items():
        digest.update(split.encode())
        if not isinstance(images, list):
            continue  # what yields images cannot be asked before
        for image in images:
            line = f"{image.name}\n{image.label}\n{content_of(image)}\n"
            # Names of files need not be UTF-8.
            digest.update(line.encode(errors="surrogateescape"))
    claim = out / "prepared_from.json"
    text = json.dumps({"sha256": digest.hexdigest()}) + "\n"
    if out.exists() and not out.is_dir():
        raise ValueError(f"{str(out)!r} is not a folder.")
    if claim.exists():
        if claim.read_bytes() != text.encode():
            raise ValueError(
                f"{str(out)!r} holds the shards of other images or options; "
                "choose another folder or delete it."
            )
    elif out.exists() and any(path.name[0] != "." for path in out.iterdir()):
        raise ValueError(
            f"{str(out)!r} is not empty, and holds no shards; choose another "
            "folder."
        )
    for ending in ("npy", "json"):  # what a kill left, see files.replacing
        for leftover in out.glob(f".*.{ending}"):
            leftover.unlink()
    with replacing(claim) as path:
        pathlib.Path(path).write_text(text)


def _write_split(out, split, images, options, skipped, advance):
    """The shards of a split; those that are whole already are left alone."""
    names = []
    classes = len(options["class_names"])
    with multiprocessing.pool.ThreadPool(os.cpu_count()) as pool:
        for number, part in enumerate(parts(images, classes, SHARD_IMAGES)):
            name = f"{split}-{number:05}"
            if not (is_whole(out, name) and _is_of(out, name, part)):
                prepare = _preparer(options)
                results = []
                for result in pool.imap(prepare, part, chunksize=4):
                    results.append(result)
                    advance()
                _write(out, name, part, results)
            else:
                advance(len(part))
            for file, reason in read_index(out, name)["skipped"].items():
                skipped.add(file, reason)
            skipped.check()
            names.append(name)
    return names


def _is_of(out, name, part):
    """Whether a shard is that of these images.

    An index has no checksum, and what yields images may yield others.
    """
    index = read_index(out, name)
    skipped = index.get("skipped")
    good = [image for image in part if image.name not in (skipped or ())]
    return (
        isinstance(skipped, dict)
        and len(good) + len(skipped) == len(part)
        and index["paths"] == [image.name for image in good]
        and index["labels"] == [image.label for image in good]
    )


def _preparer(options):
    def prepare(image):
        try:
            return _resized(
                image.source,
                **{key: options[key] for key in ("resize_pixels", "square")},
            )
        except BadImageError as error:
            return str(error)

    return prepare


def _resized(source, resize_pixels, square):
    if isinstance(source, str):
        picture = read_picture(source)
    else:
        picture = source if source.ndim == 3 else source[..., np.newaxis]
        if picture.shape[-1] == 1:
            picture = np.repeat(picture, 3, axis=-1)
    pixels = geometry.resize_short_side(picture, resize_pixels)
    return geometry.center_crop(pixels, resize_pixels) if square else pixels


def _write(out, name, part, results):
    good = [
        (image, result)
        for image, result in zip(part, results, strict=True)
        if not isinstance(result, str)
    ]
    skipped = {
        image.name: result
        for image, result in zip(part, results, strict=True)
        if isinstance(result, str)
    }
    index = {
        "paths": [image.name for image, _ in good],
        "labels": [image.label for image, _ in good],
        "skipped": skipped,
    }
    write_shard(out, name, [pixels for _, pixels in good], index)


def _statistics(out, names, options):
    """Color and mean image of the training images, one pass over them."""
    size, square = options["resize_pixels"], options["square"]
    shards = Shards(out, names, size, square)
    if not len(shards):
        raise ValueError("There are no images to train on.")
    examples = Examples(shards, shards.labels, options["class_names"])
    colors, mean_image = fit_colors(examples, size)
    with replacing(out / MEAN_IMAGE) as path, open(path, "wb") as file:
        np.save(file, mean_image)
    return {"color": dataclasses.asdict(colors)}


@contextlib.contextmanager
def _progress(verbose, total):
    """A function that advances the bar."""
    console = rich.console.Console(stderr=True)
    columns = (
        "[progress.description]{task.description}",
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(
        *columns, console=console, disable=not verbose
    ) as bar:
        task = bar.add_task("images", total=total)
        yield lambda count=1: bar.advance(task, count)
