"""Measure this package beside plain Keras and PyTorch, in one run.

`python -m benchmarks [ROW ...] [--photos DIR] [--rounds 7] [--quick]`

ROW: names or patterns such as `step-alexnet-*`; all without. Each column runs
in its own process, all of a row in turn, when the machine is idle. Rows that
are in the file already are measured again and replaced; the others stay.
"""

import argparse
import fnmatch
import json
import pathlib
import tempfile

from benchmarks.harness import PATIENCE
from benchmarks.harness import machine
from benchmarks.harness import measure
from benchmarks.markdown import page
from benchmarks.rows import all_rows

RESULTS = pathlib.Path(__file__).parent / "results" / "benchmarks.json"


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.splitlines()[0]
    )
    parser.add_argument("rows", nargs="*", default=["*"], metavar="ROW")
    parser.add_argument(
        "--photos",
        metavar="DIR",
        help="of JPEG files, for feeding and training",
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one round of some rows, to see that they run",
    )
    parser.add_argument("--to-file", default=str(RESULTS), metavar="JSON")
    parser.add_argument(
        "--list", action="store_true", help="the names of the rows"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = all_rows(options.photos, scratch)
        chosen = [
            name
            for name, row in rows.items()
            if any(fnmatch.fnmatch(name, x) for x in options.rows)
            and (row.small or not options.quick)
        ]
        if options.list:
            print("\n".join(chosen))
            return
        if not chosen:
            parser.error(f"no row is called so; they are {', '.join(rows)}")
        path = pathlib.Path(options.to_file)
        results = {"rows": {}}
        if path.exists():
            results = json.loads(path.read_text())
        results["machine"] = machine()
        for name in chosen:
            how = (1, 0) if options.quick else (options.rounds, PATIENCE)
            results["rows"][name] = measure(rows[name], *how)
            # In the order in which they are listed, whenever measured.
            results["rows"] = {
                x: results["rows"][x] for x in rows if x in results["rows"]
            }
            path.write_text(f"{json.dumps(results, indent=1)}\n")
            path.with_suffix(".md").write_text(page(results))
    print(page(results))


if __name__ == "__main__":
    main()
