"""`model.fit` as users call it, on whichever backend of Keras.

`python fit_anywhere.py FOLDER refused` says why `ka.train` does not begin;
`python fit_anywhere.py FOLDER` gives networks the weights in the folder, or
writes them where there are none, and says as JSON what came out. The weights
after 50 steps of `caffe_alexnet` are in `BACKEND.npz`, those after ten steps of
`cifar10_18pct` in double precision in `BACKEND-float64.npz`.
"""

import json
import pathlib
import sys

import keras
import numpy as np
import PIL.Image

import keras_alexnet as ka

SIDE, IMAGES, BATCH = 67, 73, 16


def network(folder, variant, policy="float32", **options):
    """Without dropout, whose random numbers are each backend's own."""
    keras.config.set_dtype_policy(policy)
    model = ka.AlexNet(variant, **options)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout | ka.Dropout):
            layer.rate = 0.0
    path = folder / f"{variant}.weights.h5"
    if path.exists():
        model.load_weights(path)
    else:
        model.save_weights(path)
    return model


def fifty_steps(folder):
    """Of `benchmarks.divergence`: photos of clothes, the last batch short."""
    shape = (SIDE, SIDE, 3)
    model = network(
        folder,
        "caffe_alexnet",
        input_shape=shape,
        classes=10,
        classifier_activation=None,
    )
    train, _ = ka.load_examples("fashion")
    images = [
        PIL.Image.fromarray(image).resize((SIDE, SIDE)).convert("RGB")
        for image in train.images[:IMAGES]
    ]
    x = ka.preprocess_input(np.stack(images), "caffe_alexnet")
    model.compile(
        ka.PaperSGD(0.001),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    before = model.get_weights()
    model.fit(
        keras.ops.convert_to_numpy(x),
        train.labels[:IMAGES],
        batch_size=BATCH,
        epochs=10,
        shuffle=False,
        verbose=0,
    )
    movement = [a - b for a, b in zip(model.get_weights(), before, strict=True)]
    np.savez(folder / f"{keras.backend.backend()}.npz", *movement)
    return int(np.asarray(model.optimizer.iterations))


def ten_steps(folder):
    """In float64, of full batches, without clipping."""
    keras.config.set_floatx("float64")
    model = network(folder, "cifar10_18pct", "float64", classes=5)
    model.compile(ka.PaperSGD(0.01), "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(0, 50, (80, *model.input_shape[1:]))
    before = model.get_weights()
    model.fit(x, np.arange(80) % 5, batch_size=8, shuffle=False, verbose=0)
    movement = [a - b for a, b in zip(model.get_weights(), before, strict=True)]
    np.savez(folder / f"{keras.backend.backend()}-float64.npz", *movement)
    keras.config.set_floatx("float32")


class Noted(keras.callbacks.Callback):
    """What a callback of the user's is told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def on_train_batch_end(self, batch, logs=None):
        self.told.append(f"batch {batch}: {', '.join(sorted(logs))}")

    def on_epoch_end(self, epoch, logs=None):
        self.told.append(f"epoch {epoch}: {', '.join(sorted(logs))}")


def short_fit(folder, policy="float32", parts=1):
    """Losses of four epochs with the callbacks that people use."""
    model = network(folder, "lenet5", policy)
    model.accumulation_steps = parts
    model.compile(
        ka.PaperSGD(0.02, global_clipnorm=5.0),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    generator = np.random.default_rng(0)
    x = generator.normal(size=(24, *model.input_shape[1:])).astype("float32")
    y = np.arange(24) % 10
    noted = Noted()
    best = folder / f"{keras.backend.backend()}-{policy}-{parts}.keras"
    history = model.fit(
        x,
        y,
        batch_size=8,
        epochs=4,
        shuffle=False,
        verbose=0,
        validation_data=(x[:8], y[:8]),
        callbacks=[
            noted,
            keras.callbacks.ModelCheckpoint(best, save_best_only=True),
            keras.callbacks.EarlyStopping(patience=3),
            keras.callbacks.LearningRateScheduler(lambda n, rate: rate * 0.9),
            keras.callbacks.CSVLogger(f"{best}.csv"),
            keras.callbacks.TerminateOnNaN(),
        ],
    ).history
    restored = keras.models.load_model(best)
    loss, _ = restored.evaluate(x[:8], y[:8], verbose=0)
    np.testing.assert_allclose(loss, min(history["val_loss"]), rtol=1e-2)
    return {**history, "told": noted.told}


def refusal(folder):
    """What `ka.train` says where it cannot begin."""
    try:
        ka.train("smoke", folder / "run")
    except ValueError as error:
        print(error)


def frozen_in_parts():
    """The loss of layers that all stay as they are."""
    model = ka.AlexNet("lenet5")
    model.trainable = False
    model.accumulation_steps = 2
    model.compile(ka.PaperSGD(0.02), "sparse_categorical_crossentropy")
    before = model.get_weights()
    x = np.random.default_rng(0).normal(size=(8, *model.input_shape[1:]))
    history = model.fit(x, np.arange(8), batch_size=4, verbose=0).history
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    expected = model.evaluate(x, np.arange(8), batch_size=4, verbose=0)
    np.testing.assert_allclose(history["loss"], [expected], rtol=1e-5)


def main(folder, what=""):
    if what == "refused":
        refusal(folder)
        return
    frozen_in_parts()
    found = {"steps": fifty_steps(folder)}
    found["float32"] = short_fit(folder)
    found["in parts"] = short_fit(folder, parts=4)
    for policy in ("mixed_float16", "mixed_bfloat16"):
        found[policy] = short_fit(folder, policy)
    ten_steps(folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
