"""Sizes and places, against Pillow alone and NumPy's slices."""

import bad_files
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_alexnet import ten_crops
from keras_alexnet.data import transforms

SHAPES = [
    (1, 1),
    (1, 9),
    (9, 1),
    (32, 32),
    (60, 81),
    (81, 60),
    (97, 400),
    (256, 256),
    (255, 257),
    (375, 500),
    (500, 333),
]


def resized_crop(image, resize_pixels, crop_pixels, top, left):
    """A crop of the resized image without the rest of it."""
    shape = transforms.shape_of(image)
    box = transforms.crop_box(shape, resize_pixels, crop_pixels, top, left)
    return transforms.resize_box(image, box, crop_pixels)


def torchvision_shape(height, width, pixels):
    """`_compute_resized_output_size` of torchvision, in its own words."""
    short, long = (width, height) if width <= height else (height, width)
    new_short, new_long = pixels, int(pixels * long / short)
    new_width, new_height = (
        (new_short, new_long) if width <= height else (new_long, new_short)
    )
    return new_height, new_width


def torchvision_center(height, width, pixels):
    """Top and left as in torchvision's `center_crop`."""
    top = int(round((height - pixels) / 2.0))
    left = int(round((width - pixels) / 2.0))
    return top, left


@pytest.mark.parametrize("pixels", [1, 32, 100, 256])
@pytest.mark.parametrize("shape", SHAPES)
def test_resize_is_pillows_to_the_shape_of_torchvision(shape, pixels):
    picture = bad_files.picture(*shape)
    height, width = torchvision_shape(*shape, pixels)
    expected = picture.resize((width, height), Image.Resampling.BILINEAR)
    array = transforms.resize_short_side(np.asarray(picture), pixels)
    np.testing.assert_array_equal(array, np.asarray(expected))
    assert transforms.resized_shape(shape, pixels) == (height, width)
    # A picture of Pillow's comes back as the same array.
    array = transforms.resize_short_side(picture, pixels)
    np.testing.assert_array_equal(array, np.asarray(expected))


def test_shapes_are_those_of_torchvision():
    generator = np.random.default_rng(0)
    for _ in range(20_000):
        *shape, pixels = generator.integers(1, 2_000, 3).tolist()
        assert transforms.resized_shape(shape, pixels) == torchvision_shape(
            *shape, pixels
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_gray_images_keep_their_channel(shape):
    gray = bad_files.picture(*shape).convert("L")
    height, width = torchvision_shape(*shape, 40)
    expected = gray.resize((width, height), Image.Resampling.BILINEAR)
    for image in (gray, np.asarray(gray)[..., np.newaxis]):
        resized = transforms.resize_short_side(image, 40)
        assert resized.shape == (height, width, 1)
        np.testing.assert_array_equal(resized[..., 0], np.asarray(expected))


def test_an_image_of_that_size_is_not_resampled():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 50, 3), "uint8")
    np.testing.assert_array_equal(
        transforms.resize_short_side(pixels, 32), pixels
    )


def test_center_crop_is_a_slice():
    generator = np.random.default_rng(0)
    # Odd and even distances: 0.5 and 2.5 round down, 1.5 up.
    for height in range(8, 16):
        for width in range(8, 16):
            image = generator.integers(0, 256, (height, width, 3), "uint8")
            top, left = torchvision_center(height, width, 8)
            np.testing.assert_array_equal(
                transforms.center_crop(image, 8),
                image[top : top + 8, left : left + 8],
            )
    assert transforms.center_offset((9, 11), 8) == (0, 2)
    assert transforms.center_offset((13, 15), 8) == (2, 4)


def slices(image, pixels):
    """The ten crops, written out, of an array of any number of axes."""
    height, width = image.shape[-3:-1]
    top, left = torchvision_center(height, width, pixels)
    five = [
        image[..., :pixels, :pixels, :],
        image[..., :pixels, width - pixels :, :],
        image[..., height - pixels :, :pixels, :],
        image[..., height - pixels :, width - pixels :, :],
        image[..., top : top + pixels, left : left + pixels, :],
    ]
    return five + [np.flip(part, axis=-2) for part in five]


@pytest.mark.parametrize("pixels", [1, 7, 12])
@pytest.mark.parametrize(
    "shape", [(12, 12, 3), (13, 20, 1), (4, 19, 14, 3), (2, 2, 15, 16, 3)]
)
def test_ten_crops_are_slices(shape, pixels):
    image = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    expected = slices(image, pixels)
    for crops in (
        ten_crops(image, pixels),
        ten_crops(tf.constant(image), pixels),
    ):
        assert len(crops) == 10
        for part, slice_ in zip(crops, expected, strict=True):
            np.testing.assert_array_equal(np.asarray(part), slice_)


@pytest.mark.parametrize("pixels", [0, 9])
def test_crops_of_no_size_or_too_large_are_refused(pixels):
    with pytest.raises(ValueError, match="image of 8x12 has no crops"):
        ten_crops(np.zeros((8, 12, 3)), pixels)


def test_ten_crops_in_a_dataset():
    images = np.random.default_rng(0).integers(0, 256, (5, 17, 20, 3), "uint8")
    dataset = tf.data.Dataset.from_tensor_slices(images)
    dataset = dataset.map(lambda image: tf.stack(ten_crops(image, 8)))
    for image, crops in zip(images, dataset, strict=True):
        np.testing.assert_array_equal(crops.numpy(), slices(image, 8))


@pytest.mark.parametrize("shape", SHAPES)
def test_resized_crop_is_a_crop_of_the_resized(shape):
    generator = np.random.default_rng(sum(shape))
    picture = bad_files.picture(*shape)
    for pixels in (24, 64, 256):  # up and down
        whole = transforms.resize_short_side(picture, pixels)
        side = pixels - pixels // 8
        rooms = np.array(whole.shape[:2]) - side
        offsets = [(0, 0), rooms, *generator.integers(0, rooms + 1, (6, 2))]
        for top, left in np.array(offsets).tolist():
            expected = whole[top : top + side, left : left + side]
            for image in (picture, np.asarray(picture)):
                part = resized_crop(image, pixels, side, top, left)
                assert part.shape == expected.shape
                difference = part.astype(int) - expected.astype(int)
                assert abs(difference).max() <= 1


def test_resized_crop_of_gray_and_of_the_same_size():
    gray = bad_files.picture(90, 70).convert("L")
    array = np.asarray(gray)[..., np.newaxis]
    whole = transforms.resize_short_side(array, 50)
    part = resized_crop(gray, 50, 32, 9, 17)
    difference = part.astype(int) - whole[9:41, 17:49].astype(int)
    assert abs(difference).max() <= 1
    for image in (gray, array):  # nothing to resize: exactly the crop
        part = resized_crop(image, 70, 32, 30, 5)
        np.testing.assert_array_equal(part, array[30:62, 5:37])


@pytest.mark.parametrize("shape", [(375, 500), (500, 333), (224, 300)])
def test_preprocessing_of_torchvision(shape):
    """Resize(256), CenterCrop(224), with Pillow's `crop` as torchvision."""
    picture = bad_files.picture(*shape)
    height, width = torchvision_shape(*shape, 256)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    top, left = torchvision_center(height, width, 224)
    expected = resized.crop((left, top, left + 224, top + 224))
    ours = transforms.center_crop(
        transforms.resize_short_side(picture, 256), 224
    )
    np.testing.assert_array_equal(ours, np.asarray(expected))
