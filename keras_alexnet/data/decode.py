"""From an image file to RGB values: what is read, what is refused.

Pillow decodes; JPEG of the usual kind goes through simplejpeg, which is the
same library (libjpeg-turbo), gives the same values and saves a copy.

- Read: JPEG (also gray, CMYK and progressive), PNG, GIF, BMP and WebP,
  whatever the file's name says. Of an animation the first frame.
- Alpha is dropped, palettes are looked up, of 16 bits the upper 8 count.
- EXIF orientation is not applied, as in TensorFlow, Keras and torchvision,
  whose published accuracies hold for images as they are stored.
- Damaged data that libjpeg can continue behind are accepted, as everywhere.
- Where it is asked for, a large JPEG is decoded at a half, a quarter or an
  eighth of its size: libjpeg leaves out high frequencies of its blocks.
"""

import contextlib
import io
import math
import os
import re
import threading

import numpy as np
import simplejpeg
from PIL import Image

# Names by which image files are found in folders.
EXTENSIONS = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".gif",
    ".bmp",
    ".webp",
)
# Images, too, that others read: they are named as such that cannot be used.
UNREAD_EXTENSIONS = (
    ".apng",
    ".avif",
    ".heic",
    ".heif",
    ".j2k",
    ".jp2",
    ".jxl",
    ".mpo",
    ".pgm",
    ".ppm",
    ".tga",
    ".tif",
    ".tiff",
)
# What Pillow calls them. JPEG includes that of phones with two pictures.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
# Pillow's own limit, above which it warns: a quarter of a GiB as RGB.
LARGEST_IMAGE = 89_478_485
# A decompression bomb: large, and far more pixels than photos have in a byte
# (a good JPEG has 4, a bad one 20).
BOMB_PIXELS = 2**24
BOMB_PIXELS_PER_BYTE = 100
# The largest image as a BMP, and more than twice the largest JPEG.
LARGEST_FILE = 257 * 2**20
# What decoders keep another time: libwebp its canvas, libjpeg a JPEG of several
# scans with two bytes a value. It is gone through for each of them (a
# progressive one has about ten).
LARGEST_TWICE = LARGEST_IMAGE // 2
MOST_SCANNED = 2**30  # pixels of all scans
# One pixel by 65,000 would, with a short side of 256, need 17 GB.
LARGEST_RATIO = 1000
# What libjpeg-turbo has fast code for; sizes between them take longer.
SMALLER = (8, 4, 2, 1)
LARGEST_KEPT = 2**26  # bytes of memory that a thread keeps for its images
MOST_BETWEEN = 2**16  # bytes between a JPEG's segments, and segments
JPEG, SCAN = b"\xff\xd8", b"\xff\xda"
# Not what stands between the numbers of a scan.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class BadImageError(ValueError):
    """An image file cannot be used; the text says why."""


def read_image(source, channels=3):
    """The pixels of an image.

    Args:
        source: Path of an image file, or the bytes of one.
        channels: 3 for RGB, 1 for gray.

    Returns:
        `uint8` array `(height, width, channels)`.

    Raises:
        BadImageError: if it is missing, not an image or refused.
    """
    pixels = np.array(read_picture(source, channels))
    return pixels[..., np.newaxis] if channels == 1 else pixels


def read_picture(source, channels=3, part=None, then=None, smaller=None):
    """An image as a picture of Pillow's, of mode `L` or `RGB`.

    Args:
        source: As in `read_image`.
        channels: As in `read_image`.
        part: If not all of the image is wanted, a function of its height and
            width `(shape)` that gives left, top, right and bottom.
        then: Function that makes something smaller of the picture, if that
            is wanted instead. Of large images only one is in memory at a
            time, from its decoding to the end of this.
        smaller: If given, a function of height and width `(shape)` that says
            how many times smaller a JPEG may come, of which `part` is asked
            then.

    Raises:
        BadImageError: as in `read_image`.
    """
    data = read_bytes(source)
    try:
        with _large_one if _is_large(data) else _nothing:
            picture = None
            if channels == 3:
                picture = _read_jpeg(data, part, smaller)
            if picture is None:
                with open_image(data) as image:
                    picture = converted(image, channels)
                if part:
                    picture = picture.crop(part(picture.size[::-1]))
            return then(picture) if then else picture
    except BadImageError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything
        reason = f"cannot be decoded: {_first_line(error)}"
        raise BadImageError(reason) from error


def _is_large(data):
    if len(data) < BOMB_PIXELS // BOMB_PIXELS_PER_BYTE:
        return False
    try:
        with open_image(data) as image:
            return math.prod(image.size) > BOMB_PIXELS
    except BadImageError:
        return True


def read_bytes(source):
    """The bytes of a file, or the bytes themselves.

    Raises:
        BadImageError: if the file cannot be read or is empty.
    """
    if not isinstance(source, bytes):
        try:
            # A pipe or a device would never end.
            if os.path.exists(source) and not os.path.isfile(source):
                raise BadImageError("is not a file")
            # What the system itself shows as files has no size, and some of
            # it no end.
            with open(source, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                _check_bytes(size)
                source = file.read(LARGEST_FILE + 1) if size else b""
        except BadImageError:
            raise
        except FileNotFoundError:
            raise BadImageError("there is no such file") from None
        except (OSError, ValueError) as error:  # a path with a null byte
            reason = getattr(error, "strerror", None) or str(error)
            raise BadImageError(f"cannot be read: {reason}") from error
    if not source:
        raise BadImageError("is empty")
    _check_bytes(len(source))
    return source


def _check_bytes(count):
    if count > LARGEST_FILE:
        raise BadImageError(
            f"has {count:,} bytes; at most {LARGEST_FILE:,} are read"
        )


def open_image(data):
    """The image as Pillow sees it, its header read, its pixels not yet.

    Raises:
        BadImageError: if it is none of the formats, or too large.
    """
    if data[:2] == JPEG:
        _check_segments(data)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise BadImageError(
            "is not an image that can be read; expected JPEG, PNG, GIF, BMP "
            "or WebP"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImageError("claims to be larger than any photo") from None
    check_size(*image.size, len(data))
    check_scans(data, *image.size)
    if image.format == "WEBP" and math.prod(image.size) > LARGEST_TWICE:
        raise BadImageError(
            f"claims {image.size[0]}x{image.size[1]} pixels; at most "
            f"{LARGEST_TWICE:,} are read of a WebP"
        )
    return image


def check_size(width, height, size_bytes):
    """Refuse an image before it is decoded, by what its header claims.

    Raises:
        BadImageError: if it is too large or too thin, or a decompression bomb.
    """
    count = width * height
    if count > LARGEST_IMAGE:
        raise BadImageError(
            f"claims {width}x{height} pixels; at most {LARGEST_IMAGE:,} are "
            "read"
        )
    if count > BOMB_PIXELS and count > BOMB_PIXELS_PER_BYTE * size_bytes:
        raise BadImageError(
            f"claims {width}x{height} pixels in {size_bytes:,} bytes: a "
            "decompression bomb"
        )
    if max(width, height) > LARGEST_RATIO * min(width, height):
        raise BadImageError(
            f"is {width}x{height} pixels, too thin to be resized; at most "
            f"{LARGEST_RATIO}:1 is read"
        )


def check_scans(data, width, height):
    """Refuse a JPEG that takes far more memory or time than its pixels.

    Raises:
        BadImageError: if it has too many scans.
    """
    count = width * height

    def are_too_many(scans):
        most = LARGEST_TWICE if scans > 1 else LARGEST_IMAGE
        return count > most or scans * count > MOST_SCANNED

    # Those of small pictures in it are counted too, which saves a search.
    if data[:2] == JPEG and are_too_many(data.count(SCAN)):
        scans = _count_scans(data)
        if are_too_many(scans):
            raise BadImageError(
                f"claims {width}x{height} pixels in {scans} scans; at most "
                f"{LARGEST_TWICE:,} are read, and {MOST_SCANNED:,} over all "
                "scans"
            )


def _count_scans(data):
    """The scans of a JPEG itself, by its markers."""
    return sum(kind == 0xDA for kind, _ in _segments(data))


def _check_segments(data):
    """Refuse a JPEG that Pillow would go through byte by byte.

    Raises:
        BadImageError: if there is more than noise between its segments, or
            there are too many of them.
    """
    gaps = 0
    for count, (kind, gap) in enumerate(_segments(data)):
        gaps += gap
        if gaps > MOST_BETWEEN or count > MOST_BETWEEN:
            raise BadImageError("has a header without an end")
        if kind == 0xDA:
            return


def _segments(data):
    """Yields the marker of each segment, and the bytes in front of it."""
    at = 2
    while found := MARKER.search(data, at):
        kind, gap, at = data[found.end() - 1], found.start() - at, found.end()
        if kind == 0xD9:  # the end
            return
        if kind != 0xD8 and kind != 0x01:
            at += int.from_bytes(data[at : at + 2], "big")
        yield kind, gap


def damage(data):
    """What is wrong with a JPEG that libjpeg can continue behind, or None."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        simplejpeg.decode_jpeg(data, strict=True)
    except ValueError as error:
        return _first_line(error)
    return None


def _read_jpeg(data, part, smaller):
    """An ordinary JPEG; `None` means: fall back to Pillow."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space != "YCbCr":
            return None
        check_size(width, height, len(data))
        check_scans(data, width, height)
        times = smaller((height, width)) if smaller else 1
        times = next(n for n in SMALLER if n <= max(times, 1))
        # The accurate transform: what Pillow, PyTorch and OpenCV decode with.
        pixels = simplejpeg.decode_jpeg(
            data,
            "RGBX",  # as Pillow keeps RGB: copied at once, not pixel by pixel
            fastdct=False,
            fastupsample=False,
            min_height=-(-height // times),
            min_width=-(-width // times),
            buffer=_buffer(4 * width * height),
            strict=True,
        )
    except BadImageError:
        raise
    except ValueError:
        return None
    height, width = pixels.shape[:2]
    left, top, right, bottom = 0, 0, width, height
    if part:
        left, top, right, bottom = part((height, width))
    first = 4 * (top * width + left)
    last = 4 * ((bottom - 1) * width + right)
    data = pixels.reshape(-1).data[first:last]
    size = (right - left, bottom - top)
    return Image.frombytes("RGB", size, data, "raw", "RGBX", 4 * width, 1)


_thread = threading.local()
_large_one = threading.Lock()
_nothing = contextlib.nullcontext()


def _buffer(size):
    """Memory of this thread, kept for its next image if it is not too much.

    The system would clear it anew for every image.
    """
    if size > LARGEST_KEPT:
        return bytearray(size)
    if len(getattr(_thread, "buffer", b"")) < size:
        _thread.buffer = bytearray(size)
    return _thread.buffer


def converted(image, channels):
    """A picture of Pillow's in the mode in which images are read.

    Args:
        image: The picture.
        channels: 3 for RGB, 1 for gray.
    """
    if image.mode.startswith("I"):  # 16 bits: Pillow would clip, not scale
        values = np.asarray(image)
        upper = np.empty(values.shape, "uint8")
        for row, of in zip(upper, values, strict=True):
            row[:] = (of >> 8).clip(0, 255)
        image = Image.fromarray(upper)
    if "transparency" in image.info:  # Pillow warns of dropping it directly
        image = image.convert("RGBA")
    return image.convert("L" if channels == 1 else "RGB")


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
