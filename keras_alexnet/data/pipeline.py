"""From examples to batches, for training and for evaluation.

Threads of Python read, decode (in C, without the interpreter's lock) and cut,
a few batches ahead. Batches stay `uint8`: what makes them four times as large,
and is cheap on a GPU, is left to `preprocessing.PixelsToInput`.
"""

import collections
import concurrent.futures
import weakref

import keras
import numpy as np

from keras_alexnet.data.batches import Batches
from keras_alexnet.data.color import IMAGENET_2012
from keras_alexnet.data.color import ColorStatistics
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.decode import BadImageError
from keras_alexnet.data.device_images import DeviceImages
from keras_alexnet.data.image_source import Source
from keras_alexnet.data.sampling import area_generator
from keras_alexnet.data.sampling import epoch_choices
from keras_alexnet.data.sampling import place
from keras_alexnet.data.skipped_files import SkippedFiles
from keras_alexnet.data.threads import called_by_tensorflow
from keras_alexnet.data.threads import share_out

TASK = 8  # images that a thread takes at a time
ENDLESS = np.iinfo("int64").max


def training_batches(
    examples: Examples | DeviceImages,
    *,
    batch_size: int,
    resize_pixels: int,
    crop_pixels: int,
    square: bool = True,
    smallest_crop_area: float | None = None,
    scaled_decoding: bool = False,
    flip: bool = True,
    color_noise: float = 0.0,
    color_noise_epochs: int | None = None,
    color_unit: str = "deviation",
    color_statistics: ColorStatistics = IMAGENET_2012,
    crop_chunk: int = 1,
    seed: int = 0,
    channels: int = 3,
    first_step: int = 0,
    skipped: SkippedFiles | None = None,
    replicas: int = 1,
    local: range | None = None,
    multiple_of: int = 1,
):
    """Endless shuffled batches with the paper's augmentation (Section 4.1).

    The central squares that crops are cut out of stay in memory for the next
    epoch, where those of all photos take 1 GiB at most (5,461 of 256x256):
    not with `square=False` or `smallest_crop_area`.

    An epoch has `ceil(len(examples) / batch_size)` batches, in which every
    example comes once. All batches have the same size: the last of an epoch
    is filled up with empty images of weight 0, and so is the place of a file
    that cannot be read; the others share their weight, so that the loss of a
    batch is the mean over its real images, on any number of devices.

    Args:
        examples: `Examples`; or their `DeviceImages`, which are cut where they
            lie, many steps in one call.
        batch_size: Images in a batch.
        resize_pixels: The short side is resized to this.
        crop_pixels: Side of the random square.
        square: Whether the random square is cut out of the central square of
            the resized image (Section 2), or out of all of it.
        smallest_crop_area: If given, not a square of that side is cut out,
            but a random part of at least this share of the image's area,
            resized to it.
        scaled_decoding: Whether a JPEG file is decoded at a half, a quarter
            or an eighth of its size, where that is still at least as large as
            what is made of it: less time, other pixels (`docs/data.md`).
        flip: Whether to mirror an image with probability 1/2.
        color_noise: The paper's 0.1, or 0 for none.
        color_noise_epochs: How many epochs have color noise; all if `None`.
        color_unit: As in `ColorStatistics.shifts`.
        color_statistics: Whose principal components the noise runs along.
        crop_chunk: How many images in a row share a crop and a flip.
        seed: Of order, crops, flips and noise.
        channels: 3, or 1 for gray.
        first_step: Where to start in the endless sequence.
        skipped: `SkippedFiles` that bad files are told to. By default 1 % of
            the files may be bad.
        replicas: Of all devices; a batch is filled up to a multiple of it.
        local: `range` of the replicas whose shares of each batch are made
            here, one after another, with weights 0 and 1; whole batches if
            `None`.
        multiple_of: A replica's share is filled up to a multiple of this.

    Returns:
        What `fit` takes, of `((images, flips, shifts), labels, weights)`: a
        `tf.data.Dataset`, on JAX and PyTorch a `keras.utils.PyDataset`;
        `preprocess_batches` makes `(images, labels, weights)` of it. Of
        `DeviceImages`, of `((places, flips, shifts, count), labels, weights)`:
        several steps along a first axis, of which `count` are to be done.

    Raises:
        ValueError: if the examples are prepared in another size.
    """
    count = len(examples)
    skipped = SkippedFiles(count, 0.01) if skipped is None else skipped
    shares = _Shares(batch_size, replicas, local, multiple_of)
    noise = color_noise, color_noise_epochs, color_unit, color_statistics
    if not isinstance(examples, DeviceImages):
        source = Source(
            examples,
            resize_pixels,
            square,
            channels,
            keep=True,
            scaled_decoding=scaled_decoding,
        )

    def batch(step):
        step, rows = shares.of(int(step))
        epoch, places = place(step, count, batch_size)
        places = places[rows]
        choices = epoch_choices(count, seed, epoch, crop_chunk)
        indices, crops = choices.order[places], choices.crops[places]
        shifts = _shifts(choices.normals[places], epoch, channels, *noise)

        def cut(i):
            if smallest_crop_area is None:
                return source.random_crop(indices[i], crops[i], crop_pixels)
            generator = area_generator(seed, epoch, places[i])
            return source.random_area(
                indices[i], generator, smallest_crop_area, crop_pixels
            )

        if isinstance(examples, DeviceImages):
            images, weights = examples.places(indices, crops, crop_pixels)
        else:
            images, weights = _read(source, indices, cut, crop_pixels, skipped)
        if local is None:
            weights *= np.float32(shares.size / max(weights.sum(), 1))
        flips = (choices.flips[places] & flip).astype("uint8")
        labels = examples.labels[indices]
        return shares.fill(images, flips, shifts, labels, weights)

    if isinstance(examples, DeviceImages):
        of_epoch = -(-count // batch_size)
        return _blocks(batch, first_step, of_epoch, examples.steps_at_once)
    steps = range(first_step * shares.count, ENDLESS)
    return _dataset(steps, batch, source, shares.size, crop_pixels)


def _shifts(normals, epoch, channels, noise, epochs, unit, statistics):
    """What the color noise adds to each image of an epoch, `(batch, 3)`."""
    shifts = np.zeros((len(normals), channels), "float32")
    if noise and epoch < (epochs or epoch + 1):
        shifts += statistics.shifts(normals, noise, unit)
    return shifts


def _blocks(batch, first_step, steps_of_epoch, steps_at_once):
    """Batches of many steps at once, of which none is of two epochs."""
    missing = steps_of_epoch - first_step % steps_of_epoch
    of_first = -(-missing // steps_at_once)
    of_epoch = -(-steps_of_epoch // steps_at_once)

    def begin(number):
        if number < of_first:
            return first_step + number * steps_at_once
        epochs, number = divmod(number - of_first, of_epoch)
        epochs += first_step // steps_of_epoch + 1
        return epochs * steps_of_epoch + number * steps_at_once

    def block(number):
        first = begin(number)
        count = min(steps_at_once, steps_of_epoch - first % steps_of_epoch)
        batches = [batch(step) for step in range(first, first + count)]
        # Of one size, so that they are compiled once.
        batches += batches[-1:] * (steps_at_once - count)
        columns = zip(*batches, strict=True)
        places, flips, shifts, labels, weights = map(np.stack, columns)
        return (places, flips, shifts, np.int32(count)), labels, weights

    return Batches(range(ENDLESS), block, endless=True)


def evaluation_batches(
    examples: Examples,
    *,
    batch_size: int,
    resize_pixels: int,
    crop_pixels: int,
    channels: int = 3,
    skipped: SkippedFiles | None = None,
    replicas: int = 1,
    local: range | None = None,
    keep: bool = False,
):
    """Every example once, in order, its center crop.

    In the place of a file that cannot be read stands an empty image of weight
    0; all others have weight 1. The last batch may be short.

    Args:
        examples: `Examples`.
        batch_size: Images in a batch.
        resize_pixels: The short side is resized to this.
        crop_pixels: Side of the square in the middle.
        channels: 3, or 1 for gray.
        skipped: As in `training_batches`.
        replicas: As in `training_batches`.
        local: As in `training_batches`.
        keep: Whether photos stay in memory for the next pass, as those of
            `training_batches` do.

    Returns:
        As of `training_batches`, without flips and shifts of color.
    """
    source = Source(examples, resize_pixels, None, channels, keep)
    shares = _Shares(batch_size, replicas, local)
    batch = _evaluation(source, batch_size, crop_pixels, skipped, shares)
    steps = range(-(-len(examples) // batch_size) * shares.count)
    size = None if shares.whole else shares.size
    return _dataset(steps, batch, source, size, crop_pixels)


def read_batches(
    examples: Examples,
    *,
    batch_size: int,
    resize_pixels: int,
    crop_pixels: int,
    channels: int = 3,
    skipped: SkippedFiles | None = None,
):
    """As `evaluation_batches`, arrays of NumPy, and batches of one size.

    So a network is compiled for them once. What the last one lacks are empty
    images of weight 0.

    Args:
        examples: As in `evaluation_batches`, as all that is not here.
        batch_size: The most images in a batch.

    Yields:
        `((images, flips, shifts), labels, weights)`.
    """
    source = Source(examples, resize_pixels, None, channels)
    count = len(examples)
    batch_size = max(1, -(-count // max(1, -(-count // batch_size))))
    shares = _Shares(batch_size, 1, range(1))
    batch = _evaluation(source, batch_size, crop_pixels, skipped, shares)
    threads = concurrent.futures.ThreadPoolExecutor(2)
    try:  # two ahead of whoever takes them
        begun: collections.deque = collections.deque()
        for step in range(-(-count // batch_size)):
            begun.append(threads.submit(batch, step))
            if len(begun) > 2:
                yield _in_order(*begun.popleft().result())
        while begun:
            yield _in_order(*begun.popleft().result())
    finally:  # Python waits for its threads when it ends
        source.is_abandoned = True
        threads.shutdown(wait=False, cancel_futures=True)


def _evaluation(source, batch_size, crop_pixels, skipped, shares):
    """Function of the number of a batch, which reads it."""
    examples, count = source.examples, len(source.examples)
    channels = source.network_channels
    skipped = SkippedFiles(count, 0.01) if skipped is None else skipped

    def batch(step):
        step, rows = shares.of(int(step))
        first = step * batch_size
        indices = np.arange(first, min(first + batch_size, count))[rows]

        def cut(i):
            return source.center_crop(indices[i], crop_pixels)

        images, weights = _read(source, indices, cut, crop_pixels, skipped)
        flips = np.zeros(len(indices), "uint8")
        shifts = np.zeros((len(indices), channels), "float32")
        labels = examples.labels[indices]
        arrays = images, flips, shifts, labels, weights
        return arrays if shares.whole else shares.fill(*arrays)

    return batch


class _Shares:
    """How batches are dealt out to replicas."""

    def __init__(self, batch_size, replicas, local, multiple_of=1):
        self.local = range(1) if local is None else local
        self.count = len(self.local)
        self.size = -(-batch_size // replicas)
        self.size = -(-self.size // multiple_of) * multiple_of
        if local is None:
            self.size *= replicas
        self.whole = local is None and replicas == 1

    def of(self, number):
        """The step and the rows of its batch that an element consists of."""
        step, which = divmod(number, self.count)
        first = self.local[which] * self.size
        return step, slice(first, first + self.size)

    def fill(self, *arrays):
        """Zeros up to a whole share, so that all have the same shapes."""
        missing = self.size - len(arrays[0])
        return tuple(
            np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
            if missing
            else array
            for array in arrays
        )


def _read(source, indices, cut, pixels, skipped):
    """The crops of some images, in threads; of bad files zeros, weight 0."""
    shape = (len(indices), pixels, pixels, source.channels)
    images = np.zeros(shape, "uint8")
    weights = np.ones(len(indices), "float32")

    def task(start):
        for i in range(start, min(start + TASK, len(indices))):
            if source.is_abandoned:
                return
            try:
                images[i] = cut(i)
            except BadImageError as error:
                weights[i] = 0
                skipped.add(source.file(indices[i]), str(error))

    share_out(task, range(0, len(indices), TASK))
    skipped.check()
    return images, weights


def _dataset(steps, batch, source, batch_size, pixels):
    """The batches of all steps, two ahead of whoever takes them."""
    if keras.backend.backend() != "tensorflow":
        endless = steps.stop == ENDLESS
        return Batches(steps, lambda step: _in_order(*batch(step)), endless)
    import tensorflow as tf

    shape = (batch_size, pixels, pixels, source.channels)
    columns = (
        (shape, tf.uint8),
        ((batch_size,), tf.uint8),  # a strategy cannot add up booleans
        ((batch_size, source.network_channels), tf.float32),
        ((batch_size,), tf.int64),
        ((batch_size,), tf.float32),
    )
    types = [dtype for _, dtype in columns]

    def nothing():
        return tuple(
            np.zeros((size or 1, *rest), dtype.as_numpy_dtype)
            for (size, *rest), dtype in columns
        )

    batch = called_by_tensorflow(batch, nothing)

    def load(step):
        arrays = tf.numpy_function(batch, [step], types, stateful=False)
        for array, (shape, _) in zip(arrays, columns, strict=True):
            array.set_shape(shape)
        return _in_order(*arrays)

    steps = tf.data.Dataset.range(steps.start, steps.stop)
    # Two at once: one batch's last image does not hold up the next batch.
    dataset = steps.map(load, num_parallel_calls=2).prefetch(2)
    # TensorFlow keeps the functions that it calls, and so the source, for ever.
    weakref.finalize(dataset, source.forget)
    return dataset


def _in_order(images, flips, shifts, labels, weights):
    """What is computed of a batch, as Keras takes it."""
    return (images, flips, shifts), labels, weights
