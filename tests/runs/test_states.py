"""A state on the disk is whole, or is passed over with a warning."""

import numpy as np
import pytest

from keras_alexnet.runs.states import StateFolder

VALUES = np.arange(600, dtype="float32")


@pytest.fixture
def folder(tmp_path):
    states = StateFolder(tmp_path / "states")
    for step in (1, 2):
        arrays = {"0001/b": VALUES + step, "0000/a": np.float32([step])}
        states.save(step, arrays, {"step": step})
    return tmp_path / "states"


def test_the_newest_comes_back_in_the_order_of_its_names(folder):
    facts, (first, second) = StateFolder(folder).newest()
    assert facts == {"step": 2}
    np.testing.assert_array_equal(first, [2])
    np.testing.assert_array_equal(second, VALUES + 2)


@pytest.mark.parametrize("place", [-1, -1000, 40, 200])
def test_a_flipped_bit_is_found_wherever_it_is(folder, place):
    path = max(folder.glob("*.safetensors"))
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="damaged checkpoint was passed over"):
        facts, arrays = StateFolder(folder).newest()
    assert facts == {"step": 1}
    np.testing.assert_array_equal(arrays[1], VALUES + 1)


def test_without_a_whole_one_nothing_begins_anew(folder):
    for path in folder.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match="No checkpoint can be read"):
        StateFolder(folder).newest()
    assert len(list(folder.glob("*.safetensors"))) == 2
