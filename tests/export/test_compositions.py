"""What people build of the parts answers the same, however it is kept."""

import re

import pytest
from compositions import COLUMNS
from compositions import COMPOSITIONS
from compositions import NEEDED
from compositions import REFUSED
from compositions import check_same
from compositions import in_a_fresh_process
from compositions import is_narrow
from compositions import made

# Keras', TensorFlow's, converters'
pytestmark = pytest.mark.filterwarnings("ignore")


def check(name, column, folder):
    if column in NEEDED:
        pytest.importorskip(NEEDED[column])
    model, inputs, expected = made(name)
    if (name, column) not in REFUSED:
        found = COLUMNS[column](model, inputs, folder)
        check_same(expected, found, is_narrow(name))
        return
    says, _ = REFUSED[name, column]
    with pytest.raises(Exception) as caught:
        found = COLUMNS[column](model, inputs, folder)
        check_same(expected, found, is_narrow(name))
    assert re.search(says, f"{type(caught.value).__name__} {caught.value}")


@pytest.mark.parametrize("name", COMPOSITIONS)
@pytest.mark.parametrize("column", ["keras", "h5"])
def test_saved_and_loaded(name, column, tmp_path):
    check(name, column, tmp_path)


@pytest.mark.parametrize("name", COMPOSITIONS)
@pytest.mark.parametrize("column", ["onnx", "saved_model"])
def test_exported_as_a_graph(name, column, tmp_path):
    check(name, column, tmp_path)


@pytest.mark.parametrize("name", COMPOSITIONS)
@pytest.mark.parametrize("column", ["litert", "openvino"])
def test_exported_for_small_devices(name, column, tmp_path):
    check(name, column, tmp_path)


def test_loaded_in_a_fresh_process(tmp_path):
    for name, (expected, found) in in_a_fresh_process(tmp_path).items():
        check_same(expected, found, is_narrow(name))


def test_only_what_is_there_is_refused():
    cells = {(name, column) for name in COMPOSITIONS for column in COLUMNS}
    assert set(REFUSED) <= cells
