"""Tests of what is done to images before the classifier sees them."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array, csr_matrix

from skmnist import flatten_and_scale, load_digits_28x28

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
IMAGES[0, 0, :2] = 0, 255
FLAT = IMAGES.reshape(5, 784)


def assert_is(result, expected):
    """Compare with what NumPy computes in double precision."""
    assert type(result) is np.ndarray
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(5, 28, 28), (5, 28, 28, 1), (5, 784), (5, 16, 49)])
@pytest.mark.parametrize("scale", [255, 255.0, np.float64(16), 0.5])
@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "int64", "uint64", "float16", "float32", "float64"]
)
def test_rows_of_float32_divided_by_scale(dtype, scale, shape):
    images = IMAGES.reshape(shape).astype(dtype)
    assert_is(flatten_and_scale(images, scale), FLAT / float(scale))


@pytest.mark.parametrize(
    "container",
    [
        np.ndarray.tolist,
        pd.DataFrame,
        pl.DataFrame,
        np.asfortranarray,
        lambda X: X.astype(object),
        lambda X: X.astype(object) + 0.0,
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: np.flip(np.flip(X, 0).copy(), 0),
    ],
)
def test_any_container_of_numbers(container):
    assert_is(flatten_and_scale(container(FLAT)), FLAT / 255)


@pytest.mark.parametrize("order", ["C", "F"])
def test_pixels_are_read_row_by_row_whatever_the_memory_order(order):
    assert_is(flatten_and_scale(np.array(IMAGES, order=order)), FLAT / 255)


def test_bools_are_black_and_white():
    assert_is(flatten_and_scale(IMAGES > 100, scale=1), FLAT > 100)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_callers_images_are_neither_changed_nor_shared(dtype):
    images = IMAGES.astype(dtype)
    rows = flatten_and_scale(images, scale=1)
    assert not np.shares_memory(rows, images)
    np.testing.assert_array_equal(images, IMAGES)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((0, 28, 28), (0, 784)), ((0, 784), (0, 784)), ((3, 0), (3, 0))],
)
def test_nothing_stays_nothing(shape, expected):
    assert flatten_and_scale(np.empty(shape)).shape == expected


def test_images_that_are_scaled_already_are_reported():
    with pytest.warns(UserWarning, match=r"scale=255, but no value .* use scale=1"):
        flatten_and_scale(IMAGES / 255)


@pytest.mark.parametrize(
    ("images", "scale"),
    [(IMAGES / 255, 1), (IMAGES, 255), (np.zeros((2, 4, 4)), 255), (-IMAGES / 1.0, 1)],
    ids=["scale of 1", "grey levels", "black images", "negative values"],
)
@pytest.mark.filterwarnings("error")
def test_nothing_else_is_reported(images, scale):
    flatten_and_scale(images, scale)


INVERTED = (
    "Most of the images have a bright border, .* pass {} - X, or .*to_mnist_format"
)


@pytest.mark.parametrize(
    "shape", [(-1, 28, 28), (-1, 28, 28, 1), (-1, 784)], ids=["3-D", "4-D", "flat"]
)
@pytest.mark.parametrize(("scale", "said"), [(255, "255"), (1, "1")])
def test_dark_on_light_is_reported(digits, shape, scale, said):
    (images, _), _ = digits
    inverted = (1 - images / 255) * scale
    for n_images in 1, 2, 300:
        with pytest.warns(UserWarning, match=INVERTED.format(said)):
            flatten_and_scale(inverted[:n_images].reshape(shape), scale)
        # What the message advises ends it.
        flatten_and_scale((scale - inverted[:n_images]).reshape(shape), scale)


def test_dark_on_light_is_reported_of_many_that_are_mostly_so(digits):
    (images, _), _ = digits
    mixed = np.concatenate([255 - images[:200], images[:100]])
    with pytest.warns(UserWarning, match="Most of the images"):
        flatten_and_scale(np.tile(mixed, (8, 1, 1)))
    flatten_and_scale(np.concatenate([255 - images[:100], images[:200]]))


def test_digits_are_never_taken_for_dark_on_light():
    for images, _ in load_digits_28x28(random_state=0):
        for image in images:
            flatten_and_scale(image[np.newaxis])


def test_clothes_that_touch_the_border_are_not_taken_for_dark_on_light():
    # As in Fashion-MNIST: shirts and bags as wide or as high as the image.
    bags = np.zeros((3, 28, 28), np.uint8)
    bags[0, 6:24] = 220
    bags[1, :, 5:23] = 220
    bags[2, 4:, 2:26] = 220
    for bag in bags:
        flatten_and_scale(bag[np.newaxis])


def test_features_that_are_no_image_have_no_border():
    flatten_and_scale(np.full((5, 16), 200))  # 4x4
    flatten_and_scale(np.full((5, 783), 200))
    flatten_and_scale(np.full((5, 4, 200), 200))


@pytest.mark.slow
def test_no_image_of_mnist_is_taken_for_dark_on_light(mnist):
    for images, _ in mnist:
        for image in images:
            flatten_and_scale(image[np.newaxis])


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (csr_matrix(FLAT), TypeError, r"Sparse .* csr_matrix; use X\.toarray\(\)"),
        (csr_array(FLAT), TypeError, r"Sparse .* csr_array; use X\.toarray\(\)"),
        (FLAT * 1j, ValueError, "real numbers. Complex data not supported"),
        (FLAT.astype(object) * 1j, TypeError, "real numbers.*complex"),
        (np.full((2, 784), "dark"), ValueError, "real numbers: .*'dark'"),
        (np.full((2, 784), object()), TypeError, "real numbers: .*'object'"),
        ([[1, 2], [3]], ValueError, "inhomogeneous"),
        (5, ValueError, r"shape .* got \(\)"),
        (FLAT[0], ValueError, r"got \(784,\).*X\[np\.newaxis\]"),
        (IMAGES[..., None, None], ValueError, r"got \(5, 28, 28, 1, 1\)"),
        (np.stack([IMAGES] * 3, axis=3), ValueError, r"got \(5, 28, 28, 3\)"),
    ],
)
def test_what_is_no_images_is_refused(images, error, message):
    with pytest.raises(error, match=message):
        flatten_and_scale(images)


@pytest.mark.parametrize(
    ("scale", "error", "message"),
    [
        (0, ValueError, "finite number above 0, got 0"),
        (-255, ValueError, "finite number above 0, got -255"),
        (1e-46, ValueError, "number above 0, got 1e-46"),
        (np.nan, ValueError, "finite number above 0, got nan"),
        (np.inf, ValueError, "finite number above 0, got inf"),
        ("255", TypeError, "must be a number, got '255'"),
        (None, TypeError, "must be a number, got None"),
        ([255], TypeError, r"must be a number, got \[255\]"),
    ],
)
def test_what_is_no_scale_is_refused(scale, error, message):
    with pytest.raises(error, match=message):
        flatten_and_scale(IMAGES, scale)
