"""Writes tests/slow.txt: what took .8 s or more, and in which part it runs.

python -m pytest --slow all -n 2 --dist loadfile --junitxml=all.xml
python tests/support/slow_tests.py all.xml

The parts take the same time. Lines with an `@` name fixtures, and are written
by hand: all tests that use one are slow.
"""

import collections
import pathlib
import sys
import xml.etree.ElementTree as tree

SECONDS = 0.8
PARTS = 3
LIST = pathlib.Path(__file__).parents[1] / "slow.txt"


def read_list():
    """Dict: name of a test, or of a file's fixture -> its part."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return {name: int(part) for name, part in map(str.split, lines)}


def durations(path):
    """Dict: name of a test that was slow -> seconds of all its cases."""
    longest, total = collections.Counter(), collections.Counter()
    for case in tree.parse(path).iter("testcase"):
        file = case.get("classname").replace(".", "/") + ".py"
        name = f"{file}::{case.get('name').partition('[')[0]}"
        seconds = float(case.get("time"))
        longest[name] = max(longest[name], seconds)
        total[name] += seconds
    return {n: total[n] for n, most in longest.items() if most >= SECONDS}


def deal_out(seconds):
    """Dict: name -> part, the longest first, each to the emptiest part."""
    parts, filled = {}, [0.0] * PARTS
    for name in sorted(seconds, key=lambda name: (-seconds[name], name)):
        parts[name] = filled.index(min(filled))
        filled[parts[name]] += seconds[name]
    return parts


if __name__ == "__main__":
    kept = {n: part for n, part in read_list().items() if "::@" in n}
    parts = deal_out(durations(sys.argv[1])) | kept
    lines = [f"{name} {part}\n" for name, part in sorted(parts.items())]
    LIST.write_text("".join(lines), encoding="utf-8")
