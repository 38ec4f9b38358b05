"""What people build of the parts answers the same, however it is kept."""

import gc
import re

import pytest
from compositions import COLUMNS
from compositions import COMPOSITIONS
from compositions import NEEDED
from compositions import REFUSED
from compositions import check_same
from compositions import is_narrow
from compositions import made


@pytest.fixture(scope="module", params=COMPOSITIONS)
def composition(request):
    yield request.param, *made(request.param)
    gc.collect()


@pytest.mark.filterwarnings("ignore")  # Keras', TensorFlow's, converters'
@pytest.mark.parametrize("column", COLUMNS)
def test_answers_the_same(composition, column, tmp_path):
    name, model, inputs, expected = composition
    if column in NEEDED:
        pytest.importorskip(NEEDED[column])
    keep = COLUMNS[column]
    if (name, column) not in REFUSED:
        found = keep(model, inputs, tmp_path)
        check_same(expected, found, is_narrow(name))
        return
    says, _ = REFUSED[name, column]
    with pytest.raises(Exception) as caught:
        check_same(expected, keep(model, inputs, tmp_path), is_narrow(name))
    assert re.search(says, f"{type(caught.value).__name__} {caught.value}")
