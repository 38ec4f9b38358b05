"""What several tests need."""

import datetime
import gc
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_ENABLE_X64", "1")  # tests compare in float64
# As the package has it, also where Keras is imported first; 0 passes too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import pytest
from slow_tests import PARTS
from slow_tests import read_list

PART = "KERAS_ALEXNET_SLOW_TESTS"  # workers have it from who starts them


def pytest_addoption(parser):
    parser.addoption(
        "--slow",
        choices=("today", "all"),
        default="today",
        help="of the slow tests a third, another one each day, or all; files "
        "that are named, -k and -m are always run whole",
    )


def pytest_configure(config):
    """Processes that tests start import from `support` as the tests do."""
    today = datetime.datetime.now(datetime.UTC).toordinal() % PARTS
    whole = (
        config.option.slow == "all"
        or config.option.keyword
        or config.option.markexpr
        or config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    )
    os.environ.setdefault(PART, "all" if whole else str(today))
    support = str(pathlib.Path(__file__).parent / "support")
    paths = [support, os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def pytest_report_header():
    part = os.environ[PART]
    if part == "all":
        return "slow tests: all that are asked for"
    return f"slow tests: part {int(part) + 1} of {PARTS} (all: --slow all)"


def pytest_collection_modifyitems(config, items):
    """Marks, and of the slow tests today's.

    Mark what takes .8 s or more; without it all take two minutes.

    `slow.txt` is written by `python tests/support/slow_tests.py JUNIT_XML`;
    lines with an `@` name fixtures, by hand: all that use one are slow.
    """
    listed, today, dropped = read_list(), os.environ[PART], []
    needed = needing_tensorflow()
    for item in items:
        path = item.path.relative_to(config.rootpath).as_posix()
        name = f"{path}::{getattr(item, 'originalname', None) or item.name}"
        names = [name, *(f"{path}::@{each}" for each in item.fixturenames)]
        for each in (path, name):
            if each in needed:
                item.add_marker(pytest.mark.skip(reason=needed[each]))
        parts = [listed[each] for each in names if each in listed]
        if parts:
            item.add_marker("slow")
            if today not in ("all", str(parts[0])):
                dropped.append(item)
        for mark in ("browser", "notebook"):
            if mark in item.path.stem:
                item.add_marker(mark)
        code = item.function.__code__
        if "torch" in (*code.co_names, *code.co_varnames):
            item.add_marker("torch")
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


def needing_tensorflow():
    """Dict: file or test -> why it is skipped; empty on TensorFlow itself."""
    if keras.backend.backend() == "tensorflow":
        return {}
    path = pathlib.Path(__file__).with_name("tensorflow_only.txt")
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if line)


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


@pytest.fixture(scope="module", params=["1", "0"])
def onednn(request):
    """Processes that tests start compute with oneDNN, and without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_ENABLE_ONEDNN_OPTS", request.param)
        yield request.param


@pytest.fixture(autouse=True, scope="module")
def memory_is_given_back():
    """Models are cycles; Python counts such objects, not their gigabytes."""
    yield
    gc.collect()


@pytest.fixture(autouse=True, scope="module")
def operations_are_free_again():
    """`deterministic=True` holds for the process, and forbids XLA."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    from tensorflow.python.framework import config

    yield
    config.disable_op_determinism()
