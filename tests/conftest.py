"""What several tests need."""

import gc
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest


def pytest_configure():
    """Processes that tests start import from `support` as the tests do."""
    support = str(pathlib.Path(__file__).parent / "support")
    paths = [support, os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def pytest_collection_modifyitems(config, items):
    """Mark what takes .8 s or more; without it all take two minutes.

    `slow.txt` is written by `python tests/support/slow_tests.py JUNIT_XML`;
    lines with an `@` name fixtures, by hand: all that use one are slow.
    """
    listed = (pathlib.Path(__file__).parent / "slow.txt").read_text()
    listed = frozenset(listed.split())
    for item in items:
        path = item.path.relative_to(config.rootpath).as_posix()
        name = f"{path}::{getattr(item, 'originalname', None) or item.name}"
        fixtures = {f"{path}::@{fixture}" for fixture in item.fixturenames}
        if name in listed or not fixtures.isdisjoint(listed):
            item.add_marker("slow")
        for mark in ("browser", "notebook"):
            if mark in item.path.stem:
                item.add_marker(mark)


@pytest.fixture
def class_folders(tmp_path):
    """Writes PNG files of one color a class: {class name: count} -> folder."""

    def write(counts, root="photos", size=(40, 48)):
        generator = np.random.default_rng(0)
        folder = tmp_path / root
        for index, (name, count) in enumerate(counts.items()):
            (folder / name).mkdir(parents=True, exist_ok=True)
            color = np.array([250, 20, 20] if index % 2 else [20, 20, 250])
            for number in range(count):
                noise = generator.integers(-20, 20, (*size, 3))
                image = np.clip(color + noise, 0, 255).astype("uint8")
                path = folder / name / f"{number:03}.png"
                keras.utils.save_img(path, image, scale=False)
        return folder

    return write


@pytest.fixture(autouse=True, scope="module")
def memory_is_given_back():
    """Models are cycles; Python counts such objects, not their gigabytes."""
    yield
    gc.collect()


@pytest.fixture(autouse=True, scope="module")
def operations_are_free_again():
    """`deterministic=True` holds for the process, and forbids XLA."""
    from tensorflow.python.framework import config

    yield
    config.disable_op_determinism()
