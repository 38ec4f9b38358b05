"""Nothing is tested on that a network was trained on."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_alexnet.data.data_record import DataRecord
from keras_alexnet.data.data_record import contents_of
from keras_alexnet.data.datasets import Examples
from keras_alexnet.evaluation.held_out import held_out

CLASSES = ("a", "b")


@pytest.fixture
def photos(tmp_path):
    paths = []
    for number in range(4):
        path = tmp_path / CLASSES[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"image %d" % number)
        paths.append(str(path))
    return Examples(np.array(paths), [0, 1, 0, 1], CLASSES)


def network_of(folder, trained_on, held):
    folder.mkdir()
    DataRecord({"train": trained_on, "test": held}).write(folder)
    return SimpleNamespace(run=SimpleNamespace(folder=folder), names=CLASSES)


def test_what_was_trained_on_is_left_out(photos, tmp_path):
    images = contents_of(photos)
    network = network_of(tmp_path / "run", images[:1], images[1:2])
    (tmp_path / "data").mkdir()
    for name in CLASSES:
        (tmp_path / name).rename(tmp_path / "data" / name)
    tests = held_out([network], tmp_path / "data")
    names = [path.rpartition("/")[2] for path in tests.examples.images]
    assert sorted(names) == ["1.png", "2.png", "3.png"]
    assert tests.changes == ("1 images were trained on and are left out",)


def test_all_of_them_trained_on_is_refused(photos, tmp_path):
    images = contents_of(photos)
    network = network_of(tmp_path / "run", images, [])
    (tmp_path / "data").mkdir()
    for name in CLASSES:
        (tmp_path / name).rename(tmp_path / "data" / name)
    with pytest.raises(ValueError, match="All 4 images were trained on"):
        held_out([network], tmp_path / "data")
