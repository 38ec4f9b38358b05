"""The README's table of measured results, out of the committed ones.

`python -m benchmarks.headline`
"""

import json

from benchmarks.__main__ import RESULTS

OURS = "keras_alexnet"
ROWS = {
    "step-alexnet-32-float32": "training step of `alexnet`, batch 32",
    "step-alexnet-128-float32": "the same, batch 128",
    "step-single_tower-32-float32": "training step of `single_tower`, batch 32",
    "step-torchvision-32-float32": "training step of `torchvision`, batch 32",
    "inference-alexnet-32-float32": "inference of `alexnet`, batch 32",
    "normalization-conv1": "normalization, both ways, (32, 55, 55, 96)",
    "normalization-conv2": "normalization, both ways, (32, 27, 27, 256)",
    "checkpoint-save": "a checkpoint of 488 MB (plain: .keras)",
    "feeding": "an image of a batch of 128, from prepared shards",
}


def line(title, result):
    """A row of the README: ours, plain Keras' and the best of PyTorch's."""
    columns = result["columns"]
    ours = next(iter(columns.values()))
    plain = columns[result["baseline"]]
    torch = [c for name, c in columns.items() if "orch" in name]
    cells = [title, _seconds(ours), _seconds(plain)]
    if torch:
        best = min(torch, key=_median)
        cells += [_seconds(best), _ratio(plain, ours), _ratio(best, ours)]
    else:
        cells += ["", _ratio(plain, ours), ""]
    return f"| {' | '.join(cells)} |"


def _median(column):
    return column["median_seconds"]


def _seconds(column):
    milliseconds = 1e3 * _median(column)
    if milliseconds < 1:
        return f"{milliseconds:.2f} ms"
    return f"{milliseconds:,.{0 if milliseconds > 99 else 1}f} ms"


def _ratio(other, ours):
    return f"{_median(other) / _median(ours):.2f}"


def table(results):
    """The table in Markdown."""
    rows = results["rows"]
    lines = [
        "| | this package | plain Keras | best of PyTorch "
        "| times plain Keras | times PyTorch |",
        "| :-- | --: | --: | --: | --: | --: |",
    ]
    lines += [
        line(title, rows[name]) for name, title in ROWS.items() if name in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(json.loads(RESULTS.read_text())))
