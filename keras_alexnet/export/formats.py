"""The formats that networks are exported in: names, needs, free places.

Standard library only.
"""

import importlib.util
import pathlib
from typing import NamedTuple

# In a SavedModel, in `assets.extra`: what is known of the network, and that
# the folder is an export that may be replaced.
MARK = "keras_alexnet.json"


class Format(NamedTuple):
    """A format, its files' ending, and what must be installed for it."""

    title: str
    ending: str
    packages: tuple = ()
    extra: str = ""


FORMATS = {
    "keras": Format("Keras", ".keras"),
    "savedmodel": Format("SavedModel", ""),
    "onnx": Format(
        "ONNX", ".onnx", ("tf2onnx", "onnx", "onnxruntime"), "export"
    ),
    "litert": Format("LiteRT", ".tflite", ("ai_edge_litert",), "export"),
    "openvino": Format(
        "OpenVINO", ".xml", ("tf2onnx", "onnx", "openvino"), "openvino"
    ),
}


def checked_format(to_file, format=None, quantize=False):
    """The format of an export that can begin.

    Args:
        to_file: Path to write.
        format: Name of a format; `None` for what `to_file` tells.
        quantize: Boolean, whether weights are to be stored in 8 bits.

    Returns:
        Its name.

    Raises:
        ValueError: if `to_file` does not tell the format or fits another, is
            not free, or if a package is missing.
    """
    to_file = pathlib.Path(to_file)
    name = _format_of(to_file, format)
    if quantize and name != "litert":
        raise ValueError(
            "Only LiteRT files are quantized; write to a name that ends in "
            ".tflite, or without quantizing."
        )
    _check_free(to_file, name)
    form = FORMATS[name]
    if quantize:
        form = form._replace(packages=(*form.packages, "ai_edge_quantizer"))
    _check_installed(form)
    return name


def _format_of(to_file, format):
    """The format that the name and the argument agree on."""
    if format is not None and format not in FORMATS:
        raise ValueError(
            f"There is no format {format!r}; expected one of "
            f"{', '.join(FORMATS)}."
        )
    endings = {f.ending: name for name, f in FORMATS.items()}
    by_ending = endings.get(to_file.suffix)
    name = format or by_ending
    if not to_file.name or name is None:
        raise ValueError(
            f"{str(to_file)!r} does not tell the format; end it in .keras, "
            ".onnx, .tflite or .xml, or for the folder of a SavedModel in "
            "nothing, or name the format."
        )
    if by_ending != name and (by_ending or name != "savedmodel"):
        raise ValueError(
            f"{str(to_file)!r} does not fit the format {name}; expected a "
            f"name that ends in {FORMATS[name].ending or 'nothing'}."
        )
    return name


def _check_free(to_file, name):
    """Refuses to write over what is not an export."""
    weights = to_file.with_suffix(".bin")
    if name == "openvino" and weights.exists() and not to_file.exists():
        raise ValueError(
            f"OpenVINO's weights would take the place of {str(weights)!r}, "
            "which is there already; choose another name or delete it."
        )
    if not to_file.exists() or (to_file.is_file() and name != "savedmodel"):
        return
    if name == "savedmodel" and to_file.is_dir():
        ours = (to_file / "assets.extra" / MARK).exists()
        if ours or not any(to_file.iterdir()):
            return
    kind = "folder" if to_file.is_dir() else "file"
    raise ValueError(
        f"There is a {kind} {str(to_file)!r} already, which is no export of "
        f"the format {name}; choose another name or delete it."
    )


def _check_installed(format):
    missing = [
        package
        for package in format.packages
        if importlib.util.find_spec(package) is None
    ]
    if missing:
        raise ValueError(
            f"{format.title} needs {', '.join(missing)}, which cannot be "
            "imported; install what is missing with `pip install "
            f"'keras_alexnet[{format.extra}]'`."
        )
