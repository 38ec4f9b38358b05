"""One image of a set, resized and cut, wherever it is stored."""

import threading

import numpy as np
from PIL import Image

from keras_alexnet.data import transforms
from keras_alexnet.data.color import ColorSums
from keras_alexnet.data.decode import LARGEST_IMAGE
from keras_alexnet.data.decode import BadImageError
from keras_alexnet.data.decode import read_picture
from keras_alexnet.data.shards import read_colors
from keras_alexnet.data.threads import share_out

# What the central squares of a set may take in memory: 5,461 of 256x256.
LARGEST_KEPT_SET = 2**30


class Source:
    """The images of a set of examples, by their place in it.

    Args:
        examples: `Examples`.
        resize_pixels: The short side is resized to this.
        square: Whether random crops come from the central square (Section 2)
            or from all of the image; `None` if there are none.
        channels: Of the network: 3, or 1 for gray.
        keep: Whether the images will be asked for again: then the central
            squares of image files stay in memory, if those of the whole set
            take no more than 1 GiB.
        scaled_decoding: Whether a large JPEG is decoded at a smaller size.

    Attributes:
        channels: Of the images; 1 where they are gray, since gray is made
            RGB as late as possible.
        is_abandoned: Whether nobody waits for images any more.

    Raises:
        ValueError: if the images are prepared in another size or shape.
    """

    def __init__(
        self,
        examples,
        resize_pixels,
        square,
        channels,
        keep=False,
        scaled_decoding=False,
    ):
        self.examples = examples
        self.resize_pixels = resize_pixels
        self.square = square
        self.network_channels = channels
        self.is_abandoned = False
        self._scaled = scaled_decoding
        self.channels = channels_of(examples, channels)
        if examples.are_prepared:
            examples.images.check(resize_pixels, square)
        elif not examples.are_files:
            self._pixels = self._resized(examples.images)
        size = len(examples) * resize_pixels**2 * self.channels
        keep = keep and examples.are_files and size <= LARGEST_KEPT_SET
        self._squares = {} if keep else None

    def _resized(self, images):
        """All images of an array, once."""
        if images.ndim == 3:
            images = images[..., np.newaxis]
        if self.network_channels == 1 and images.shape[-1] == 3:
            images = np.stack([to_gray(image) for image in images])
        if min(images.shape[1:3]) == self.resize_pixels:
            return images
        return np.stack(
            [
                transforms.resize_short_side(image, self.resize_pixels)
                for image in images
            ]
        )

    def forget(self):
        """Keep nothing any more."""
        self._squares = None

    def file(self, index):
        """The path of an image."""
        return str(self.examples.images[index])

    def image(self, index):
        """The whole image, its short side resized."""
        if self.examples.are_files:

            def small(picture):
                return small_picture(picture, self.resize_pixels)

            def smaller(shape):
                return min(shape) / self.resize_pixels

            return read_picture(
                self.file(index),
                self.network_channels,
                then=small,
                smaller=smaller if self._scaled else None,
            )
        if self.examples.are_prepared:
            return self._converted(self.examples.images[index])
        return self._pixels[index]

    def center_crop(self, index, pixels):
        """The square in the middle of the square in the middle (Section 2).

        At an odd distance from the border that can be one pixel beside the
        middle of the whole image.
        """

        def read():
            return transforms.center_crop(self.image(index), self.resize_pixels)

        return transforms.center_crop(self._kept(index, read), pixels)

    def random_crop(self, index, fractions, pixels):
        """A square anywhere in an image.

        Args:
            index: Place of the image.
            fractions: Two numbers of 0..1, which place among the possible.
            pixels: Side of the square.
        """

        def read():
            return self._read_crop(index, (0, 0), self.resize_pixels)

        if self.square and self._squares is not None:
            image = self._kept(index, read)
        elif self.examples.are_files:
            return self._read_crop(index, fractions, pixels)
        elif self.examples.are_prepared:
            image = self.examples.images[index]
        else:
            image = self._pixels[index]
        top, left = self._offset(image.shape[:2], fractions, pixels)
        return self._converted(transforms.crop(image, top, left, pixels))

    def random_area(self, index, generator, smallest, pixels):
        """A random part of an image, resized to a square.

        Args:
            index: Place of the image.
            generator: NumPy's, of this image's random numbers.
            smallest: The least share of the image's area.
            pixels: Side of the square.
        """

        def choose(shape):
            return transforms.random_box(shape, generator, smallest)

        if self.examples.are_files:
            return self._read_box(self.file(index), choose, pixels)
        if self.examples.are_prepared:
            image = self.examples.images[index]
        else:
            image = self._pixels[index]
        box = choose(image.shape[:2])
        return self._converted(transforms.resize_box(image, box, pixels))

    def _kept(self, index, read):
        """The central square that `read` gives, read once if it is kept."""
        squares = self._squares  # `forget` may come in between
        if squares is None:
            return read()
        square = squares.get(index)
        if square is None:
            square = squares[index] = read().copy()  # not a view of more
        return square

    def _read_crop(self, index, fractions, pixels):
        """A crop of the resized image of a file."""

        def choose(shape):
            resized = transforms.resized_shape(shape, self.resize_pixels)
            top, left = self._offset(resized, fractions, pixels)
            return transforms.crop_box(
                shape, self.resize_pixels, pixels, top, left
            )

        return self._read_box(self.file(index), choose, pixels)

    def _read_box(self, file, choose, pixels):
        """A part of a file; what lies around it is decoded at most."""
        whole = box = part = None

        def smaller(shape):
            nonlocal whole, box
            whole, box = shape, choose(shape)
            left, top, right, bottom = box
            return min(right - left, bottom - top) / pixels

        def needed(shape):
            nonlocal box, part
            if box is None:
                box = choose(shape)
            else:  # of the whole image, which may have come smaller
                box = transforms.scaled_box(box, whole, shape)
            part = transforms.surroundings(box, shape, pixels)
            return part

        def resized(picture):
            x, y, _, _ = part
            left, top, right, bottom = box
            inner = (left - x, top - y, right - x, bottom - y)
            return transforms.resize_box(picture, inner, pixels)

        return read_picture(
            file,
            self.network_channels,
            needed,
            resized,
            smaller if self._scaled else None,
        )

    def _offset(self, shape, fractions, pixels):
        start, region = (0, 0), shape
        if self.square:
            region = (self.resize_pixels,) * 2
            start = transforms.center_offset(shape, self.resize_pixels)
        rooms = [side - pixels + 1 for side in region]
        return [
            first + min(int(fraction * room), room - 1)
            for first, fraction, room in zip(
                start, fractions, rooms, strict=True
            )
        ]

    def _converted(self, image):
        if self.network_channels == 1 and image.shape[-1] == 3:
            return to_gray(image)
        return image


def small_picture(picture, resize_pixels):
    """The pixels of a picture of Pillow's, its short side resized.

    Raises:
        BadImageError: if it would be very long.
    """
    width, height = picture.size
    shape = transforms.resized_shape((height, width), resize_pixels)
    if shape[0] * shape[1] > LARGEST_IMAGE:
        raise BadImageError(
            f"is {width}x{height} pixels, too thin to be resized to a short "
            f"side of {resize_pixels}"
        )
    return transforms.resize_short_side(picture, resize_pixels)


def channels_of(examples, network_channels):
    """Channels of the images that a network of so many is fed with."""
    if examples.are_prepared or examples.are_files or network_channels == 1:
        return network_channels
    return 1 if examples.images.ndim == 3 else examples.images.shape[-1]


def to_gray(image):
    """Luminance as Pillow and the JPEG standard weigh it."""
    return np.asarray(Image.fromarray(image).convert("L"))[..., np.newaxis]


def colors_of(examples, resize_pixels):
    """Color statistics and mean image of training examples.

    Of a prepared folder as `prepare_data` found them, else by a pass over all
    images.
    """
    if examples.are_prepared:
        return read_colors(examples.images.folder)
    return fit_colors(examples, resize_pixels)


def fit_colors(examples, resize_pixels):
    """Color statistics and mean image of the central squares.

    Args:
        examples: `Examples`; files that cannot be read do not count.
        resize_pixels: The short side is resized to this.

    Returns:
        `ColorStatistics` and an array `(resize_pixels, resize_pixels, 3)`.
    """
    source = Source(examples, resize_pixels, None, 3)
    sums, lock = ColorSums(), threading.Lock()
    total = np.zeros((resize_pixels, resize_pixels, 3), "int64")
    count = 0

    def add(index):
        nonlocal count
        try:
            image = source.center_crop(index, resize_pixels)
        except BadImageError:
            return
        with lock:
            sums.add(np.broadcast_to(image, total.shape))
            np.add(total, image, out=total)
            count += 1

    share_out(add, range(len(examples)))
    return sums.statistics(), (total / count).astype("float32")
