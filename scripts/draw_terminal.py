"""Run commands and draw what a terminal shows of them.

`python scripts/draw_terminal.py img/terminal.svg COMMAND...`
"""

import io
import re
import subprocess
import sys

from rich.console import Console
from rich.text import Text

COLUMNS, MOST = 92, 14  # of a command's lines; the middle is left out


def shown(command):
    """The command and the lines that it prints."""
    done = subprocess.run(
        command, shell=True, check=True, stdout=subprocess.PIPE, text=True
    )
    lines = done.stdout.rstrip().splitlines()
    if len(lines) > MOST:
        lines = [*lines[: MOST // 2], "...", *lines[-MOST // 2 :]]
    return [Text(f"$ {command}", "bold green"), *map(Text, lines), Text()]


def main(to_file, *commands):
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for command in commands:
        for line in shown(command):
            console.print(line, no_wrap=True, overflow="ellipsis")
    drawn = console.export_svg(title="keras-alexnet", unique_id="terminal")
    # Rich would fetch its font from the network; a page shows its own.
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    with open(to_file, "w") as file:
        file.write(drawn)


if __name__ == "__main__":
    main(*sys.argv[1:])
