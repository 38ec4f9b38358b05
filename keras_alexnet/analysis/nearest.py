"""`nearest(...)`: which images look alike to a network (figure 4, right)."""

import os
from typing import NamedTuple

import numpy as np

from keras_alexnet.analysis.features import Features
from keras_alexnet.data import transforms
from keras_alexnet.data.decode import BadImageError
from keras_alexnet.data.decode import read_picture
from keras_alexnet.files import AnyPath
from keras_alexnet.terminal import printable
from keras_alexnet.visualization.image_grids import draw_rows
from keras_alexnet.visualization.image_grids import save

BLOCK_VALUES = 2**22  # distances at a time: 32 MB of float64
# Rounding of |a|^2 - 2ab + |b|^2 in float64, relative to |a|^2 + |b|^2; over
# 10,000 values it stays below 1e-12.
ROUNDING = 1e-10
PIXELS = 128  # side of the images in a sheet
MOST_ROWS = 50  # of a sheet; Matplotlib draws at most 65,536 pixels


class Neighbors(NamedTuple):
    """The nearest images of some queries, the nearest first.

    Args:
        places: `int64` array `(queries, count)`, places in the features.
        distances: `float64` array `(queries, count)`, Euclidean.
    """

    places: np.ndarray
    distances: np.ndarray


def nearest(
    features: Features | np.ndarray,
    queries: Features | np.ndarray | None = None,
    count: int = 6,
) -> Neighbors:
    """The images whose features are nearest by Euclidean distance.

    As in the paper's figure 4 (right), there with the last 4096-dimensional
    layer. Exact: candidates are found by `|a|^2 - 2ab + |b|^2` in float64,
    their distances computed from the differences; of equal ones the first
    in `features` comes first.

    Args:
        features: `Features`, or an array `(images, ...)`.
        queries: `Features` or an array; if `None`, each of `features`.
        count: How many to find; fewer, where there are not so many.

    Returns:
        `Neighbors`. A query that is among `features` itself (the same file)
        is no answer of its own.

    Raises:
        ValueError: if the shapes differ, or there is nothing to compare with.

    Example:

    >>> values = np.array([[0.0], [1.0], [3.0]])
    >>> ka.nearest(values, count=1).places
    array([[1],
           [0],
           [1]])
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: {count}")
    if not len(features):
        raise ValueError("There are no images to compare with.")
    own = _own_places(features, queries)
    values = _rows(features)
    asked = values if queries is None else _rows(queries)
    if values.shape[1:] != asked.shape[1:]:
        raise ValueError(
            f"The queries have {asked.shape[1]} features and the images "
            f"{values.shape[1]}; both must come from the same layer."
        )
    count = min(count, len(values) - max(map(len, own), default=0))
    if count < 1:
        raise ValueError("There is no other image to compare with.")
    found = _nearest(values, asked, own, count)
    places, squares = (np.array(column) for column in zip(*found, strict=True))
    return Neighbors(places, np.sqrt(squares))


def _rows(features):
    values = features.values if isinstance(features, Features) else features
    return np.asarray(values).reshape(len(values), -1)


def _own_places(features, queries):
    """For each query, where it stands among the images itself."""
    if queries is None:
        return [[place] for place in range(len(features))]
    files = getattr(features, "files", None)
    asked = getattr(queries, "files", None)
    if files is None or asked is None:
        return [[] for _ in range(len(queries))]
    places = {}
    for place, file in enumerate(files):
        places.setdefault(os.path.realpath(file), []).append(place)
    return [places.get(os.path.realpath(file), []) for file in asked]


def _nearest(values, queries, own, count):
    """Yields the places and the squared distances for each query."""
    values, queries = values.astype("float64"), queries.astype("float64")
    squares, theirs = (values**2).sum(axis=1), (queries**2).sum(axis=1)
    if not np.isfinite(squares.sum() + theirs.sum()):
        raise ValueError("The features hold values that are not finite.")
    size = max(1, BLOCK_VALUES // len(values))
    for first in range(0, len(queries), size):
        block = queries[first : first + size]
        sums = squares + theirs[first : first + size, np.newaxis]
        estimates = sums - 2 * block @ values.T
        for query, row, total, itself in zip(
            block, estimates, sums, own[first : first + size], strict=True
        ):
            row[itself] = np.inf
            limit = np.partition(row, count - 1)[count - 1]
            places = np.flatnonzero(row <= limit + 2 * ROUNDING * total.max())
            exact = ((values[places] - query) ** 2).sum(axis=1)
            order = np.argsort(exact, kind="stable")[:count]
            yield places[order], exact[order]


def plot_nearest(
    features: Features,
    queries: Features,
    neighbors: Neighbors,
    to_file: AnyPath,
):
    """Draw queries, each with its nearest images beside it.

    Args:
        features: `Features` of files.
        queries: `Features` of files.
        neighbors: What `nearest` found.
        to_file: Path of the picture, ending in `.png`, `.svg` or `.pdf`.

    Returns:
        The path of the picture.

    Raises:
        ValueError: if there are more than 50 queries, or no files.
    """
    if features.files is None or queries.files is None:
        raise ValueError("Only features of image files can be drawn.")
    if len(queries) > MOST_ROWS:
        raise ValueError(
            f"A sheet shows at most {MOST_ROWS} queries, received "
            f"{len(queries)}; name fewer."
        )
    rows = []
    for file, places, distances in zip(queries.files, *neighbors, strict=True):
        row = [(_thumbnail(file), _caption(file))]
        for place, distance in zip(places, distances, strict=True):
            other = features.files[place]
            caption = f"{_caption(other)}\ndistance {distance:.3g}"
            row.append((_thumbnail(other), caption))
        rows.append(row)
    return save(draw_rows(rows, ("query", "nearest")), to_file)


def _thumbnail(file):
    try:
        image = transforms.resize_short_side(read_picture(file), PIXELS)
    except BadImageError:  # since moved; its features are still right
        return np.full((PIXELS, PIXELS, 3), 230, "uint8")
    return transforms.center_crop(image, PIXELS)


def _caption(file):
    """A path in two short lines: its folder, which is often a class; itself."""
    return "\n".join(
        part if len(part) <= 24 else f"{part[:11]}…{part[-12:]}"
        for part in printable(os.path.normpath(file)).split(os.sep)[-2:]
    )
