"""What works on a backend of Keras with no TensorFlow installed.

    KERAS_BACKEND=jax python tests/support/without_tensorflow.py [FILE]

In an environment of `requirements/jax.txt` or `torch.txt`. Writes what the
networks answered into an `.npz` file, to be compared with another backend's.
"""

import contextlib
import io
import pathlib
import sys
import tempfile
import warnings

import keras
import numpy as np
from PIL import Image

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.export.convert_file import convert_file
from keras_alexnet.layers.keras_layers import AveragePooling2D


def trained_by_fit(folder):
    """Loss and answers of a network of given weights after some steps."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-120, 130, (8, 32, 32, 1)).astype("float32")
    y = generator.integers(0, 4, 8)
    model = ka.AlexNet("lenet5", input_shape=(32, 32, 1), classes=4)
    model.set_weights(
        [generator.normal(0, 0.1, w.shape) for w in model.get_weights()]
    )
    model.compile(
        ka.PaperSGD(0.01),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    history = model.fit(x, y, 4, 3, verbose=0, shuffle=False)
    model.save(folder / "net.keras")
    again = keras.saving.load_model(folder / "net.keras")
    predicted = model.predict(x, verbose=0)
    assert np.array_equal(again.predict(x, verbose=0), predicted)
    model.save_weights(folder / "net.weights.h5")
    same = ka.convert_weights(folder / "net.weights.h5", "lenet5", classes=4)
    same = same.predict(x, verbose=0)
    np.testing.assert_allclose(same, predicted, rtol=0, atol=1e-6)
    return history.history["loss"], predicted


def weights_out_and_in(folder):
    """Files of PyTorch's layout, and Keras' own."""
    model = ka.AlexNet("torchvision", classes=3)
    model.save(folder / "net.keras")
    for name in ("net.safetensors", "net.pth", "net.weights.h5"):
        convert_file(folder / "net.keras", folder / name)
        again = ka.AlexNet("torchvision", classes=3, weights=folder / name)
        for one, other in zip(
            again.get_weights(), model.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def pictures(model, folder):
    """Summary and diagrams, by Python and by the command line."""
    assert f"{model.count_params():,}" in str(ka.summary(model))
    for name in ("net.svg", "net.png"):
        ka.plot_model(model, folder / name)
        assert (folder / name).stat().st_size > 5000
    ka.plot_figure2("alexnet", folder / "figure2.svg")
    ka.plot_kernels("cifar10", folder / "kernels.png")
    with contextlib.redirect_stdout(io.StringIO()) as table:
        assert main(["variants"]) in (0, None)
    assert "cifar10_11pct" in table.getvalue()


def answers(folder):
    """What a trained network says of photos, in every way it is asked."""
    network = ka.AlexNet("cifar10_18pct", weights="cifar10")
    generator = np.random.default_rng(1)
    for number in range(5):
        colors = generator.integers(0, 256, (4, 5, 3), "uint8")
        picture = Image.fromarray(colors).resize((50, 40))
        picture.save(folder / f"{number}.png")
    photos = sorted(folder.glob("[0-9].png"))
    names = list(network.class_names)
    found = {}
    for ten in (False, True):
        tops = map(dict, ka.predict(network, photos, 10, ten))
        found[f"predict_{ten}"] = [[t[n] for n in names] for t in tops]
    found["features"] = ka.features(network, photos, "conv3").values
    found["grad_cam"] = ka.grad_cam(network, photos[0], "cat").values
    found["heat_map"] = ka.heat_map(network, photos[0], "cat").values
    examples = ka.Examples(list(map(str, photos)), range(5), names)
    found["confusion"] = ka.evaluate(network, examples).confusion
    pixels = generator.uniform(0, 255, (2, 3, 4, 3)).astype("float32")
    for form in (pixels, keras.ops.convert_to_tensor(pixels)):
        fed = ka.preprocess_input(form, "caffe_alexnet")
        found["preprocess_input"] = keras.ops.convert_to_numpy(fed)
    return found


def composed():
    """What people build of the parts with their own Keras."""
    generator = np.random.default_rng(2)
    images = generator.uniform(-120, 130, (4, 17, 16, 3)).astype("float32")
    found = {}
    for name, size in (("pool", (3, 2)), ("pool_whole", (2, 2))):
        pooled = AveragePooling2D(*size, "same")(images)
        found[name] = keras.ops.convert_to_numpy(pooled)
    tensor = keras.ops.convert_to_tensor(images)
    crops = ka.ten_crops(tensor, 11)
    found["ten_crops"] = list(map(keras.ops.convert_to_numpy, crops))
    inputs = keras.Input((17, 16, 3))
    prepare = keras.layers.Lambda(
        lambda x: ka.preprocess_input(x, "caffe_alexnet"),
        output_shape=(17, 16, 3),
    )
    model = keras.Model(inputs, prepare(inputs))
    found["lambda"] = model.predict(images, verbose=0)
    network = ka.AlexNet("cifar10_18pct", weights="cifar10")
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    assert clone.class_names == network.class_names
    assert clone.variant == "cifar10_18pct" and clone.checks_range
    wrapped = keras.Sequential([keras.Input((32, 32, 3)), clone])
    small = generator.uniform(0, 1, (4, 32, 32, 3)).astype("float32")
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        found["wrapped"] = wrapped.predict(small, verbose=0)
    assert any("its answers will be wrong" in str(w.message) for w in record)
    wrapped.compile(
        ka.PaperSGD(1e-3, gradient_accumulation_steps=2),
        "sparse_categorical_crossentropy",
    )
    y = np.arange(4)
    history = wrapped.fit(small, y, 2, 4, verbose=0, shuffle=False).history
    found["accumulated"] = history["loss"]
    network.compile(
        ka.PaperSGD(1e-3, gradient_accumulation_steps=2),
        "sparse_categorical_crossentropy",
    )
    history = network.fit(small, y, 2, 4, verbose=0, shuffle=False).history
    np.testing.assert_allclose(history["loss"], found["accumulated"], rtol=1e-5)
    return found


def run(to_file=None):
    """All of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        loss, predicted = trained_by_fit(folder)
        found = {"loss": loss, "fit": predicted, **answers(folder)}
        found |= composed()
        normalized = ka.LocalResponseNormalization()(np.ones((1, 2, 2, 9)))
        found["normalization"] = keras.ops.convert_to_numpy(normalized)
        weights_out_and_in(folder)
        pictures(ka.AlexNet("alexnet", classes=3), folder)
    if to_file:
        np.savez(to_file, **found)
    backend = keras.backend.backend()
    others = {"tensorflow", "torch"} - {
        backend
    }  # Keras 3.15 imports JAX itself
    loaded = sorted(others & {m for m in sys.modules if sys.modules[m]})
    print(f"{backend}: all of it works; beside it imported: {loaded or 'none'}")


if __name__ == "__main__":
    run(*sys.argv[1:])
