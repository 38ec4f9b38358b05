"""Execute the notebooks from their .py twins, and keep their outputs.

    python scripts/keep_notebooks.py                      # all
    python scripts/keep_notebooks.py 04_inside            # one
    python scripts/keep_notebooks.py --to DIR 04_inside   # elsewhere
    python scripts/keep_notebooks.py --check              # are twins equal?

Each runs from top to bottom in a fresh kernel, in a folder of its own, where
Python's sockets reach no other machine.
"""

import argparse
import os
import pathlib
import sys
import tempfile

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
SECONDS = 400  # for a cell; on two busy cores all take longer
# Python imports this at its start, in the kernel and in what that starts.
NO_NETWORK = """
import socket

connect = socket.socket.connect


def connect_here(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
        raise OSError(f"the notebooks have no network: {address}")
    return connect(self, address)


socket.socket.connect = connect_here
"""


def names():
    """The notebooks, without their endings."""
    return sorted(path.name[:-3] for path in NOTEBOOKS.glob("*.py"))


def executed(name):
    """A notebook with fresh outputs."""
    notebook = jupytext.read(NOTEBOOKS / f"{name}.py")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # else another one each time
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "sitecustomize.py").write_text(NO_NETWORK)
        paths = [folder, str(ROOT), os.environ.get("PYTHONPATH", "")]
        nowhere = "http://127.0.0.1:9"
        NotebookClient(
            notebook,
            timeout=SECONDS,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
        ).execute(
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "TMPDIR": folder,
                "http_proxy": nowhere,
                "https_proxy": nowhere,
            }
        )
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [_checked(o, name) for o in _joined(cell.outputs)]
            cell.metadata = {}
    # What the kernel says of itself is this machine's Python.
    notebook.metadata.pop("language_info", None)
    return notebook


def _joined(outputs):
    """Lines of one stream, which come in pieces, as one output."""
    joined = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.get("name") and output["name"] == last.get("name"):
            last["text"] += output["text"]
        else:
            joined.append(output)
    return joined


def _checked(output, name):
    if output.get("name") == "stderr":
        raise ValueError(f"{name} writes on stderr: {output['text']}")
    return output


def differing(names):
    """A sentence for each notebook that is not as its twin."""
    sentences = []
    for name in names:
        both = [
            [
                (cell.cell_type, cell.source)
                for cell in jupytext.read(path).cells
            ]
            for path in (NOTEBOOKS / f"{name}.ipynb", NOTEBOOKS / f"{name}.py")
        ]
        if both[0] != both[1]:
            sentences.append(f"{name}.ipynb and {name}.py differ.")
    return sentences


def main():
    """Execute what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument("--to", type=pathlib.Path, default=NOTEBOOKS)
    parser.add_argument("--check", action="store_true", help="execute none")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names()):
        parser.error(f"there is no notebook {', '.join(sorted(unknown))}")
    if arguments.check:
        return "\n".join(differing(arguments.names or names())) or None
    for name in arguments.names or names():
        nbformat.write(executed(name), arguments.to / f"{name}.ipynb")
        print(name, flush=True)
    return None


if __name__ == "__main__":
    sys.exit(main())
