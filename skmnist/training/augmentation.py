r"""Training images, distorted anew every epoch.

A digit that is turned, scaled, slanted, shifted or bent a little is the same digit.
A network of dense layers cannot know, but can be shown: images that are a little
different every time took one from 1.6 to 0.7 % of errors on MNIST in [1]_, and larger
ones to 0.35 % in [2]_.

A pixel at :math:`p`, its row and column counted from the image's centre, gets what the
original has at

.. math:: p + s (L p + t + e(p)), \quad
   L = \begin{pmatrix} a & r \\ k - r & b \end{pmatrix}

where :math:`s` is the strength, and for every image at random

* scaling :math:`a, b` are uniform within 0.12, rotation :math:`r` is within tan 11°,
  and shear :math:`k` within 0.2;
* the shift :math:`t` is uniform within 1.2 pixels along either axis;
* the elastic displacement :math:`e(p)` has a standard deviation of 0.8 pixels along
  either axis: it is uniform noise on a grid of 7x7 points that spans the image,
  smoothed by a Gaussian of 4 pixels.

These are pixels of an image of 28x28; lengths grow with the side of the image. As in
[1]_, all displacements add up, and strength scales exactly that sum. So rotation is
one to first order: where it turns by 11°, it also scales by 2 %.

References
----------
.. [1] P. Y. Simard, D. Steinkraus, J. C. Platt, "Best practices for convolutional
   neural networks applied to visual document analysis", ICDAR 2003, 958-963.
.. [2] D. C. Cireşan, U. Meier, L. M. Gambardella, J. Schmidhuber, "Deep, big, simple
   neural nets for handwritten digit recognition", Neural Computation 22 (2010),
   3207-3220.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SCALING = 0.12
ROTATION = math.tan(math.radians(11))
SHEAR = 0.2
# In sides of an image.
SHIFT = 1.2 / 28
ELASTIC = 0.8 / 28
SMOOTHING = 4 / 28
GRID = 7

N_AFFINE = 6
N_DRAWS = N_AFFINE + 2 * GRID**2
# Pixels that are distorted at once: few enough that all arrays of a block stay in the
# processor's cache, enough that NumPy's calls do not count.
BLOCK_PIXELS = 2**15


def draw(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    """Draw all the random numbers that distorting images takes.

    Parameters
    ----------
    rng : numpy.random.Generator
        Is advanced. Drawing for 32 images and then for 16 gives what drawing for 48
        gives.
    n : int
        Number of images.

    Returns
    -------
    ndarray of shape (n, 104), dtype float32
        Uniform from -1 to 1.
    """
    draws = rng.random((n, N_DRAWS), dtype=np.float32)
    draws *= 2
    draws -= 1
    return draws


def distort(
    X: NDArray[np.float32], draws: NDArray[np.float32], strength: float = 1.0
) -> NDArray[np.float32]:
    """Distort images, each by its own random numbers.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), dtype float32
        Square images, flattened: 784 features are 28x28 pixels.
    draws : ndarray of shape (n_samples, 104), dtype float32
        Random numbers, as :func:`draw` returns them.
    strength : float, default=1.0
        Scales all displacements. With 0 the images stay as they are.

    Returns
    -------
    ndarray of shape (n_samples, n_features), dtype float32
        A new array. Between pixels, values are interpolated bilinearly; outside of
        the image they are 0.

    Raises
    ------
    ValueError
        If `n_features` is not a square number.

    Notes
    -----
    What becomes of an image depends, to the last bit, on nothing but the image, its
    random numbers and `strength`: not on the images around it, nor on threads.

    The memory that it takes beside the result does not grow with the number of images.

    Examples
    --------
    >>> import numpy as np
    >>> from skmnist.training.augmentation import distort, draw
    >>> X = np.zeros((2, 784), dtype=np.float32)
    >>> distort(X, draw(np.random.default_rng(0), 2)).shape
    (2, 784)
    """
    n_samples, n_features = X.shape
    side = math.isqrt(n_features)
    if side**2 != n_features:
        raise ValueError(
            f"X has {n_features} features, but only square images can be distorted, "
            "so n_features has to be a square number, such as 784 for 28x28 pixels"
        )
    distorted = np.empty_like(X)
    rows = max(1, BLOCK_PIXELS // n_features)
    for start in range(0, n_samples, rows):
        block = slice(start, start + rows)
        images = X[block].reshape(-1, side, side)
        places = _places(draws[block], side, strength)
        distorted[block] = _sample(images, places).reshape(-1, n_features)
    return distorted


def _places(
    draws: NDArray[np.float32], side: int, strength: float
) -> NDArray[np.float32]:
    """Return the row and column that each pixel shows, (n, 2, side, side)."""
    a, b = SCALING * draws[:, 0], SCALING * draws[:, 1]
    r, k = ROTATION * draws[:, 2], SHEAR * draws[:, 3]
    # Factors of the products of two functions, one of a pixel's row, one of its column:
    # seven Gaussians, then 1, then the distance from the centre.
    factors = np.zeros((len(draws), 2, GRID + 2, GRID + 2), dtype=np.float32)
    factors[:, :, :GRID, :GRID] = draws[:, N_AFFINE:].reshape(-1, 2, GRID, GRID)
    factors[:, :, :GRID, :GRID] *= ELASTIC * side
    factors[:, :, -2, -2] = draws[:, 4:N_AFFINE] * (SHIFT * side)
    factors[:, 0, -1, -2] = a
    factors[:, 0, -2, -1] = r
    factors[:, 1, -1, -2] = k - r
    factors[:, 1, -2, -1] = b
    factors *= np.float32(strength)
    # So far these are displacements. Add the pixel's own row and column.
    factors[:, :, -2, -2] += (side - 1) / 2
    factors[:, 0, -1, -2] += 1
    factors[:, 1, -2, -1] += 1
    # Images are multiplied one by one. In one large product, BLAS may sum up an image's
    # numbers in another order where it stands elsewhere.
    functions = _functions(side)
    return functions @ (factors @ functions.T)


@lru_cache
def _functions(side: int) -> NDArray[np.float32]:
    """Return what displacements along an axis are made of, (side, 9)."""
    pixels = np.arange(side)
    grid = np.linspace(0, side - 1, GRID)
    gaussians = np.exp(
        -(((pixels[:, np.newaxis] - grid) / (SMOOTHING * side)) ** 2) / 2
    )
    # The variance of noise from -1 to 1 is a third. This makes it 1 at every pixel, the
    # same factor being there for the other axis.
    gaussians *= 3**0.25 / np.linalg.norm(gaussians, axis=1, keepdims=True)
    functions = np.column_stack([gaussians, np.ones(side), pixels - (side - 1) / 2])
    functions = functions.astype(np.float32)
    functions.setflags(write=False)
    return functions


def _sample(
    images: NDArray[np.float32], places: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Interpolate images, (n, side, side), bilinearly. Overwrites `places`."""
    n, side, _ = images.shape
    # Further outside there is nothing but zeros either.
    np.clip(places, -1, side, out=places)
    floor = np.floor(places)
    places -= floor
    to_row, to_column = places[:, 0], places[:, 1]

    width = side + 3
    padded = np.zeros((n, width, width), dtype=np.float32)
    padded[:, 1:-2, 1:-2] = images
    flat = padded.ravel()
    corner = floor.astype(np.int32)
    first = np.arange(n, dtype=np.int32) * width**2 + width + 1
    index = corner[:, 0] * width + corner[:, 1]
    index += first[:, np.newaxis, np.newaxis]
    index = index.astype(np.intp)
    upper, lower = (
        _between(flat[start:].take(index), flat[start + 1 :].take(index), to_column)
        for start in (0, width)
    )
    return _between(upper, lower, to_row)


def _between(
    a: NDArray[np.float32], b: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Interpolate linearly, in place: a new array would not be in the cache."""
    b -= a
    b *= weight
    a += b
    return a
