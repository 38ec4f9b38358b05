"""Files with the names of images: those that cannot be used, odd ones that can.

All are made here, small and in no time, from one picture.
"""

import gzip
import io
import json
import pickle
import random
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112  # the tag of EXIF


def picture(height=60, width=80, seed=0):
    """A smooth picture with some noise: it compresses as photos do."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(seed).normal(0, 8, (height, width, 3))
    waves = [np.sin(x / 9), np.cos(y / 7 + 1), np.sin((x + y) / 11)]
    pixels = 128 + 90 * np.stack(waves, -1) + noise
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


def encoded(image, file_format, **options):
    """The bytes of an image file."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def png_chunk(kind, data):
    """A chunk of a PNG file, with its checksum."""
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def black_png(side, pixels=True):
    """A PNG of one bit a pixel; without pixels it only claims its size."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = bytes((side + 7) // 8 + 1) * side if pixels else bytes(2)
    return (
        PNG_SIGNATURE
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows, 1))
        + png_chunk(b"IEND", b"")
    )


def jpeg_of_size(jpeg, width, height):
    """The same JPEG, but its header claims another size."""
    place = frame_header(jpeg)
    size = struct.pack(">HH", height, width)
    return jpeg[: place + 5] + size + jpeg[place + 9 :]


def frame_header(jpeg):
    """Where the header of the (baseline or progressive) frame begins."""
    return max(jpeg.find(b"\xff\xc0\x00"), jpeg.find(b"\xff\xc2\x00"))


def _changed(data, place):
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def _frames(count=3):
    return [picture(seed=seed) for seed in range(count)]


def _animated(file_format, **options):
    first, *others = _frames()
    return encoded(
        first, file_format, save_all=True, append_images=others, **options
    )


def _text_files():
    page = "<!DOCTYPE html><html><body>404 Not Found</body></html>"
    drawing = '<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>'
    return {
        "page.jpg": (page.encode(), "HTML"),
        "note.jpeg": (b"The photo will follow.\n", "text"),
        "answer.png": (json.dumps({"error": 429}).encode(), "JSON"),
        "drawing.png": (drawing.encode(), "SVG"),
        "lfs.jpg": (
            b"version https://git-lfs.github.com/spec/v1\n"
            b"oid sha256:" + b"0" * 64 + b"\nsize 132735\n",
            "the pointer to a file that was not fetched",
        ),
    }


def _other_formats(jpeg):
    image = picture()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("photo.jpg", jpeg)
    mp4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    return {
        "scan.jpg": (encoded(image, "TIFF"), "TIFF"),
        "paper.jpg": (encoded(image, "PDF"), "PDF"),
        "icon.png": (encoded(image, "ICO"), "ICO"),
        "plain.png": (encoded(image, "PPM"), "PPM"),
        "archive.jpg": (archive.getvalue(), "ZIP"),
        "object.jpg": (pickle.dumps(np.asarray(image)), "pickle"),
        "packed.jpg": (gzip.compress(jpeg), "gzip of a JPEG"),
        "film.jpg": (mp4, "MP4"),
        "phone.jpg": (heic, "HEIC"),
        "wavelets.jpg": (encoded(image, "JPEG2000"), "JPEG 2000"),
        "naked-xl.jpg": (b"\xff\x0a" + bytes(50), "JPEG XL, a bare stream"),
        "boxed-xl.jpg": (
            b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50),
            "JPEG XL, in a container",
        ),
        "resources.jpg": (
            b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(4000),
            "AppleDouble, the resources of macOS",
        ),
    }


def _cut_files(jpeg):
    image = picture()
    png, gif = encoded(image, "PNG"), encoded(image, "GIF")
    webp, bmp = encoded(image, "WEBP"), encoded(image, "BMP")
    progressive = encoded(image, "JPEG", progressive=True)
    gray = encoded(image.convert("L"), "JPEG")
    cmyk = encoded(image.convert("CMYK"), "JPEG")
    film = _animated("WEBP")
    frame, scan = frame_header(jpeg), jpeg.find(b"\xff\xda")
    half = {
        "cut-half.jpg": jpeg,
        "cut-progressive.jpg": progressive,
        "cut-gray.jpg": gray,
        "cut-cmyk.jpg": cmyk,
        "cut.png": png,
        "cut.gif": gif,
        "cut.webp": webp,
        "cut.bmp": bmp,
        "cut-film.webp": film,
    }
    files = {n: (d[: len(d) // 2], "cut in half") for n, d in half.items()}
    return files | {
        "soi.jpg": (jpeg[:2], "nothing but the start of a JPEG"),
        "soi-eoi.jpg": (b"\xff\xd8\xff\xd9", "a JPEG's start and end"),
        "cut-app0.jpg": (jpeg[:12], "cut in the JFIF header"),
        "cut-frame.jpg": (jpeg[: frame + 6], "cut in the frame header"),
        "cut-scan.jpg": (jpeg[: scan + 4], "cut before the first pixel"),
        "cut-late.jpg": (jpeg[:-200], "200 bytes are missing"),
        "no-tables.jpg": (
            jpeg[:2] + jpeg[frame : frame + 19] + jpeg[scan:],
            "a JPEG without its tables",
        ),
        "signature.png": (PNG_SIGNATURE, "nothing but PNG's signature"),
        "cut-header.png": (png[:20], "cut in the header"),
        "cut-header.gif": (gif[:11], "cut in the header"),
        "cut-header.webp": (webp[:24], "cut in the header"),
        "cut-header.bmp": (bmp[:30], "cut in the header"),
    }


def _damaged_files(jpeg):
    png = encoded(picture(), "PNG")
    data = png.find(b"IDAT") + 4
    colors = struct.pack(">IIBBBBB", 8, 8, 8, 3, 0, 0, 0)
    return {
        "header-crc.png": (_changed(png, 17), "IHDR against its checksum"),
        "data-crc.png": (
            png[:data] + bytes(40) + png[data + 40 :],
            "IDAT against its checksum",
        ),
        "no-data.png": (
            png[: data - 8] + png_chunk(b"IEND", b""),
            "a PNG without pixels",
        ),
        "hair.jpg": (
            encoded(picture(1, 20_000), "JPEG"),
            "would be enormous with a short side of 256",
        ),
        "strange-depth.png": (
            PNG_SIGNATURE
            + png_chunk(b"IHDR", colors[:8] + b"\x07" + colors[9:])
            + png_chunk(b"IEND", b""),
            "7 bits a pixel",
        ),
        "no-width.jpg": (jpeg_of_size(jpeg, 0, 60), "no width"),
        "no-height.jpg": (jpeg_of_size(jpeg, 80, 0), "no height"),
        "no-frames.gif": (
            b"GIF89a\x10\0\x10\0\0\0\0;",
            "a GIF without frames",
        ),
        "noise.jpg": (random.Random(0).randbytes(5000), "random bytes"),
        "noisy.jpg": (
            b"\xff\xd8\xff\xe0" + random.Random(1).randbytes(5000),
            "random bytes after a JPEG's start",
        ),
        "zeros.jpg": (bytes(4096), "zeros, as after a power failure"),
    }


def bombs():
    """Small files that claim, or hold, far too many pixels: name -> bytes."""
    jpeg = encoded(picture(), "JPEG")
    gif, webp = encoded(picture(), "GIF"), _animated("WEBP")
    bmp = encoded(picture(), "BMP")
    canvas = webp.find(b"VP8X") + 12
    huge = struct.pack("<HH", 65_535, 65_535)
    return {
        "bomb-9000.png": black_png(9_000),
        "bomb-12000.png": black_png(12_000),
        "bomb-claim.png": black_png(12_000, pixels=False),
        "bomb-20000.png": black_png(20_000, pixels=False),
        "bomb-9000.jpg": jpeg_of_size(jpeg, 9_000, 9_000),
        "bomb-12000.jpg": jpeg_of_size(jpeg, 12_000, 12_000),
        "bomb-65000.jpg": jpeg_of_size(jpeg, 65_000, 65_000),
        "bomb-gray.jpg": jpeg_of_size(
            encoded(picture().convert("L"), "JPEG"), 9_000, 9_000
        ),
        "bomb.gif": gif[:6] + huge + gif[10:],
        "bomb.bmp": bmp[:18] + struct.pack("<ii", 9_000, 9_000) + bmp[26:],
        "bomb.webp": webp[:canvas] + 2 * b"\xff\x3f\0" + webp[canvas + 6 :],
    }


def write_bad_files(folder):
    """Write files that cannot be used.

    Args:
        folder: Path of an existing folder.

    Returns:
        Dict of the file's name to what is wrong with it.
    """
    jpeg = encoded(picture(), "JPEG")
    files = {
        "empty.jpg": (b"", "no bytes at all"),
        **_text_files(),
        **_other_formats(jpeg),
        **_cut_files(jpeg),
        **_damaged_files(jpeg),
        **{name: (data, "too many pixels") for name, data in bombs().items()},
    }
    reasons = {}
    for name, (data, reason) in files.items():
        (folder / name).write_bytes(data)
        reasons[name] = reason
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    links = {"dangling.jpg": "a link to nothing", "loop.jpg": "its own link"}
    return reasons | links


def with_exif(jpeg, exif):
    """A JPEG with these bytes as its EXIF, whole or not."""
    data = b"Exif\0\0" + exif
    marker = b"\xff\xe1" + struct.pack(">H", len(data) + 2)
    return jpeg[:2] + marker + data + jpeg[2:]


def odd_files():
    """Files that are read though they are no ordinary photos: name -> bytes."""
    image = picture()
    gray, alpha = image.convert("L"), picture(seed=5).convert("L")
    jpeg = encoded(image, "JPEG")
    rgba, la = image.copy(), gray.copy()
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    palette = image.quantize(64)
    deep = np.asarray(gray).astype("uint16") * 256 + np.arange(80, dtype="u2")
    rotated = Image.Exif()
    rotated[ORIENTATION] = 6
    dense = encoded(image, "JPEG", dpi=(72, 72))
    film = _animated("GIF")
    second = film.find(b"\x21\xf9", 900)  # the block before a picture
    return {
        "plain.jpg": jpeg,
        "gray.jpg": encoded(gray, "JPEG"),
        "cmyk.jpg": encoded(image.convert("CMYK"), "JPEG"),
        "progressive.jpg": encoded(image, "JPEG", progressive=True),
        "full-color.jpg": encoded(image, "JPEG", subsampling=0),
        "rgb.jpg": encoded(image, "JPEG", keep_rgb=True),
        "rotated.jpg": encoded(image, "JPEG", exif=rotated),
        "bad-exif.jpg": with_exif(jpeg, b"no TIFF, just text" * 5),
        # Pillow looks at EXIF earlier where JFIF does not tell the density.
        "bad-exif-late.jpg": with_exif(dense, b"no TIFF, just text" * 5),
        "cut-exif.jpg": with_exif(jpeg, b"II*\0\x08\0\0\0\x20\0\x12\x01"),
        "no-exif.jpg": with_exif(jpeg, b""),
        "trailing.jpg": jpeg + b"appended by a camera" * 20,
        "Gänse & 鵞鳥 am See.jpg": encoded(picture(seed=6), "JPEG"),
        "two.jpg": _animated("MPO"),
        "one-pixel.jpg": encoded(picture(1, 1), "JPEG"),
        "thin.jpg": encoded(picture(4, 3000), "JPEG"),
        "tall.png": encoded(picture(3000, 4), "PNG"),
        "rgba.png": encoded(rgba, "PNG"),
        "la.png": encoded(la, "PNG"),
        "palette.png": encoded(palette, "PNG"),
        "clear-color.png": encoded(palette, "PNG", transparency=3),
        "clear-bytes.png": encoded(
            palette, "PNG", transparency=bytes(range(64))
        ),
        "clear-gray.png": encoded(gray, "PNG", transparency=100),
        "clear-rgb.png": encoded(image, "PNG", transparency=(9, 8, 7)),
        "one-bit.png": encoded(image.convert("1"), "PNG"),
        "deep.png": encoded(Image.fromarray(deep), "PNG"),
        "interlaced.png": _interlaced_png(),
        "film.png": _animated("PNG"),
        "film.gif": film,
        "cut-film.gif": film[: second + 13],
        "still.gif": encoded(image, "GIF"),
        "film.webp": _animated("WEBP", lossless=True),
        "still.webp": encoded(image, "WEBP"),
        "alpha.webp": encoded(rgba, "WEBP", lossless=True),
        "still.bmp": encoded(image, "BMP"),
        "gray.bmp": encoded(gray, "BMP"),
        "a-png.jpg": encoded(image, "PNG"),
        "a-gif.JPEG": encoded(image, "GIF"),
    }


def _interlaced_png():
    """Adam7 with 2x2 gray pixels: the passes hold 1, 0, 0, 0, 0, 1, 2."""
    header = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 1)
    rows = b"\0\x0a" + b"\0\x14" + b"\0\x1e\x28"
    return (
        PNG_SIGNATURE
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def write_odd_files(folder):
    """Write files that are read, of all kinds, and return their names."""
    files = odd_files()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return list(files)


def fuzz_seeds():
    """Small images of all formats: list of bytes."""
    image = picture(24, 32)
    gray, palette = image.convert("L"), image.quantize(16)
    films = [image, picture(24, 32, seed=1)]
    film = {"save_all": True, "append_images": films[1:]}
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    made = [
        (image, "JPEG", {}),
        (image, "JPEG", {"exif": exif, "dpi": (72, 72)}),
        (image, "JPEG", {"progressive": True}),
        (gray, "JPEG", {}),
        (image.convert("CMYK"), "JPEG", {}),
        (image, "MPO", film),
        (image, "PNG", {}),
        (palette, "PNG", {"transparency": bytes(16)}),
        (image.convert("1"), "PNG", {}),
        (image, "PNG", film),
        (image, "GIF", {}),
        (image, "GIF", film),
        (image, "BMP", {}),
        (palette, "BMP", {}),
        (image, "WEBP", {}),
        (image, "WEBP", {"lossless": True}),
        (image, "WEBP", film),
    ]
    return [encoded(i, kind, **more) for i, kind, more in made]


def mutated(generator, seeds):
    """One of the images with one to four things done to its bytes."""
    data = bytearray(generator.choice(seeds))
    for _ in range(generator.choice([1, 1, 1, 2, 4])):
        # The first bytes are where the headers are: hit them as often.
        end = generator.choice([32, 256, len(data)])
        place = generator.randrange(max(1, min(end, len(data))))
        length = generator.choice([1, 2, 8, 64])
        kind = generator.randrange(8)
        if kind <= 1:  # flip
            if data:
                data[min(place, len(data) - 1)] ^= 1 << generator.randrange(8)
        elif kind == 2:  # insert
            data[place:place] = generator.randbytes(length)
        elif kind == 3:  # delete
            del data[place : place + length]
        elif kind == 4:  # duplicate
            data[place:place] = data[place : place + length]
        elif kind == 5:  # truncate
            del data[generator.randrange(len(data) + 1) :]
        elif kind == 6:  # splice
            other = generator.choice(seeds)
            data[place:] = other[generator.randrange(len(other)) :]
        else:
            data = patched(generator, data)
    return bytes(data)


def patched(generator, data):
    """Another size in the header of a JPEG, PNG, GIF, BMP or WebP."""
    width, height = (
        generator.choice([0, 1, 2, 31, 33, 500, 4000, 16_383, 65_535])
        for _ in range(2)
    )
    if data[:2] == b"\xff\xd8" and frame_header(data) > 0:
        return bytearray(jpeg_of_size(bytes(data), width, height))
    places = {b"\x89P": (16, ">II"), b"GI": (6, "<HH"), b"BM": (18, "<ii")}
    place, form = places.get(bytes(data[:2]), (26, "<HH"))
    size = struct.pack(form, width, height)
    data[place : place + len(size)] = size
    if data[:2] == b"\x89P":  # else Pillow looks no further
        crc = png_chunk(b"IHDR", bytes(data[16:29]))[-4:]
        data[29:33] = crc
    return data
