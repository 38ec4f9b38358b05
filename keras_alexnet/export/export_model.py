"""`export_model(...)`: a trained network in the formats of other runtimes."""

import contextlib
import copy
import logging
import os
import pathlib
import warnings
from typing import NamedTuple

import keras

from keras_alexnet.export.description import input_text
from keras_alexnet.export.description import output_text
from keras_alexnet.export.formats import FORMATS
from keras_alexnet.export.formats import checked_format
from keras_alexnet.export.verify import verify
from keras_alexnet.export.write_onnx import write_onnx
from keras_alexnet.files import AnyPath
from keras_alexnet.files import check_room
from keras_alexnet.files import folder_beside
from keras_alexnet.files import replacing
from keras_alexnet.models.precision import FLOAT32_FORMATS
from keras_alexnet.models.precision import in_float32
from keras_alexnet.runs.network import Network
from keras_alexnet.runs.network import Trained
from keras_alexnet.runs.states import MARGIN_BYTES
from keras_alexnet.runs.states import first_line

# With this part of the weights in fully connected layers, 8 bits for them alone
# make a file of 28 % of the size, for all 25 %.
MOSTLY_DENSE = 0.9


class Export(NamedTuple):
    """What was written; prints as one line.

    Args:
        path: Path of the file or folder.
        title: Name of the format.
        size_bytes: Of all its files.
        difference: The largest to the Keras model's answers.
        input: What the network expects.
        output: What it gives.
    """

    path: pathlib.Path
    title: str
    size_bytes: int
    difference: float
    input: str
    output: str

    def __str__(self):
        return (
            f"{self.path}: {self.title}, {self.size_bytes / 1e6:.1f} MB, "
            f"largest difference to Keras {self.difference:.1e}; takes "
            f"{self.input}; gives {self.output}."
        )


def export_model(
    trained: Trained,
    to_file: AnyPath,
    format: str | None = None,
    quantize: bool = False,
) -> Export:
    """Writes a trained network for another runtime, and proves it there.

    What was written is loaded in a fresh process by the runtime it is meant
    for, and compared with the Keras model on a batch and on a single image,
    before it takes its place. ONNX, LiteRT and OpenVINO get it in float32,
    whatever it computes in.

    Args:
        trained: What `open_trained` gives or takes, or a Keras model.
        to_file: Path to write. Its ending tells the format: `.keras`,
            `.onnx`, `.tflite` (LiteRT), `.xml` (OpenVINO, with a `.bin`
            beside it), none for the folder of a SavedModel. An export that
            is there already is replaced.
        format: `"keras"`, `"savedmodel"`, `"onnx"`, `"litert"` or
            `"openvino"`; `None` for what `to_file` tells.
        quantize: Boolean, for LiteRT: whether weights are stored in 8 bits,
            28 % of the size.

    Returns:
        An `Export`: path, size, difference, input and output.

    Raises:
        ValueError: if a package is missing, Keras' backend does not write the
            format, the network cannot be converted or what was written answers
            differently; then nothing is left.

    Example:

    ```python
    run = ka.open_trained("runs/photos")
    print(ka.export_model(run, "photos.onnx"))
    ```
    """
    to_file = pathlib.Path(to_file)
    backend = keras.backend.backend()
    name = checked_format(to_file, format, quantize, backend)
    network = Network.of(trained)
    _check_network(network, name)
    if name in FLOAT32_FORMATS:
        network = copy.copy(network)
        network.model = in_float32(network.model)
    with _folder_beside(to_file, network.model) as folder:
        written = folder / to_file.name
        _convert(network, name, written, quantize)
        difference, of_photos = verify(network, name, written, quantize)
        files = [path for path in folder.rglob("*") if path.is_file()]
        size_bytes = sum(path.stat().st_size for path in files)
        _put_in_place(written, to_file, files)
    title = FORMATS[name].title + (", 8-bit weights" if quantize else "")
    output = output_text(network)
    if of_photos is not None:
        output += (
            "; its serve_image_bytes takes image files as they are "
            f"(difference {of_photos:.1e})"
        )
    return Export(
        to_file, title, size_bytes, difference, input_text(network), output
    )


def _check_network(network, name):
    shape = network.model.input_shape
    if not (isinstance(shape, tuple) and len(shape) == 4):
        raise ValueError(
            "Only a network whose one input is images can be exported. "
            f"Received: input_shape={shape}"
        )
    to_input = network.to_input
    if name == "keras" and to_input and to_input.mean_image is not None:
        raise ValueError(
            "The network was trained with a mean image, for which a .keras "
            "file has no place; keep the run folder, or export a SavedModel."
        )


@contextlib.contextmanager
def _folder_beside(to_file, model):
    """A temporary folder on the same disk, with room for the weights."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(folder_beside(to_file))
            needed = 4 * model.count_params() + MARGIN_BYTES  # float32
            check_room(folder, needed)
        except OSError as error:
            raise ValueError(
                f"{str(to_file)!r} cannot be written: "
                f"{error.strerror or error}."
            ) from error
        yield folder


def _convert(network, name, path, quantize):
    """Write the network in a format; nothing is said but in an error."""
    model = network.model
    try:
        with _quiet():
            if name == "keras":
                model.save(path)
            elif name == "savedmodel":
                # Here, since it imports TensorFlow.
                from keras_alexnet.export import saved_model

                saved_model.save_model(network, path)
            elif name == "litert":
                model.export(str(path), format=name, verbose=False)
                if quantize:
                    _quantize(path, _quantized_operations(model))
            else:
                write_onnx(network, str(path))
                if name == "openvino":
                    _from_onnx(path)
    except Exception as error:  # converters raise nearly anything
        raise ValueError(
            f"The network cannot be written as {FORMATS[name].title}: "
            f"{_reason(error).rstrip('.') or type(error).__name__}."
        ) from error


def _reason(error):
    """What a converter says, without Keras' headline, which names a layer."""
    headline, _, rest = str(error).strip().partition("\n")
    if headline.startswith("Exception encountered when calling"):
        return first_line(rest.strip().replace("\x1b[1m", "")) or headline
    return first_line(error)


def _quantized_operations(model):
    """What is stored in 8 bits: the fully connected layers, which hold most
    weights of an AlexNet; where they do not, the convolutions as well, whose
    rounding changes more answers."""
    dense = sum(
        layer.count_params()
        for layer in model.layers
        if isinstance(layer, keras.layers.Dense)
    )
    if dense >= MOSTLY_DENSE * model.count_params():
        return ("FULLY_CONNECTED",)
    return ("FULLY_CONNECTED", "CONV_2D")


def _quantize(path, operations):
    """Store the weights of a LiteRT file in 8 bits, each kernel's by its own
    scale; they are computed with as floats.

    The scales are those of the least squared error, which leave more of the
    first answers as they were than the largest weights' do.
    """
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer import recipe

    (settings,) = recipe.weight_only_wi8_afp32()
    settings["algorithm_key"] = recipe.AlgorithmName.OCTAV
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        tool = quantizer.Quantizer(str(path))
        tool.load_quantization_recipe(
            [{**settings, "operation": operation} for operation in operations]
        )
        result = tool.quantize()
        path.unlink()
        result.export_model(str(path))


def _from_onnx(path):
    """Make of an ONNX file an OpenVINO one in its place.

    From TensorFlow OpenVINO knows no MatrixDiag, of which Keras makes the
    patches of locally connected layers.
    """
    import openvino

    onnx_file = path.rename(path.with_suffix(".onnx"))
    # Not by convert_model, which reports each conversion to Intel.
    model = openvino.Core().read_model(onnx_file)
    openvino.save_model(model, path, compress_to_fp16=False)
    onnx_file.unlink()


@contextlib.contextmanager
def _quiet():
    """Without the notes of the converters on their own affairs."""
    names = ("tensorflow", "tf2onnx", "onnx_ir")  # jax2onnx writes by that
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _put_in_place(written, to_file, files):
    """Let what was written take the place of what is there."""
    if not written.is_dir():
        # OpenVINO's weights first: the .xml is the file that is opened.
        for path in sorted(files, key=lambda path: path == written):
            with replacing(to_file.parent / path.name) as temporary:
                os.replace(path, temporary)
        return
    old = written.parent / "old"
    try:
        for path in files:
            with open(path, "r+b") as file:
                os.fsync(file.fileno())
        if to_file.exists():
            to_file.rename(old)
        written.rename(to_file)
    except OSError as error:
        if old.exists():
            old.rename(to_file)
        raise ValueError(
            f"{str(to_file)!r} cannot be written: {error.strerror}."
        ) from error
