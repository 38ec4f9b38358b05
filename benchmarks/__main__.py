"""Measure this package beside plain Keras and PyTorch, in one run.

`python -m benchmarks [ROW ...] [--photos DIR] [--rounds 7] [--quick]`

Each column runs in its own process, all of a row in turn, when the machine is
idle. Rows that are in the file already are measured again and replaced; the
others stay.
"""

import argparse
import fnmatch
import os
import pathlib
import tempfile

from benchmarks.harness import AVX2
from benchmarks.harness import PATIENCE
from benchmarks.harness import measure
from benchmarks.markdown import page
from benchmarks.results_file import default_path
from benchmarks.results_file import read
from benchmarks.results_file import write
from benchmarks.rows import all_rows
from keras_alexnet.data.decode import EXTENSIONS


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "rows",
        nargs="*",
        default=["*"],
        metavar="ROW",
        help="names or patterns such as 'step-alexnet-*'; all by default",
    )
    parser.add_argument(
        "--photos",
        metavar="DIR",
        help="of JPEG files, for the rows feeding, training, growth-replicas "
        "and growth-workers",
    )
    parser.add_argument(
        "--rounds",
        type=_positive,
        default=7,
        metavar="N",
        help="turns of each column; default: 7",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one round of some rows at once, to see that they run",
    )
    parser.add_argument(
        "--to-file",
        type=pathlib.Path,
        metavar="JSON",
        help="written after each row, with a table beside it; by default "
        "benchmarks/results/benchmarks-KIND.json, KIND being that of the "
        "processor, and none with --quick",
    )
    parser.add_argument(
        "--as-avx2",
        action="store_true",
        help="hold all frameworks to AVX2, as on an older processor",
    )
    parser.add_argument(
        "--list", action="store_true", help="the names of the rows"
    )
    return parser


def main():
    """The command: what it cannot do, it says, with exit code 2."""
    parser = _parser()
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            _run(options, scratch)
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        parser.exit(130, "\nInterrupted; what was measured before is kept.\n")


def _run(options, scratch):
    if options.as_avx2:
        os.environ.update(AVX2)
    if options.list:
        rows = all_rows("", scratch)
        print("\n".join(_chosen(rows, options.rows, options.quick, True)))
        return
    photos = options.photos and _photos(options.photos)
    rows = all_rows(photos, scratch)
    chosen = _chosen(rows, options.rows, options.quick, photos)
    path = options.to_file or (None if options.quick else default_path())
    results = read(path)
    how = (1, None) if options.quick else (options.rounds, PATIENCE)
    for name in chosen:
        row = measure(rows[name], *how)
        if not row["columns"]:
            raise ValueError(
                f"no column of {name} could be measured; what was there stays."
            )
        results["rows"][name] = row
        # In the order in which they are listed, whenever measured.
        order = [x for x in rows if x in results["rows"]]
        order += [x for x in results["rows"] if x not in rows]
        results["rows"] = {x: results["rows"][x] for x in order}
        if path:
            write(path, results)
    print(page(results))


def _positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(
            f"{text[:20]!r} is not a positive whole number"
        )
    return int(text)


def _photos(folder):
    """The folder, wherever a worker stands."""
    root = pathlib.Path(folder).resolve()
    if not root.is_dir():
        raise ValueError(f"there is no folder {folder!r} of photos")
    if not any(p.suffix.lower() in EXTENSIONS for p in root.rglob("*")):
        raise ValueError(f"there are no photos in {folder!r}")
    return str(root)


def _chosen(rows, patterns, quick, photos):
    """The names that are meant, in their order."""
    chosen = set()
    for pattern in patterns:
        found = fnmatch.filter(rows, pattern)
        if not found:
            raise ValueError(
                f"no row is called {pattern[:40]!r}; --list tells their names"
            )
        if quick:
            found = [name for name in found if rows[name].small]
            if not found:
                small = ", ".join(x for x in rows if rows[x].small)
                raise ValueError(f"--quick runs no {pattern!r}, only {small}")
        ready = [x for x in found if photos or not rows[x].of_photos]
        if not ready:
            raise ValueError(f"{pattern!r} needs photos; name --photos DIR")
        for name in found:
            if name not in ready:
                print(f"{name} is left out: it needs --photos DIR")
        chosen.update(ready)
    return [name for name in rows if name in chosen]


if __name__ == "__main__":
    main()
