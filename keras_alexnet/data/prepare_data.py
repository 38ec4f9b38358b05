"""`prepare_data`: photos resized once, to be read many times."""

import collections
import contextlib
import dataclasses
import hashlib
import json
import multiprocessing.pool
import os
import pathlib
import re
from collections.abc import Iterable

import numpy as np

from keras_alexnet.data import transforms
from keras_alexnet.data.content import digest_of
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.datasets import load_examples
from keras_alexnet.data.decode import BadImageError
from keras_alexnet.data.decode import read_bytes
from keras_alexnet.data.decode import read_picture
from keras_alexnet.data.folders import class_folders
from keras_alexnet.data.image_source import fit_colors
from keras_alexnet.data.layout import TEST_NAMES
from keras_alexnet.data.layout import TRAIN_NAMES
from keras_alexnet.data.layout import find_layout
from keras_alexnet.data.shards import FORMAT
from keras_alexnet.data.shards import MEAN_IMAGE
from keras_alexnet.data.shards import Shards
from keras_alexnet.data.shards import is_prepared
from keras_alexnet.data.shards import is_whole
from keras_alexnet.data.shards import read_dataset
from keras_alexnet.data.shards import read_index
from keras_alexnet.data.shards import read_json
from keras_alexnet.data.shards import refuse_newer
from keras_alexnet.data.shards import write_shard
from keras_alexnet.data.skipped_files import SkippedFiles
from keras_alexnet.files import AnyPath
from keras_alexnet.files import NewerVersion
from keras_alexnet.files import holds_only
from keras_alexnet.files import locked
from keras_alexnet.files import remove_leftovers
from keras_alexnet.files import replacing
from keras_alexnet.terminal import counted

SHARD_IMAGES = 512  # a hundred megabytes of 256x256
CLAIM = "prepared_from.json"


# As `files.replacing` of c5d05b9 named what it had not finished.
_OLD_LEFTOVER = re.compile(
    r"\.[a-z0-9_]{8}\.((train|test)-[0-9]{5,}\.(npy|json)|mean_image\.npy"
    r"|dataset\.json|prepared_from\.json)"
)

# A path or pixels; an index of a class; a name for the shard's index.
Image = collections.namedtuple("Image", "source label name")


def prepare_data(
    source,
    out: AnyPath,
    *,
    class_names: Iterable[str] | None = None,
    resize_pixels: int = 256,
    square: bool = True,
    validation_fraction: float = 0.2,
    seed: int = 0,
    max_bad_ratio: float = 0.01,
    verbose: bool = True,
) -> dict:
    """Resize a set of photos into shards that are read several times faster.

    A shard is there as a whole or not at all: after a kill the same call
    checks what is there, writes what is missing, and the result is the same,
    byte for byte. Each shard records digests of what its images were made
    from. A finished set keeps its images: if the source gives others now,
    the call is refused, also with a generator; one that yields the same and
    then more continues the set. An unfinished set is completed from what the
    source gives now: shards of other images are written anew. The folder
    must be missing, empty or such a set.

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
        ValueError: if the source is unusable, too many images are, `out`
            holds the shards of another set or anything else, or another
            process is writing into it.

    Example:

    >>> import tensorflow_datasets as tfds  # doctest: +SKIP
    >>> photos = tfds.load("imagenette", split="train", as_supervised=True)
    >>> dataset = prepare_data(photos, "imagenette", class_names="0123456789")
    """
    splits, class_names = splits_of(
        source, class_names, validation_fraction, seed
    )
    out = pathlib.Path(out)
    if isinstance(source, str | os.PathLike) and source != "fashion":
        _refuse_inside(pathlib.Path(source), out)
    options = {
        "format": FORMAT,
        "class_names": list(class_names),
        "resize_pixels": resize_pixels,
        "square": square,
    }
    _judge(out, options, splits)  # before a lock makes the folder
    skipped = SkippedFiles(sum(map(_count, splits.values())), max_bad_ratio)
    with locked(out, "preparation"):
        _claim(out, options, splits)
        shards = _write_splits(out, splits, options, skipped, verbose)
        return _finish(out, options, shards, skipped)


def _finish(out, options, shards, skipped):
    """Write what belongs to all of the set, `dataset.json` last."""
    dataset = {
        **options,
        "shards": shards,
        **_statistics(out, shards["train"], options),
    }
    dataset["images"] = {
        split: sum(len(read_index(out, name)["labels"]) for name in names)
        for split, names in shards.items()
    }
    dataset["skipped"] = dict(sorted(skipped.reasons.items()))
    with replacing(out / "dataset.json") as path:
        text = json.dumps(dataset, indent=2) + "\n"
        pathlib.Path(path).write_text(text, encoding="utf-8")
    return dataset


def _count(images):
    """How many, or 0 where that is not known before."""
    try:
        return len(images)
    except TypeError:
        return 0


def _refuse_inside(source, out):
    """Refuse to write where the next call would look for images."""
    read = [source]
    if find_layout(source).train != source:
        parts = (*TRAIN_NAMES, *TEST_NAMES)
        inside = {path.name for path in class_folders(source)}
        read = [source / n for n in {*inside, *parts} if n.lower() in parts]
    for folder in read:
        if out.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"{str(out)!r} lies in {str(folder)!r}, the folder of the "
                "images; choose another one to write to."
            )


def _judge(out, options, splits):
    """See that a folder is free, or ours and of the same set.

    Returns:
        The claim that is there, or `None`.

    Raises:
        ValueError: if it is neither.
    """
    try:
        if not out.is_dir():
            if os.path.lexists(out):
                raise ValueError(f"{str(out)!r} is not a folder.")
            return None
        if holds_only(out):
            return None
    except OSError as error:
        raise ValueError(
            f"{str(out)!r} cannot be read: {error.strerror}."
        ) from error
    for name in (CLAIM, "dataset.json"):
        with contextlib.suppress(OSError):
            refuse_newer(out / name, _json_or_none(out / name))
    claim = _json_or_none(out / CLAIM)
    if not _is_claim(claim):
        if _finished(out) is None:
            raise ValueError(
                f"{str(out)!r} is not empty, and holds no shards; choose "
                "another folder."
            )
        claim = None
    if claim is None or claim != _claim_like(claim, options, splits):
        _refuse_others(out)
    return claim


def _json_or_none(path):
    if path.is_symlink():
        return None  # nothing that we write
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _is_claim(claim):
    return (
        isinstance(claim, dict)
        and claim.keys() in ({"sha256"}, {"format", "source", "sha256"})
        and all(isinstance(value, str) for value in claim.values())
        and bool(re.fullmatch("[0-9a-f]{64}", claim["sha256"]))
    )


def _refuse_others(out):
    raise ValueError(
        f"{str(out)!r} holds the shards of other images or options; choose "
        "another folder or delete it."
    )


def _finished(out):
    """The names of the shards of a finished set, by split, else `None`."""
    try:
        return read_dataset(out)["shards"]
    except NewerVersion:
        raise
    except ValueError:
        return None


def _claim_like(claim, options, splits):
    """What tells a set, as far as it is known before images are read.

    What the images hold stands in the shards, so that they are read once.

    Args:
        claim: One to be compared with, of this version or of c5d05b9; `None`
            for a new one.
        options: The options of the set.
        splits: Split name -> images.
    """
    old = claim is not None and "format" not in claim
    digest = hashlib.sha256(json.dumps(options).encode())
    for split, images in splits.items():
        digest.update(split.encode())
        if not isinstance(images, list):
            continue  # what yields images cannot be asked before
        for image in images:
            line = json.dumps([image.name, image.label])
            if old:
                line = f"{image.name}\n{image.label}\n{content_of(image)}\n"
            # Names of files need not be UTF-8.
            digest.update(line.encode(errors="surrogateescape"))
    if old:
        return {"sha256": digest.hexdigest()}
    listed = all(isinstance(images, list) for images in splits.values())
    return {
        "format": FORMAT,
        "source": "listed" if listed else "compared as it is read",
        "sha256": digest.hexdigest(),
    }


def _claim(out, options, splits):
    """Make the folder ours; another process may have been here meanwhile."""
    claim = _judge(out, options, splits)
    remove_leftovers(out)
    if claim is not None and "format" not in claim:
        for path in list(out.iterdir()):
            if _OLD_LEFTOVER.fullmatch(path.name) and path.is_file():
                path.unlink()
    text = json.dumps(_claim_like(None, options, splits)) + "\n"
    with replacing(out / CLAIM) as path:
        pathlib.Path(path).write_text(text, encoding="utf-8")


def _write_splits(out, splits, options, skipped, verbose):
    """All shards -> their names by split; those of other images go."""
    with (
        counted("images", skipped.total or None, verbose) as advance,
        multiprocessing.pool.ThreadPool(os.cpu_count()) as pool,
    ):
        shards = {
            split: _write_split(
                pool, out, split, images, options, skipped, advance
            )
            for split, images in splits.items()
        }
    skipped.check()
    if _finished(out) not in (None, shards):
        _refuse_others(out)  # there were more
    for path in list(out.glob("*.json")):
        name = path.stem
        if re.fullmatch("(train|test)-[0-9]{5,}", name) and not any(
            name in names for names in shards.values()
        ):
            _remove_shard(out, name)
    return shards


def _remove_shard(out, name):
    """Remove a shard whose index shows that it is one, the index last."""
    index = _index_or_none(out, name)
    if index and "sha256" in index:
        for ending in ("npy", "json"):
            with contextlib.suppress(FileNotFoundError):
                (out / f"{name}.{ending}").unlink()


def _write_split(pool, out, split, images, options, skipped, advance):
    """The shards of a split; those of the same images are left alone."""
    names = []
    classes = len(options["class_names"])
    for number, part in enumerate(parts(images, classes, SHARD_IMAGES)):
        name = f"{split}-{number:05}"
        if _is_kept(pool, out, name, part):
            advance(len(part))
        else:
            pixels, index = _prepare_shard(pool, part, options, advance)
            _make_way(out, name, pixels, index)
            write_shard(out, name, pixels, index)
        for file, reason in read_index(out, name)["skipped"].items():
            skipped.add(file, reason)
        skipped.check()
        names.append(name)
    return names


def _is_kept(pool, out, name, part):
    """Whether a shard is whole, and of what the source gives now."""
    index = _index_or_none(out, name)
    if not index or "digests" not in index or not is_whole(out, name):
        return False
    digests = pool.map(lambda image: digest_of(image.source), part)
    skipped = index["skipped_digests"]
    rows = [
        (image.name, image.label, digest)
        for image, digest in zip(part, digests, strict=True)
    ]
    good = [row for row in rows if row[0] not in skipped]
    bad = {name: digest for name, _, digest in rows if name in skipped}
    columns = (index[key] for key in ("paths", "labels", "digests"))
    return (
        good == list(zip(*columns, strict=True))
        and bad == skipped
        and len(good) + len(bad) == len(part)
    )


def _index_or_none(out, name):
    try:
        return read_index(out, name)
    except ValueError:
        return None


def _make_way(out, name, images, index):
    """Keep the images of a finished set, or refuse those of another one.

    A shard of the same images may be written again, and more may follow. If
    its own index cannot tell them any more, the set is unfinished from now
    on: then every shard is compared, and what was stale is gone in the end.

    Raises:
        ValueError: if the set is finished and was made from other images.
    """
    shards = _finished(out)
    if shards is None:
        return
    listed = any(name in names for names in shards.values())
    there = _index_or_none(out, name)
    is_listed = listed and there is not None and "skipped" in there
    if is_listed and "digests" not in there:  # c5d05b9: the pixels tell
        is_listed = is_whole(out, name)
    if is_listed and not _begins_as(out, name, there, images, index):
        _refuse_others(out)
    if not is_listed or len(there["paths"]) < len(images):
        (out / "dataset.json").unlink()


def _begins_as(out, name, there, images, index):
    """Whether a shard's images are those of the shard that is there.

    More may follow: what yields images may have grown.
    """
    count = len(there["paths"])
    keys = ["paths", "labels"]
    if "digests" in there:
        keys.append("digests")
        skipped = there["skipped_digests"].items()
        same = skipped <= index["skipped_digests"].items()
    else:
        old = Shards(out, [name], None, None)
        same = there["skipped"].keys() <= index["skipped"].keys() and all(
            map(np.array_equal, old, images)
        )
    return same and all(there[key] == index[key][:count] for key in keys)


def _prepare_shard(pool, part, options, advance):
    """Images and index of a shard."""
    sizes = {key: options[key] for key in ("resize_pixels", "square")}
    results = []
    for result in pool.imap(
        lambda image: _prepared(image.source, **sizes), part, chunksize=4
    ):
        results.append(result)
        advance()
    index = {"paths": [], "labels": [], "digests": []}
    index |= {"skipped": {}, "skipped_digests": {}}
    images = []
    for image, (digest, result) in zip(part, results, strict=True):
        if isinstance(result, str):
            index["skipped"][image.name] = result
            index["skipped_digests"][image.name] = digest
        else:
            index["paths"].append(image.name)
            index["labels"].append(image.label)
            index["digests"].append(digest)
            images.append(result)
    return images, index


def _prepared(source, resize_pixels, square):
    """The digest of an image, and its pixels or why there are none."""
    digest = None
    try:
        if isinstance(source, str):
            data = read_bytes(source)  # once for both
            digest = hashlib.sha256(data).hexdigest()
            source = read_picture(data)
        else:
            digest = digest_of(source)
        return digest, _resized(source, resize_pixels, square)
    except BadImageError as error:
        return digest or digest_of(source), str(error)


def _resized(picture, resize_pixels, square):
    if isinstance(picture, np.ndarray):
        if picture.ndim == 2:
            picture = picture[..., np.newaxis]
        if picture.shape[-1] == 1:
            picture = np.repeat(picture, 3, axis=-1)
    pixels = transforms.resize_short_side(picture, resize_pixels)
    return transforms.center_crop(pixels, resize_pixels) if square else pixels


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


def splits_of(source, class_names, validation_fraction, seed):
    """Split name -> the images, as a list or as what yields them."""
    if isinstance(source, str | os.PathLike):
        if is_prepared(source):
            raise ValueError(f"{str(source)!r} is prepared already.")
        train, test = load_examples(source, validation_fraction, seed)
        root = None if source == "fashion" else pathlib.Path(source)
        splits = {"train": _listed(train, root), "test": _listed(test, root)}
        return splits, train.class_names
    if isinstance(source, Examples):
        source = {
            "train": source,
            "test": Examples(
                source.images[:0], source.labels[:0], source.class_names
            ),
        }
    if isinstance(source, dict):
        names = {examples.class_names for examples in source.values()}
        if source.keys() != {"train", "test"} or len(names) != 1:
            raise ValueError(
                "A dict of examples must have the keys 'train' and 'test', "
                "and the same class names under both."
            )
        return {s: _listed(e, None) for s, e in source.items()}, names.pop()
    if not class_names:
        raise ValueError("`class_names` must be given with this source.")
    if isinstance(source, list):
        source = [
            _yielded(pair, number, len(class_names))
            for number, pair in enumerate(source)
        ]
    return {"train": source, "test": []}, tuple(class_names)


def _listed(examples, root):
    """The images of `Examples`, named by their path in the source."""
    images = []
    for index, label in enumerate(examples.labels.tolist()):
        image = examples.images[index]
        name = str(index)
        if examples.are_files:
            image = str(image)
            name = os.path.relpath(image, root) if root else image
        images.append(Image(image, label, name))
    return images


def parts(images, classes, size):
    """Lists of `size` images each."""
    part = []
    for number, image in enumerate(images):
        if not isinstance(image, Image):
            image = _yielded(image, number, classes)
        part.append(image)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _yielded(pair, number, classes):
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(
            "The source must yield pairs of an image and a label. "
            f"Received as number {number}: {type(pair).__name__}"
        )
    pixels, label = map(np.asarray, pair)
    shape = pixels.shape
    if pixels.dtype != "uint8" or not (
        len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3))
    ):
        raise ValueError(
            "Images must be uint8 arrays (height, width) or (height, width, "
            f"3) of 0..255. Received as number {number}: {pixels.dtype} {shape}"
        )
    if label.ndim or label.dtype.kind not in "iu" or not 0 <= label < classes:
        raise ValueError(
            f"Labels must be integers from 0 to {classes - 1}, the places of "
            f"the class names. Received as number {number}: {label}"
        )
    return Image(pixels, int(label), str(number))


def content_of(image):
    """What identified an image in commit c5d05b9: a file's size, the pixels."""
    source = image.source
    if isinstance(source, str):
        return os.path.getsize(source) if os.path.isfile(source) else 0
    return hashlib.sha256(np.ascontiguousarray(source)).hexdigest()
