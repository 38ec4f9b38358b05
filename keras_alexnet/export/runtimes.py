"""Exported networks, run as others run them: in a fresh process, and, but for
`.keras` files, without Keras and without this package's layers.

`python -m keras_alexnet.export.runtimes FORMAT PATH FOLDER` reads `inputs.npz`
in the folder and writes `outputs.npz`.
"""

import os
import pathlib
import sys

import numpy as np


def _keras(path):
    import keras

    # Keras finds the layers by name.
    import keras_alexnet.models.alexnet  # noqa: F401

    model = keras.saving.load_model(path)
    return lambda images: keras.ops.convert_to_numpy(
        model(images, training=False)
    )


def _savedmodel(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)

    def predict(images):
        # Read again at each call: without `loaded`, its variables are gone.
        (output,) = loaded.signatures["serving_default"](image=images).values()
        return output.numpy()

    predict.of_photos = lambda photos: loaded.signatures["serve_image_bytes"](
        image_bytes=tf.constant(photos)
    )
    return predict


def _onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(
        path, providers=["CPUExecutionProvider"]
    )
    (image,) = session.get_inputs()
    return lambda images: session.run(None, {image.name: images})[0]


def _litert(path):
    from ai_edge_litert.interpreter import Interpreter

    # By itself it takes one thread, where the other runtimes take all.
    interpreter = Interpreter(path, num_threads=os.cpu_count())
    (image,) = interpreter.get_input_details()
    (output,) = interpreter.get_output_details()

    def predict(images):
        # Again only where the shape is another.
        if tuple(image["shape"]) != images.shape:
            interpreter.resize_tensor_input(image["index"], images.shape)
            image["shape"] = images.shape
        interpreter.allocate_tensors()
        interpreter.set_tensor(image["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(output["index"])

    return predict


def _openvino(path):
    import openvino

    # By itself OpenVINO computes in bfloat16 where the processor can.
    precise = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", precise)
    return lambda images: compiled(images)[0]


RUNTIMES = {
    "keras": _keras,
    "savedmodel": _savedmodel,
    "onnx": _onnx,
    "litert": _litert,
    "openvino": _openvino,
}


def main(form, path, folder):
    """Answer the images of a folder.

    Args:
        form: One of `RUNTIMES`.
        path: Path of the exported network.
        folder: Path of a folder with `inputs.npz`: the array `images`, and,
            if the network takes raw bytes, of each photo its bytes.
    """
    folder = pathlib.Path(folder)
    with np.load(folder / "inputs.npz") as arrays:
        images = arrays["images"]
        names = [name for name in arrays.files if name != "images"]
        photos = [arrays[name].tobytes() for name in names]
    predict = RUNTIMES[form](path)
    outputs = {"batch": predict(images), "alone": predict(images[:1])}
    if photos:
        served = predict.of_photos(photos)
        outputs["photos"] = served["probabilities"].numpy()
    np.savez(folder / "outputs.npz", **outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
