"""Flatten and scale images before a classifier."""

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

# Shortest side, in pixels, of an image whose border is examined.
SMALLEST_IMAGE = 8
# Fraction of a border's pixels above which it is bright: nearly 1 of paper, 0.5 of
# noise, at most 0.04 of MNIST's digits and 0.31 of scikit-learn's.
BRIGHT_BORDER = 0.75
# Number of images whose border is examined, evenly spaced in an array.
EXAMINED = 1000


def flatten_and_scale(X: ArrayLike, scale: float = 255.0) -> NDArray[np.float32]:
    """Flatten each image into a row and divide by `scale`.

    A dense layer takes a row of numbers, and trains best on small ones: an image of
    28x28 grey levels from 0 to 255 becomes 784 features from 0 to 1. The function has
    no state and can be pickled.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_images, height, width), \
            (n_images, height, width, 1) or (n_images, n_features)
        Images, or rows that are flat already, of any real dtype.
    scale : float, default=255.0
        What each value is divided by: 255.0 for 8-bit grey levels, 1.0 for
        images that are in [0, 1] already.

    Returns
    -------
    ndarray of shape (n_images, n_features), dtype float32
        A new array, C-contiguous.

    Raises
    ------
    TypeError, ValueError
        If `X` is not an array of real numbers in one of these shapes, or is sparse; or
        if `scale` is not a finite number above 0.

    Warns
    -----
    UserWarning
        If `scale` exceeds 1, but the images hold negative values (their mean was
        subtracted) or none above 1 (they are scaled already); or if the border of most
        is bright: they are dark ink on light paper, while MNIST is light on dark.

    Examples
    --------
    >>> import numpy as np
    >>> from skmnist import flatten_and_scale
    >>> images = np.full((3, 28, 28), 51, dtype=np.uint8)
    >>> X = flatten_and_scale(images)
    >>> X.shape, X.dtype, float(X.max())
    ((3, 784), dtype('float32'), 0.20000000298023224)
    """
    _check_scale(scale)
    X = _check_images(X)
    rows = X.reshape(len(X), math.prod(X.shape[1:]))
    if problem := _find_problem(X, scale):
        warnings.warn(problem, UserWarning, stacklevel=2)
    # One pass into float32: no float64 copy of the images is made.
    return np.divide(
        rows, np.float32(scale), dtype=np.float32, casting="unsafe", order="C"
    )


def _find_problem(images: NDArray[Any], scale: float) -> str | None:
    """Return what is wrong with the images and how to fix it, if anything is."""
    if scale > 1 and images.size:
        # Unsigned integers cannot be negative, which saves a pass.
        if images.dtype.kind in "if" and (low := images.min()) < 0:
            return (
                f"The images are divided by scale={scale:g}, but hold negative values,"
                f" down to {low:g}: they look centred or normalized. Pass the grey"
                f" levels from 0 to {scale:g}, or, if the classifier is trained on"
                " such values, use scale=1."
            )
        if 0 < images.max() <= 1:
            return (
                f"The images are divided by scale={scale:g}, but no value in them"
                " exceeds 1: they look scaled already. If they are, use scale=1."
            )
    if look_inverted(images, scale):
        return (
            "Most of the images have a bright border, as dark ink on light paper has,"
            " but MNIST's digits are light on dark. If these are not, pass"
            f" {scale:g} - X, or convert each picture with to_mnist_format."
        )
    return None


def look_inverted(images: NDArray[Any], scale: float = 255) -> bool:
    """Return whether the border of most images is bright; flat ones are square."""
    rows = images.reshape(len(images), math.prod(images.shape[1:]))
    side = math.isqrt(rows.shape[1])
    height, width = images.shape[1:3] if images.ndim > 2 else (side, side)
    size = height * width
    if not len(rows) or size != rows.shape[1] or min(height, width) < SMALLEST_IMAGE:
        return False
    on_border = np.ones((height, width), dtype=bool)
    on_border[1:-1, 1:-1] = False
    border = rows[:: math.ceil(len(rows) / EXAMINED), on_border.ravel()]
    bright = (border > scale / 2) & (border <= scale)
    return bool(np.mean(bright.mean(axis=1) > BRIGHT_BORDER) > 0.5)


def _check_scale(scale: float) -> None:
    if not np.isscalar(scale) or isinstance(scale, str):
        raise TypeError(f"scale must be a number, got {scale!r}.")
    if not (np.isfinite(scale) and np.float32(scale) > 0):
        raise ValueError(f"scale must be a finite number above 0, got {scale!r}.")


def _check_images(X: ArrayLike) -> NDArray[np.generic]:
    """Convert `X` to an array of real numbers with one image in each row."""
    if issparse(X):
        raise TypeError(
            f"Sparse images are not supported, got {type(X).__name__}; "
            "use X.toarray() to make them dense."
        )
    images = np.asarray(X)
    if images.dtype.kind == "c":
        raise ValueError("X must hold real numbers. Complex data not supported.")
    if images.dtype.kind not in "biuf":
        try:
            images = images.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise type(error)(f"X must hold images as real numbers: {error}") from error
    if images.ndim not in (2, 3) and not (images.ndim == 4 and images.shape[3] == 1):
        raise ValueError(
            "X must have shape (n_images, height, width), (n_images, height, width, 1)"
            f" or (n_images, n_features), got {images.shape}. Reshape your data; one"
            " image is X[np.newaxis]."
        )
    return images
