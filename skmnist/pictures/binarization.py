"""Binarize a picture: separate ink from paper under any light."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Floats = NDArray[np.float32]

# Widths, as parts of the shorter side, below which something dark is ink and above
# which it is a shadow. The first that separates them well is taken.
WINDOWS = (1.0, 0.25, 0.12, 0.06)
# In pixels: a narrower window would hollow out the strokes of small pictures.
NARROWEST = 6
# How much better a narrower one has to be, as a part of the variance explained.
BETTER = 0.05
# Neighbourhoods that colours are compared with, as divisors of the longer side.
PARTS = (2, 8, 16)
# A table or a shadow fills more of the border of a photo, whose shorter side has more
# pixels. No paper is darker than this part of the brightest paper.
TABLE, PHOTO, DARKEST = 0.25, 200, 0.4
# Pixels along the shorter side on which light, which has no fine detail, is judged.
COARSE = 100
# Pixels from which the levels of paper and ink are found.
SAMPLE = 100_000
# Ink darkens paper by at least this, and by so many standard deviations of its noise.
# Noise alone reaches 3.0.
FAINTEST, NOISES = 0.03, 3.2
# Part of ink's strength above which the darkest twentieth of paper is a pattern.
PATTERN = 0.15


class Levels(NamedTuple):
    """Absorption of paper and ink, and the part of the variance that it explains."""

    paper: float
    ink: float
    explained: float


def find_ink(colours: Floats) -> Floats:
    """Return the strength of ink: about 0 for paper and 1 for a full stroke.

    Blank pictures give 0 everywhere.
    """
    grey = _project(colours)
    coarse = _coarse(grey)
    # The levels are found in a sample, spread over all the picture.
    step = max(1, math.isqrt(grey.size // SAMPLE))
    sample = grey[::step, ::step]
    best, levels = coarse, Levels(0, 0, 0)
    for window in WINDOWS:
        if levels.explained and window * min(grey.shape) < NARROWEST:
            break
        paper = _paper(coarse, window)
        absorbed = 1 - sample / _resized(paper, sample.shape)
        found = _two_levels(absorbed)
        if window == 1 and min(grey.shape) > PHOTO and _is_table(absorbed, found):
            continue
        if found.explained > levels.explained + (BETTER if levels.explained else 0):
            best, levels = paper, found
    if not levels.explained:
        return np.zeros_like(grey)
    paper = _resized(best, grey.shape)
    absorbed = np.where(paper < DARKEST * np.percentile(best, 95), 0, 1 - grey / paper)
    return np.clip((absorbed - levels.paper) / (levels.ink - levels.paper), 0, 1)


def _is_table(absorbed: Floats, levels: Levels) -> bool:
    """Return whether the dark pixels of a photo are a table, or a shadow."""
    dark = absorbed > (levels.paper + levels.ink) / 2
    border = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    return float(border.mean()) > TABLE


def _coarse(image: Floats) -> Floats:
    """Average blocks of pixels to about `COARSE` along the shorter side."""
    step = min(image.shape[:2]) // COARSE
    if step < 2:
        return image
    h, w = (n // step for n in image.shape[:2])
    blocks = image[: h * step, : w * step].reshape(h, step, w, step, *image.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3)))


def _project(colours: Floats) -> Floats:
    """Reduce colours to one channel, from 0 to 1, in which ink is dark.

    Its direction is that in which colours differ most from those around them: that
    of brightness for pencil on paper, of blueness for yellow on white. Ink is the
    rarer, so its side is the one with the longer tail. The edge of a sheet on a table
    has no longer tail if looked at closely, so neighbourhoods of several sizes are
    tried, and the one with the most skewed distribution counts.
    """
    coarse = _coarse(colours)
    longest = -1.0
    for part in PARTS:
        size = max(3, int(max(coarse.shape[:2]) / part) | 1)
        if part > PARTS[0] and size < NARROWEST:
            break
        around = ndimage.uniform_filter(coarse, (size, size, 1))
        differences = (coarse - around).reshape(-1, 3)
        direction = np.linalg.eigh(differences.T @ differences)[1][:, -1]
        along = differences @ direction
        skew = (along**3).mean() / max((along**2).mean(), 1e-12) ** 1.5
        if abs(skew) > longest:
            longest, axis = abs(skew), -direction if skew > 0 else direction
    axis = axis / np.abs(axis).sum()
    return np.asarray(colours @ axis - axis[axis < 0].sum(), dtype=np.float32)


def _paper(coarse: Floats, window: float) -> Floats:
    """Return what the paper alone would look like: a grey closing, smoothed.

    A closing fills what is dark and narrower than the window, and leaves edges of
    wider shadows where they are.
    """
    if window == 1:
        return np.full((1, 1), max(float(coarse.max()), 1 / 255), np.float32)
    size = max(3, int(min(coarse.shape) * window) | 1)
    paper = ndimage.minimum_filter(ndimage.maximum_filter(coarse, size), size)
    return np.maximum(ndimage.uniform_filter(paper, max(1, size // 3)), 1 / 255)


def _resized(paper: Floats, shape: tuple[int, ...]) -> Floats:
    if paper.shape in (shape, (1, 1)):
        return paper
    size = shape[1], shape[0]
    return np.asarray(Image.fromarray(paper).resize(size, Image.Resampling.BILINEAR))


def _two_levels(absorbed: Floats) -> Levels:
    """Return the mean levels of paper and ink; all 0 without ink.

    The threshold is that of Ridler and Calvard (1978), halfway between the means of
    what is above and below: where Otsu's (1979) is, too.
    """
    mean, variance = float(absorbed.mean()), float(absorbed.var())
    threshold = (float(absorbed.max()) + float(np.median(absorbed))) / 2
    for _ in range(20):
        dark = absorbed > threshold
        share = float(dark.mean())
        if share in (0, 1):
            return Levels(0, 0, 0)
        ink = float(absorbed[dark].mean())
        paper = (mean - share * ink) / (1 - share)
        if abs((ink + paper) / 2 - threshold) < 1e-3:
            break
        threshold = (ink + paper) / 2
    # Ink and shadow only add to what paper absorbs: its noise is seen below its median.
    low, middle, high = np.percentile(absorbed[~dark], (16, 50, 95))
    if ink - paper < max(NOISES * float(middle - low), FAINTEST):
        return Levels(0, 0, 0)
    explained = share * (1 - share) * (ink - paper) ** 2 / variance
    return Levels(max(paper, float(high) - PATTERN * (ink - paper)), ink, explained)
