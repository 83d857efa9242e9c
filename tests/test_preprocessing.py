"""Tests of flatten_and_scale."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array, csr_matrix

from skmnist import flatten_and_scale, load_digits_28x28
from skmnist.preprocessing import look_inverted

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
def test_flatten_and_scale_returns_float32_rows(dtype, scale, shape):
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
def test_flatten_and_scale_any_container(container):
    assert_is(flatten_and_scale(container(FLAT)), FLAT / 255)


@pytest.mark.parametrize("order", ["C", "F"])
def test_flatten_and_scale_any_memory_order(order):
    assert_is(flatten_and_scale(np.array(IMAGES, order=order)), FLAT / 255)


def test_flatten_and_scale_bool_images():
    assert_is(flatten_and_scale(IMAGES > 100, scale=1), FLAT > 100)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_flatten_and_scale_copies_its_input(dtype):
    images = IMAGES.astype(dtype)
    rows = flatten_and_scale(images, scale=1)
    assert not np.shares_memory(rows, images)
    np.testing.assert_array_equal(images, IMAGES)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((0, 28, 28), (0, 784)), ((0, 784), (0, 784)), ((3, 0), (3, 0))],
)
def test_flatten_and_scale_empty_input(shape, expected):
    assert flatten_and_scale(np.empty(shape)).shape == expected


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_flatten_and_scale_scaled_images_warn(dtype):
    with pytest.warns(UserWarning, match=r"scale=255, but no value .* use scale=1"):
        flatten_and_scale((IMAGES / 255).astype(dtype))


@pytest.mark.parametrize(
    "images",
    [
        IMAGES - 127.5,  # centred
        (IMAGES / 255 - 0.1307) / 0.3081,  # normalized, as torchvision's examples
        IMAGES / 127.5 - 1,  # in [-1, 1]
        (FLAT - FLAT.mean(axis=0)) / (FLAT.std(axis=0) + 1),  # standardized
        IMAGES.view(np.int8),  # bytes read with a sign
        (IMAGES.astype(int) - 128).tolist(),
    ],
)
def test_flatten_and_scale_negative_values_warn(images):
    with pytest.warns(UserWarning, match=r"negative values, down to -.* use scale=1"):
        flatten_and_scale(images)


@pytest.mark.parametrize(
    ("images", "scale"),
    [
        (IMAGES / 255, 1),
        (IMAGES, 255),
        (IMAGES.astype(np.int8) & 127, 255),
        (np.zeros((2, 4, 4)), 255),
        (-IMAGES / 1.0, 1),
        ((IMAGES / 255 - 0.1307) / 0.3081, 1),
        (np.full((2, 784), np.nan), 255),
    ],
)
def test_flatten_and_scale_correct_images_do_not_warn(images, scale):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flatten_and_scale(images, scale)


INVERTED = (
    "Most of the images have a bright border, .* pass {} - X, or .*to_mnist_format"
)


@pytest.mark.parametrize(
    "shape", [(-1, 28, 28), (-1, 28, 28, 1), (-1, 784)], ids=["3-D", "4-D", "flat"]
)
@pytest.mark.parametrize(("scale", "said"), [(255, "255"), (1, "1")])
def test_flatten_and_scale_dark_on_light_warns(digits, shape, scale, said):
    (images, _), _ = digits
    inverted = (1 - images / 255) * scale
    for n_images in 1, 2, 300:
        with pytest.warns(UserWarning, match=INVERTED.format(said)):
            flatten_and_scale(inverted[:n_images].reshape(shape), scale)
        # The fix in the message ends the warning.
        flatten_and_scale((scale - inverted[:n_images]).reshape(shape), scale)


def test_flatten_and_scale_mostly_dark_on_light_warns(digits):
    (images, _), _ = digits
    mixed = np.concatenate([255 - images[:200], images[:100]])
    with pytest.warns(UserWarning, match="Most of the images"):
        flatten_and_scale(np.tile(mixed, (8, 1, 1)))
    flatten_and_scale(np.concatenate([255 - images[:100], images[:200]]))


def bags():
    """Return clothes that touch the border, as in Fashion-MNIST."""
    bags = np.zeros((3, 28, 28), np.uint8)
    bags[0, 6:24] = 220
    bags[1, :, 5:23] = 220
    bags[2, 4:, 2:26] = 220
    return bags


@pytest.mark.parametrize(
    "images",
    [
        load_digits_28x28(random_state=0)[0][0],
        bags(),
        np.full((5, 16), 200),  # 4x4: too small for a border
        np.full((5, 783), 200),
        np.full((5, 4, 200), 200),
    ],
    ids=["digits", "bags", "4x4", "not square", "flat"],
)
def test_look_inverted_light_on_dark_is_false(images):
    assert not any(look_inverted(image[np.newaxis]) for image in images)


@pytest.mark.slow
def test_look_inverted_mnist_is_false(mnist):
    for images, _ in mnist:
        assert not any(look_inverted(image[np.newaxis]) for image in images)


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
def test_flatten_and_scale_other_input_raises(images, error, message):
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
def test_flatten_and_scale_other_scale_raises(scale, error, message):
    with pytest.raises(error, match=message):
        flatten_and_scale(IMAGES, scale)
