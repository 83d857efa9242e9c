"""Augmentation, compared with scipy's interpolation and with its documentation."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage

from skmnist.training import augmentation
from skmnist.training.augmentation import distort, draw

# Left out on other Pythons.
pytestmark = pytest.mark.long

SIDES = (8, 28, 32)
A, B, R, K, ROW, COLUMN = range(6)


def images_and_draws(n, side=28):
    rng = np.random.default_rng(0)
    return rng.random((n, side**2), dtype=np.float32), draw(rng, n)


def draws_of(n=1, **numbers):
    """Return draws that are 0 except the named ones."""
    draws = np.zeros((n, augmentation.N_DRAWS), dtype=np.float32)
    for name, number in numbers.items():
        draws[:, globals()[name]] = number
    return draws


def displacements(draws, side=28, strength=1.0):
    pixels = np.indices((side, side), dtype=np.float32)
    return augmentation._places(draws, side, strength) - pixels


def matrix(draws):
    """Return I + L of the documentation, from the draws of one image."""
    a, b, k = np.array([0.12, 0.12, 0.2]) * draws[[A, B, K]]
    r = np.tan(np.radians(11)) * draws[R]
    return np.array([[1 + a, r], [k - r, 1 + b]])


def moments(image):
    """Return the centre of mass and the covariance of an image."""
    pixels = np.indices(image.shape).reshape(2, -1)
    centre = np.average(pixels, axis=1, weights=image.ravel())
    return centre, np.cov(pixels, aweights=image.ravel(), ddof=0)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("rows", [1, 7, 500])
def test_distort_gives_the_same_bits_in_any_batch(side, rows):
    X, draws = images_and_draws(1000, side)
    whole = distort(X, draws, 1.0)
    pieces = [
        distort(X[start : start + rows], draws[start : start + rows], 1.0)
        for start in range(0, min(len(X), 100 * rows), rows)
    ]
    pieces = np.concatenate(pieces)
    np.testing.assert_array_equal(pieces, whole[: len(pieces)])
    order = np.random.default_rng(1).permutation(len(X))[: 10 * rows]
    np.testing.assert_array_equal(distort(X[order], draws[order], 1.0), whole[order])


def test_distort_in_threads_equals_one_thread():
    X, draws = images_and_draws(500)
    alone = distort(X, draws, 1.0)
    augmentation._functions.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        for together in pool.map(lambda _: distort(X, draws, 1.0), range(16)):
            np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("strength", [0.3, 1.0, 4.0])
def test_distort_equals_scipy_interpolation(side, strength):
    X, draws = images_and_draws(50, side)
    distorted = distort(X, draws, strength)
    expected = [
        ndimage.map_coordinates(
            image.reshape(side, side), places, order=1, mode="grid-constant"
        ).ravel()
        for image, places in zip(
            X, augmentation._places(draws, side, strength), strict=True
        )
    ]
    assert distorted.dtype == np.float32
    np.testing.assert_allclose(distorted, expected, atol=1e-5)


@pytest.mark.parametrize("numbers", [{}, {"R": 1}, {"ROW": -1, "COLUMN": 1}])
def test_distort_strength_0_copies_the_images(numbers):
    X, _ = images_and_draws(3)
    same = distort(X, draws_of(3, **numbers), 0)
    assert same.tobytes() == X.tobytes()
    assert not np.shares_memory(same, X)


def test_distort_accepts_read_only_arrays_and_numpy_scalars():
    X, draws = images_and_draws(50)
    X.setflags(write=False)
    draws.setflags(write=False)
    distorted = distort(X, draws, np.float64(0.7))
    np.testing.assert_array_equal(distorted, distort(X, draws, 0.7))
    assert not np.array_equal(distorted, X)


@pytest.mark.parametrize("side", SIDES)
def test_distort_displacements_are_proportional_to_strength(side):
    _, draws = images_and_draws(100, side)
    once, twice = (displacements(draws, side, strength) for strength in (0.5, 1.0))
    np.testing.assert_allclose(twice, 2 * once, atol=2e-5)
    assert np.abs(once).max() > side / 28


@pytest.mark.parametrize("side", SIDES)
def test_distort_translates_by_pixels(side):
    X, _ = images_and_draws(1, side)
    strength = 28 / side / 1.2  # at most one pixel
    shifted = distort(X, draws_of(ROW=1, COLUMN=-1), strength).reshape(side, side)
    np.testing.assert_allclose(
        shifted[:-1, 1:], X.reshape(side, side)[1:, :-1], atol=1e-5
    )
    np.testing.assert_allclose(shifted[-1], 0, atol=1e-5)
    np.testing.assert_allclose(shifted[:, 0], 0, atol=1e-5)


def test_distort_pixels_outside_of_the_image_are_0():
    X = np.ones((1, 784), dtype=np.float32)
    half = distort(X, draws_of(ROW=1), 0.5 / 1.2).reshape(28, 28)
    np.testing.assert_allclose(half[-1], 0.5, atol=1e-5)
    np.testing.assert_allclose(half[:-1], 1, atol=1e-5)
    assert not distort(X, draws_of(ROW=1, COLUMN=-1), 100.0).any()


@pytest.mark.parametrize(
    "numbers",
    [
        {"A": 1},
        {"B": -1},
        {"R": 1},
        {"R": -1},
        {"K": 1},
        {"A": -1, "B": 1, "R": 0.5, "K": -0.5, "ROW": -0.5, "COLUMN": 1},
    ],
)
def test_distort_scales_rotates_and_shears_as_documented(numbers):
    y, x = np.indices((28, 28)) - 13.5
    blob = np.exp(-(y**2) / 18 - (x - y / 2) ** 2 / 8).astype(np.float32)
    draws = draws_of(**numbers)
    shift = 1.2 * draws[0, [ROW, COLUMN]]

    places = np.tensordot(matrix(draws[0]), [y, x], axes=1).T + shift + 13.5
    np.testing.assert_allclose(
        augmentation._places(draws, 28, 1.0)[0], places.T, atol=1e-5
    )

    # The image moves in the direction opposite to the displacements.
    back = np.linalg.inv(matrix(draws[0]))
    centre, covariance = moments(distort(blob.reshape(1, -1), draws)[0].reshape(28, 28))
    np.testing.assert_allclose(centre, 13.5 - back @ shift, atol=0.01)
    # Bilinear interpolation blurs by about 0.1 square pixels.
    np.testing.assert_allclose(
        covariance, back @ moments(blob)[1] @ back.T, atol=0.2, rtol=0.01
    )


@pytest.mark.parametrize("side", SIDES)
def test_distort_rotates_by_at_most_11_degrees(side):
    y, x = np.indices((side, side)) - (side - 1) / 2
    dy, dx = displacements(draws_of(R=1), side)[0]
    turned = np.angle(((x + dx) + 1j * (y + dy)) / (x + 1j * y), deg=True)
    np.testing.assert_allclose(turned, 11, atol=1e-3)


@pytest.mark.parametrize("side", SIDES)
def test_distort_elastic_displacements_are_smooth_and_of_documented_size(side):
    draws = draw(np.random.default_rng(0), 5000)
    draws[:, : augmentation.N_AFFINE] = 0
    field = displacements(draws, side) * 28 / side
    np.testing.assert_allclose(field.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(field.std(axis=0), 0.8, rtol=0.05)
    assert abs(np.mean(field[:, 0] * field[:, 1])) < 0.01
    # The correlation of noise smoothed by a Gaussian of sigma falls with the distance
    # like a Gaussian of sqrt(2) sigma.
    distance = side // 4
    sigma = 4 * side / 28
    expected = np.exp(-((distance / sigma) ** 2) / 4)
    middle = side // 2
    for axis in (2, 3):
        here, there = (
            field.take(place, axis=axis).ravel()
            for place in (middle, middle - distance)
        )
        assert np.corrcoef(here, there)[0, 1] == pytest.approx(expected, abs=0.05)


def test_draw_is_uniform_and_continues_the_generator():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    draws = draw(np.random.default_rng(0), 4800)
    assert draws.dtype == np.float32
    assert draws.min() >= -1
    assert draws.max() <= 1
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(draws.std(axis=0), 3**-0.5, rtol=0.05)
    rng = np.random.default_rng(0)
    pieces = [draw(rng, n) for n in (1, 32, 0, 4767)]
    np.testing.assert_array_equal(np.concatenate(pieces), draws)
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(before, after)


def test_distort_keeps_ink_and_place_of_digits(rows):
    # Wider margins than MNIST's, so that ink stays inside the image.
    X = np.pad(rows[0][0].reshape(-1, 28, 28), [(0, 0), (4, 4), (4, 4)])
    X = np.repeat(X.reshape(len(X), -1), 10, axis=0)
    distorted = distort(X, draw(np.random.default_rng(0), len(X)), 1.0)
    ratio = distorted.sum(axis=1) / X.sum(axis=1)
    assert ratio.mean() == pytest.approx(1, abs=0.02)
    assert 0.03 < ratio.std() < 0.2
    pixels = np.indices((36, 36)).reshape(2, -1)
    centre, centre_before = (
        ink @ pixels.T / ink.sum(axis=1, keepdims=True) for ink in (distorted, X)
    )
    moved = centre - centre_before
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=0.1)
    assert (moved.std(axis=0) > 0.6).all()
    assert np.abs(moved).max() < 5


def test_distort_images_that_are_not_square_raises():
    X = np.zeros((2, 783), dtype=np.float32)
    with pytest.raises(
        ValueError, match="X has 783 features, but augmentation needs square"
    ):
        distort(X, draws_of(2), 1.0)
