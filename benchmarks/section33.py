"""The nets of Section 3.3 to the end of their recipes, on an accelerator.

    KERAS_BACKEND=jax python -m benchmarks.section33 CIFAR10 --to FOLDER \\
        --nets cifar10_13pct:0 cifar10_18pct:1:no_normalization

The package's networks, `PaperSGD` and recipes; the order of the images, crops
and mirrors of each epoch are those of `ka.train` with the same seed. An epoch
is one compiled loop, the images are on the device. `FOLDER/NET` becomes a run
folder; from `state.npz` in it the same command goes on.
"""

import argparse
import json
import pathlib
import time
from dataclasses import replace

import jax
import keras
import numpy as np
from jax import lax
from jax import numpy as jnp

import keras_alexnet as ka
from keras_alexnet.data.image_source import Source
from keras_alexnet.data.sampling import epoch_choices
from keras_alexnet.data.threads import share_out
from keras_alexnet.training.schedules import rate_at

VIEWS_EVERY = 10  # epochs
EVALUATION_BATCH = 1000


def pixels_of(examples):
    """All images as one array on the device."""
    source = Source(examples, 32, None, 3)
    images = np.empty((len(examples), 32, 32, 3), "uint8")

    def read(index):
        images[index] = source.center_crop(index, 32)

    share_out(read, range(len(examples)))
    return jnp.asarray(images)


class Training:
    """A net, its optimizer and the compiled loops over the images.

    Args:
        run: The `Run`.
        train: Pair of images and labels on the device.
        test: The same to test on.
    """

    def __init__(self, run, train, test):
        self.run, self.recipe = run, run.recipe
        self.train, self.test = train, test
        keras.utils.set_random_seed(self.recipe.seed)
        self.network = run.build_model(classifier_activation=None)
        self.to_input = run.pixels_to_input()
        self.optimizer = ka.PaperSGD(
            self.recipe.learning_rate,
            self.recipe.momentum,
            self.recipe.weight_decay,
            self.recipe.bias_rate,
            self.recipe.bias_decay,
            dict(self.recipe.layer_decay),
        )
        self.optimizer.build(self.network.trainable_variables)
        self.state = [
            [v.value for v in variables]
            for variables in (
                self.network.trainable_variables,
                self.network.non_trainable_variables,
                self.optimizer.variables,
            )
        ]
        self._epoch = jax.jit(self._train, donate_argnums=0)
        self._scores = jax.jit(self._answer)

    def epoch(self, number):
        """Trains an epoch; gives its mean loss and accuracy, and the rate."""
        batches = self._batches(number)
        weights, others, optimizer = self.state
        rate = rate_at(
            number, self.recipe.learning_rate, self.recipe.rate_drops
        )
        place = [v.path for v in self.optimizer.variables].index(
            self.optimizer.learning_rate.path
        )
        optimizer[place] = jnp.asarray(rate, "float32")
        self.state, sums = self._epoch(
            [weights, others, optimizer], batches, *self.train
        )
        return np.asarray(sums, "float64") / len(self.train[1]), rate

    def _batches(self, number):
        """What `training_batches` does with the images of an epoch."""
        recipe, count = self.recipe, len(self.train[1])
        choices = epoch_choices(count, recipe.seed, number, recipe.crop_chunk)
        rooms = recipe.resize_pixels - recipe.crop_pixels + 1
        offsets = np.minimum((choices.crops * rooms).astype("int32"), rooms - 1)
        size = recipe.batch_size
        missing = -count % size
        columns = (
            choices.order.astype("int32"),
            offsets,
            choices.flips & recipe.flip,
            np.ones(count, "float32"),  # of what fills the last batch 0
        )
        return [
            np.pad(c, [(0, missing)] + [(0, 0)] * (c.ndim - 1)).reshape(
                -1, size, *c.shape[1:]
            )
            for c in columns
        ]

    def _fed(self, images, offsets, flips):
        """Crops of images as the network is fed them."""
        side = self.recipe.crop_pixels
        crops = jax.vmap(
            lambda image, at: lax.dynamic_slice(
                image, (at[0], at[1], 0), (side, side, 3)
            )
        )(images, offsets)
        shifts = jnp.zeros((len(crops), 3), "float32")
        return self.to_input.transform(crops, flips, shifts, 1.0)

    def _train(self, state, batches, images, labels):
        def step(carry, batch):
            weights, others, optimizer, sums = carry
            indices, offsets, flips, counts = batch
            inputs = self._fed(images[indices], offsets, flips)

            def loss_of(weights):
                logits, _ = self.network.stateless_call(
                    weights, others, inputs, training=True
                )
                losses, right = _answers(logits, labels[indices])
                loss = (losses * counts).sum() / counts.sum()
                return loss, ((losses * counts).sum(), (right * counts).sum())

            gradients, more = jax.grad(loss_of, has_aux=True)(weights)
            weights, optimizer = self.optimizer.stateless_apply(
                optimizer, gradients, weights
            )
            return (weights, others, optimizer, sums + jnp.stack(more)), None

        carry = (*state, jnp.zeros(2, "float32"))
        (*state, sums), _ = lax.scan(step, carry, batches)
        return state, sums

    def errors(self, views=False):
        """Mean loss and error in percent over the test images.

        Of the center, or of the views of Section 4.1: corners and center and
        their mirror images, whose probabilities are averaged.
        """
        margin = self.recipe.resize_pixels - self.recipe.crop_pixels
        middle = round(margin / 2)
        places = [(middle, middle)]
        if views and margin:
            places += [(0, 0), (0, margin), (margin, 0), (margin, margin)]
        mirrors = (False, True) if views else (False,)
        losses, wrong = 0.0, 0
        images, labels = self.test
        for first in range(0, len(labels), EVALUATION_BATCH):
            part = slice(first, first + EVALUATION_BATCH)
            logits = [
                self._scores(*self.state[:2], images[part], place, mirror)
                for place in places
                for mirror in mirrors
            ]
            probabilities = np.mean([jax.nn.softmax(x) for x in logits], axis=0)
            known = np.asarray(labels[part])
            own = probabilities[np.arange(len(known)), known]
            losses -= np.log(np.maximum(own, 1e-30)).sum()
            wrong += int((probabilities.argmax(axis=1) != known).sum())
        return losses / len(labels), 100 * wrong / len(labels)

    def _answer(self, weights, others, images, place, mirror):
        offsets = jnp.broadcast_to(jnp.asarray(place), (len(images), 2))
        flips = jnp.broadcast_to(mirror, (len(images),))
        logits, _ = self.network.stateless_call(
            weights, others, self._fed(images, offsets, flips), training=False
        )
        return logits

    def save(self, done, rows, curve):
        """All that the same command goes on from."""
        arrays = {
            f"{kind}_{place:03}": np.asarray(value)
            for kind, values in zip("abc", self.state, strict=True)
            for place, value in enumerate(values)
        }
        facts = json.dumps({"done": done, "rows": rows, "curve": curve})
        np.savez(self.run.path("state.npz"), facts=facts, **arrays)

    def restore(self):
        """The epochs that were done, their log and the curve."""
        if not self.run.path("state.npz").exists():
            return 0, [], []
        with np.load(self.run.path("state.npz")) as arrays:
            self.state = [
                [jnp.asarray(arrays[n]) for n in sorted(arrays) if n[0] == kind]
                for kind in "abc"
            ]
            facts = json.loads(str(arrays["facts"]))
        return facts["done"], facts["rows"], facts["curve"]


def _answers(logits, labels):
    """Of each image the loss, and whether its class comes first."""
    logs = jax.nn.log_softmax(logits)
    own = jnp.take_along_axis(logs, labels[:, None], axis=1)[:, 0]
    return -own, (logits.argmax(axis=1) == labels).astype("float32")


def train(run, train, test, until, save_every):
    """Trains a net to its end, or until a time; says whether it is the end."""
    training, start = Training(run, train, test), time.monotonic()
    done, rows, curve = training.restore()
    recipe, seconds = run.recipe, 0.0
    for epoch in range(done, recipe.epochs):
        (loss, accuracy), rate = training.epoch(epoch)
        val_loss, error = training.errors()
        rows.append(
            {
                "epoch": epoch,
                "loss": float(loss),
                "accuracy": float(accuracy),
                "val_loss": float(val_loss),
                "val_accuracy": 1 - error / 100,
                "learning_rate": rate,
            }
        )
        last = epoch + 1 == recipe.epochs
        if (epoch + 1) % VIEWS_EVERY == 0 or last:
            _, views = training.errors(views=True)
            curve.append([epoch + 1, float(loss), error, views])
            seconds = time.monotonic() - start
            print(
                f"{run.folder.name} {epoch + 1}/{recipe.epochs}: loss "
                f"{loss:.4f}, center {error:.2f} %, views {views:.2f} % "
                f"({seconds:.0f} s)",
                flush=True,
            )
        if (epoch + 1) % save_every == 0 or last:
            training.save(epoch + 1, rows, curve)
        if time.monotonic() > until and not last:
            training.save(epoch + 1, rows, curve)
            return False
    for variable, value in zip(
        training.network.trainable_variables, training.state[0], strict=True
    ):
        variable.assign(value)
    run.save_weights(training.network)
    run.write_log(rows)
    device = jax.devices()[0]
    run.save_results(
        accuracy=rows[-1]["val_accuracy"],
        examples=len(test[1]),
        views_error_percent=curve[-1][-1],
        curve=curve,
        device=getattr(device, "device_kind", str(device)),
        jax=jax.__version__,
        keras=keras.__version__,
        seconds_since_start_or_resume=round(seconds, 1),
    )
    return True


def recipe_of(text, epochs=None):
    """The recipe in `NAME:SEED:VARIATION`."""
    name, seed, *variations = text.split(":")
    recipe = replace(
        ka.RECIPES[name], seed=int(seed), variations=tuple(variations)
    )
    if epochs:
        recipe = replace(recipe, epochs=epochs, rate_drops=())
    return recipe


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--nets", nargs="+", required=True)
    parser.add_argument("--to", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--save-every", type=int, default=40)
    parser.add_argument("--epochs", type=int, help="fewer, to try it")
    parser.add_argument("--images", type=int, help="fewer, to try it")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    parts = ka.load_examples(options.data)
    names = parts[0].class_names
    train_set, test_set = (
        (
            pixels_of(examples)[: options.images],
            jnp.asarray(examples.labels[: options.images], "int32"),
        )
        for examples in parts
    )
    for text in options.nets:
        recipe = recipe_of(text, options.epochs)
        folder = options.to / text.replace(":", "-")
        if (folder / "results.json").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        run = ka.Run.create(folder, recipe, names)
        if not train(run, train_set, test_set, until, options.save_every):
            break


if __name__ == "__main__":
    main()
