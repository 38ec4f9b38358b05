"""The well-known public files of AlexNet's weights, and what they must be.

But for `SHIPPED` none of them is ours: this is a table of what others publish.
A file is told by its name; what its checksum says is believed, not the name.
Without a checksum from its publisher a row is not pinned, and `fetch` says so.
"""

import contextlib
import hashlib
import os
import socket
import sys
import urllib.error
import warnings
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from keras_alexnet.environment import keras_home
from keras_alexnet.files import replacing

TIMEOUT_SECONDS = 30  # without a single byte


@dataclass(frozen=True)
class PublishedFile:
    """A file of weights that others publish.

    Args:
        name: The file's name.
        url: Where it was when this was written.
        variant: The variant that it is of.
        sha256: Its SHA-256, or the first digits of it; empty if unknown.
        sha1: Its SHA-1, for what was published before SHA-256 was usual.
    """

    name: str
    url: str
    variant: str
    sha256: str = ""
    sha1: str = ""

    @property
    def is_pinned(self):
        """Whether a checksum says what the file must be."""
        return bool(self.sha256 or self.sha1)


# pytorch/vision, torchvision/models/alexnet.py; PyTorch puts the first 8
# digits of the SHA-256 into the name. That of today whole is in many lock
# files, e.g. those of projects with LPIPS, which begins with the same 8; of
# the one until 2021 (the same weights in PyTorch's older format) no whole
# one was found.
PYTORCH = "https://download.pytorch.org/models/"
# BVLC/caffe, models/bvlc_alexnet/readme.md and
# models/bvlc_reference_caffenet/readme.md.
CAFFE = "http://dl.caffe.berkeleyvision.org/"
# ONNX_HUB_MANIFEST.json of onnx/models, and its Git LFS pointers, which say
# the same; the mirror of that repository since it is closed
# (iree-org/iree-test-suites#101). The quantized files are not here: they
# cannot be converted.
ONNX = (
    "https://huggingface.co/onnxmodelzoo/legacy_models/resolve/main/"
    "validated/vision/classification/"
)
ONNX_ALEXNET = {
    3: "e9e222ef55ba873b219f22987130fb0567cb7bc7d3f1afeb47ff442bc0e11b6d",
    6: "f1ae53b93d83dd74731c84337ae64035288ce336794a46e2b17b56e7566feaab",
    7: "d9c9134b90c760d4231e89ad9758bcc8a9397c3ba1cd56fadbef888b534ac6b4",
    8: "9a4dc22fd706a19462aaec3b08e027e0ef89daf63d123824f20b59b6de9a727b",
    9: "ef3c82dad5c512f969dbf701fe35c0b3feb1585687d541f765eb68730c0a8af7",
    12: "6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945",
}
ONNX_CAFFENET = {
    3: "e362cbd353e7a0432d46ec608bfc38646aa8d70207ddb92788008816603ce835",
    6: "15e568474e1c2af94cc34b812628707fee0130f3a3c8b3329cbc5e4ba9248682",
    7: "a249fe5683aa6b517dfb198e4b3bd40a1b7611d4995fde0b0b9ced5f4143bc5c",
    8: "82f8997778cd9c5ef9673fc86e340f86e3b29650886b923e5e1aa478d5f83f92",
    9: "802138332cf3e423c82a9a80c76e4f9227dd4effb3aba55413601fa4345cfd36",
    12: "ea563e5c47d1f58e1717cf1a2d8bf288b8adc07af0ad228b622096cd243aeecb",
}
# Alias -> file.
PUBLISHED = MappingProxyType(
    {
        "torchvision": PublishedFile(
            "alexnet-owt-7be5be79.pth",
            f"{PYTORCH}alexnet-owt-7be5be79.pth",
            "torchvision",
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        ),
        "torchvision-2017": PublishedFile(
            "alexnet-owt-4df8aa71.pth",
            f"{PYTORCH}alexnet-owt-4df8aa71.pth",
            "torchvision",
            "4df8aa71",
        ),
        "bvlc-alexnet": PublishedFile(
            "bvlc_alexnet.caffemodel",
            f"{CAFFE}bvlc_alexnet.caffemodel",
            "caffe_alexnet",
            sha1="9116a64c0fbe4459d18f4bb6b56d647b63920377",
        ),
        "bvlc-caffenet": PublishedFile(
            "bvlc_reference_caffenet.caffemodel",
            f"{CAFFE}bvlc_reference_caffenet.caffemodel",
            "caffenet",
            sha1="4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
        ),
        **{
            f"onnx-alexnet-{opset}": PublishedFile(
                f"bvlcalexnet-{opset}.onnx",
                f"{ONNX}alexnet/model/bvlcalexnet-{opset}.onnx",
                "caffe_alexnet",
                digest,
            )
            for opset, digest in ONNX_ALEXNET.items()
        },
        **{
            f"onnx-caffenet-{opset}": PublishedFile(
                f"caffenet-{opset}.onnx",
                f"{ONNX}caffenet/model/caffenet-{opset}.onnx",
                "caffenet",
                digest,
            )
            for opset, digest in ONNX_CAFFENET.items()
        },
        # kratzert/finetune_alexnet_with_tensorflow, README.md. Not pinned:
        # one project alone names a SHA-256 (1294ef51...).
        "bvlc-alexnet-npy": PublishedFile(
            "bvlc_alexnet.npy",
            "https://www.cs.toronto.edu/~guerzhoy/tf_alexnet/bvlc_alexnet.npy",
            "caffe_alexnet",
        ),
        # heuritech/convnets-keras, README.md. Not pinned: one project alone
        # names an MD5 (bd0dd1af...).
        "heuritech": PublishedFile(
            "alexnet_weights.h5",
            "http://files.heuritech.com/weights/alexnet_weights.h5",
            "heuritech",
        ),
    }
)

# Alias -> file in `assets`: what was trained with this package and is small.
SHIPPED = MappingProxyType({"cifar10": "cifar10_18pct.keras"})
ALIASES = (*SHIPPED, *PUBLISHED)


def is_alias(source):
    """Whether a text means a file of these tables.

    A file or a run folder of that name comes first; another folder, such as
    the data in `cifar10/`, does not hold weights.
    """
    run = os.path.join(os.fspath(source), "recipe.json")
    taken = os.path.isfile(source) or os.path.isfile(run)
    return os.fspath(source) in ALIASES and not taken


def check_there(path):
    """Refuses the path of a file of weights that is not there.

    Raises:
        ValueError: in a sentence.
    """
    if not os.path.exists(path):
        raise ValueError(
            f"There is no file {os.fspath(path)!r} to read weights from, nor "
            "a run folder or a published file of that name."
        )


def check_published(path):
    """Refuse a file that has a published one's name but is another.

    Args:
        path: Path of any file.

    Raises:
        ValueError: if its checksum is not the published one's.
    """
    name = os.path.basename(os.fspath(path))
    for row in PUBLISHED.values():
        if row.name == name:
            difference = _difference(row, path)
            if difference:
                raise ValueError(
                    f"{os.fspath(path)!r} is not the published file of that "
                    f"name: {difference}; download {row.url} again, or rename "
                    "it if it is another."
                )


def fetch(alias):
    """Download a published file, unless it has been downloaded already.

    Args:
        alias: Its name in `PUBLISHED`, such as `"torchvision"`, or in
            `SHIPPED`, the files that come with this package.

    Returns:
        The path of the file; what was downloaded is in the folder
        `keras_alexnet` of Keras' own (`~/.keras`, or `KERAS_HOME`).

    Raises:
        ValueError: if there is none of that name, or it cannot be had.

    Example:

    >>> PUBLISHED["torchvision"].name
    'alexnet-owt-7be5be79.pth'
    """
    if alias in SHIPPED:
        assets = resources.files("keras_alexnet") / "assets"
        return str(assets / SHIPPED[alias])
    if alias not in PUBLISHED:
        raise ValueError(
            f"No published file has the alias {alias!r}; there are "
            f"{', '.join(ALIASES)}."
        )
    row = PUBLISHED[alias]
    path = (keras_home() / "keras_alexnet" / row.name).absolute()
    if not row.is_pinned:
        warnings.warn(
            f"{alias!r} is not pinned: its publisher names no checksum, so "
            f"what {row.url} gives is taken as it is.",
            stacklevel=2,
        )
    if not path.is_file() or _difference(row, path):
        with replacing(path) as temporary:
            _download(alias, row, temporary)
    return str(path)


def _download(alias, row, path):
    """Puts a published file where an empty one is; nothing but the whole."""
    import keras

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)  # get_file has none of its own
    try:
        # Keras' progress bar is not what a command prints as its result.
        with contextlib.redirect_stdout(sys.stderr):
            keras.utils.get_file(
                os.path.basename(path),
                row.url,
                cache_subdir=os.path.dirname(path),
                force_download=True,
            )
    except Exception as error:  # get_file raises just that
        raise ValueError(
            f"{alias!r} could not be downloaded ({_reason(error)}); download "
            f"{row.url} by hand and give the file's path instead of the alias."
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    difference = _difference(row, path)
    if difference:
        raise ValueError(
            f"What {row.url} gave is not {alias!r} and was deleted: "
            f"{difference}; try again, or give the path of a file that you "
            "trust."
        )


def _reason(error):
    cause = error.__context__ or error
    if isinstance(cause, urllib.error.HTTPError):
        cause.close()  # it is also the open connection
        return f"HTTP {cause.code} {cause.reason}"
    reason = getattr(cause, "reason", None) or getattr(cause, "strerror", None)
    return str(reason or cause).strip(" .") or type(cause).__name__


def _difference(row, path):
    """What is wrong with a file's checksum; `None` if it is right."""
    if not row.is_pinned:
        return None
    name, wanted = (
        ("SHA-256", row.sha256) if row.sha256 else ("SHA-1", row.sha1)
    )
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, name.replace("-", "").lower())
    except OSError as error:
        raise ValueError(
            f"{os.fspath(path)!r} cannot be read: {error.strerror}."
        ) from error
    digits = found.hexdigest()
    if digits.startswith(wanted):
        return None
    return f"its {name} is {digits[:16]}..., not {wanted[:16]}..."
