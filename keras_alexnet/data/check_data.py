"""`check_data`: would a training on this folder go well?"""

import collections
import hashlib
import json
import multiprocessing.pool
import os
import pathlib
import warnings
from dataclasses import dataclass
from dataclasses import field

from keras_alexnet.data import decode
from keras_alexnet.data import shards
from keras_alexnet.data.datasets import load_examples
from keras_alexnet.data.decode import BadImageError
from keras_alexnet.data.folders import class_folders
from keras_alexnet.data.folders import files_below
from keras_alexnet.data.folders import is_image
from keras_alexnet.data.layout import find_layout
from keras_alexnet.files import AnyPath
from keras_alexnet.terminal import printable

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
}
# A training would stop at these, or skip the file; the others it reads.
BAD = ("refused", "unreadable", "empty class", "damaged shard")
NOTES = (
    "damaged",
    "disguised",
    "rotated",
    "animated",
    "duplicate",
    "left alone",
    "ignored",
)


@dataclass
class Inspection:
    """What was found in a folder of images.

    Args:
        root: Path of the folder.
        images: Number of image files that a training would read.
        findings: List of `(kind, file, reason)`, kinds as in `BAD` and
            `NOTES`.
        classes: Dict of class folder to number of images.
        modes: Dict of format and mode to number of images.
        sizes: List of (smallest, median, largest) short sides.
        roles: What the folders are taken for that are parts, a sentence.
    """

    root: str
    images: int = 0
    findings: list = field(default_factory=list)
    classes: dict = field(default_factory=dict)
    modes: dict = field(default_factory=dict)
    sizes: tuple = ()
    roles: str = ""

    @property
    def bad(self) -> list:
        """The findings that a training would skip or stop at."""
        return [found for found in self.findings if found[0] in BAD]

    def is_safe(self, max_bad_ratio: float = 0.01) -> bool:
        """Whether a training with that limit would go through."""
        kinds = collections.Counter(kind for kind, _, _ in self.findings)
        stops = ("refused", "empty class", "damaged shard")
        if any(kinds[kind] for kind in stops) or not self.images:
            return False
        return kinds["unreadable"] <= max_bad_ratio * self.images

    def to_dict(self) -> dict:
        """Everything, as plain values."""
        return {
            "root": self.root,
            "images": self.images,
            "bad": len(self.bad),
            "findings": [
                {"kind": kind, "file": file, "reason": reason}
                for kind, file, reason in self.findings
            ],
            "classes": self.classes,
            "modes": self.modes,
            "short_sides": self.sizes,
            "roles": self.roles,
        }

    def __str__(self):
        # `train/daisy` and `val/daisy` are one class.
        names = {pathlib.PurePath(name).name for name in self.classes}
        lines = [f"{self.images} images in {len(names)} classes"]
        if self.sizes:
            least, median, most = self.sizes
            lines[0] += f", short sides {least} to {most}, median {median}"
        if self.roles:
            lines.append(printable(self.roles))
        counts = sorted(self.modes.items(), key=lambda item: -item[1])
        lines += [f"  {count:>9,}  {mode}" for mode, count in counts]
        if self.findings:
            width = max(len(kind) for kind, _, _ in self.findings)
            lines.append("")
            lines += [
                printable(f"{kind:<{width}}  {file}: {reason}")
                for kind, file, reason in self.findings
            ]
        lines.append("")
        counts = collections.Counter(kind for kind, _, _ in self.findings)
        found = ", ".join(f"{n} {kind}" for kind, n in counts.items())
        lines.append(f"Found: {found or 'nothing'}.")
        return "\n".join(lines)


def check_data(folder: AnyPath) -> Inspection:
    """Read every file of a folder as a training would, and tell.

    Args:
        folder: Path of class folders, with or without `train` and `test` (or
            `val`, `validation`) above them, or of a prepared folder, whose
            checksums are verified.

    Returns:
        An `Inspection`.

    Raises:
        ValueError: if there is no such folder.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise ValueError(f"There is no folder {str(folder)!r}.")
    inspection = Inspection(str(folder))
    if shards.is_prepared(root):
        _check_shards(root, inspection)
        return inspection
    files = _files_by_class(root, inspection)
    for name, paths in files.items():
        read = [path for path in paths if is_image(path)]
        inspection.classes[name] = len(read)
        inspection.images += len(read)
        if not read and name != ".":
            inspection.findings.append(
                ("empty class", name, "holds no image files")
            )
    if not inspection.bad:
        _add_refusal(root, inspection)
    paths = sorted(path for paths in files.values() for path in paths)
    with warnings.catch_warnings():  # for all threads
        warnings.simplefilter("ignore")
        with multiprocessing.pool.ThreadPool(os.cpu_count()) as pool:
            results = list(pool.imap(_look, paths, chunksize=8))
    _summarize(inspection, root, paths, results)
    return inspection


def _files_by_class(root, inspection):
    """Dict: class folder, or that of flat images -> the files in it."""
    parts = [root]
    try:
        layout = find_layout(root)
        parts = [part for part in (layout.train, layout.test) if part]
        for path, why in layout.left.items():
            name = str(path.relative_to(root))
            inspection.findings.append(("left alone", name, why))
        if layout.train != root:
            inspection.roles = layout.roles
    except ValueError as error:
        _refuse(inspection, error)
    folders = [f for part in parts for f in class_folders(part) or [part]]
    return {
        str(folder.relative_to(root)): [
            pathlib.Path(path) for path in files_below(folder)
        ]
        for folder in folders
    }


def _add_refusal(root, inspection):
    """Why a training would not begin, if nothing is known of it yet."""
    try:
        with warnings.catch_warnings():  # what is left alone is told already
            warnings.simplefilter("ignore")
            load_examples(root)
    except ValueError as error:
        _refuse(inspection, error)


def _refuse(inspection, error):
    inspection.findings.append(("refused", ".", str(error).rstrip(".")))


def _look(path):
    """Facts about a file: format, mode, size, digest, findings."""
    if not is_image(path):
        known = ", ".join(decode.EXTENSIONS)
        reason = f"is not read: its name does not end in {known}"
        return {"findings": [("ignored", reason)]}
    try:
        data = decode.read_bytes(path)
        decode.read_picture(data)
    except BadImageError as error:
        return {"findings": [("unreadable", str(error))]}
    return {**_header(path, data), "digest": hashlib.sha256(data).hexdigest()}


def _header(path, data):
    findings = []
    image = decode.open_image(data)
    damages = [decode.damage(data)]
    orientation, animated = 1, False
    try:  # what a training does not look at may be damaged in any way
        orientation = image.getexif().get(0x0112, 1)
    except Exception:
        damages.append("the EXIF data are no such")
    try:
        animated = getattr(image, "is_animated", False)
    except Exception:
        damages.append("the second frame is broken")
    if path.suffix.lower() not in SUFFIXES[image.format]:
        findings.append(
            (
                "disguised",
                f"is a {image.format} named {path.suffix}; it is read",
            )
        )
    if orientation not in (0, 1):
        findings.append(
            (
                "rotated",
                f"EXIF orientation {orientation} is not applied, as nowhere "
                "in Keras",
            )
        )
    if animated and image.format != "MPO":
        findings.append(("animated", "its first frame is read"))
    for damage in filter(None, damages):
        findings.append(("damaged", f"can be decoded, but: {damage}"))
    return {
        "mode": f"{image.format} {image.mode}",
        "size": min(image.size),
        "findings": findings,
    }


def _summarize(inspection, root, paths, results):
    first = {}
    for path, result in zip(paths, results, strict=True):
        name = str(path.relative_to(root))
        findings = list(result["findings"])
        digest = result.get("digest")
        if digest in first:
            findings.append(("duplicate", f"is the same as {first[digest]}"))
        elif digest:
            first[digest] = name
        inspection.findings += [(kind, name, why) for kind, why in findings]
    modes = collections.Counter(f["mode"] for f in results if "mode" in f)
    inspection.modes = dict(modes)
    sizes = sorted(result["size"] for result in results if "size" in result)
    if sizes:
        inspection.sizes = (sizes[0], sizes[len(sizes) // 2], sizes[-1])
    order = {kind: place for place, kind in enumerate((*BAD, *NOTES))}
    inspection.findings.sort(key=lambda found: order[found[0]])


def _check_shards(root, inspection):
    dataset = shards.read_dataset(root)
    names = [name for split in dataset["shards"].values() for name in split]
    counts = collections.Counter()
    for name in names:
        if not shards.is_whole(root, name):
            inspection.findings.append(
                ("damaged shard", f"{name}.npy", "does not have its checksum")
            )
            continue
        index = shards.read_index(root, name)
        counts.update(dataset["class_names"][i] for i in index["labels"])
        inspection.images += len(index["labels"])
    inspection.classes = {n: counts[n] for n in dataset["class_names"]}
    inspection.modes = {"prepared RGB": inspection.images}


def to_json(inspection):
    """The inspection as JSON text."""
    return json.dumps(inspection.to_dict(), indent=2)
