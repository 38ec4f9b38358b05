"""A set of images that lies on a JAX accelerator and is cut there."""

import contextlib

import numpy as np

from keras_alexnet.data.decode import BadImageError
from keras_alexnet.data.image_source import Source
from keras_alexnet.data.threads import share_out
from keras_alexnet.terminal import counted

# The rest is for weights, activations and XLA's own.
LARGEST_SHARE = 1 / 4


def fit_on_device(examples, resize_pixels, channels):
    """Whether the central squares of a set take a quarter of a device at most.

    A CPU, which has the images in its memory anyway, says of none that it fits.

    Args:
        examples: `Examples`.
        resize_pixels: Side of the squares.
        channels: Of the images.
    """
    size = len(examples) * resize_pixels**2 * channels
    return size <= LARGEST_SHARE * device_memory()


def device_memory():
    """Bytes that JAX may use on its first device; 0 of a CPU, or unknown."""
    import jax

    device, stats = jax.local_devices()[0], None
    if device.platform != "cpu":
        # Not every device tells.
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            stats = device.memory_stats()
    return (stats or {}).get("bytes_limit", 0)


class DeviceImages:
    """The central squares of a set, as bytes in a device's memory.

    `training_batches` takes them in place of the `Examples`.

    Args:
        examples: `Examples`.
        resize_pixels: The short side of an image is resized to this, and is
            the side of the square in its middle.
        channels: Of the network.
        skipped: `SkippedFiles`.
        steps_at_once: How many steps are computed in one call.
        verbose: Boolean, whether a bar is shown while they are read.
        scaled_decoding: As in `training_batches`.

    Attributes:
        pixels: `uint8` array of JAX, `(count, side, side, channels)`.
        weights: `(count,)`, 1, and 0 of files that cannot be read.
        labels: Those of the examples.
    """

    def __init__(
        self,
        examples,
        resize_pixels,
        channels,
        skipped,
        steps_at_once=1,
        verbose=False,
        scaled_decoding=False,
    ):
        import jax

        self.labels, self.steps_at_once = examples.labels, steps_at_once
        source = Source(
            examples,
            resize_pixels,
            True,
            channels,
            scaled_decoding=scaled_decoding,
        )
        count, side = len(examples), resize_pixels
        pixels = np.zeros((count, side, side, source.channels), "uint8")
        self.weights = np.ones(count, "float32")

        def read(index):
            try:
                pixels[index] = source.random_crop(index, (0, 0), side)
            except BadImageError as error:
                self.weights[index] = 0
                skipped.add(source.file(index), str(error))
            advance()

        with counted("reading", count, verbose, transient=True) as advance:
            share_out(read, range(count))
        skipped.check()
        self.pixels = jax.device_put(pixels)

    def __len__(self):
        return len(self.labels)

    def places(self, indices, fractions, pixels):
        """Where `cut_on_device` cuts some images.

        Args:
            indices: Which images, `(batch,)`.
            fractions: `(batch, 2)` in 0..1, as in `Source.random_crop`.
            pixels: Side of the crops.

        Returns:
            `int32`, `(batch, 3)`, and the images' weights, `(batch,)`.
        """
        room = self.pixels.shape[1] - pixels + 1
        offsets = np.minimum((fractions * room).astype("int32"), room - 1)
        places = np.column_stack([indices, offsets]).astype("int32")
        return places, self.weights[indices]


def cut_on_device(pixels, places, side):
    """Crops of images on a device.

    Args:
        pixels: As of `DeviceImages`.
        places: Integers, `(batch, 3)`: which image, top and left.
        side: Of the crops.
    """
    import jax

    shape = (side, side, pixels.shape[-1])

    def one(place):
        image, top, left = place
        start = image, top, left, np.int32(0)
        return jax.lax.dynamic_slice(pixels, start, (1, *shape))[0]

    return jax.vmap(one)(places)
