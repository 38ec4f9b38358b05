"""A run is what its recipe says, whatever Keras is set to."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / "support" / "settings_run.py"
# What is in keras.json, and the dtype policy that is set.
SETTINGS = {
    "float64": ({"floatx": "float64"}, None),
    "float16": ({"floatx": "float16"}, None),
    "channels first": ({"image_data_format": "channels_first"}, None),
    "mixed": ({}, "mixed_bfloat16"),
    "all": (
        {"floatx": "float64", "image_data_format": "channels_first"},
        "mixed_float16",
    ),
}


def answers(folder, config, policy):
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "keras.json").write_text(json.dumps(config))
    subprocess.run(
        [sys.executable, SCRIPT, folder, *filter(None, [policy])],
        env={**os.environ, "KERAS_HOME": str(home)},
        check=True,
    )
    with np.load(folder / "answers.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return answers(tmp_path_factory.mktemp("as it comes"), {}, None)


@pytest.mark.parametrize("settings", SETTINGS)
def test_nothing_changes(settings, expected, tmp_path):
    found = answers(tmp_path / "run", *SETTINGS[settings])
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype, name
        np.testing.assert_array_equal(found[name], values, err_msg=name)
