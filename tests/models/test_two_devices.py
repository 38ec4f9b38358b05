"""On two devices all is as on one, or refused in a sentence."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

SUPPORT = pathlib.Path(__file__).parents[1] / "support"
LOSSES = ("mean", "sum", "list", "list of sum", "dict of sum", "name")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    file = tmp_path_factory.mktemp("two") / "found.json"
    script = SUPPORT / "two_devices.py"
    subprocess.run([sys.executable, "-W", "ignore", script, file], check=True)
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("loss", [*LOSSES, "frozen"])
def test_as_on_one_device(found, loss):
    one, two = found[f"{loss}, 1"], found[f"{loss}, 2"]
    assert one.keys() == two.keys()
    for name, expected in one.items():
        if isinstance(expected, dict):
            assert expected.keys() == two[name].keys()
            actual = [two[name][key] for key in expected]
            expected = list(expected.values())
        else:
            actual = two[name]
        np.testing.assert_allclose(
            np.array(actual, "float64"),
            np.array(expected, "float64"),
            rtol=2e-5,
            err_msg=name,
        )


def test_a_sum_is_not_a_mean(found):
    (mean, *_), (summed, *_) = (
        found[f"{loss}, 2"]["history"]["loss"] for loss in ("mean", "sum")
    )
    assert summed > 3 * mean


@pytest.mark.parametrize("count", [1, 2])
def test_without_an_optimizer(found, count):
    assert "compiled without an optimizer" in found[f"no optimizer, {count}"]


def test_losses_that_are_summed_in_two_ways(found):
    assert "same `reduction`" in found["mixed"]


def test_a_second_strategy_is_explained(found):
    assert (
        "Make one `tf.distribute.MirroredStrategy`"
        in (found["second strategy"])
    )
