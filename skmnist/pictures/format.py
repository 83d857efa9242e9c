"""Ink in the format of MNIST."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

# LeCun et al. 1998, section III.A: digits are scaled into 20x20 with their aspect kept, and put
# into 28x28 by their centre of mass.
BOX, SIDE = 20, 28
# In pixels of the 28x28 image; the thinnest strokes of most of MNIST's writers.
STROKE = 2.6
# Pixels of the enlarged image for each of the result.
FINE = 4


def as_mnist(ink: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return ink, 0 to 1, cropped to one digit, as an image of MNIST's kind."""
    fine = _resized(ink, FINE * BOX)
    fine = _thickened(fine)
    small = _resized(_cropped(fine), BOX)
    small = small / max(float(small.max()), 1e-6)
    return _centred(small)


def _cropped(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    strong = ink > 0.25
    rows, columns = np.flatnonzero(strong.any(1)), np.flatnonzero(strong.any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resized(ink: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    factor = side / max(ink.shape)
    h, w = (max(1, round(n * factor)) for n in ink.shape)
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(ink).resize((w, h), how))


def _thickened(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Widen strokes that would be thinner than MNIST's."""
    mask = np.pad(fine > 0.5, 1)
    depth = ndimage.distance_transform_edt(mask)
    ridge = depth[(depth == ndimage.maximum_filter(depth, 3)) & mask]
    if ridge.size == 0:
        return fine
    width = 2 * float(np.median(ridge)) - 1
    missing = (STROKE * FINE - width) / 2
    if missing < 0.5:
        return fine
    r = int(np.ceil(missing))
    fine = np.pad(fine, r + 1)
    y, x = np.ogrid[-r : r + 1, -r : r + 1]
    disk = x * x + y * y <= missing * missing + 0.5
    return ndimage.grey_dilation(fine, footprint=disk)


def _centred(small: NDArray[np.float32]) -> NDArray[np.uint8]:
    image = np.zeros((SIDE, SIDE), np.float32)
    h, w = small.shape
    cy, cx = ndimage.center_of_mass(small)
    top = int(np.clip(round((SIDE - 1) / 2 - cy), 0, SIDE - h))
    left = int(np.clip(round((SIDE - 1) / 2 - cx), 0, SIDE - w))
    image[top : top + h, left : left + w] = small
    return np.uint8(np.rint(255 * np.clip(image, 0, 1)))
