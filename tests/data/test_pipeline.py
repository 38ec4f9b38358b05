"""Augmentation and batches, against NumPy."""

import functools
import gc
import os
import shutil
import subprocess
import sys
import time
import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_alexnet as ka
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.data.color import IMAGENET_2012
from keras_alexnet.data.datasets import Examples
from keras_alexnet.data.datasets import load_examples
from keras_alexnet.data.image_source import Source
from keras_alexnet.data.pipeline import evaluation_batches
from keras_alexnet.data.pipeline import read_batches
from keras_alexnet.data.pipeline import training_batches
from keras_alexnet.data.preprocessing import PixelsToInput
from keras_alexnet.data.preprocessing import preprocess_batches
from keras_alexnet.data.preprocessing import preprocess_input
from keras_alexnet.data.skipped_files import SkippedFiles

SIZES = {"resize_pixels": 8, "crop_pixels": 6}
GRAY = {"channels": 1, **SIZES}


def numbered(count):
    """Gray images of 8x8, each pixel the image's number."""
    images = np.arange(count, dtype="uint8")[:, None, None]
    return Examples(
        np.broadcast_to(images, (count, 8, 8)).copy(),
        np.arange(count) % 3,
        ("a", "b", "c"),
    )


def numbers(batch):
    """The numbers of a batch's images again, of those with a weight."""
    (images, _, _), _, weights = batch
    return images.numpy()[:, 0, 0, 0][weights.numpy() > 0].astype(int)


def colorful(count, size=(9, 12), seed=0):
    """RGB images of noise."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, *size, 3), "uint8")
    return Examples(images, np.arange(count) % 2, ("a", "b"))


@pytest.mark.parametrize("variant", ["alexnet", "caffenet", "torchvision"])
@pytest.mark.parametrize("where", ["array", "dataset", "model"])
def test_preprocess_input(variant, where):
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
    if where == "dataset":
        dataset = tf.data.Dataset.from_tensor_slices(x)
        dataset = dataset.map(lambda image: preprocess_input(image, variant))
        y = np.stack(list(dataset.as_numpy_iterator()))
    elif where == "model":
        image = keras.Input((5, 4, 3), dtype="uint8")
        model = keras.Model(image, preprocess_input(image, variant))
        y = model.predict(x, verbose=0)
    else:
        y = preprocess_input(x, variant)
        assert isinstance(y, np.ndarray)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_preprocess_input_refuses_gray():
    with pytest.raises(ValueError, match="expects 3 channels"):
        preprocess_input(np.zeros((2, 5, 4, 1)))


def test_evaluation_sees_every_example_once_in_order():
    batches = list(evaluation_batches(numbered(10), batch_size=4, **GRAY))
    assert [len(labels) for _, labels, _ in batches] == [4, 4, 2]
    seen = np.concatenate([numbers(batch) for batch in batches])
    assert seen.tolist() == list(range(10))
    labels = np.concatenate([labels for _, labels, _ in batches])
    assert labels.tolist() == [n % 3 for n in range(10)]


def test_evaluation_fills_up_to_a_multiple_of_the_devices():
    *_, (_, labels, weights) = evaluation_batches(
        numbered(9), batch_size=4, replicas=2, **GRAY
    )
    assert labels.numpy().tolist() == [2, 0, 0, 0]
    assert weights.numpy().tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("replicas", [2, 3, 4])
def test_the_shares_of_all_machines_are_the_batches_of_one(replicas):
    whole = training_batches(numbered(10), batch_size=4, seed=3, **GRAY)
    shares = [
        training_batches(
            numbered(10),
            batch_size=4,
            seed=3,
            replicas=replicas,
            local=local,
            first_step=2,
            **GRAY,
        )
        for local in (range(1), range(1, replicas))
    ]
    first, second = (iter(share.as_numpy_iterator()) for share in shares)
    for batch in whole.skip(2).take(4).as_numpy_iterator():
        elements = [next(first), *(next(second) for _ in range(replicas - 1))]
        assert {len(labels) for _, labels, _ in elements} == {-(-4 // replicas)}
        real = [w > 0 for _, _, w in elements]
        for column in (0, 1, 2):  # images, flips, shifts
            dealt = [
                inputs[column][r]
                for (inputs, _, _), r in zip(elements, real, strict=True)
            ]
            expected = batch[0][column][batch[2] > 0]
            np.testing.assert_array_equal(np.concatenate(dealt), expected)
        weights = np.concatenate([w for _, _, w in elements])
        assert set(weights.tolist()) <= {0.0, 1.0}
        assert weights.sum() == (batch[2] > 0).sum()


def test_every_training_epoch_sees_every_example_once():
    dataset = training_batches(numbered(10), batch_size=4, seed=3, **GRAY)
    steps = list(dataset.take(9))  # three steps an epoch, the last half full
    epochs = []
    for first in (0, 3, 6):
        epoch = steps[first : first + 3]
        assert all(labels.shape == (4,) for _, labels, _ in epoch)
        seen = np.concatenate([numbers(batch) for batch in epoch])
        assert sorted(seen) == list(range(10))
        labels = np.concatenate([y.numpy()[w > 0] for _, y, w in epoch])
        np.testing.assert_array_equal(labels, seen % 3)
        epochs.append(tuple(seen))
        # The mean over the batch is the mean over its real images.
        assert epoch[0][2].numpy().tolist() == [1, 1, 1, 1]
        assert sorted(epoch[2][2].numpy().tolist()) == [0, 0, 2, 2]
    assert len(set(epochs)) == 3  # another order in every epoch


def test_training_batches_are_a_function_of_seed_and_step():
    def take(seed, first_step=0, steps=4):
        dataset = training_batches(
            colorful(9, (8, 8)),
            batch_size=3,
            color_noise=0.1,
            seed=seed,
            first_step=first_step,
            **SIZES,
        )
        return [[a.numpy() for a in x] for x, _, _ in dataset.take(steps)]

    for one, two in zip(take(0), take(0), strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)
    # Resumed at step 2, in the middle of an epoch, nothing differs.
    for one, two in zip(take(0)[2:], take(0, 2, 2), strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(take(0)[0][0], take(1)[0][0])


@pytest.mark.parametrize("square", [False, True])
def test_crops_are_parts_of_the_image(square):
    examples = Examples(
        np.arange(8 * 12, dtype="uint8").reshape(1, 8, 12), [0], ("a", "b")
    )
    places = set()
    dataset = training_batches(examples, batch_size=1, square=square, **GRAY)
    for (images, _, _), _, _ in dataset.take(300):
        row, column = divmod(int(images[0, 0, 0, 0]), 12)
        part = examples.images[0, row : row + 6, column : column + 6]
        np.testing.assert_array_equal(images[0, ..., 0], part)
        places.add((row, column))
    # The central square of 8x12 is columns 2 to 9.
    columns = range(2, 5) if square else range(7)
    assert places == {(r, c) for r in range(3) for c in columns}


def test_flips_half_of_the_time_or_never():
    for flip in (False, True):
        dataset = training_batches(
            numbered(100), batch_size=100, flip=flip, **GRAY
        )
        (_, flips, _), _, _ = next(iter(dataset.skip(1)))
        assert 30 < flips.numpy().sum() < 70 if flip else not any(flips)


def test_color_noise_has_the_deviation_of_the_authors():
    examples = colorful(4000, (8, 8))
    dataset = training_batches(
        examples, batch_size=4000, color_noise=0.1, **SIZES
    )
    ((_, _, shifts), _, _) = next(iter(dataset))
    along = shifts.numpy() @ np.array(IMAGENET_2012.components).T
    expected = 0.1 * np.array(IMAGENET_2012.deviations)
    np.testing.assert_allclose(along.std(axis=0), expected, rtol=0.05)


@pytest.mark.parametrize(
    "variant", ["alexnet", "caffenet", "torchvision", "lenet5"]
)
@pytest.mark.parametrize("in_tf_data", [False, True])
def test_pixels_to_input(variant, in_tf_data):
    """Flip, noise, mean: as NumPy does it, eagerly and inside tf.data."""
    generator = np.random.default_rng(0)
    channels = 1 if variant == "lenet5" else 3
    images = generator.integers(0, 256, (4, 5, 6, channels), "uint8")
    flips = np.array([1, 0, 0, 1], "uint8")
    shifts = generator.normal(size=(4, channels)).astype("float32")
    layer = PixelsToInput(variant, training_divisor=1.1)
    if in_tf_data:
        dataset = tf.data.Dataset.from_tensors(
            ((images, flips, shifts), [0, 1, 2, 3], [1.0, 1, 1, 1])
        )
        ((y, _, _),) = preprocess_batches(
            dataset, variant, training=True, training_divisor=1.1
        )
    else:
        y = layer(images, flips, shifts, training=True)
    mirrored = np.where(
        flips[:, None, None, None] == 1, images[:, :, ::-1], images
    )
    expected = mirrored + shifts[:, None, None].astype("float64")
    expected = preprocess_input(expected, variant) / 1.1
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-4)
    if not in_tf_data:  # no division in a test
        y = layer(images, flips, shifts)
        np.testing.assert_allclose(y, expected * 1.1, rtol=1e-5, atol=1e-4)


def test_pixels_to_input_makes_gray_rgb_and_subtracts_the_mean_image():
    images = np.full((1, 4, 4, 1), 200, "uint8")
    mean_image = np.arange(6 * 6 * 3, dtype="float32").reshape(6, 6, 3)
    layer = PixelsToInput("alexnet_2012", mean_image=mean_image)
    y = layer(images, np.zeros(1, "uint8"), np.zeros((1, 3), "float32"))
    # Always the center of the mean image, wherever the crop is from.
    np.testing.assert_allclose(y[0], 200 - mean_image[1:5, 1:5], atol=1e-5)
    again = PixelsToInput.from_config(layer.get_config())
    np.testing.assert_array_equal(again.mean_image, mean_image)


def test_any_fit_takes_the_batches():
    examples = colorful(10, (40, 40))
    sizes = {"batch_size": 4, "resize_pixels": 40, "crop_pixels": 32}
    model = ka.AlexNet("cifar10_18pct", input_shape=(32, 32, 3), classes=2)
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = model.fit(
        preprocess_batches(
            training_batches(examples, **sizes), "cifar10_18pct"
        ),
        steps_per_epoch=3,
        epochs=2,
        shuffle=False,
        validation_data=preprocess_batches(
            evaluation_batches(examples, **sizes), "cifar10_18pct"
        ),
        verbose=0,
    )
    assert np.isfinite(history.history["val_loss"]).all()


def test_bad_files_have_no_weight_and_are_named(class_folders, tmp_path):
    folder = class_folders({"blue": 5, "red": 5})
    bad = folder / "red" / "bad.png"
    bad.write_bytes(b"not an image")
    train, _ = load_examples(folder)
    total = len(train)
    read = {"resize_pixels": 32, "crop_pixels": 24, "batch_size": 16}
    for batches in (training_batches, evaluation_batches):
        skipped = SkippedFiles(total, 0.5, tmp_path / "skipped.csv")
        dataset = batches(train, skipped=skipped, **read)
        ((images, _, _), _, weights) = next(iter(dataset))
        assert (weights.numpy() > 0).sum() == total - 1
        empty = images.numpy()[weights.numpy() == 0]
        assert not empty.any()
        assert list(skipped.reasons) == [str(bad)]
    strict = SkippedFiles(total, 0.0)
    with pytest.raises(tf.errors.OpError, match="bad.png"):
        next(iter(evaluation_batches(train, skipped=strict, **read)))
    with pytest.raises(ValueError, match=f"1 of {total} images cannot be used"):
        strict.check()


def test_images_are_read_from_files(class_folders):
    train, _ = load_examples(class_folders({"blue": 5, "red": 5}))
    ((inputs, labels, _),) = evaluation_batches(
        train, batch_size=16, resize_pixels=32, crop_pixels=24
    )
    images = inputs[0].numpy()
    assert images.shape == (8, 24, 24, 3)
    reddest = images.mean((1, 2))[..., 0] > 127
    np.testing.assert_array_equal(reddest, labels.numpy() == 1)


def photos(root, count=6, size=(50, 40)):
    """Class folders of JPEG files, as examples."""
    generator = np.random.default_rng(0)
    for number in range(count):
        small = generator.integers(0, 256, (7, 5, 3), "uint8")
        path = root / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small).resize(size).save(path, quality=95)
    return Examples(
        np.array(sorted(str(path) for path in root.rglob("*.jpg"))),
        np.arange(count) * 2 // count,
        ("a", "b"),
    )


READ = {"batch_size": 2, "resize_pixels": 32, "crop_pixels": 24}


def first_images(examples, **options):
    """Those of the first batch, as they were read."""
    options = {"resize_pixels": 32, "crop_pixels": 24, **options}
    batches = training_batches(
        examples, batch_size=len(examples), color_noise=0.0, **options
    )
    return next(iter(batches))[0][0].numpy().astype("int64")


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"square": False},
        {"smallest_crop_area": 0.5},
        {"resize_pixels": 16, "crop_pixels": 16},
    ],
)
def test_scaled_decoding_changes_pixels_and_not_what_is_cut(tmp_path, how):
    examples = photos(tmp_path, size=(400, 300))
    plain = first_images(examples, **how)
    scaled = first_images(examples, scaled_decoding=True, **how)
    assert 0 < np.abs(scaled - plain).mean() < 4
    assert np.abs(scaled - plain).max() < 40
    # Another place, by one pixel, is another picture.
    moved = np.abs(scaled[:, 1:] - plain[:, :-1]).mean()
    assert moved > 3 * np.abs(scaled - plain).mean()


def test_scaled_decoding_is_what_pillow_makes_of_it(tmp_path):
    examples = photos(tmp_path, count=4, size=(400, 300))
    sizes = {"resize_pixels": 64, "crop_pixels": 64}
    images = first_images(examples, scaled_decoding=True, seed=3, **sizes)
    expected = []
    for path in examples.images:
        image = Image.open(path)
        image.draft("RGB", (100, 75))  # a quarter
        assert image.size == (100, 75)
        small = image.resize((85, 64), Image.Resampling.BILINEAR)
        expected.append(np.asarray(small)[:, 10:74].astype("int64"))
    for image in images:  # within the gray level of `resize_box`
        assert min(np.abs(image - of).max() for of in expected) <= 1


def test_small_photos_and_other_formats_are_decoded_as_ever(tmp_path):
    examples = photos(tmp_path, size=(50, 40))
    np.testing.assert_array_equal(
        first_images(examples, scaled_decoding=True), first_images(examples)
    )
    for path in examples.images:  # whatever its name says
        Image.open(path).resize((400, 300)).save(path, "PNG")
    np.testing.assert_array_equal(
        first_images(examples, scaled_decoding=True), first_images(examples)
    )


def test_a_later_epoch_is_fed_from_memory(tmp_path):
    examples = photos(tmp_path)
    batches = iter(training_batches(examples, color_noise=0.1, **READ))
    anew = training_batches(examples, color_noise=0.1, first_step=6, **READ)
    # Far more than are loaded ahead of time.
    expected = [batch[0][0] for batch in anew.take(12)]
    for _ in range(6):  # two epochs
        next(batches)
    shutil.rmtree(tmp_path)
    for images in expected:
        np.testing.assert_array_equal(next(batches)[0][0], images)


@pytest.mark.parametrize("again", ["training", "evaluation"])
def test_what_is_kept_is_what_is_read(tmp_path, monkeypatch, again):
    examples = photos(tmp_path)
    if again == "training":
        make, tolerance = training_batches, 1  # as `resize_box` says
    else:
        make = functools.partial(evaluation_batches, keep=True)
        tolerance = 0
    kept = make(examples, **READ)
    for _ in range(2):
        last = [batch[0][0].numpy() for batch in kept.take(3)]
    monkeypatch.setattr(
        "keras_alexnet.data.image_source.LARGEST_KEPT_SET", 5 * 32**2 * 3
    )
    read = make(examples, **READ)  # six photos are too many now
    for one, two in zip(last, read.take(3), strict=True):
        assert np.abs(one - two[0][0].numpy().astype(int)).max() <= tolerance
    shutil.rmtree(tmp_path)
    assert len(list(kept.take(3))) == 3
    with pytest.raises(tf.errors.OpError, match="no such file"):
        list(read.take(3))


@pytest.mark.parametrize("read", [1, 10])  # of the first epoch; all of it
def test_the_memory_of_kept_photos_is_given_back(tmp_path, read):
    examples = photos(tmp_path, 40, (300, 256))
    sizes = {"batch_size": 8, "resize_pixels": 256, "crop_pixels": 227}
    square = 256 * 256 * 3
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        batches = training_batches(examples, **sizes)
        for _ in batches.take(read):
            pass
        used, _ = tracemalloc.get_traced_memory()
        assert used - before > min(8 * read, 40) * square
        del batches, _
        gc.collect()
        # Batches that are on their way may still be read.
        for _ in range(100):
            left, _ = tracemalloc.get_traced_memory()
            time.sleep(0.02)
        assert left - before < 4 * square
    finally:
        tracemalloc.stop()


def test_gray_networks_see_the_luminance_of_arrays():
    examples = colorful(3, (8, 8))
    ((inputs, _, _),) = evaluation_batches(examples, batch_size=3, **GRAY)
    weights = np.array([299, 587, 114]) / 1000  # ITU-R 601
    expected = (examples.images @ weights)[:, 1:7, 1:7]
    assert np.abs(inputs[0].numpy()[..., 0] - expected).max() <= 1


def test_a_process_that_holds_an_iterator_ends():
    """TensorFlow calls Python ahead of time, also while Python shuts down."""
    script = """
import numpy as np
import keras_alexnet as ka
images = np.zeros((64, 256, 256, 3), "uint8")
examples = ka.Examples(images, np.zeros(64, int), ("a", "b"))
iterator = iter(
    ka.training_batches(
        examples, batch_size=64, resize_pixels=256, crop_pixels=227
    )
)
next(iterator)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_replicas_get_their_shares():
    """Batches of the pipeline can be dealt out by a strategy."""
    strategy = tf.distribute.get_strategy()
    dataset = training_batches(numbered(10), batch_size=4, **GRAY)
    distributed = strategy.experimental_distribute_dataset(dataset)
    (images, _, _), _, _ = next(iter(distributed))
    assert images.shape == (4, 6, 6, 1)
    assert keras.backend.standardize_dtype(images.dtype) == "uint8"


def test_who_stops_in_the_middle_does_not_wait_for_images(monkeypatch):
    """Each takes long: none is begun for nobody, not even of this batch."""
    images = np.zeros((400, 32, 32, 3), "uint8")
    examples = Examples(images, np.zeros(400, int), ("a",))
    begun = []

    def slow(self, index, pixels):
        begun.append(index)
        time.sleep(0.02)
        return images[index]

    monkeypatch.setattr(Source, "center_crop", slow)
    sizes = {"resize_pixels": 32, "crop_pixels": 32}
    batches = read_batches(examples, batch_size=100, **sizes)
    next(batches)
    batches.close()
    count = len(begun)
    time.sleep(0.3)
    assert len(begun) - count <= 2 * os.cpu_count()
    assert len(begun) < 400


@pytest.mark.parametrize("kind", ["training", "evaluation"])
def test_other_backends_get_the_same_batches(kind, monkeypatch):
    """As a `PyDataset`, also where one is asked for twice, or passed over."""
    images = np.random.default_rng(0).integers(0, 256, (21, 9, 9, 3), "uint8")
    examples = Examples(images, np.arange(21) % 3, tuple("abc"))
    given = {"batch_size": 8, "resize_pixels": 9, "crop_pixels": 6}
    make = evaluation_batches
    if kind == "training":
        make = training_batches
        given |= {"color_noise": 0.1, "first_step": 2, "seed": 3}
    expected = list(make(examples, **given).take(7).as_numpy_iterator())
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    batches = make(examples, **given)
    assert batches.num_batches == (None if kind == "training" else 3)
    places = [0, 0, 1, 2] + ([5, 3, 6] if kind == "training" else [])
    for place in places:
        keras.tree.map_structure(
            np.testing.assert_array_equal, batches[place], expected[place]
        )
