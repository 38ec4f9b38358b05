"""A script of this folder in a process of its own, on a backend of Keras."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parent


def on_backend(backend, script, *words, hidden=True):
    """What the script prints there, and what it says on standard error.

    Args:
        backend: Of Keras; the test is skipped where it is not installed.
        script: Name of the file.
        *words: The script's arguments.
        hidden: Boolean, whether TensorFlow cannot be imported on another
            backend.
    """
    run = subprocess.run(
        [sys.executable, *arguments(backend, script, *words, hidden=hidden)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout, run.stderr


def arguments(backend, script, *words, hidden=True):
    """Of Python, for that; see `on_backend`."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    code = "import runpy, sys\n"
    if hidden and backend != "tensorflow":
        code += "sys.modules['tensorflow'] = None\n"
    code += f"sys.argv[1:] = {list(map(str, words))!r}\n"
    code += f"runpy.run_path({str(FOLDER / script)!r}, run_name='__main__')"
    return ["-W", "ignore", "-c", code]
