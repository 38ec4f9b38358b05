"""Shuffling and augmentation as pure functions of seed, epoch and index.

Everything random in a training's data is a pure function of the seed, the
epoch and the image's place in that epoch, so that a run can be repeated, and
resumed at any step, exactly.
"""

import functools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Choices:
    """What one epoch does with its images, by place in the epoch.

    Args:
        order: `(count,)`, indices of the images.
        crops: `(count, 2)`, in 0..1: where between the first and the last
            possible place the top and the left of the crop are.
        flips: `(count,)`, whether to mirror.
        normals: `(count, 3)`, standard normal numbers for the color noise.
    """

    order: np.ndarray
    crops: np.ndarray
    flips: np.ndarray
    normals: np.ndarray


@functools.lru_cache(maxsize=2)
def epoch_choices(count, seed, epoch, crop_chunk=1):
    """The choices of an epoch.

    Args:
        count: Number of images.
        seed: Integer.
        epoch: Integer, counted from 0.
        crop_chunk: How many images in a row share one crop and flip (32 in
            the 2012 code).

    Returns:
        `Choices`.
    """

    def generator(stream):
        return np.random.default_rng([seed, epoch, stream])

    chunks = np.arange(count) // crop_chunk
    many = -(-count // crop_chunk)
    return Choices(
        order=generator(0).permutation(count),
        crops=generator(1).random((many, 2), "float32")[chunks],
        flips=(generator(2).random(many) < 0.5)[chunks],
        normals=generator(3).standard_normal((count, 3), "float32"),
    )


def area_generator(seed, epoch, place):
    """The random numbers for one image's random part."""
    return np.random.default_rng([seed, epoch, 4, place])


def place(step, count, batch_size):
    """Epoch and places in it of the images of a training step.

    An epoch has `ceil(count / batch_size)` steps; the last may be short.
    """
    steps = -(-count // batch_size)
    epoch, first = step // steps, step % steps * batch_size
    return epoch, np.arange(first, min(first + batch_size, count))
