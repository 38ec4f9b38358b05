"""Sizes and places in an image: resize, crop, ten crops. Pure functions.

Images are arrays `(height, width, channels)` of 0..255; what resizes also takes
Pillow's pictures.
"""

import math

import numpy as np
from PIL import Image


def resize_short_side(image, pixels):
    """Resize an image so that its short side has `pixels` (Section 2).

    Pillow's bilinear filter, antialiased where it shrinks; the long side is
    rounded down: both as in torchvision's `Resize`.
    """
    shape = shape_of(image)
    height, width = resized_shape(shape, pixels)
    if (height, width) == shape:
        return _pixels(image)
    return _resize(image, (width, height), None)


def shape_of(image):
    """Height and width of an array or a picture."""
    if isinstance(image, Image.Image):
        return image.size[::-1]
    return tuple(image.shape[:2])


def resized_shape(shape, pixels):
    """Height and width after `resize_short_side`."""
    short = min(shape)
    return tuple(
        pixels if side == short else int(pixels * side / short)
        for side in shape
    )


def center_crop(image, pixels):
    """The square in the middle, `pixels` wide.

    Where it cannot be exactly in the middle, Python's `round` (half to even)
    chooses the side, as in torchvision's `CenterCrop`.
    """
    top, left = center_offset(image.shape[-3:-1], pixels)
    return crop(image, top, left, pixels)


def center_offset(shape, pixels):
    """Top and left of the square in the middle."""
    return tuple(round((side - pixels) / 2) for side in shape)


def crop(image, top, left, pixels):
    """A square, `pixels` wide, of an image or of a batch of them."""
    return image[..., top : top + pixels, left : left + pixels, :]


def ten_crops(image, pixels: int) -> list:
    """Four corners, the middle, and their mirror images (Section 4.1).

    Args:
        image: `(..., height, width, channels)`, array or tensor.
        pixels: Side of the squares.

    Returns:
        List of ten `(..., pixels, pixels, channels)`: top left, top right,
        bottom left, bottom right, middle, and the same mirrored.

    Raises:
        ValueError: if the image is smaller.
    """
    height, width = image.shape[-3:-1]
    if not 0 < pixels <= min(height, width):
        raise ValueError(
            f"An image of {height}x{width} has no crops of {pixels}x{pixels}."
        )
    bottom, right = height - pixels, width - pixels
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    places = [*corners, center_offset((height, width), pixels)]
    crops = [crop(image, top, left, pixels) for top, left in places]
    return crops + [flip(part) for part in crops]


def flip(image):
    """The mirror image."""
    if isinstance(image, np.ndarray):
        return image[..., ::-1, :]
    import keras  # photos are read and cut without it

    if keras.ops.is_tensor(image):  # PyTorch has no steps backwards
        return keras.ops.flip(image, -2)
    return image[..., ::-1, :]


def crop_box(shape, resize_pixels, crop_pixels, top, left):
    """Where a crop of the resized image lies in the image as it is.

    Returns:
        Left, top, right and bottom, as Pillow counts.
    """
    height, width = shape
    new_height, new_width = resized_shape(shape, resize_pixels)
    down, across = height / new_height, width / new_width
    return (
        left * across,
        top * down,
        min((left + crop_pixels) * across, width),
        min((top + crop_pixels) * down, height),
    )


def random_box(shape, generator, smallest):
    """A random part of an image, as torchvision's RandomResizedCrop.

    Args:
        shape: Height and width.
        generator: NumPy's, of random numbers.
        smallest: The least share of the area, torchvision's `scale[0]`.

    Returns:
        Left, top, right and bottom, as Pillow counts.
    """
    height, width = shape
    for _ in range(10):  # torchvision tries ten times
        area = height * width * generator.uniform(smallest, 1)
        ratio = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
        across = round(math.sqrt(area * ratio))
        down = round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            top = int(generator.integers(height - down + 1))
            left = int(generator.integers(width - across + 1))
            return left, top, left + across, top + down
    # The largest part in the middle that is not narrower than 3:4 or 4:3.
    across = min(width, round(height * 4 / 3))
    down = min(height, round(width / (3 / 4)))
    top, left = (height - down) // 2, (width - across) // 2
    return left, top, left + across, top + down


def scaled_box(box, shape, new_shape):
    """Where a box of an image lies in the same image of another size."""
    (height, width), (new_height, new_width) = shape, new_shape
    left, top, right, bottom = box
    down, across = new_height / height, new_width / width
    return (
        left * across,
        top * down,
        min(right * across, new_width),
        min(bottom * down, new_height),
    )


def surroundings(box, shape, pixels):
    """The whole pixels that the filter looks at to resize a box.

    Returns:
        Left, top, right and bottom, integers.
    """
    (left, top, right, bottom), (height, width) = box, shape
    margin = math.ceil(max(1, (right - left) / pixels, (bottom - top) / pixels))
    return (
        max(int(left) - margin, 0),
        max(int(top) - margin, 0),
        min(math.ceil(right) + margin, width),
        min(math.ceil(bottom) + margin, height),
    )


def resize_box(image, box, pixels):
    """A part of an image, resized to a square.

    Of the box of a crop (`crop_box`), the crop of the resized image, at 256
    pixels within one gray level, since Pillow takes the box in single
    precision.
    """
    return _resize(image, (pixels, pixels), box)


def _resize(image, size, box):
    if not isinstance(image, Image.Image):
        gray = image.shape[-1] == 1
        image = Image.fromarray(image[..., 0] if gray else image)
    return _pixels(image.resize(size, Image.Resampling.BILINEAR, box))


def _pixels(image):
    if not isinstance(image, Image.Image):
        return image
    pixels = np.asarray(image)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
