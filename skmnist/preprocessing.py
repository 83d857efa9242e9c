"""What is done to images before the classifier sees them."""

import math
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

# Sides, in pixels, from which on a row of numbers is taken for an image with a border.
SMALLEST_IMAGE = 8
# Share of a border's pixels above which it is bright. Of paper it is nearly all, of
# noise half, of MNIST's digits 0.04 at most, and of scikit-learn's, which fill their
# frame, 0.31.
BRIGHT_BORDER = 0.75
# Images of an array that are looked at, evenly spaced: most of them tell of the rest.
LOOKED_AT = 1000


def flatten_and_scale(X: ArrayLike, scale: float = 255.0) -> NDArray[np.float32]:
    """Flatten each image into a row and divide by `scale`.

    Neural networks train best on small inputs, and a dense layer takes a row of
    numbers: an image of 28x28 grey levels from 0 to 255 becomes 784 features
    from 0 to 1. The function is stateless, so it may be applied to any part of
    the data at any time, and lives at module level, so it can be pickled.

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
    TypeError
        If `X` is sparse or holds objects that are no numbers, or `scale` is no number.
    ValueError
        If `X` holds strings or complex numbers, is ragged, or has too few or too many
        dimensions; or if `scale` is not a finite number above 0.

    Warns
    -----
    UserWarning
        If no value exceeds 1 although `scale` does: such images are scaled
        already, and would end up almost black. If the border of most images is
        bright: these are almost surely dark ink on light paper, where MNIST has light
        on dark, and a network trained on one is confident and wrong on the other.

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
    if scale > 1 and X.size and 0 < X.max() <= 1:
        warnings.warn(
            f"The images are divided by scale={scale:g}, but no value in them exceeds"
            " 1: they look scaled already. If they are, use scale=1.",
            UserWarning,
            stacklevel=2,
        )
    rows = X.reshape(len(X), math.prod(X.shape[1:]))
    if _look_inverted(rows, X.shape[1:3] if X.ndim > 2 else None, scale):
        warnings.warn(
            "Most of the images have a bright border, as dark ink on light paper has,"
            " but MNIST's digits are light on dark. If these are not, pass"
            f" {scale:g} - X, or make each picture with to_mnist_format.",
            UserWarning,
            stacklevel=2,
        )
    # One pass, straight into float32: no float64 copy of the images is made.
    return np.divide(
        rows, np.float32(scale), dtype=np.float32, casting="unsafe", order="C"
    )


def _look_inverted(
    rows: NDArray[Any], shape: tuple[int, ...] | None, scale: float
) -> bool:
    """Whether the border of most images is bright."""
    side = math.isqrt(rows.shape[1])
    height, width = shape or (side, side)
    size = height * width
    if not len(rows) or size != rows.shape[1] or min(height, width) < SMALLEST_IMAGE:
        return False
    border = rows[:: math.ceil(len(rows) / LOOKED_AT), _border(height, width)]
    bright = (border > scale / 2) & (border <= scale)
    return bool(np.mean(bright.mean(axis=1) > BRIGHT_BORDER) > 0.5)


@lru_cache
def _border(height: int, width: int) -> NDArray[np.intp]:
    """Return which pixels of a flattened image are at its border."""
    inside = np.pad(np.ones((height - 2, width - 2), dtype=bool), 1)
    return np.flatnonzero(~inside)


def _check_scale(scale: float) -> None:
    if not np.isscalar(scale) or isinstance(scale, str):
        raise TypeError(f"scale must be a number, got {scale!r}.")
    if not (np.isfinite(scale) and np.float32(scale) > 0):
        raise ValueError(f"scale must be a finite number above 0, got {scale!r}.")


def _check_images(X: ArrayLike) -> NDArray[np.generic]:
    """Return `X` as an array of real numbers with one image in each row."""
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
