"""The tables of the README and of docs/performance.md, out of the committed
results.

`python -m benchmarks.headline [KIND ...]`, a kind of processor being a file
`results/benchmarks-KIND.json`.
"""

import json
import statistics
import sys

from benchmarks.results_file import RESULTS
from benchmarks.rows import NATIVE
from benchmarks.whole_rows import OURS
from benchmarks.whole_rows import PLAIN

HERE = RESULTS.parent
FILE = RESULTS / "benchmarks-avx512-bfloat16.json"
TIMES = {
    "step-alexnet-32-float32": "training step of `alexnet`, batch 32",
    "step-alexnet-128-float32": "the same, batch 128",
    "inference-alexnet-32-float32": "inference of `alexnet`, batch 32",
    "step-single_tower-32-float32": "training step of `single_tower`, batch 32",
    "normalization-conv1": "normalization of (32, 55, 55, 96), both ways",
}
BY_PROCESSOR = {
    **TIMES,
    "step-torchvision-32-float32": "training step of `torchvision`, batch 32",
    "update": "the optimizer's update of 61 million weights",
    "start": "until the first step of `alexnet` is done, from nothing",
}
FIRST_STEPS = {
    PLAIN: "the first step of plain Keras",
    "PyTorch": "the first step of PyTorch",
    OURS: "the first step of alexnet",
}


def table():
    """The table in Markdown."""
    rows = json.loads(FILE.read_text())["rows"]
    lines = [
        "| on two virtual CPUs | plain Keras | PyTorch at its best "
        "| this package | times as fast |",
        "|:--|--:|--:|--:|:--|",
    ]
    for name, title in TIMES.items():
        seconds = _seconds(rows[name])
        times = [f"{1e3 * value:,.0f} ms" for value in seconds]
        lines.append(_line(title, *times, _ratios(seconds)))
    columns = rows["training"]["columns"]
    seconds = [
        min(
            _median(columns[name]) for name in columns if name.startswith(whose)
        )
        for whose in (
            "plain Keras, from",
            "PyTorch, from",
            "from photos, first",
        )
    ]
    title = "first epoch of `alexnet` from ImageNet photos, a step of 32"
    times = [f"{1e3 * value:,.0f} ms" for value in seconds]
    lines.append(_line(title, *times, _ratios(seconds)))
    seconds = _seconds(rows["feeding"])
    title = "augmented batches: from JPEG; here from shards"
    images = [f"{1 / value:,.0f} images/s" for value in seconds]
    lines.append(_line(title, *images, _ratios(seconds)))
    return "\n".join([*lines, *_experiments()])


def of_processor(kind):
    """What was measured on a kind of processor, in Markdown."""
    file = RESULTS / f"benchmarks-{kind}.json"
    rows = json.loads(file.read_text())["rows"]
    lines = [
        "| | plain Keras | with oneDNN | PyTorch at its best "
        "| this package | times as fast |",
        "|:--|--:|--:|--:|--:|--:|",
    ]
    for name, title in BY_PROCESSOR.items():
        if name in rows:
            seconds = _by_whose(rows[name])
            times = [_milliseconds(value) for value in seconds]
            *others, ours = seconds
            ratios = [f"{v / ours:.2f}" if v else "-" for v in others]
            lines.append(_line(title, *times, " / ".join(ratios)))
    large = rows.get("step-alexnet-128-float32")
    if large:
        gigabytes = [
            f"{value / 1e9:.2f} GB" if value else ""
            for value in _by_whose(large, "peak_memory_bytes")
        ]
        title = "most memory of a process, a step of `alexnet`, batch 128"
        lines.append(_line(title, *gigabytes, ""))
    return "\n".join(lines)


def _milliseconds(seconds):
    return f"{1e3 * seconds:,.0f} ms" if seconds else ""


def _by_whose(row, key="median_seconds"):
    """Of a call: plain Keras', also with oneDNN where it was measured, the
    best of PyTorch's, ours."""
    columns = row["columns"]
    if FIRST_STEPS[OURS] in columns:
        columns = {who: columns[name] for who, name in FIRST_STEPS.items()}
    names = list(columns)
    plain = [n for n in names if n.startswith((PLAIN, NATIVE))]
    turned_on = [columns[n][key] for n in plain if "oneDNN" in n]
    as_it_comes = [columns[n][key] for n in plain if "oneDNN" not in n]
    torch = [columns[n][key] for n in names if "orch" in n]
    return (
        min(as_it_comes),
        min(turned_on, default=None),
        min(torch),
        columns[OURS][key],
    )


def _line(*cells):
    return f"| {' | '.join(cells)} |"


def _seconds(row):
    """Of a call: plain Keras', the best of PyTorch's, ours."""
    columns = row["columns"]
    torch = [value for name, value in columns.items() if "orch" in name]
    best = min(torch, key=_median)
    ours = next(iter(columns.values()))
    return [_median(c) for c in (columns[row["baseline"]], best, ours)]


def _median(column):
    return column["median_seconds"]


def _ratios(seconds):
    *others, ours = seconds
    return ", ".join(f"{other / ours:.1f}" for other in others)


def _experiments():
    """What trainings gave."""
    cifar10, flowers, figure1 = (
        json.loads((HERE / place / "results.json").read_text())
        for place in ("cifar10_18pct", "flowers", "paper/figure1")
    )
    epochs = [
        [row["epochs"] for row in figure1["trainings"] if row["arm"] == arm]
        for arm in ("tanh", "ReLU")
    ]
    times = [tanh / relu for tanh, relu in zip(*epochs, strict=True)]
    spread = f"{min(times):.1f} to {max(times):.1f}, {len(times)} seeds"
    return (
        _line(
            "CIFAR-10, the authors' 18 % net",
            *("", ""),
            f"{cifar10['top1_error_percent']:.2f} % test error",
            'shipped: `weights="cifar10"`',
        ),
        _line(
            "Figure 1: epochs of tanh for one of ReLU",
            *("", ""),
            f"{statistics.mean(times):.1f} ({spread})",
            "[the paper says six](docs/paper.md#figure1)",
        ),
        _line(
            "2,934 flower photos, from scratch",
            *("", ""),
            f"{flowers['accuracy']:.4f} accuracy",
            "the paper's net at 227x227",
        ),
    )


if __name__ == "__main__":
    for kind in sys.argv[1:]:
        print(of_processor(kind))
    if not sys.argv[1:]:
        print(table())
