"""The order of the images, and what is done to each: chance as a function."""

import collections

import numpy as np
import pytest

from keras_alexnet.data.sampling import epoch_choices
from keras_alexnet.data.sampling import place


def columns(choices):
    return {
        name: getattr(choices, name).copy()
        for name in ("order", "crops", "flips", "normals")
    }


@pytest.mark.parametrize("count", [1, 2, 33, 1000])
def test_the_order_is_a_permutation(count):
    for epoch in range(5):
        order = epoch_choices(count, 7, epoch).order
        assert sorted(order.tolist()) == list(range(count))


@pytest.mark.parametrize("name", ["order", "crops", "flips", "normals"])
def test_epochs_and_seeds_differ(name):
    seen = {
        columns(epoch_choices(100, seed, epoch))[name].tobytes()
        for seed in range(6)
        for epoch in range(6)
    }
    assert len(seen) == 36  # seed 1, epoch 2 is not seed 2, epoch 1 either


def test_values_do_not_depend_on_what_was_asked_before():
    asked = [(50, 3, 0, 1), (50, 3, 1, 1), (50, 3, 2, 32), (49, 3, 1, 1)]
    first = [columns(epoch_choices(*arguments)) for arguments in asked]
    # More of them than are kept, so that some are computed again.
    epoch_choices.cache_clear()
    np.random.seed(1)  # nor on the state of NumPy's global generator
    second = [columns(epoch_choices(*arguments)) for arguments in asked[::-1]]
    for one, two in zip(first, second[::-1], strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])


def test_shapes_and_ranges():
    choices = epoch_choices(70, 0, 0, crop_chunk=32)
    assert choices.crops.shape == (70, 2)
    assert choices.flips.shape == (70,)
    assert choices.flips.dtype == bool
    assert choices.normals.shape == (70, 3)
    crops = epoch_choices(20_000, 0, 0).crops
    assert crops.min() >= 0
    assert crops.max() < 1


def test_chunks_share_crop_and_flip_but_not_the_color():
    choices = epoch_choices(100, 5, 2, crop_chunk=32)
    chunks = [slice(first, first + 32) for first in (0, 32, 64, 96)]
    for chunk in chunks:  # the last has four images
        assert len(np.unique(choices.crops[chunk], axis=0)) == 1
        assert len(np.unique(choices.flips[chunk])) == 1
    assert len(np.unique(choices.crops, axis=0)) == len(chunks)
    assert len(np.unique(choices.normals, axis=0)) == 100
    # Alone, every image has its own.
    assert len(np.unique(epoch_choices(100, 5, 2).crops, axis=0)) == 100


def test_half_are_flipped():
    count = 1_000_000
    flips = epoch_choices(count, 0, 0).flips
    # Five standard deviations of a binomial distribution.
    assert abs(flips.sum() - count / 2) < 5 * np.sqrt(count / 4)
    many = [epoch_choices(320, 0, e, 32).flips[::32] for e in range(400)]
    total = np.sum(many)
    assert abs(total - 2000) < 5 * np.sqrt(4000 / 4)


def test_crops_are_uniform():
    """Chi-square over 10 x 10 cells, and top and left are independent."""
    count, cells = 50_000, 100
    crops = epoch_choices(count, 1, 0).crops
    rows, lefts = (10 * crops).astype(int).T
    counts = np.bincount(10 * rows + lefts, minlength=cells)
    expected = count / cells
    statistic = np.sum((counts - expected) ** 2) / expected
    # Mean and deviation of chi-square are cells - 1 and sqrt(2 (cells - 1)).
    assert abs(statistic - (cells - 1)) < 5 * np.sqrt(2 * (cells - 1))


def test_normals_are_standard_and_independent():
    normals = epoch_choices(50_000, 1, 0).normals.astype("float64")
    np.testing.assert_allclose(normals.mean(axis=0), 0, atol=0.025)
    np.testing.assert_allclose(np.cov(normals.T), np.eye(3), atol=0.04)


def test_choices_are_not_correlated():
    """Each comes from a stream of its own."""
    choices = epoch_choices(20_000, 4, 4)
    table = np.column_stack(
        [choices.order, choices.crops, choices.flips, choices.normals]
    )
    correlations = np.corrcoef(table.T) - np.eye(table.shape[1])
    assert np.abs(correlations).max() < 5 / np.sqrt(20_000)


@pytest.mark.parametrize(
    ("count", "batch_size"), [(10, 4), (12, 4), (1, 4), (4, 4), (7, 1)]
)
def test_every_place_comes_once_an_epoch(count, batch_size):
    steps = -(-count // batch_size)
    seen = collections.defaultdict(list)
    for step in range(3 * steps):
        epoch, places = place(step, count, batch_size)
        assert epoch == step // steps
        ragged = (step + 1) % steps == 0
        left = count - (steps - 1) * batch_size
        assert len(places) == (left if ragged else batch_size)
        seen[epoch] += places.tolist()
    assert dict(seen) == {epoch: list(range(count)) for epoch in range(3)}


def test_place_is_exact_after_a_million_epochs():
    epoch, places = place(3 * 10**6 + 2, 10, 4)
    assert epoch == 10**6
    assert places.tolist() == [8, 9]
