"""Augmentation and batches, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_alexnet.architectures import VARIANTS
from keras_alexnet.augment import center_crop
from keras_alexnet.augment import preprocess_input
from keras_alexnet.augment import random_crop
from keras_alexnet.augment import random_flip
from keras_alexnet.augment import resize_short_side
from keras_alexnet.images import Examples
from keras_alexnet.pipeline import evaluation_batches
from keras_alexnet.pipeline import training_batches

SIZES = {"resize_pixels": 8, "crop_pixels": 6}


def numbered(count):
    """Gray images of 8x8, each pixel the image's number."""
    images = np.arange(count, dtype="uint8")[:, None, None]
    return Examples(
        np.broadcast_to(images, (count, 8, 8)).copy(),
        np.arange(count) % 3,
        ("a", "b", "c"),
    )


def numbers(images, variant="lenet5"):
    """The numbers of the images again (lenet5 only divides by 255)."""
    return np.round(np.asarray(images)[:, 0, 0, 0] * 255).astype(int)


@pytest.mark.parametrize("variant", ["alexnet", "caffenet", "torchvision"])
@pytest.mark.parametrize("in_tf_data", [False, True])
def test_preprocess_input(variant, in_tf_data):
    x = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), "uint8")
    facts = VARIANTS[variant].preprocessing
    expected = x.astype("float64")
    if variant == "caffenet":
        expected = expected[..., [2, 1, 0]] - [104, 117, 123]
    elif variant == "torchvision":
        expected = expected / 255 - [0.485, 0.456, 0.406]
        expected = expected / [0.229, 0.224, 0.225]
    else:
        expected = expected - facts.mean
    if in_tf_data:
        dataset = tf.data.Dataset.from_tensor_slices(x)
        dataset = dataset.map(lambda image: preprocess_input(image, variant))
        y = np.stack(list(dataset.as_numpy_iterator()))
    else:
        y = preprocess_input(x, variant)
        assert isinstance(y, np.ndarray)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_preprocess_input_refuses_gray():
    with pytest.raises(ValueError, match="expects 3 channels"):
        preprocess_input(np.zeros((2, 5, 4, 1)))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((500, 375), (341, 256)),
        ((375, 500), (256, 341)),
        ((28, 28), (256, 256)),
        ((257, 256), (257, 256)),
    ],
)
def test_resize_short_side(size, expected):
    image = tf.zeros((*size, 3), tf.uint8)
    assert resize_short_side(image, 256).shape[:2] == expected


def test_crops_are_parts_of_the_image():
    image = tf.reshape(tf.range(7 * 9 * 3), (7, 9, 3))
    center = center_crop(image, 5).numpy()
    np.testing.assert_array_equal(center, image.numpy()[1:6, 2:7])
    found = set()
    for number in range(300):
        crop = random_crop(image, 5, [0, number]).numpy()
        row, column = divmod(int(crop[0, 0, 0]) // 3, 9)
        expected = image.numpy()[row : row + 5, column : column + 5]
        np.testing.assert_array_equal(crop, expected)
        found.add((row, column))
    assert found == {(r, c) for r in range(3) for c in range(5)}


def test_flips_are_mirror_images_half_of_the_time():
    image = tf.reshape(tf.range(12), (2, 2, 3))
    flipped = [
        not np.array_equal(random_flip(image, [0, n]), image)
        for n in range(400)
    ]
    assert 150 < sum(flipped) < 250


def test_evaluation_sees_every_example_once_in_order():
    batches = list(
        evaluation_batches(
            numbered(10), "lenet5", batch_size=4, channels=1, **SIZES
        )
    )
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    seen = np.concatenate([numbers(images) for images, _ in batches])
    assert seen.tolist() == list(range(10))
    labels = np.concatenate([labels for _, labels in batches])
    assert labels.tolist() == [n % 3 for n in range(10)]


def test_training_epochs_draw_without_repetition():
    dataset = training_batches(
        numbered(10), "lenet5", batch_size=4, channels=1, seed=3, **SIZES
    )
    epochs = []
    steps = list(dataset.take(6))
    for first in (0, 2, 4):  # two batches of four an epoch
        pair = steps[first : first + 2]
        seen = np.concatenate([numbers(images) for images, _ in pair])
        labels = np.concatenate([labels for _, labels in pair])
        np.testing.assert_array_equal(labels, seen % 3)
        assert len(set(seen)) == 8
        epochs.append(tuple(seen))
    assert len(set(epochs)) == 3  # another order in every epoch


def test_training_batches_are_a_function_of_seed_and_step():
    def take(seed, skip=0):
        examples = Examples(
            np.random.default_rng(0).integers(0, 256, (9, 8, 8), "uint8"),
            np.arange(9),
            tuple("abcdefghi"),
        )
        dataset = training_batches(
            examples, "lenet5", batch_size=3, channels=1, seed=seed, **SIZES
        )
        return [x.numpy() for x, _ in dataset.skip(skip).take(4)]

    np.testing.assert_array_equal(take(0), take(0))
    np.testing.assert_array_equal(take(0)[2:], take(0, skip=2)[:2])
    assert not np.array_equal(take(0), take(1))


def test_images_are_read_from_files(class_folders):
    from keras_alexnet.images import load_examples

    train, _ = load_examples(class_folders({"blue": 5, "red": 5}))
    batches = evaluation_batches(
        train, "alexnet", batch_size=16, resize_pixels=32, crop_pixels=24
    )
    ((images, labels),) = list(batches)
    assert images.shape == (8, 24, 24, 3)
    reddest = np.asarray(images).mean((1, 2))[..., 0] > 0
    # The first class, "blue", is written in the fixture's first color, red.
    np.testing.assert_array_equal(reddest, labels.numpy() == 1)
