"""How much ink there is at each place of a picture, whatever light fell on it."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]

# Of the shorter side: ink in one piece is narrower than this, light and shadow wider.
WINDOW = 0.25


def find_ink(colours: Floats) -> Floats:
    """Return the strength of ink: about 0 for paper and 1 for a full stroke.

    Blank pictures give 0 everywhere.
    """
    grey = _project(colours)
    absorbed = 1 - grey / np.maximum(_paper(grey), 1e-3)
    return _normalise(absorbed)


def _coarse(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Average blocks of pixels, so that the shorter side is at least `side`."""
    step = max(1, min(image.shape[:2]) // side)
    if step == 1:
        return image
    h, w = (n // step * step for n in image.shape[:2])
    blocks = image[:h, :w].reshape(h // step, step, w // step, step, -1)
    return (
        np.squeeze(blocks.mean(axis=(1, 3)), axis=-1)
        if image.ndim == 2
        else (blocks.mean(axis=(1, 3)))
    )


def _project(colours: Floats) -> Floats:
    """Reduce colours to one channel, from 0 to 1, in which ink is dark.

    The direction of colour along which pixels differ most from those around them:
    brightness for pencil on paper, blueness for yellow on white.
    """
    coarse = _coarse(colours, 128)
    size = max(3, int(max(coarse.shape[:2]) * WINDOW) | 1)
    around = np.stack(
        [ndimage.uniform_filter(coarse[..., c], size) for c in range(3)], axis=-1
    )
    middle = np.median(coarse, axis=(0, 1))
    flat = (coarse - around).reshape(-1, 3)
    differences = (coarse - middle).reshape(-1, 3)
    _, axes = np.linalg.eigh(flat.T @ flat)
    axis = axes[:, -1]
    if ((differences @ axis) ** 3).sum() > 0:
        axis = -axis
    axis = axis / np.abs(axis).sum()
    return np.asarray(colours @ axis - axis[axis < 0].sum(), dtype=np.float32)


def _paper(grey: Floats) -> Floats:
    """Return what the paper alone would look like: a grey closing, smoothed."""
    coarse = _coarse(grey, 100)
    size = max(3, int(min(coarse.shape) * WINDOW) | 1)
    closed = ndimage.minimum_filter(ndimage.maximum_filter(coarse, size), size)
    closed = ndimage.uniform_filter(closed, max(1, size // 3))
    if closed.shape == grey.shape:
        return closed
    return _enlarged(closed, grey.shape)


def _enlarged(image: Floats, shape: tuple[int, int]) -> Floats:
    from PIL import Image

    resized = Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _normalise(absorbed: Floats) -> Floats:
    """Take noise away, and divide by the ink's level."""
    middle = float(np.median(absorbed))
    noise = 1.4826 * float(np.median(np.abs(absorbed - middle)))
    ink = absorbed - middle
    least = max(4 * noise, 0.04)
    threshold = max(least, 0.2 * float(ink.max()))
    for _ in range(10):  # Ridler and Calvard 1978
        strong = ink[ink > threshold]
        if strong.size == 0:
            return np.zeros_like(ink)
        level = float(strong.mean())
        if abs(level / 2 - threshold) < 1e-3:
            break
        threshold = max(least, level / 2)
    return np.clip(ink / level, 0, 1)
