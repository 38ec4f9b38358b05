"""What a run trains on and what it holds out, by the contents of the images.

`images.csv` in the run folder has a line for each image: its part, its class,
the SHA-256 of its contents, its file when the run began or went on, and what
spares reading that file again (`content.stamp_of`). Names may change; contents
and classes may not while a run goes on, and what was trained on is never
tested on.
"""

import collections
import csv
import hashlib
import os
import pathlib
import threading
from typing import NamedTuple

import numpy as np

from keras_alexnet.data.content import digest_of
from keras_alexnet.data.content import stamp_of
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.skipped_files import FORM
from keras_alexnet.data.threads import share_out
from keras_alexnet.files import replacing
from keras_alexnet.terminal import counted

NAME = "images.csv"
# Drawn to be held out, but the same as an image that is trained on: neither.
LEFT_OUT = "left out"
# What the network that the run starts from was trained on.
EARLIER = "earlier"
PARTS = ("train", "test", LEFT_OUT, EARLIER)


class Image(NamedTuple):
    """A line of the record, without its part.

    Args:
        class_name: Name of the class.
        digest: SHA-256 of the contents; "" for a file that cannot be read.
        file: Path of the file, or the image's place among the others.
        stamp: As of `content.stamp_of`; "" for what is no file.
    """

    class_name: str
    digest: str
    file: str
    stamp: str

    @property
    def key(self):
        """What stays the same under another name."""
        return self.class_name, self.digest or f"unreadable: {self.file}"


class DataRecord:
    """The images of a run.

    Args:
        parts: Dict of the names in `PARTS` to lists of `Image`.
    """

    def __init__(self, parts):
        self.parts = {part: list(parts.get(part, ())) for part in PARTS}

    @classmethod
    def read(cls, folder):
        """The record in a run folder; `None` if there is none.

        Raises:
            ValueError: if it is damaged.
        """
        path = pathlib.Path(folder) / NAME
        parts = {part: [] for part in PARTS}
        try:
            with open(path, **FORM) as file:
                rows = csv.reader(file)
                if next(rows, None) != ["part", *Image._fields]:
                    raise ValueError("its first line is another one")
                for part, *values in rows:
                    parts[part].append(Image(*values))
        except FileNotFoundError:
            return None
        except (OSError, csv.Error, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{str(path)!r} cannot be read: {error}; without it nobody "
                "knows which images the run was trained on."
            ) from error
        return cls(parts)

    def write(self, folder):
        """Write the record into a run folder."""
        with (
            replacing(pathlib.Path(folder) / NAME) as path,
            open(path, "w", **FORM) as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["part", *Image._fields])
            for part, images in self.parts.items():
                writer.writerows([part, *image] for image in images)

    @property
    def held_out(self):
        """Digests of the images to test on."""
        return _digests(self.parts["test"])

    @property
    def trained_on(self):
        """Digests of the images that the weights have seen."""
        return _digests(self.parts["train"]) | _digests(self.parts[EARLIER])

    @property
    def fingerprint(self):
        """A number of 31 bits: of the images, their classes and parts."""
        digest = hashlib.sha256()
        for part in ("train", "test"):
            for image in self.parts[part]:
                digest.update(f"{part} {image.key}\n".encode(errors="replace"))
        return int.from_bytes(digest.digest()[:4]) >> 1

    @property
    def known(self):
        """File -> stamp and digest."""
        return {
            image.file: (image.stamp, image.digest)
            for images in self.parts.values()
            for image in images
            if image.stamp
        }


def _digests(images):
    return {image.digest for image in images if image.digest}


def contents_of(examples, root="", known=None, verbose=False):
    """What the images are, whatever their names.

    Args:
        examples: `Examples`.
        root: Path of the folder that files are named in.
        known: Dict of files to pairs of a stamp and a digest; a file whose
            stamp is still the same is not read again.
        verbose: Whether to show a bar.

    Returns:
        List of `Image`.
    """
    known = known or {}
    names = [examples.class_names[label] for label in examples.labels.tolist()]
    if examples.are_prepared:
        shards = examples.images
        rows = zip(names, shards.digests, shards.paths, strict=True)
        return [Image(*row, "") for row in rows]
    prefix = os.path.join(root, "")
    found, lock = [None] * len(examples), threading.Lock()
    with counted("reading", len(examples), verbose) as advance:

        def look(place):
            image, file, stamp = examples.images[place], str(place), ""
            if examples.are_files:
                image = str(image)
                file, stamp = image.removeprefix(prefix), stamp_of(image)
            before, digest = known.get(file, (None, None))
            if not stamp or stamp != before:
                digest = digest_of(image)
            found[place] = Image(names[place], digest, file, stamp)
            with lock:
                advance()

        share_out(look, range(len(examples)))
    return found


def begin(train, test, root="", earlier=(), drawn=False, verbose=False):
    """Record the images of a run that begins.

    Args:
        train: `Examples` to train on.
        test: `Examples` to test on. Those are left out that the network was
            trained on before.
        root: As of `contents_of`.
        earlier: List of `Image`, what the network was trained on before.
        drawn: Whether the test examples were drawn here, not given: then
            those that are trained on now, as copies, are left out too.
        verbose: Whether to show a bar.

    Returns:
        The `DataRecord`, and the `Examples` that are left to test on.

    Raises:
        ValueError: if none are left.
    """
    images = contents_of(train, root, verbose=verbose)
    held_out = contents_of(test, root, verbose=verbose)
    now, before = _digests(images), _digests(earlier)
    refused = before | now if drawn else before
    good = np.array([i.digest not in refused for i in held_out], bool)
    if len(test) and not good.any():
        raise ValueError(
            f"All {len(test)} images to test on are among those that were "
            "trained on; choose others."
        )
    record = DataRecord(
        {
            "train": images,
            "test": _some(held_out, good),
            LEFT_OUT: _some(held_out, ~good),
            EARLIER: [i for i in earlier if i.digest not in now],
        }
    )
    return record, test if good.all() else take(test, np.flatnonzero(good))


def _some(images, chosen):
    return [
        image for image, is_one in zip(images, chosen, strict=True) if is_one
    ]


def go_on(record, train, test, root="", verbose=False):
    """The images that a run has recorded, under the names of now.

    Args:
        record: The `DataRecord`.
        train: `Examples`, all images if `test` is `None`.
        test: `Examples` or `None`, as of `datasets.load_parts`.
        root: As of `contents_of`.
        verbose: Whether to show a bar.

    Returns:
        A `DataRecord` with the names of now, the `Examples` to train on and
        those to test on, in the recorded order.

    Raises:
        ChangedData: if images were added, removed, replaced or given another
            class.
    """
    known = record.known
    found = [contents_of(train, root, known, verbose)]
    if test is not None:
        found.append(contents_of(test, root, known, verbose))
    recorded = {
        part: record.parts[part] for part in ("train", "test", LEFT_OUT)
    }
    groups = [tuple(recorded)]
    if test is not None:
        groups = [("train",), ("test", LEFT_OUT)]
    places, added, missing = {}, [], []
    for images, group in zip(found, groups, strict=True):
        rest = _places_by_key(images)
        for part in group:
            places[part] = [
                _next_place(rest, image, missing) for image in recorded[part]
            ]
        added += [images[place] for all_of in rest.values() for place in all_of]
    if added or missing:
        raise ChangedData(added, missing)
    sources = train, train if test is None else test
    images = found[0], found[-1]
    which = {"train": 0, "test": 1, LEFT_OUT: 1}
    parts = {
        part: [images[which[part]][place] for place in places[part]]
        for part in recorded
    }
    again = DataRecord({**parts, EARLIER: record.parts[EARLIER]})
    return again, *(
        take(sources[which[part]], places[part]) for part in ("train", "test")
    )


def _places_by_key(images):
    places = collections.defaultdict(collections.deque)
    for place, image in enumerate(images):
        places[image.key].append(place)
    return places


def _next_place(places, image, missing):
    """Where an image is now; equal images in turn."""
    if places[image.key]:
        return places[image.key].popleft()
    missing.append(image)
    return None


class ChangedData(ValueError):
    """The images are not those that a run began with.

    Args:
        added: List of `Image`, that there were not.
        missing: List of `Image`, that are no longer there.
    """

    def __init__(self, added, missing):
        super().__init__(_sentence(added, missing))


def _sentence(added, missing):
    """What has changed: files replaced in place, other classes, the rest."""
    files = {image.file for image in added}
    digests = {image.digest: image for image in added if image.digest}
    kinds = collections.defaultdict(list)
    for image in missing:
        if image.digest in digests:
            same = digests[image.digest].class_name == image.class_name
            kind = "are in another part" if same else "have another class"
            kinds[kind].append(image.file)
            files.discard(digests[image.digest].file)
        elif image.file in files:
            kinds["have other contents"].append(image.file)
            files.discard(image.file)
        else:
            kinds["are no longer there"].append(image.file)
    if files:
        kinds["are new"] = sorted(files)
    counts = [f"{len(names)} {kind}" for kind, names in kinds.items()]
    first = next(iter(kinds.values()))[0]
    return (
        f"The images have changed since this run began: {', '.join(counts)} "
        f"(such as {first}). Put them back as they were; or, to "
        "train on those of now on purpose, start from this run's network in "
        "another folder: `--weights THIS_RUN --run-dir ANOTHER`."
    )


def take(examples, places):
    """Some of the examples, by their places."""
    places = np.asarray(places, int)
    if np.array_equal(places, np.arange(len(examples))):
        return examples
    return Examples(
        examples.images[places], examples.labels[places], examples.class_names
    )
