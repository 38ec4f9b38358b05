"""Writes tests/slow.txt: what took .8 s or more, setting up included.

python -m pytest -n 2 --dist loadfile --junitxml=all.xml
python tests/support/slow_tests.py all.xml
"""

import collections
import pathlib
import sys
import xml.etree.ElementTree as tree

SECONDS = 0.8
LIST = pathlib.Path(__file__).parents[1] / "slow.txt"


def slow_tests(path):
    """Names of the tests of which a case was slow, as pytest has them."""
    longest = collections.defaultdict(float)
    for case in tree.parse(path).iter("testcase"):
        file = case.get("classname").replace(".", "/") + ".py"
        name = f"{file}::{case.get('name').partition('[')[0]}"
        longest[name] = max(longest[name], float(case.get("time")))
    return sorted(n for n, seconds in longest.items() if seconds >= SECONDS)


if __name__ == "__main__":
    kept = [line for line in LIST.read_text().split() if "::@" in line]
    names = sorted([*kept, *slow_tests(sys.argv[1])])
    LIST.write_text("\n".join(names) + "\n")
