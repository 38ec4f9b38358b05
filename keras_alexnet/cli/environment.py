"""The command `env`: what a report of a fault should say of the machine."""

import importlib.metadata
import os
import platform
import shutil
import subprocess

from keras_alexnet import __version__
from keras_alexnet.cli.arguments import add_command
from keras_alexnet.cli.arguments import add_format
from keras_alexnet.cli.arguments import print_table
from keras_alexnet.environment import ONEDNN
from keras_alexnet.environment import cpuinfo
from keras_alexnet.visualization.table import Table

PACKAGES = (
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "pillow",
    "simplejpeg",
    "h5py",
    "safetensors",
)
# Of a processor's many flags those that decide how fast it computes.
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
GPU_SECONDS = 5  # a driver that hangs is not waited for


class Environment(Table):
    """Versions, processor and settings; imports none of the packages."""

    _header = ("what", "here")
    _right = ()

    def __init__(self):
        self.values = {
            "keras_alexnet": __version__,
            "Python": platform.python_version(),
            "system": platform.platform(),
            **{name: _version(name) for name in PACKAGES},
            "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "not set"),
            ONEDNN: os.environ.get(ONEDNN, "not set"),
            "processor": _processor(),
            "processors": _processors(),
            "memory": _memory(),
            "GPUs": _gpus(),
        }

    def to_dict(self):
        """What is known, as plain values."""
        return self.values

    def _heading(self):
        return "What keras_alexnet runs on here."

    def _cells(self):
        return [(name, str(value)) for name, value in self.values.items()]


def add_parsers(commands):
    """Add `env`."""
    text = "print versions, processor and settings, to paste into an issue"
    add_format(add_command(commands, "env", _env, text))


def _env(options):
    print_table(Environment(), options.format)


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor():
    name = cpuinfo("model name") or platform.processor() or platform.machine()
    known = cpuinfo("flags")
    if not known:
        return name
    flags = [flag for flag in FLAGS if flag in known.split()]
    return f"{name} ({', '.join(flags) or 'no AVX2'})"


def _processors():
    """Those that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory():
    try:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{pages / 2**30:.0f} GiB"


def _gpus():
    if not shutil.which("nvidia-smi"):
        return "none that nvidia-smi knows"
    try:
        run = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv"],
            capture_output=True,
            text=True,
            timeout=GPU_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "nvidia-smi does not answer"
    return "; ".join(run.stdout.splitlines()[1:]) or "none"
