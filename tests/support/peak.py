"""How much memory a reader takes at most."""

import subprocess
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
# Runs in a process of its own: reads files that may be refused.
CODE = """
import importlib, sys
from peak import highest
module, name, *paths = sys.argv[1:]
read, refused = getattr(importlib.import_module(module), name), 0
start = highest()
for path in paths:
    try: read(path)
    except ValueError: refused += 1
imported = {"keras", "torch"} & sys.modules.keys()
print(highest() - start, refused, *imported)
"""


def highest():
    """Most bytes that this process had in memory; 0 where nobody counts.

    `ru_maxrss` would begin with those of pytest, that started the process.
    """
    if not STATUS.exists():
        return 0
    line = next(t for t in STATUS.read_text().splitlines() if "VmHWM" in t)
    return 1024 * int(line.split()[1])


def peak_of(read, *paths):
    """Calls a function of the package with each file, in a new process.

    Args:
        read: The function.
        *paths: Paths of the files.

    Returns:
        Bytes that the process grew by, how many files were refused by a
        `ValueError`, and which of Keras and PyTorch had been imported.
    """
    run = subprocess.run(
        [sys.executable, "-c", CODE, read.__module__, read.__name__, *paths],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    growth, refused, *modules = run.stdout.split()
    return int(growth), int(refused), modules
