"""The README's table of measured results, out of the committed ones.

`python -m benchmarks.headline`
"""

import json
import statistics

from benchmarks.results_file import RESULTS

HERE = RESULTS.parent
FILE = RESULTS / "benchmarks-avx512-bfloat16.json"
TIMES = {
    "step-alexnet-32-float32": "training step of `alexnet`, batch 32",
    "step-alexnet-128-float32": "the same, batch 128",
    "inference-alexnet-32-float32": "inference of `alexnet`, batch 32",
    "step-single_tower-32-float32": "training step of `single_tower`, batch 32",
    "normalization-conv1": "normalization of (32, 55, 55, 96), both ways",
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
    print(table())
