"""What other systems lack, such as `fcntl`, is not needed."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from keras_alexnet.files import replacing

CODE = """
import os, sys
sys.modules["fcntl"] = None  # as on Windows: importing it fails
import numpy as np
import pytest
import keras_alexnet as ka
from keras_alexnet.files import LOCK
from keras_alexnet.files import locked

images = np.random.default_rng(0).integers(0, 256, (12, 32, 32), "uint8")
examples = ka.Examples(images, np.arange(12) % 3, ("a", "b", "c"))
recipe = ka.Recipe("small", data="", variant="lenet5", epochs=2, batch_size=4,
    resize_pixels=32, crop_pixels=32, flip=False, color_noise=0.0)

def train():
    return ka.train(recipe, "run", examples=(examples, examples), verbose=0)

with locked("run"), pytest.raises(ValueError, match="Another training"):
    train()
run = train()
assert run.results["examples"] == 12
assert next(ka.iter_predictions(ka.open_trained("run"), sys.argv[1])).top
before = run.results
os.remove("run/results.json")  # as after a kill at the very end
after = train().results
assert {**after, "minutes": 0} == {**before, "minutes": 0}, (before, after)
"""


def test_without_fcntl(tmp_path):
    from PIL import Image

    pixels = np.zeros((40, 40), "uint8")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    run = subprocess.run(
        [sys.executable, "-c", CODE, "a.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]


def test_a_file_is_replaced_as_a_whole_or_stays(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        pathlib.Path(temporary).write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    before = path.stat().st_ino
    with replacing(path) as temporary:
        pathlib.Path(temporary).write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_ino != before  # not written into the old one
    assert list(tmp_path.iterdir()) == [path]
