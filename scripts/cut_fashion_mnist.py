"""Cut the bundled data set out of Fashion-MNIST.

Debian's package `dataset-fashion-mnist` (MIT licence) holds the whole set:

    apt-get install dataset-fashion-mnist
    python scripts/cut_fashion_mnist.py

The first 1,000 training and the first 200 test images of each class, in the
files' own order: 10,000 and 2,000 images of 28x28 gray pixels.
"""

import gzip
import pathlib
import shutil

import numpy as np

SOURCE = pathlib.Path("/usr/share/datasets/fashion-mnist")
LICENSE = pathlib.Path("/usr/share/doc/dataset-fashion-mnist/copyright")
ASSETS = pathlib.Path(__file__).parents[1] / "keras_alexnet" / "assets"
# Fashion-MNIST's README, "Labels".
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def read(name, header_bytes, shape):
    data = gzip.decompress((SOURCE / name).read_bytes())
    return np.frombuffer(data, np.uint8, offset=header_bytes).reshape(shape)


def first_of_each_class(split, count):
    images = read(f"{split}-images-idx3-ubyte.gz", 16, (-1, 28, 28))
    labels = read(f"{split}-labels-idx1-ubyte.gz", 8, (-1,))
    chosen = np.sort(
        np.concatenate([np.flatnonzero(labels == c)[:count] for c in range(10)])
    )
    return images[chosen], labels[chosen]


def main():
    train_images, train_labels = first_of_each_class("train", 1000)
    test_images, test_labels = first_of_each_class("t10k", 200)
    ASSETS.mkdir(exist_ok=True)
    np.savez_compressed(
        ASSETS / "fashion_mnist_subset.npz",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        class_names=np.array(CLASS_NAMES),
    )
    shutil.copyfile(LICENSE, ASSETS / "fashion-mnist-LICENSE.txt")


if __name__ == "__main__":
    main()
