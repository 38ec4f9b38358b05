"""The colors of a set of photos, against NumPy's covariance and loops."""

import numpy as np
import pytest

from keras_alexnet.data.color import IMAGENET_2012
from keras_alexnet.data.color import ColorStatistics
from keras_alexnet.data.color import ColorSums


def images(count=7, seed=0):
    """Images of any sizes whose channels are correlated."""
    generator = np.random.default_rng(seed)
    mix = np.array([[40, 30, 5], [0, 25, 20], [3, 0, 9]])
    made = []
    for _ in range(count):
        shape = (*generator.integers(1, 60, 2), 3)
        values = generator.normal(0, 1, shape) @ mix + [120, 90, 140]
        made.append(values.clip(0, 255).astype("uint8"))
    return made


def test_sums_equal_numpys_covariance():
    sums = ColorSums()
    for image in images():
        sums.add(image)
    pixels = np.concatenate([image.reshape(-1, 3) for image in images()])
    statistics = sums.statistics()
    np.testing.assert_allclose(statistics.mean, pixels.mean(axis=0))
    components = np.array(statistics.components)
    variances = np.square(statistics.deviations)
    np.testing.assert_allclose(
        components.T @ np.diag(variances) @ components,
        np.cov(pixels.T, bias=True),
        rtol=1e-9,
    )
    np.testing.assert_allclose(components @ components.T, np.eye(3), atol=1e-9)
    # Along each component the pixels have that deviation.
    for component, deviation in zip(
        components, statistics.deviations, strict=True
    ):
        np.testing.assert_allclose((pixels @ component).std(), deviation)


def test_sums_are_exact_and_do_not_depend_on_the_order():
    forward, backward, whole = ColorSums(), ColorSums(), ColorSums()
    for image in images():
        forward.add(image)
    for image in images()[::-1]:
        backward.add(image)
    pixels = [image.reshape(-1, 1, 3) for image in images()]
    whole.add(np.concatenate(pixels))
    assert forward.statistics() == backward.statistics() == whole.statistics()
    values = np.concatenate(pixels).reshape(-1, 3).astype(object)
    assert forward.products.tolist() == (values.T @ values).tolist()
    assert forward.sums.tolist() == values.sum(axis=0).tolist()


def test_white_is_neither_lost_nor_overflown():
    sums = ColorSums()
    white = np.full((1000, 1000, 3), 255, "uint8")
    for _ in range(20):
        sums.add(white)
    assert sums.products.tolist() == [[20 * 1_000_000 * 255**2] * 3] * 3
    statistics = sums.statistics()
    assert statistics.mean == (255, 255, 255)
    # A set of one color has no deviation, and no root of a negative one.
    np.testing.assert_allclose(statistics.deviations, 0, atol=1e-3)


def test_no_images_have_no_colors():
    with pytest.raises(ValueError, match="no images"):
        ColorSums().statistics()


@pytest.mark.parametrize("unit", ["deviation", "eigenvalue"])
def test_shifts_equal_a_loop(unit):
    normals = np.random.default_rng(2).standard_normal((50, 3))
    shifts = IMAGENET_2012.shifts(normals, 0.3, unit)
    assert shifts.shape == (50, 3)
    assert shifts.dtype == "float32"
    for shift, numbers in zip(shifts, normals, strict=True):
        expected = np.zeros(3)
        for number, deviation, component in zip(
            numbers,
            IMAGENET_2012.deviations,
            IMAGENET_2012.components,
            strict=True,
        ):
            if unit == "deviation":
                scale = deviation
            else:
                # Variance of values of 0..1; what it adds is in 0..255.
                scale = 255 * (deviation / 255) ** 2
            expected += 0.3 * number * scale * np.array(component)
        np.testing.assert_allclose(shift, expected, rtol=1e-4, atol=1e-5)


def test_strength_of_the_paper_is_the_default():
    normals = np.random.default_rng(3).standard_normal((4, 3))
    np.testing.assert_array_equal(
        IMAGENET_2012.shifts(normals),
        IMAGENET_2012.shifts(normals, 0.1, "deviation"),
    )
    assert not IMAGENET_2012.shifts(normals, 0).any()


def test_shifts_vary_as_the_colors_do():
    normals = np.random.default_rng(4).standard_normal((100_000, 3))
    shifts = IMAGENET_2012.shifts(normals, 0.1).astype("float64")
    covariance = np.cov(shifts.T)
    for component, deviation in zip(
        np.array(IMAGENET_2012.components),
        IMAGENET_2012.deviations,
        strict=True,
    ):
        variance = component @ covariance @ component
        # The variance of 100,000 numbers is uncertain by 0.45 %.
        np.testing.assert_allclose(variance, (0.1 * deviation) ** 2, rtol=0.02)
    np.testing.assert_allclose(shifts.mean(axis=0), 0, atol=0.15)


def test_numbers_of_2012():
    # shared/reference/alexnet-facts.md, 3.9: cuda-convnet2's input_meta.
    assert IMAGENET_2012.mean == (127.305, 119.715, 104.913)
    assert IMAGENET_2012.deviations == (19.72083305, 37.09388853, 121.78006099)
    assert IMAGENET_2012.components == (
        (0.41795513, -0.81698062, 0.39731118),
        (-0.71257945, -0.02354167, 0.70119634),
        (-0.56351045, -0.5761844, -0.59200296),
    )
    components = np.array(IMAGENET_2012.components)
    np.testing.assert_allclose(components @ components.T, np.eye(3), atol=1e-6)
    # The main one is brightness: all channels rise together.
    assert np.ptp(np.sign(components[np.argmax(IMAGENET_2012.deviations)])) == 0


def test_statistics_of_the_noise_come_back():
    """Sums of what was drawn from known statistics find them again."""
    known = ColorStatistics(
        (128, 128, 128), (4, 9, 20), ((0, 0.6, 0.8), (1, 0, 0), (0, -0.8, 0.6))
    )
    normals = np.random.default_rng(5).standard_normal((200_000, 3))
    values = np.rint(128 + known.shifts(normals, 1)).astype("uint8")
    sums = ColorSums()
    sums.add(values.reshape(400, 500, 3))
    found = sums.statistics()
    np.testing.assert_allclose(found.mean, known.mean, atol=0.2)
    np.testing.assert_allclose(found.deviations, known.deviations, rtol=0.02)
    products = np.array(found.components) @ np.array(known.components).T
    np.testing.assert_allclose(abs(products), np.eye(3), atol=0.02)
