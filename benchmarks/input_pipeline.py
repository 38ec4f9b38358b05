"""Feeding: this package's pipelines against Keras' and PyTorch's.

`python -m benchmarks.input_pipeline --photos FOLDER [--rounds 7]`

FOLDER holds photos (imagenet_samples.tar, unpacked); they are dealt out to two
class folders and repeated by hard links until there are 1,000. All columns
give batches of 128 crops of 227x227, mirrored half of the time, as float32.
"""

import argparse
import itertools
import os
import pathlib
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

import keras_alexnet as ka

BATCH, IMAGES, CLASSES = 128, 1000, ("even", "odd")
PAPER = {
    "batch_size": BATCH,
    "resize_pixels": 256,
    "crop_pixels": 227,
    "color_noise": 0.1,
}


def class_folders(photos, root):
    """Two class folders of together `IMAGES` links to the photos."""
    files = sorted(p for p in pathlib.Path(photos).rglob("*") if p.is_file())
    for name in CLASSES:
        (root / name).mkdir(parents=True)
    for number, file in zip(range(IMAGES), itertools.cycle(files)):
        link = root / CLASSES[number % 2] / f"{number:04}{file.suffix}"
        link.symlink_to(file.resolve())


def keras_batches(root):
    """As people write it: one crop offset a batch, no antialiasing."""
    batches = keras.utils.image_dataset_from_directory(
        root, image_size=(256, 256), batch_size=BATCH, verbose=False
    )
    augment = keras.Sequential(
        [
            keras.layers.RandomCrop(227, 227),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.Rescaling(1 / 255),
        ]
    )
    return batches.map(
        lambda x, y: (augment(x, training=True), y),
        num_parallel_calls=tf.data.AUTOTUNE,
    ).prefetch(tf.data.AUTOTUNE)


def torch_batches(root, workers):
    """PyTorch's DataLoader and the same steps, by Pillow, an image a time."""
    import numpy as np
    import torch
    from PIL import Image

    from keras_alexnet.color import IMAGENET_2012

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
        Photos(), BATCH, shuffle=True, num_workers=workers
    )


def seconds_an_image(batches, images):
    """Of `images` images, batch by batch, the first batch not counted."""
    iterator = iter(batches)
    next(iterator)
    seen, start = 0, time.perf_counter()
    for images_and_labels in iterator:
        seen += len(images_and_labels[1])
        if seen >= images:
            break
    return (time.perf_counter() - start) / seen


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "photos"
        class_folders(options.photos, root)
        measure(root, pathlib.Path(folder) / "shards", options.rounds)


def measure(root, shards, rounds):
    start = time.perf_counter()
    ka.prepare_data(str(root), shards, verbose=False)
    print(
        f"prepare-data: {IMAGES / (time.perf_counter() - start):.0f} images/s"
    )
    photos, _ = ka.load_examples(root, validation_fraction=0.001)
    prepared, _ = ka.load_examples(shards)
    jobs = {
        "Keras: image_dataset_from_directory and layers": (
            lambda: keras_batches(root),
            IMAGES,
        ),
        "keras_alexnet, from the JPEG files": (
            lambda: ka.finished(
                ka.training_batches(photos, **PAPER), "alexnet"
            ),
            4 * IMAGES,
        ),
        "keras_alexnet, from shards": (
            lambda: ka.finished(
                ka.training_batches(prepared, **PAPER), "alexnet"
            ),
            20 * IMAGES,
        ),
        "keras_alexnet, from shards, uint8 (the rest on the device)": (
            lambda: ka.training_batches(prepared, **PAPER),
            20 * IMAGES,
        ),
    }
    try:
        import torch  # noqa: F401
    except ImportError:
        print("PyTorch is not installed: its rows are missing.")
    else:
        for workers in (0, 2):
            jobs[f"PyTorch: DataLoader and Pillow, {workers} workers"] = (
                lambda workers=workers: torch_batches(root, workers),
                IMAGES,
            )
    times = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, (make, images) in jobs.items():
            times[name].append(seconds_an_image(make(), images))
    baseline = statistics.median(next(iter(times.values())))
    print("\n| | images/s, median | best | times Keras |\n|---|---:|---:|---:|")
    for name, values in times.items():
        median = statistics.median(values)
        print(
            f"| {name} | {1 / median:,.0f} | {1 / min(values):,.0f} "
            f"| {baseline / median:.2f} |"
        )


if __name__ == "__main__":
    main()
