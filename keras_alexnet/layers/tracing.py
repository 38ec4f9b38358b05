"""Who has TensorFlow or PyTorch trace a layer."""

import inspect
import sys

import keras

# The modules of those that read the graph which they have TensorFlow trace, and
# what they make of it. The first that fits counts.
CONVERTERS = {
    "keras.src.export.litert.": "LiteRT",
    "tensorflow.lite.": "LiteRT",
    "keras.src.export.onnx.": "ONNX",
    "tf2onnx.": "ONNX",
    "keras.src.export.openvino.": "OpenVINO",
    "openvino.": "OpenVINO",
    "keras.src.export.": "SavedModel",
    "tensorflow.python.saved_model.": "SavedModel",
}
# In which their runtimes have no convolutions. (For ONNX' own see
# microsoft/onnxruntime, docs/OperatorKernels.md.)
LACKING = {
    "LiteRT": ("float16", "bfloat16", "float64"),
    "ONNX": ("bfloat16", "float64"),
    "OpenVINO": ("bfloat16",),
}


def converter():
    """To which format this is converted, if it is traced for that.

    Converters cannot see into the functions that XLA compiles, whoever calls
    them and whatever model the layer stands in: ONNX' writes files that no
    runtime takes. PyTorch says by itself that it traces for ONNX.
    """
    backend = keras.backend.backend()
    if backend == "torch" and sys.modules["torch"].onnx.is_in_onnx_export():
        return "ONNX"
    if backend != "tensorflow":
        return None
    import tensorflow as tf

    if tf.executing_eagerly():
        return None
    found = set()
    for name, _ in callers():
        found |= {m for m in CONVERTERS if f"{name}.".startswith(m)}
    return next((CONVERTERS[m] for m in CONVERTERS if m in found), None)


def callers():
    """Who has called this, from the inside out: module and frame."""
    frame = inspect.currentframe().f_back
    while frame is not None:
        yield str(frame.f_globals.get("__name__")), frame
        frame = frame.f_back


def check_precision(layer, to_format):
    """Refuse what a format's runtime cannot compute; it would be written.

    Raises:
        ValueError: if the layer computes in such a precision.
    """
    if layer.compute_dtype in LACKING.get(to_format, ()):
        raise ValueError(
            f"{to_format} has no convolutions in {layer.compute_dtype}; "
            "`keras_alexnet.export_model` writes a copy in float32."
        )
