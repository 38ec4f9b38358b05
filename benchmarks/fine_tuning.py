"""Fine-tuning against training from scratch, on the same budget.

A net of the CIFAR-10 kind is trained on CIFAR-10 and then fine-tuned on
flowers (`fine_tune`: the last layer, then all); the same net is trained on the
flowers from random values for as many epochs. For each budget the best of
several rates is looked for with seed 0, since each way has its own, and then
other seeds are trained with it.

`python -m benchmarks.fine_tuning --cifar DIR --flowers DIR [--folder DIR]`
"""

import argparse
import json
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_alexnet as ka

SIZES = {"resize_pixels": 40, "crop_pixels": 32}
RATES = (0.0003, 0.001, 0.003, 0.01)


def recipe(name, data, **changes):
    return ka.Recipe(
        name,
        data=data,
        variant="cifar10_18pct",
        **{**SIZES, "color_noise": 0.0, "batch_size": 64, **changes},
    )


def finished(recipe, folder):
    """The accuracy of a run, trained now if it is not there."""
    if (folder / "results.json").exists():
        return ka.Run(folder).results["accuracy"]
    return ka.train(recipe, folder, verbose=2).results["accuracy"]


def source_run(options, folder):
    """The folder of the net that is trained on CIFAR-10."""
    epochs = options.cifar_epochs
    cifar = recipe(
        "cifar10",
        options.cifar,
        resize_pixels=32,
        epochs=epochs,
        learning_rate=0.001,
        rate_drops=(3 * epochs // 4,),
    )
    finished(cifar, folder / "cifar10")
    return folder / "cifar10"


def scratch(options, folder, epochs, rate, seed):
    name = f"scratch-{epochs}-{rate:g}-{seed}"
    given = {"epochs": epochs, "rate_drops": (max(2 * epochs // 3, 1),)}
    flowers = recipe(
        name, options.flowers, learning_rate=rate, seed=seed, **given
    )
    return finished(flowers, folder / name)


def tuned(options, folder, epochs, rate, seed):
    head_epochs = max(epochs // 5, 1)
    return ka.fine_tune(
        source_run(options, folder),
        options.flowers,
        folder / f"tuned-{epochs}-{rate:g}-{seed}",
        head_epochs=head_epochs,
        epochs=epochs - head_epochs,
        learning_rate=rate,  # of the first stage; a tenth in the second
        batch_size=64,
        seed=seed,
        **SIZES,
    ).results["accuracy"]


def measured(way, options, folder, epochs):
    """The best rate with seed 0, and the accuracies of other seeds with it."""
    by_rate = {}
    for rate in RATES:
        try:
            by_rate[rate] = way(options, folder, epochs, rate, 0)
        except ValueError as error:  # it diverged
            print(error, flush=True)
    best = max(by_rate, key=by_rate.get)
    seeds = range(1, options.seeds + 1)
    accuracies = [way(options, folder, epochs, best, seed) for seed in seeds]
    return {
        "epochs": epochs,
        "way": way.__name__,
        "accuracy by rate, seed 0": by_rate,
        "rate": best,
        "accuracies": accuracies,
        "mean": statistics.mean(accuracies),
    }


def markdown(rows):
    lines = [
        "| epochs | way | rate, first stage | accuracy by seed | mean |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        seeds = ", ".join(f"{value:.3f}" for value in row["accuracies"])
        lines.append(
            f"| {row['epochs']} | {row['way']} | {row['rate']:g} | {seeds} | "
            f"{row['mean']:.3f} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar", required=True)
    parser.add_argument("--flowers", required=True)
    parser.add_argument("--folder", default="runs/fine_tuning")
    parser.add_argument("--cifar-epochs", type=int, default=12)
    parser.add_argument("--budgets", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    folder = pathlib.Path(options.folder)
    source = ka.Run(source_run(options, folder))
    rows = [
        measured(way, options, folder, epochs)
        for epochs in options.budgets
        for way in (scratch, tuned)
    ]
    results = {"cifar10 accuracy": source.results["accuracy"], "rows": rows}
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
