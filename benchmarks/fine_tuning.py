"""Fine-tuning against training from scratch, on the same budget.

A net of the CIFAR-10 kind is trained on CIFAR-10 and then fine-tuned on
flowers (`fine_tune`: the last layer, then all); the same net is trained on the
flowers from random values for as many epochs. Several rates for both, since
each has its own best one; then several seeds.

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
HEAD_EPOCHS, EPOCHS = 10, 40


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


def scratch(flowers, folder, rate, seed):
    epochs = HEAD_EPOCHS + EPOCHS
    given = {"epochs": epochs, "rate_drops": (2 * epochs // 3,)}
    name = f"scratch-{rate:g}-{seed}"
    return finished(
        recipe(name, flowers, learning_rate=rate, seed=seed, **given),
        folder / name,
    )


def tuned(source, flowers, folder, rate, seed):
    return ka.fine_tune(
        source,
        flowers,
        folder / f"tuned-{rate:g}-{seed}",
        head_epochs=HEAD_EPOCHS,
        epochs=EPOCHS,
        # The second stage has a tenth of the rate.
        learning_rate=10 * rate,
        batch_size=64,
        seed=seed,
        **SIZES,
    ).results["accuracy"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar", required=True)
    parser.add_argument("--flowers", required=True)
    parser.add_argument("--folder", default="runs/fine_tuning")
    parser.add_argument("--cifar-epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[0.0003, 0.001, 0.003]
    )
    options = parser.parse_args()
    folder = pathlib.Path(options.folder)
    epochs = options.cifar_epochs
    cifar = recipe(
        "cifar10",
        options.cifar,
        resize_pixels=32,
        epochs=epochs,
        learning_rate=0.001,
        rate_drops=(3 * epochs // 4,),
    )
    results = {"cifar10": finished(cifar, folder / "cifar10")}
    source = folder / "cifar10"
    ways = {
        "scratch": lambda *given: scratch(options.flowers, folder, *given),
        "tuned": lambda *given: tuned(source, options.flowers, folder, *given),
    }
    for name, way in ways.items():
        by_rate = {rate: way(rate, 0) for rate in options.rates}
        best = max(by_rate, key=by_rate.get)
        seeds = [way(best, seed) for seed in range(options.seeds)]
        results[name] = {
            "accuracy by rate, seed 0": by_rate,
            "rate": best,
            "accuracy by seed": seeds,
            "mean": statistics.mean(seeds),
        }
        print(json.dumps(results[name], indent=2), flush=True)
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
