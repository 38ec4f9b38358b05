"""Whether an exported network answers as the Keras model does."""

import io
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
from PIL import Image

from keras_alexnet.evaluation.scores import as_probabilities
from keras_alexnet.export.description import serves_files
from keras_alexnet.models.input_checks import test_images

SAMPLES = 6
# Of probabilities; of larger outputs so much of the largest. Float32's rounding
# gave up to 1.4e-5 where a last layer amplifies it (docs/export.md).
TOLERANCE = 1e-4
# The error's share of what tells one image's answer from another's; a network
# that does not look at its images has 1. Float32's rounding gave 5e-7 to 3e-4,
# weights of 8 bits 0.01 in a trained net and 0.07 to 0.2 in random ones. In the
# paper's untrained net, where hardly anything depends on the image, they gave
# more than 1; there it is the first answers that must stay.
LARGEST_SHARE = 0.02
LARGEST_SHARE_PHOTOS = 0.1
LARGEST_SHARE_QUANTIZED = 0.5


def verify(network, form, path, quantized=False):
    """Compare an exported network with the Keras model.

    It is loaded in a fresh process and shown a batch of images, the first of
    them alone, and, where it takes them, the same as files.

    Args:
        network: The `Network`.
        form: Name of the format, as in `export.runtimes`.
        path: Path of what was written.
        quantized: Boolean, whether its weights are rounded to 8 bits.

    Returns:
        The largest difference, and that for image files, or `None`.

    Raises:
        ValueError: if it cannot be run, or answers differently.
    """
    images, photos = _samples(network)
    with keras.device("cpu"):  # where the fresh process computes, too
        batch, alone = (
            keras.ops.convert_to_numpy(network.model(each, training=False))
            for each in (images, images[:1])
        )
    if form != "savedmodel" or not serves_files(network):
        photos = []
    found = _run(form, path, np.asarray(images), photos)
    spread = _size(batch - batch.mean(axis=0))
    largest = TOLERANCE * max(1, abs(batch).max())
    limits = (largest, LARGEST_SHARE)
    if quantized:
        answers = [np.argmax(each, -1) for each in (batch, found["batch"])]
        same = np.array_equal(*answers)
        share = np.inf if same else LARGEST_SHARE_QUANTIZED
        limits = (np.inf, share)
    difference = max(
        _difference(batch, found["batch"], spread, *limits),
        _difference(alone, found["alone"], spread, *limits),
    )
    if not photos:
        return difference, None
    limits = (np.inf, LARGEST_SHARE_PHOTOS)
    batch = as_probabilities(network.model, batch)
    spread = _size(batch - batch.mean(axis=0))
    return difference, _difference(batch, found["photos"], spread, *limits)


def _samples(network):
    """Images as the network is fed them, and, if known how, as files."""
    if network.to_input is not None:
        pixels = network.recipe.resize_pixels * 4 // 3
        photos = [_photo(seed, pixels) for seed in range(SAMPLES)]
        return network.preprocessor(photos), photos
    # Where the size is free, the paper's net's.
    shape = [side or 227 for side in network.model.input_shape[1:]]
    images = test_images(keras.KerasTensor((None, *shape)))
    return images[:SAMPLES] - np.float32(127), []


def _photo(seed, pixels):
    """The bytes of an image of soft spots of color, as JPEG or PNG."""
    generator = np.random.default_rng(seed)
    size = (pixels, pixels * 3 // 2)[:: 1 if seed % 2 else -1]
    image = 0
    for spots, share in ((4, 0.6), (24, 0.4)):
        colors = generator.integers(0, 256, (spots, spots, 3), "uint8")
        layer = Image.fromarray(colors).resize(size, Image.Resampling.BICUBIC)
        image = image + share * np.asarray(layer, "float32")
    file = io.BytesIO()
    picture = Image.fromarray(image.round().astype("uint8"))
    picture.save(file, "PNG" if seed == 0 else "JPEG")
    return file.getvalue()


def _run(form, path, images, photos):
    """What a fresh process answers."""
    package = pathlib.Path(__file__).parents[1]
    paths = [str(package.parent), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "KERAS_BACKEND": keras.backend.backend(),
        "CUDA_VISIBLE_DEVICES": "-1",  # this process may hold their memory
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    module = f"{package.name}.export.runtimes"
    with tempfile.TemporaryDirectory() as folder:
        arrays = {
            f"photo_{i}": np.frombuffer(data, "uint8")
            for i, data in enumerate(photos)
        }
        np.savez(os.path.join(folder, "inputs.npz"), images=images, **arrays)
        result = subprocess.run(
            [sys.executable, "-P", "-m", module, form, str(path), folder],
            capture_output=True,
            text=True,
            env=environment,
        )
        if result.returncode:
            lines = result.stderr.strip().splitlines()
            reason = lines[-1] if lines else f"signal {-result.returncode}"
            raise ValueError(
                f"What was written cannot be run again: {reason}; nothing was "
                "kept."
            )
        with np.load(os.path.join(folder, "outputs.npz")) as outputs:
            return dict(outputs)


def _difference(expected, outputs, spread, largest, share):
    """The largest difference; refuses outputs that are not those expected.

    Probabilities can be nearly the same for all images and classes; so the
    error is also held against `spread`, what differs between the images.
    """
    if outputs.shape != expected.shape or not np.isfinite(outputs).all():
        raise ValueError(
            "What was written does not answer as the Keras model does, but "
            "in another shape or by values that are not finite; nothing was "
            "kept."
        )
    error = outputs - expected
    difference = float(abs(error).max())
    noise = 1e-6 * _size(expected)  # some ten times float32's rounding
    if difference > largest or _size(error) > share * spread + noise:
        raise ValueError(
            "What was written answers differently from the Keras model, by "
            f"up to {difference:.1e} where images differ by {spread:.1e}; "
            "nothing was kept."
        )
    return difference


def _size(values):
    return float(np.sqrt(np.mean(np.square(values, dtype="float64"))))
