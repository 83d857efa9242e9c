"""Digits that touch, told apart with the help of a classifier.

Over-segmentation (LeCun et al. 1998, section V): cut at more places than are needed,
let the classifier judge what lies between any two cuts, and keep the best way
through from left to right.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmnist.pictures.format import as_mnist

Floats = NDArray[np.float32]

# A digit that is read surer than this, and not wider than high, is left whole.
SURE = 0.9
UPRIGHT = 0.9
# Slopes of cuts, in pixels to the side for each pixel upwards.
SLOPES = (-0.4, -0.2, 0.0, 0.2, 0.4)
# The narrowest and the widest digit, in heights of the writing.
NARROWEST, WIDEST = 0.12, 1.3
# There is a cut in every strip of columns this wide, in heights of the writing.
STRIP = 0.05
# The part of the ink that a cut leaves on either side at least.
LEAST = 0.1
# What a cut costs, in the logarithm of a probability.
COST = 0.1


@dataclass(frozen=True)
class Cut:
    """A straight cut from top to bottom: its column at half height, and its slope."""

    column: float
    slope: float

    def right_of(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return which pixels lie to the right of the cut."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        return x > self.column + self.slope * ((shape[0] - 1) / 2 - y)


@dataclass(frozen=True)
class Glyph:
    """Ink that is taken for one digit, with a pixel around it, and its box."""

    ink: Floats
    box: tuple[int, int, int, int]  # left, top, right, bottom of the ink

    def part(self, mask: NDArray[np.bool_]) -> "Glyph":
        """Return what of it lies within `mask`."""
        ink = np.where(mask, self.ink, 0)
        rows = np.flatnonzero((ink > 0.5).any(axis=1))
        columns = np.flatnonzero((ink > 0.5).any(axis=0))
        left, top = self.box[0] - 1, self.box[1] - 1
        box = (
            left + columns[0],
            top + rows[0],
            left + columns[-1] + 1,
            top + rows[-1] + 1,
        )
        return Glyph(ink, box)


def split_touching(
    found: list[tuple[Glyph, int]], estimator: Any
) -> list[tuple[Glyph, int]]:
    """Split each glyph where the estimator is surer of its parts than of the whole."""
    if not found:
        return found
    images = np.array([as_mnist(glyph.ink) for glyph, _ in found])
    surest = estimator.predict_proba(images).max(axis=1)
    result = []
    for (glyph, line), sure in zip(found, surest, strict=True):
        h, w = glyph.ink.shape
        if sure > SURE and w < UPRIGHT * h:
            result.append((glyph, line))
        else:
            masks = split(glyph.ink, float(sure), estimator)
            result += [(glyph.part(mask), line) for mask in masks]
    return result


def propose_cuts(ink: Floats) -> list[Cut]:
    """Return cuts from left to right: through least ink, in each strip of columns."""
    h, w = ink.shape
    y = np.arange(h)[:, np.newaxis]
    through = np.empty((len(SLOPES), w))
    for k, slope in enumerate(SLOPES):
        columns = np.arange(w) + np.rint(slope * ((h - 1) / 2 - y)).astype(int)
        inside = (columns >= 0) & (columns < w)
        through[k] = np.where(inside, ink[y, columns.clip(0, w - 1)], 0).sum(axis=0)
        through[k] += 1e-3 * abs(slope)  # upright, where it makes no difference
    strip = max(1, round(STRIP * h))
    cuts = []
    for start in range(0, w, strip):
        part = through[:, start : start + strip]
        k, column = np.unravel_index(int(part.argmin()), part.shape)
        cut = Cut(float(start + column), SLOPES[k])
        share = float(ink[cut.right_of(ink.shape)].sum() / ink.sum())
        if LEAST < share < 1 - LEAST:
            cuts.append(cut)
    return cuts


def split(ink: Floats, whole: float, estimator: Any) -> list[NDArray[np.bool_]]:
    """Return which pixels are whose, for each digit from left to right.

    `whole` is the probability with which all of it is one digit.
    """
    h, w = ink.shape
    cuts = propose_cuts(ink)
    right = [
        np.ones(ink.shape, bool),
        *(c.right_of(ink.shape) for c in cuts),
        np.zeros(ink.shape, bool),
    ]
    columns = [0.0, *(c.column for c in cuts), float(w)]
    last = len(columns) - 1
    spans, images = [], []
    for i in range(last):
        for j in range(i + 1, last + 1):
            if (i, j) == (0, last):
                continue
            part = np.where(right[i] & ~right[j], ink, 0)
            rows = np.flatnonzero((part > 0.5).any(1))
            cols = np.flatnonzero((part > 0.5).any(0))
            if not len(rows) or np.ptp(rows) < 0.4 * h or np.ptp(cols) > WIDEST * h:
                continue
            spans.append((i, j))
            images.append(as_mnist(part))
    if not images:
        return [right[0]]
    probabilities = estimator.predict_proba(np.array(images)).max(axis=1)
    scores = dict(zip(spans, np.log(np.clip(probabilities, 1e-6, 0.999)), strict=True))
    if w < WIDEST * h:
        scores[0, last] = np.log(max(whole, 1e-6))
    best: list[tuple[float, list[int]]] = [(0.0, [0])]
    for j in range(1, last + 1):
        ways = [
            (
                best[i][0] + scores[i, j] * (columns[j] - columns[i]) / w - COST,
                [*best[i][1], j],
            )
            for i in range(j)
            if (i, j) in scores and best[i][1]
        ]
        best.append(max(ways, default=(-np.inf, [])))
    path = best[-1][1] or [0, last]
    return [right[i] & ~right[j] for i, j in pairwise(path)]
