"""Image files: what is read is what Pillow reads, the rest is refused."""

import io
import json
import multiprocessing.pool
import os
import random
import struct
import subprocess
import sys
import tarfile
import time
import warnings
from pathlib import Path

import bad_files
import numpy as np
import pytest
from peak import STATUS
from peak import highest
from PIL import Image

from keras_alexnet.data import transforms
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.decode import BadImageError
from keras_alexnet.data.decode import read_bytes
from keras_alexnet.data.decode import read_image
from keras_alexnet.data.decode import read_picture
from keras_alexnet.data.image_source import Source

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "imagenet_samples.tar"
MUTATIONS = 10_000


def expected_rgb(data):
    """What is documented, without a conversion that could lose anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF data
        image = Image.open(io.BytesIO(data))
        values = np.asarray(image)
    if image.mode == "CMYK":
        return np.asarray(image.convert("RGB"))
    if image.mode == "P":
        palette = np.reshape(image.getpalette("RGB"), (-1, 3))
        return palette[values].astype("uint8")
    if image.mode == "1":
        values = values * 255
    if image.mode == "I;16":
        values = values // 256
    if image.mode == "LA":
        values = values[..., 0]
    if values.ndim == 2:
        values = np.stack([values] * 3, axis=-1)
    return values[..., :3].astype("uint8")


def luminance(rgb):
    """ITU-R 601 in Pillow's 16 bits."""
    weights = np.array([19_595, 38_470, 7_471])
    return ((rgb.astype("int64") @ weights + 2**15) >> 16).astype("uint8")


def test_bad_files_are_refused_with_a_reason_and_fast(tmp_path):
    reasons = bad_files.write_bad_files(tmp_path)
    assert len(reasons) >= 28
    for name, reason in reasons.items():
        for source in (tmp_path / name, str(tmp_path / name)):
            start = time.process_time()
            with pytest.raises(BadImageError) as error:
                pixels = read_image(source)
                pytest.fail(f"{name} ({reason}) is read: {pixels.shape}")
            assert str(error.value).strip(), name
            assert "\n" not in str(error.value), name
            assert time.process_time() - start < 1, name


def test_bad_files_are_refused_as_gray_too(tmp_path):
    for name in bad_files.write_bad_files(tmp_path):
        with pytest.raises(BadImageError):
            read_image(tmp_path / name, channels=1)
            pytest.fail(f"{name} is read")


def test_bad_bytes_are_refused_as_their_files_are(tmp_path):
    for name in bad_files.write_bad_files(tmp_path):
        if (tmp_path / name).exists():
            with pytest.raises(BadImageError) as from_path:
                read_image(tmp_path / name)
            with pytest.raises(BadImageError) as from_bytes:
                read_image((tmp_path / name).read_bytes())
            assert str(from_bytes.value) == str(from_path.value)


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("folder.jpg", "pipe.jpg"):
        with pytest.raises(BadImageError, match="is not a file"):
            read_bytes(tmp_path / name)
    with pytest.raises(BadImageError, match="there is no such file"):
        read_bytes(tmp_path / "missing.jpg")
    with pytest.raises(BadImageError, match="is empty"):
        read_bytes(b"")


@pytest.mark.parametrize("name", bad_files.odd_files())
def test_odd_files_are_read_as_pillow_reads_them(tmp_path, name):
    names = bad_files.write_odd_files(tmp_path)
    assert name in names
    data = (tmp_path / name).read_bytes()
    pixels = read_image(tmp_path / name)
    rgb = expected_rgb(data)
    assert pixels.dtype == "uint8"
    assert pixels.shape == (*rgb.shape[:2], 3)
    np.testing.assert_array_equal(pixels, rgb)
    np.testing.assert_array_equal(read_image(data), pixels)
    np.testing.assert_array_equal(read_image(str(tmp_path / name)), pixels)
    # Pixels belong to the caller: the next image must not show through.
    pixels[:] = 0
    np.testing.assert_array_equal(read_image(data), rgb)


@pytest.mark.parametrize("name", bad_files.odd_files())
def test_odd_files_are_read_as_gray(name):
    data = bad_files.odd_files()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixels = read_image(data, channels=1)
    rgb = expected_rgb(data)
    assert pixels.dtype == "uint8"
    assert pixels.shape == (*rgb.shape[:2], 1)
    np.testing.assert_array_equal(pixels[..., 0], luminance(rgb))


def test_lossless_files_hold_what_was_drawn():
    drawn = np.asarray(bad_files.picture())
    gray = np.asarray(bad_files.picture().convert("L"))
    files = bad_files.odd_files()
    # Alpha is dropped, not blended; of an animation the first frame counts.
    for name in ("rgba.png", "clear-rgb.png", "film.png", "film.webp"):
        np.testing.assert_array_equal(read_image(files[name]), drawn, name)
    for name in ("still.bmp", "a-png.jpg"):
        np.testing.assert_array_equal(read_image(files[name]), drawn, name)
    for name in ("la.png", "clear-gray.png", "gray.bmp", "deep.png"):
        for channel in range(3):
            np.testing.assert_array_equal(
                read_image(files[name])[..., channel], gray, name
            )
    interlaced = read_image(files["interlaced.png"])[..., 0]
    assert interlaced.tolist() == [[10, 20], [30, 40]]


def test_orientation_is_not_applied():
    files = bad_files.odd_files()
    # Tag 6 would turn 60x80 into 80x60.
    np.testing.assert_array_equal(
        read_image(files["rotated.jpg"]), read_image(files["plain.jpg"])
    )


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [5, 60, 95])
@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (16, 33), (101, 50)])
def test_jpegs_equal_pillow_bit_for_bit(shape, quality, subsampling):
    image = bad_files.picture(*shape, seed=quality)
    data = bad_files.encoded(
        image, "JPEG", quality=quality, subsampling=subsampling
    )
    decoded = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(read_image(data), decoded)
    np.testing.assert_array_equal(np.asarray(read_picture(data)), decoded)


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("times", [0.5, 1.9, 2, 3.9, 4, 7, 8, 100])
def test_a_jpeg_comes_smaller_where_that_is_asked_for(times, subsampling):
    shape = (203, 330)
    image = bad_files.picture(*shape, seed=0)
    data = bad_files.encoded(image, "JPEG", subsampling=subsampling)
    asked = []

    def smaller(of):
        asked.append(of)
        return times

    picture = read_picture(data, smaller=smaller)
    assert asked == [shape]
    scale = max(n for n in (1, 2, 4, 8) if n <= max(times, 1))
    assert picture.size == (-(-330 // scale), -(-203 // scale))
    expected = Image.open(io.BytesIO(data))
    # Pillow divides and rounds down.
    expected.draft("RGB", (330 // scale, 203 // scale))
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))


def test_imagenet_equals_pillow_bit_for_bit():
    if not SAMPLES.exists():
        pytest.skip(f"{SAMPLES} is not there")
    count = 0
    with tarfile.open(SAMPLES) as archive:
        for member in archive:
            if not member.name.lower().endswith(".jpeg"):
                continue
            data = archive.extractfile(member).read()
            image = Image.open(io.BytesIO(data))
            np.testing.assert_array_equal(
                read_image(data), np.asarray(image.convert("RGB")), member.name
            )
            count += 1
    assert count == 200


def test_limits_of_what_is_refused():
    # Up to 2^24 pixels compression is no crime.
    assert read_image(bad_files.black_png(4_000)).shape == (4_000, 4_000, 3)
    with pytest.raises(BadImageError, match="a decompression bomb"):
        read_image(bad_files.black_png(4_200))
    thin = bad_files.encoded(bad_files.picture(1, 1_000), "PNG")
    assert read_image(thin).shape == (1, 1_000, 3)
    thin = bad_files.encoded(bad_files.picture(1_001, 1), "PNG")
    with pytest.raises(BadImageError, match="is 1x1001 pixels, too thin"):
        read_image(thin)


def test_a_file_larger_than_any_photo_is_refused(tmp_path):
    """5 GB that take no place on the disk."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(bad_files.encoded(bad_files.picture(), "JPEG"))
    os.truncate(path, 5 * 2**30)
    start = time.perf_counter()
    with pytest.raises(BadImageError, match="at most 269,484,032 are read"):
        read_bytes(path)
    assert time.perf_counter() - start < 1
    with pytest.raises(BadImageError, match="is empty"):
        read_bytes("/proc/self/maps")


def test_a_jpeg_with_many_scans_is_refused():
    """Each of them goes through all pixels again."""
    jpeg = bad_files.encoded(
        Image.new("RGB", (2_000, 2_000)), "JPEG", progressive=True
    )
    last = jpeg.rindex(b"\xff\xda")
    many = jpeg[:last] + jpeg[last:-2] * 300 + b"\xff\xd9"
    with pytest.raises(BadImageError, match="pixels in 3.. scans"):
        read_picture(many)
    assert read_picture(jpeg).size == (2_000, 2_000)
    # Scans of a small picture in the EXIF data are not its own.
    thumbnails = b"Exif\0\0" + b"\xff\xda\0\2" * 400
    marker = b"\xff\xe1" + struct.pack(">H", len(thumbnails) + 2)
    photo = jpeg[:2] + marker + thumbnails + jpeg[2:]
    assert read_picture(photo).size == (2_000, 2_000)


@pytest.mark.parametrize("filling", [b"\xff", b"\0", b"\xff\xfe\0\2"])
def test_a_jpeg_whose_header_does_not_end_is_refused(filling):
    """Pillow would take a minute for 30 MB of it."""
    jpeg = bad_files.encoded(bad_files.picture(), "JPEG")
    gray = bad_files.encoded(bad_files.picture().convert("L"), "JPEG")
    for data in (jpeg, gray):
        start = time.process_time()
        with pytest.raises(BadImageError, match="header without an end"):
            read_picture(data[:2] + filling * 10**6 + data[2:], 1)
        assert time.process_time() - start < 5


def test_a_thin_image_is_not_resized_to_any_size():
    thin = bad_files.encoded(bad_files.picture(1, 1_000), "PNG")
    examples = Examples(np.array(["thin.png"]), [0], ("",))
    source = Source(examples, 4_096, None, 3)
    source.file = lambda index: thin
    with pytest.raises(BadImageError, match="too thin to be resized to a sho"):
        source.center_crop(0, 227)


def test_threads_do_not_share_memory():
    generator = np.random.default_rng(1)
    files = [
        bad_files.encoded(
            bad_files.picture(*generator.integers(1, 300, 2), seed=seed),
            "JPEG" if seed % 4 else "PNG",
        )
        for seed in range(60)
    ]
    alone = [read_image(data) for data in files]
    order = np.concatenate([generator.permutation(60) for _ in range(20)])
    with multiprocessing.pool.ThreadPool(8) as pool:
        together = pool.map(lambda i: read_image(files[i]), order, 1)
    for index, pixels in zip(order, together, strict=True):
        np.testing.assert_array_equal(pixels, alone[index])


@pytest.fixture(scope="module")
def fuzzed():
    """What `fuzz` tells, from a process that may crash."""
    result = subprocess.run(
        [sys.executable, "-c", "import test_decode; test_decode.fuzz()"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


def test_mutated_images_are_read_or_refused(fuzzed):
    assert fuzzed["errors"] == []
    assert fuzzed["read"] + fuzzed["refused"] == MUTATIONS
    # Neither all harmless nor all broken beyond the first byte.
    assert min(fuzzed["read"], fuzzed["refused"]) > MUTATIONS / 10
    assert fuzzed["slowest"] < 1


def test_mutated_images_and_bombs_need_little_memory(fuzzed):
    if not STATUS.exists():
        pytest.skip("the peak is read from /proc")
    assert fuzzed["growth_of_bombs"] < 100e6
    assert fuzzed["growth"] < 1e9


def fuzz():
    """Read bombs, then mutated images, and print what happened."""
    start = highest()
    for data in bad_files.bombs().values():
        try:
            read_image(data)
        except BadImageError:
            continue
        raise AssertionError("A bomb is read.")
    result = {"growth_of_bombs": highest() - start}
    generator = random.Random(0)
    seeds = bad_files.fuzz_seeds()
    counts = {"read": 0, "refused": 0}
    errors, slowest = [], 0
    for number in range(MUTATIONS):
        data = bad_files.mutated(generator, seeds)
        begin = time.process_time()
        try:
            pixels = transforms.resize_short_side(read_picture(data), 64)
            assert min(pixels.shape[:2]) == 64
            counts["read"] += 1
        except BadImageError as error:
            assert str(error)
            counts["refused"] += 1
        except Exception as error:
            errors.append([number, repr(error)])
        slowest = max(slowest, time.process_time() - begin)
    result |= counts | {"errors": errors, "slowest": slowest}
    print(json.dumps(result | {"growth": highest() - start}))
