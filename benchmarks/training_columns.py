"""Training as a user starts it, against the step alone; what a checkpoint
and a start cost."""

import atexit
import itertools
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import Seconds

STEPS = 8


def _folder():
    """One that is gone when the process ends."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return pathlib.Path(folder.name)


def training(feed, batch, photos, scratch, replicas=1):
    """`alexnet` fed and fitted as `ka.train` does it, in seconds a step.

    `feed` is `"memory"`, one batch of pixels again and again; `"photos"`,
    JPEG files of a first epoch; `"kept"`, those of a later one; `"shards"`,
    what prepare-data makes of them.
    """
    import tensorflow as tf

    import keras_alexnet as ka
    from benchmarks.feeding_columns import class_folders
    from keras_alexnet.data.skipped_files import SkippedFiles
    from keras_alexnet.training.distribution import training_strategy
    from keras_alexnet.training.feed import Feed
    from keras_alexnet.training.pixel_model import build_pixel_model

    # First: later there are no more virtual devices to be had.
    strategy = training_strategy(devices=replicas if replicas > 1 else None)
    root = class_folders(photos, f"{scratch}/photos")
    if feed == "shards":
        root = pathlib.Path(scratch, "shards")
        if not root.exists():
            ka.prepare_data(f"{scratch}/photos", root, verbose=False)
    train, test = ka.load_examples(root)
    recipe = ka.Recipe(
        "cost", data=str(root), batch_size=batch, learning_rate=1e-4
    )
    run = ka.Run.create(_folder(), recipe, train.class_names)
    skipped = SkippedFiles(len(train), 0.0)
    source = Feed(run, train, test, strategy, skipped)
    model, _ = build_pixel_model(run, source)
    epochs = itertools.count()
    one = kept = None
    if feed == "memory":
        one = next(iter(source.training(0)))
    if feed == "kept":
        kept = source.training(0)
        for _ in kept.take(source.steps):
            pass

    def steps():
        # A training begins its epochs so; the first batches of an epoch come
        # while the last of the one before is trained on.
        data = kept or source.training(next(epochs))
        if one is not None:
            data = tf.data.Dataset.from_tensors(one).repeat()
        stopwatch = Stopwatch()
        with strategy.scope():
            model.fit(
                data,
                steps_per_epoch=STEPS + 1,
                shuffle=False,
                verbose=0,
                callbacks=[stopwatch.callback()],
            )
        return Seconds(stopwatch.seconds / STEPS)

    return steps


def on_machines(count, **given):
    """`training` on several machines, processes of this one."""
    ports = []
    for _ in range(count):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    addresses = [f"127.0.0.1:{port}" for port in ports]
    for index in reversed(range(count)):
        task = {"type": "worker", "index": index}
        cluster = {"worker": addresses}
        config = json.dumps({"cluster": cluster, "task": task})
        os.environ["TF_CONFIG"] = config
        if index:
            # It goes on for as long as this one has turns, and ends with it.
            code = (
                "import json, sys; from benchmarks.training_columns import "
                "training; steps = training(**json.loads(sys.argv[1]))\n"
                "while True: steps()"
            )
            words = [sys.executable, "-c", code, json.dumps(given)]
            other = subprocess.Popen(words, stderr=subprocess.DEVNULL)
            atexit.register(other.kill)
    return training(**given)


class Stopwatch:
    """From the end of the first step to the end of the last."""

    def callback(self):
        import keras

        return keras.callbacks.LambdaCallback(on_train_batch_end=self._batch)

    def _batch(self, number, logs):
        now = time.perf_counter()
        if number == 0:
            self._start = now
        self.seconds = now - self._start


def words(command):
    """A command in a process of its own."""

    def run():
        subprocess.run(
            [sys.executable, *command], check=True, capture_output=True
        )

    return run


def checkpoint(whose, what):
    """Save or restore the paper's network and its velocities, 488 MB."""
    import keras

    import keras_alexnet as ka

    folder = _folder()
    model = ka.AlexNet()
    model.compile(ka.PaperSGD(0.01), "sparse_categorical_crossentropy")
    x = np.zeros((1, 227, 227, 3), "float32")
    model.train_on_batch(x, np.zeros(1))
    if whose == "plain":
        path = folder / "model.keras"
        if what == "save":
            return lambda: model.save(path)
        model.save(path)
        return lambda: keras.saving.load_model(path)
    checkpoints = ka.Checkpoints(folder / "checkpoints", model, minutes=1e6)

    def save():
        checkpoints.step += 1
        checkpoints.save()

    if what == "save":
        return save
    save()
    return lambda: checkpoints.restore()


def torch_checkpoint(what):
    import torch

    from benchmarks.torch_columns import network

    path = _folder() / "model.pt"
    model = network("alexnet", 1000)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    if what == "save":
        return lambda: torch.save(state, path)
    torch.save(state, path)

    def restore():
        read = torch.load(path, weights_only=True)
        model.load_state_dict(read["model"])
        optimizer.load_state_dict(read["optimizer"])

    return restore


def exported(form, batch):
    """Latency of an exported network in its own runtime; `keras`: before.

    With `size_bytes`, what the export takes on the disk.
    """
    import keras

    import keras_alexnet as ka
    from benchmarks.exports import give_random_weights
    from keras_alexnet.export import runtimes

    model = ka.AlexNet()
    model.class_names = tuple(f"class {i}" for i in range(1000))
    model.resize_pixels, model.checks_range = 256, True
    give_random_weights(model)
    name = {"onnx": "net.onnx", "litert": "net.tflite", "openvino": "net.xml"}
    path = _folder() / name.get(form, "net.keras")
    size_bytes = ka.export_model(model, path).size_bytes
    predict = model.predict_on_batch
    if form != "keras":
        keras.backend.clear_session()
        predict = runtimes.RUNTIMES[form](str(path))
    x = np.random.default_rng(0).normal(0, 60, (batch, 227, 227, 3))
    x = x.astype("float32")

    def run():
        predict(x)

    run.size_bytes = size_bytes
    return run
