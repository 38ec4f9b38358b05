"""Faults sown by hand, one in each of 28 modules: do the fast tests see them?

    python -m benchmarks.sown_faults --to benchmarks/results/sown_faults.json

Each is sown into a copy of the tree, in which the fast tests of the package
that the module is of are run until one fails; where none does, all fast tests.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
# Module -> what stands there, and what is put in its place.
FAULTS = {
    "architectures/arithmetic.py": (
        "return (window - size) % strides",
        "return (size - window) % strides",
    ),
    "layers/lrn_formula.py": (
        "- (2.0 * alpha * beta) * x",
        "- (alpha * beta) * x",
    ),
    "layers/cuda_convnet.py": (
        "ceil_pad(shape[axis], self.window, self.strides)\n            ",
        "0\n            ",
    ),
    "weights/layouts.py": (
        "kernel = kernel.transpose(2, 3, 1, 0)",
        "kernel = kernel.transpose(3, 2, 1, 0)",
    ),
    "weights/parsers/protobuf.py": (
        "value |= (byte & 127) << shift",
        "value += (byte & 63) << shift",
    ),
    "weights/read_torch.py": ("> MOST_BYTES", "> 4 * MOST_BYTES"),
    "data/transforms.py": (
        "return tuple(round((side - pixels) / 2) for side in shape)",
        "return tuple((side - pixels) // 2 for side in shape)",
    ),
    "data/sampling.py": (
        "default_rng([seed, epoch, stream])",
        "default_rng([seed, 0, stream])",
    ),
    "data/color.py": ("scales = 255 * (scales / 255) ** 2", "scales = scales"),
    "data/layout.py": ("place(folder) < 2", "place(folder) < 9"),
    "data/preprocessing.py": (
        'if preprocessing.channel_order == "BGR":',
        'if preprocessing.channel_order == "GBR":',
    ),
    "data/data_record.py": (
        'return _digests(self.parts["train"]) | _digests(self.parts[EARLIER])',
        'return _digests(self.parts["train"])',
    ),
    "models/input_checks.py": ("SMALLEST_SHARE = 1e-3", "SMALLEST_SHARE = 0"),
    "models/builder.py": (
        "row.filters // row.towers",
        "row.filters // row.groups",
    ),
    "runs/states.py": (
        'if _digest(metadata["facts"], arrays) != metadata["sha256"]:',
        'if not metadata["sha256"]:',
    ),
    "runs/network.py": (
        "return 256 if crop in (224, 227) else crop",
        "return 256 if crop in (224,) else crop",
    ),
    "training/optimizer.py": (
        "if self._are_biases[index]:",
        "if not self._are_biases[index]:",
    ),
    "training/schedules.py": ("epoch >= drop", "epoch > drop"),
    "training/metrics.py": (
        "min(5, self.classes)",
        "min(4, self.classes)",
    ),
    "evaluation/evaluate.py": (
        "np.add.at(confusion, (labels, order[:, 0]), 1)",
        "np.add.at(confusion, (order[:, 0], labels), 1)",
    ),
    "evaluation/held_out.py": (
        "if image.digest not in seen]",
        "if image.digest]",
    ),
    "analysis/nearest.py": (
        "row[itself] = np.inf",
        "row[itself[:0]] = np.inf",
    ),
    "analysis/dense_form.py": (
        "return spread.reshape(side, side, *kernel.shape[1:])",
        "return spread.reshape(side, side, *kernel.shape[1:])[::-1]",
    ),
    "export/description.py": (
        "preprocessing.scale != 1",
        "preprocessing.scale == 1",
    ),
    "visualization/table.py": (
        "[tuple(map(printable, line)) for line in self._cells()]",
        "list(self._cells())",
    ),
    "web/report_sections.py": (
        "100 * (1 - last['val_accuracy'])",
        "100 * last['val_accuracy']",
    ),
    "cli/data.py": ("return 0 if safe else 1", "return 0"),
    "files.py": ("os.replace(temporary, path)", "shutil.copy(temporary, path)"),
}


def fails(tree, tests):
    """The first fast test that fails, or `None`."""
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-x", "-q", "-n", "2"),
            *("-p", "no:cacheprovider", "-m", "not slow", *tests),
        ],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    lines = [
        x for x in run.stdout.splitlines() if x[:6] in ("FAILED", "ERROR ")
    ]
    return lines[0].split()[1] if lines else None


def sow(module, old, new):
    """Which fast test sees a fault; `None` if none does."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder) / "tree"
        names = subprocess.check_output(
            ["git", "ls-files"], cwd=ROOT, text=True
        )
        for name in names.splitlines():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
        path = tree / "keras_alexnet" / module
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise ValueError(f"{module} no longer has {old!r}.")
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        package = module.split("/")[0]
        near = f"tests/{package}" if "/" in module else "tests/test_files.py"
        return fails(tree, [near]) or fails(tree, [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", required=True, help="JSON file to write")
    options = parser.parse_args()
    to_file, found = pathlib.Path(options.to), {}
    if to_file.exists():  # what was seen is not sown again
        found = json.loads(to_file.read_text(encoding="utf-8"))
    for module, (old, new) in FAULTS.items():
        if found.get(module, {}).get("test"):
            continue
        found[module] = {"was": old, "sown": new, "test": sow(module, old, new)}
        print(f"{module}: {found[module]['test']}", flush=True)
        text = json.dumps(found, indent=1) + "\n"
        to_file.write_text(text, encoding="utf-8")
    return int(any(each["test"] is None for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
