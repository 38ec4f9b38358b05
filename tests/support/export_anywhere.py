"""Exports on whichever backend of Keras, without TensorFlow where it can be.

    python export_anywhere.py networks FOLDER NAME...
    python export_anywhere.py run RUN PATH...

The first writes narrow networks as ONNX, by Keras' own `export`, and what they
answer. The second exports a run by the command line, and prints JSON: file ->
exit code and what was said.
"""

import contextlib
import io
import json
import pathlib
import sys
import warnings

import keras
import numpy as np
from narrow import images_for
from narrow import small

from keras_alexnet.cli.main import main


def composed(name):
    """A narrow variant; "NAME at 256" sees that many pixels, "NAME within" is a
    layer of another model."""
    variant, _, more = name.partition(" ")
    if more.startswith("at "):
        return small(variant, int(more.removeprefix("at ")))
    network = small(variant)
    if not more:
        return network
    return keras.Sequential([keras.Input(network.input_shape[1:]), network])


def networks(folder, *names):
    folder = pathlib.Path(folder)
    for name in names:
        model = composed(name)
        images = images_for(model)
        model(images[:1])  # Keras on JAX does not count `predict`
        before = model.predict(images, verbose=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's, of its tracing
            path = folder / f"{name}.onnx"
            model.export(str(path), format="onnx", verbose=False)
        after = model.predict(images, verbose=0)
        np.testing.assert_array_equal(after, before)
        np.savez(path.with_suffix(".npz"), images=images, expected=before)


def run(folder, *paths):
    told = {}
    for path in paths:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            code = main(["export", folder, path])
        told[pathlib.Path(path).name] = [code, text.getvalue()]
    print(json.dumps(told))


if __name__ == "__main__":
    {"networks": networks, "run": run}[sys.argv[1]](*sys.argv[2:])
