"""From examples to batches, for training and for evaluation.

Training batches are a pure function of the seed and of the number of the
step, so that a run can be repeated and resumed exactly.
"""

import tensorflow as tf

from keras_alexnet.augment import center_crop
from keras_alexnet.augment import preprocess_input
from keras_alexnet.augment import random_crop
from keras_alexnet.augment import random_flip
from keras_alexnet.augment import resize_short_side


def training_batches(
    examples,
    variant,
    *,
    batch_size,
    resize_pixels,
    crop_pixels,
    flip=True,
    seed=0,
    channels=3,
):
    """Endless shuffled batches, with random crops and flips.

    Every epoch of `len(examples) // batch_size` batches draws from the
    examples without repetition.

    Args:
        examples: `Examples`.
        variant: Name of the variant whose preprocessing is applied.
        batch_size: Images in a batch.
        resize_pixels: The short side is resized to this.
        crop_pixels: Side of the random square.
        flip: Whether to mirror an image with probability 1/2.
        seed: Of order, crops and flips.
        channels: 3, or 1 for gray.

    Returns:
        A `tf.data.Dataset` of `(images, labels)`.
    """
    images, labels = tf.constant(examples.images), tf.constant(examples.labels)
    count, seed = len(examples), tf.constant(seed, tf.int64)
    batch_size = min(batch_size, count)
    epoch_length = count // batch_size * batch_size

    def example(position):
        epoch, place = position // epoch_length, position % epoch_length
        index = tf.random.experimental.index_shuffle(
            place,
            seed=tf.stack([seed, epoch]),
            max_index=tf.constant(count - 1, tf.int64),
        )
        seeds = tf.random.split(tf.stack([seed, position]), 2)
        image = read_image(images[index], channels)
        image = resize_short_side(image, resize_pixels)
        image = random_crop(image, crop_pixels, seeds[0])
        if flip:
            image = random_flip(image, seeds[1])
        image = _with_channels(image, channels)
        return preprocess_input(image, variant), labels[index]

    positions = tf.data.Dataset.range(tf.int64.max)
    dataset = positions.map(example, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(2)


def evaluation_batches(
    examples, variant, *, batch_size, resize_pixels, crop_pixels, channels=3
):
    """Every example once, in order, its center crop.

    Args:
        examples: `Examples`.
        variant: Name of the variant whose preprocessing is applied.
        batch_size: Images in a batch.
        resize_pixels: The short side is resized to this.
        crop_pixels: Side of the square in the middle.
        channels: 3, or 1 for gray.

    Returns:
        A `tf.data.Dataset` of `(images, labels)`.
    """

    def example(image, label):
        image = resize_short_side(read_image(image, channels), resize_pixels)
        image = _with_channels(center_crop(image, crop_pixels), channels)
        return preprocess_input(image, variant), label

    slices = (examples.images, examples.labels)
    dataset = tf.data.Dataset.from_tensor_slices(slices)
    dataset = dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(batch_size).prefetch(2)


def read_image(image, channels):
    """An image `(height, width, channels)` from a path or from gray values.

    Gray values keep their single channel, see `_with_channels`.
    """
    if image.dtype == tf.string:
        image = tf.io.decode_image(
            tf.io.read_file(image), channels=3, expand_animations=False
        )
        # GIF, BMP and WebP are not decoded to gray by TensorFlow.
        return tf.image.rgb_to_grayscale(image) if channels == 1 else image
    return image[..., tf.newaxis]


def _with_channels(image, channels):
    """Gray as RGB; done late, since one channel is resized faster."""
    missing = channels // image.shape[-1]
    return tf.repeat(image, missing, axis=-1) if missing > 1 else image
