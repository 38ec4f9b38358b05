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
    """A format, its files' ending, and what it needs.

    Args:
        title: Its name.
        ending: Of its files.
        packages: Dict: backend of Keras -> what must be installed there.
        why_not: Dict: backend of Keras -> why it is not written there.
        extra: The package's extra that has what TensorFlow's way needs.
    """

    title: str
    ending: str
    packages: dict
    why_not: dict = {}
    extra: str = ""


FORMATS = {
    "keras": Format(
        "Keras", ".keras", {"tensorflow": (), "jax": (), "torch": ()}
    ),
    "savedmodel": Format(
        "SavedModel",
        "",
        {"tensorflow": (), "jax": ("tensorflow",)},
        {"torch": "Keras 3.15 fails there for networks such as these"},
    ),
    "onnx": Format(
        "ONNX",
        ".onnx",
        {
            "tensorflow": ("tf2onnx", "onnx", "onnxruntime"),
            "jax": ("jax2onnx", "onnx", "onnxruntime"),
            "torch": ("onnx", "onnxruntime"),
        },
        extra="export",
    ),
    "litert": Format(
        "LiteRT",
        ".tflite",
        {"tensorflow": ("ai_edge_litert",)},
        {
            "jax": "Keras 3.15 has no way from it",
            "torch": "Keras 3.15 fixes the number of images there",
        },
        "export",
    ),
    "openvino": Format(
        "OpenVINO",
        ".xml",
        {
            "tensorflow": ("tf2onnx", "onnx", "openvino"),
            "jax": ("jax2onnx", "onnx", "openvino"),
            "torch": ("onnx", "openvino"),
        },
        extra="openvino",
    ),
}


def checked_format(to_file, format=None, quantize=False, backend=None):
    """The format of an export that can begin.

    Args:
        to_file: Path to write.
        format: Name of a format; `None` for what `to_file` tells.
        quantize: Boolean, whether weights are to be stored in 8 bits.
        backend: Of Keras; `None` where it is not known yet, and so what the
            format needs is not looked at.

    Returns:
        Its name.

    Raises:
        ValueError: if `to_file` does not tell the format or fits another, is
            not free, if a package is missing, or if the format is not written
            on the backend.
    """
    to_file = pathlib.Path(to_file)
    name = _format_of(to_file, format)
    if quantize and name != "litert":
        raise ValueError(
            "Only LiteRT files are quantized; write to a name that ends in "
            ".tflite, or without quantizing."
        )
    _check_free(to_file, name)
    if backend is not None:
        _check_backend(FORMATS[name], backend)
        more = ("ai_edge_quantizer",) if quantize else ()
        _check_installed(FORMATS[name], backend, more)
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


def _check_backend(form, backend):
    if backend in form.packages:
        return
    reason = form.why_not.get(backend)
    others = [name for name in form.packages if name != "jax"]
    raise ValueError(
        f"{form.title} is not written on Keras' backend {backend}"
        f"{f', since {reason}' if reason else ''}; save the network as .keras "
        "and export that, or its run folder, under KERAS_BACKEND="
        f"{' or '.join(others)}."
    )


def _check_installed(form, backend, more):
    missing = [
        package
        for package in (*form.packages[backend], *more)
        if importlib.util.find_spec(package) is None
    ]
    if not missing:
        return
    # The extras bring TensorFlow, which other backends do without.
    words = f"'keras_alexnet[{form.extra}]'"
    if backend != "tensorflow":
        words = " ".join(missing)
    raise ValueError(
        f"{form.title} needs {', '.join(missing)}, which cannot be imported; "
        f"install what is missing with `pip install {words}`."
    )
