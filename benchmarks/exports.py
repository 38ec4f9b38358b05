"""What exports differ by from the Keras model, on photos.

`python -m benchmarks.exports --photos FOLDER RUN|VARIANT...`: of each network
all formats are written, and answer the photos of the folder. A variant gets
random weights, He's. With `--fit DATA`, a folder of class folders, its last
layer is fitted to 1,000 photos of it by least squares, its logits scaled to a
standard deviation of 2; else it has 1,000 classes, whose logits are scaled to
a standard deviation of 3.
"""

import argparse
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_alexnet as ka
from keras_alexnet.data.folders import find_images
from keras_alexnet.export import runtimes
from keras_alexnet.export.formats import checked_format
from keras_alexnet.runs.network import Network

FILES = {
    "net.keras": False,
    "net": False,
    "net.onnx": False,
    "net.tflite": False,
    "quantized.tflite": True,
    "net.xml": False,
}
BATCH = 32


def give_random_weights(model):
    """He's initial values, which let images through."""
    generator = np.random.default_rng(0)
    for weight in model.trainable_variables:
        values = np.zeros(weight.shape)
        if weight.path.endswith("kernel"):
            deviation = np.sqrt(2 / np.prod(weight.shape[:-1]))
            values = generator.normal(0, deviation, weight.shape)
        weight.assign(values)


def random_network(variant, photos, data):
    """A network of random weights that tells photos apart."""
    labels, names = None, tuple(f"class {i}" for i in range(1000))
    if data:
        train, _ = ka.load_examples(data)
        names = train.class_names
        chosen = np.random.default_rng(0).permutation(len(train))[:1000]
        labels = np.eye(len(names))[train.labels[chosen]]
        photos = [pathlib.Path(train.images[i]).read_bytes() for i in chosen]
    model = ka.AlexNet(variant, classes=len(names))
    model.class_names, model.resize_pixels = names, 256
    model.checks_range = True  # it is known how it is fed
    give_random_weights(model)
    network, last = Network.of(model), model.layers[-1]
    images = network.preprocessor(photos)
    hidden = keras.Model(model.input, last.input)
    hidden = hidden.predict(images, batch_size=BATCH, verbose=0)
    if labels is None:
        kernel = last.kernel.numpy()
        last.kernel.assign(kernel * 3 / (hidden @ kernel).std())
        return model
    # Ridge regression in its dual form: 1,000 photos, 4,096 values. Of 1, 0.1
    # and 0.01, this weight gave the best accuracy on other photos.
    mean = hidden.mean(axis=0)
    hidden = (hidden - mean).astype("float64")
    inner = hidden @ hidden.T
    inner += np.trace(inner) / len(inner) * np.eye(len(inner))
    kernel = hidden.T @ np.linalg.solve(inner, labels - labels.mean(axis=0))
    kernel *= 2 / (hidden @ kernel).std()
    last.kernel.assign(kernel)
    last.bias.assign(-mean @ kernel)
    return model


def compare(trained, photos):
    """A line of Markdown for each format."""
    network = Network.of(trained)
    images = network.preprocessor(photos)
    parts = np.split(images, range(BATCH, len(images), BATCH))
    expected = np.concatenate(
        [np.asarray(network.model(part, training=False)) for part in parts]
    )
    answers = np.unique(expected.argmax(axis=1), return_counts=True)[1]
    print(
        f"{network.model.name}: {len(images)} photos, {len(answers)} different "
        f"answers, the most frequent {answers.max()} times; probabilities "
        f"deviate by up to {expected.std(axis=0).max():.2g} from photo to "
        "photo",
        flush=True,
    )
    for name, quantize in FILES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / name
            start = time.perf_counter()
            form = checked_format(path, None, quantize)
            export = ka.export_model(trained, path, quantize=quantize)
            seconds = time.perf_counter() - start
            predict = runtimes.RUNTIMES[form](str(path))
            found = {export.title: np.concatenate([*map(predict, parts)])}
            if hasattr(predict, "of_photos"):
                groups = np.split(photos, range(BATCH, len(photos), BATCH))
                served = [predict.of_photos(list(group)) for group in groups]
                found[f"{export.title}, serve_image_bytes"] = np.concatenate(
                    [answer["probabilities"] for answer in served]
                )
            for title, outputs in found.items():
                same = outputs.argmax(axis=1) == expected.argmax(axis=1)
                print(
                    f"| {title} | {export.size_bytes / 1e6:.1f} | "
                    f"{abs(outputs - expected).max():.1e} | "
                    f"{100 * same.mean():.1f} % | {seconds:.0f} |",
                    flush=True,
                )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--photos", required=True)
    parser.add_argument("--most", type=int, default=200)
    parser.add_argument("--fit")
    options = parser.parse_args()
    files = find_images([options.photos])
    chosen = np.random.default_rng(0).permutation(len(files))[: options.most]
    photos = np.array(
        [pathlib.Path(files[i]).read_bytes() for i in sorted(chosen)], object
    )
    for name in options.networks:
        if name in ka.VARIANTS:
            trained = random_network(name, photos, options.fit)
        else:
            trained = ka.open_trained(name)
        compare(trained, photos)
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
