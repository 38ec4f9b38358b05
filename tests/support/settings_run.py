"""What all that a run is good for gives, under whatever Keras is set to.

`python settings_run.py FOLDER [POLICY]` trains into the folder and writes
`answers.npz` there, and `refused.txt`. `keras.json` is looked for in the folder
that the environment variable KERAS_HOME names.
"""

import pathlib
import sys
import zipfile

import keras
import numpy as np
from PIL import Image

import keras_alexnet as ka
from keras_alexnet.export.convert_file import convert_file
from keras_alexnet.runs.recipes import get_recipe


def main(folder, policy=None):
    if policy:
        keras.config.set_dtype_policy(policy)
    before = settings()
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (60, 40, 40, 3), "uint8")
    examples = ka.Examples(images, np.arange(60) % 3, tuple("abc"))
    recipe = get_recipe(
        "smoke",
        data="",
        variant="cifar10_18pct",
        resize_pixels=36,
        crop_pixels=32,
        batch_size=20,
        epochs=2,
        learning_rate=0.1,
    )
    run = ka.train(
        recipe, folder / "run", examples=(examples, examples), verbose=0
    )
    photo, answers = folder / "photo.png", {}
    Image.fromarray(images[0]).resize((50, 44)).save(photo)
    answers["weights"] = np.concatenate(
        [each.ravel() for each in run.load_model().get_weights()]
    )
    answers["losses"] = [row["loss"] for row in run.log_rows()]
    answers["evaluate"] = ka.evaluate(run, examples).confusion
    for name, trained in (("run", run), ("file", "cifar10")):
        (best,) = ka.predict(trained, [photo], top=3)
        answers[f"predict {name}"] = [share for _, share in best]
        answers[f"grad_cam {name}"] = ka.grad_cam(trained, photo).values
        answers[f"heat_map {name}"] = ka.heat_map(trained, photo).values
        found = ka.features(trained, [photo], layer="pool3")
        answers[f"features {name}"] = found.values
        ka.export_model(trained, folder / "saved_model")
        prepared = ka.preprocessor(trained)(photo)
        answers[f"prepared {name}"] = prepared
    convert_file("cifar10", folder / "converted.keras")
    again = ka.open_trained(folder / "converted.keras").load_model()
    answers["converted"] = again.get_weights()[0]
    with zipfile.ZipFile(folder / "converted.keras") as archive:
        text = archive.read("config.json").decode()
    assert "float64" not in text and "channels_first" not in text
    report = ka.write_report(run)
    answers["report"] = [report.exists()]
    assert settings() == before
    np.savez(folder / "answers.npz", **answers)


def settings():
    config = keras.config
    policy = config.dtype_policy().name
    return config.floatx(), policy, config.image_data_format()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
