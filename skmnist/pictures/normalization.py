"""Scale and centre the ink of a digit as MNIST's digits were."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

# LeCun et al. 1998, section III.A: digits were scaled into 20x20 with their aspect
# kept, and put into 28x28 by their centre of mass, which in the files is at (14, 14).
BOX, SIDE = 20, 28
# Width of strokes in pixels of the 28x28 image, within which most of MNIST's are.
# Hairlines are all but lost in 20x20, and brush strokes fill the holes of an 8.
THINNEST, BOLDEST = 2.6, 3.6
# Strokes are measured, thinned and thickened on pixels this much finer.
FINE = 6


def as_mnist(ink: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the ink of one digit, from 0 to 1, as a 28x28 image in MNIST's format."""
    fine = _resized(_cropped(ink), FINE * BOX)
    small = _resized(_cropped(_with_usual_strokes(fine)), BOX)
    return _centred(small / small.max())


def _cropped(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    strong = ink > ink.max() / 4
    rows, columns = (np.flatnonzero(strong.any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resized(ink: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Scale the longer side to `side` pixels: by averaging, where that is smaller."""
    factor = side / max(ink.shape)
    h, w = (max(1, round(n * factor)) for n in ink.shape)
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(ink).resize((w, h), how))


def _with_usual_strokes(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the ink with sharp edges, its strokes neither too thin nor too bold.

    The edges are moved: each pixel's distance from the edge tells where it lies then.
    """
    inside = np.pad(ink > ink.max() / 2, 2 * FINE)
    depth = ndimage.distance_transform_edt(inside)
    outside = ndimage.distance_transform_edt(~inside)
    distance = np.where(inside, depth - 0.5, 0.5 - outside)
    # Across a stroke the depth rises evenly to half the width, so its mean is a fourth.
    width = 4 * float(depth[inside].mean()) - 1
    usual = float(np.clip(width, FINE * THINNEST, FINE * BOLDEST))
    # A thicker digit is scaled down again to fit the box.
    shift = (usual - width) / 2 * (1 + (usual - width) / (FINE * BOX))
    return np.clip(distance + shift + 0.5, 0, 1).astype(np.float32)


def _centred(small: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Put a digit into the frame, its centre of mass on the frame's centre."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    place = []
    for length, centre in zip(small.shape, ndimage.center_of_mass(small), strict=True):
        start = int(np.clip(round(SIDE / 2 - centre), 0, SIDE - length))
        place.append(slice(start, start + length))
    image[tuple(place)] = np.rint(255 * small)
    return image
