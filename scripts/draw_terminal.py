"""Run commands and draw what a terminal shows of them.

    python scripts/draw_terminal.py img/terminal.svg "keras-alexnet train" ...

They run in a folder of their own, one after the other.
"""

import io
import pathlib
import re
import subprocess
import sys
import tempfile

from rich.console import Console
from rich.text import Text

COLUMNS = 96  # the lines of `train` have up to 93


def shown(command, folder):
    """The command and the lines that it prints."""
    done = subprocess.run(
        command,
        shell=True,
        check=True,
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = done.stdout.rstrip().splitlines()
    return [Text(f"$ {command}", "bold green"), *map(Text, lines)]


def main(to_file, *commands):
    """Draw what the commands show."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        for command in commands:
            for line in shown(command, folder):
                console.print(line)
    drawn = console.export_svg(title="keras-alexnet", unique_id="terminal")
    # Rich would fetch its font from the network; a page shows its own.
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    pathlib.Path(to_file).write_text(drawn)


if __name__ == "__main__":
    main(*sys.argv[1:])
