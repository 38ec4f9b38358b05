"""Feeding: batches of 128 crops of 227x227 from photos, in images/s.

All mirror half of the images and give float32; ours and PyTorch's also move
the crop of each image, resize with antialiasing, shift the colors and take
the mean off, Keras' do not (`noise=True`: they shift the colors too).
"""

import itertools
import pathlib
import time

import numpy as np

import keras_alexnet as ka
from benchmarks import Seconds

BATCH, IMAGES, CLASSES = 128, 1000, ("even", "odd")
PAPER = {
    "batch_size": BATCH,
    "resize_pixels": 256,
    "crop_pixels": 227,
    "color_noise": 0.1,
}


def class_folders(photos, root):
    """Two class folders of together `IMAGES` links to the photos."""
    root = pathlib.Path(root)
    if root.exists():
        return root
    files = sorted(p for p in pathlib.Path(photos).rglob("*") if p.is_file())
    for name in CLASSES:
        (root / name).mkdir(parents=True)
    for number, file in zip(range(IMAGES), itertools.cycle(files)):
        link = root / CLASSES[number % 2] / f"{number:04}{file.suffix}"
        link.symlink_to(file.resolve())
    return root


def ours(photos, scratch, shards=False, pixels=False, kept=False):
    """This package's.

    `pixels`: as uint8, the rest is the device's. `kept`: of a later epoch,
    where the photos are in memory; else of the first.
    """
    root = class_folders(photos, f"{scratch}/photos")
    if shards:
        prepared = pathlib.Path(scratch, "shards")
        if not prepared.exists():
            ka.prepare_data(str(root), prepared, verbose=False)
        examples, _ = ka.load_examples(prepared)
    else:
        examples, _ = ka.load_examples(root, validation_fraction=0.001)

    def batches():
        made = ka.training_batches(examples, **PAPER)
        return made if pixels else ka.preprocess_batches(made, "alexnet")

    if kept:
        same = batches()
        for _ in same.take(-(-len(examples) // BATCH)):
            pass
        return _seconds_of(lambda: same, 20)
    # Of photos less than an epoch: what comes again is in memory.
    return _seconds_of(batches, 20 if shards else 0.75)


def plain(photos, scratch, noise=False):
    """Keras' own pipeline."""
    batches = plain_batches(photos, scratch, BATCH, noise)
    return _seconds_of(lambda: batches, 1)


def plain_batches(photos, scratch, batch, noise):
    """As people write it: one crop offset a batch, no antialiasing."""
    import keras
    import tensorflow as tf

    root = class_folders(photos, f"{scratch}/photos")
    batches = keras.utils.image_dataset_from_directory(
        root, image_size=(256, 256), batch_size=batch, verbose=False
    )
    augment = keras.Sequential(
        [
            keras.layers.RandomCrop(227, 227),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.Rescaling(1 / 255),
        ]
    )
    from keras_alexnet.data.color import IMAGENET_2012

    def augmented(x, y):
        x = augment(x, training=True)
        if noise:
            normals = tf.random.normal((tf.shape(x)[0], 3))
            scales = 0.1 / 255 * np.array(IMAGENET_2012.deviations)
            shifts = (normals * scales) @ np.array(IMAGENET_2012.components)
            x += shifts[:, None, None]
        return x, y

    batches = batches.map(augmented, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.repeat().prefetch(tf.data.AUTOTUNE)


def pytorch(photos, scratch, workers):
    """PyTorch's own pipeline."""
    batches = loader(photos, scratch, BATCH, workers)
    return _seconds_of(lambda: batches, 1)


def loader(photos, scratch, batch, workers):
    """PyTorch's DataLoader and the same steps, by Pillow, an image a time."""
    import torch
    from PIL import Image

    from keras_alexnet.data.color import IMAGENET_2012

    root = class_folders(photos, f"{scratch}/photos")
    files = sorted(p for p in root.rglob("*") if p.is_symlink())
    mean = torch.tensor(IMAGENET_2012.mean)

    class Photos(torch.utils.data.Dataset):
        def __len__(self):
            return len(files)

        def __getitem__(self, index):
            image = Image.open(files[index]).convert("RGB")
            width, height = image.size
            scale = 256 / min(width, height)
            size = (int(width * scale + 1e-9), int(height * scale + 1e-9))
            image = image.resize(size, Image.Resampling.BILINEAR)
            left, top = (torch.rand(2) * 30).int().tolist()
            left += (size[0] - 256) // 2
            top += (size[1] - 256) // 2
            image = image.crop((left, top, left + 227, top + 227))
            pixels = torch.from_numpy(np.array(image)).float()
            if torch.rand(()) < 0.5:
                pixels = pixels.flip(1)
            normals = torch.randn(3).numpy()[np.newaxis]
            shift = torch.from_numpy(IMAGENET_2012.shifts(normals)[0])
            return (pixels - mean + shift).permute(2, 0, 1), index % 2

    return torch.utils.data.DataLoader(
        Photos(), batch, shuffle=True, num_workers=workers
    )


def _seconds_of(make, rounds):
    """A function that reads so many times the images and gives the seconds
    of one; the first batch, for which all is set up, is not counted.

    `make` gives the batches; where they keep photos, new ones each time.
    """

    def read():
        iterator = itertools.chain.from_iterable(itertools.repeat(make()))
        next(iterator)
        seen, start = 0, time.perf_counter()
        for images_and_labels in iterator:
            seen += len(images_and_labels[1])
            if seen >= rounds * IMAGES:
                break
        return Seconds((time.perf_counter() - start) / seen)

    return read
