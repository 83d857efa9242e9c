"""Digits that touch, told apart with the help of a classifier.

Over-segmentation (LeCun et al. 1998, section V): cut at more places than are needed,
let the classifier judge what lies between any two cuts, and keep the best way
through from left to right.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmnist.pictures.format import as_mnist

Floats = NDArray[np.float32]

# A digit that is read surer than this, and not wider than high, is left whole.
SURE = 0.9
# Slopes of cuts, in pixels to the side for each pixel upwards.
SLOPES = (-0.4, -0.2, 0.0, 0.2, 0.4)
# There is a cut in every strip of columns this wide, in heights of the writing.
STRIP = 0.05
# The part of the ink that a cut leaves on either side at least.
LEAST = 0.1
# The lowest and the widest part that may be a digit, in heights of the writing.
LOWEST, WIDEST = 0.6, 1.15
# Ink between a cut and as many next ones may belong to both digits: they overlap.
OVERLAP = 3
# In the logarithm of a probability: what one digit more has to be worth.
COST = 0.5
# Ink that is higher, in pixels, is judged on every second, third, ... pixel.
HEIGHT = 60


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

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The digit as MNIST would have it, 28x28, drawn once."""
        return as_mnist(self.ink)

    def part(self, mask: NDArray[np.bool_]) -> "Glyph":
        """Return what of it lies within `mask`."""
        ink = np.where(mask, self.ink, 0)
        rows = np.flatnonzero((ink > 0.5).any(axis=1))
        columns = np.flatnonzero((ink > 0.5).any(axis=0))
        left, top = self.box[0] - 1, self.box[1] - 1
        box = (
            left + int(columns[0]),
            top + int(rows[0]),
            left + int(columns[-1]) + 1,
            top + int(rows[-1]) + 1,
        )
        return Glyph(ink, box)


def split_touching(
    found: list[tuple[Glyph, int]], estimator: Any
) -> list[tuple[Glyph, int]]:
    """Split each glyph where the estimator is surer of its parts than of the whole."""
    if not found:
        return found
    images = np.array([glyph.image for glyph, _ in found])
    surest = estimator.predict_proba(images).max(axis=1)
    result = []
    for (glyph, line), sure in zip(found, surest, strict=True):
        h, w = glyph.ink.shape
        if sure > SURE and w < h:
            result.append((glyph, line))
        else:
            masks = _best_parts(glyph.ink, estimator)
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
        row, column = np.unravel_index(int(part.argmin()), part.shape)
        cut = Cut(float(start + column), SLOPES[row])
        share = float(ink[cut.right_of(ink.shape)].sum() / ink.sum())
        if LEAST < share < 1 - LEAST:
            cuts.append(cut)
    return cuts


def propose_parts(ink: Floats) -> tuple[list[Cut], dict[tuple[int, int], Floats]]:
    """Return proposed cuts, and what may be a digit between any two of them.

    The ink between two edges is known by their numbers: the left end is 0, then come
    the cuts, and the right end. All of the ink is always among them.
    """
    cuts = propose_cuts(ink)
    edges = _edges(cuts, ink.shape)
    parts = {}
    for i, j in combinations(range(len(edges)), 2):
        part = np.where(edges[i] & ~edges[j], ink, 0)
        if (i, j) == (0, len(cuts) + 1) or _may_be_digit(part):
            parts[i, j] = part
    return cuts, parts


def _best_parts(ink: Floats, estimator: Any) -> list[NDArray[np.bool_]]:
    """Return which pixels are whose, for each digit from left to right."""
    step = max(1, ink.shape[0] // HEIGHT)
    cuts, parts = propose_parts(np.ascontiguousarray(ink[::step, ::step]))
    images = np.array([as_mnist(part) for part in parts.values()])
    surest = estimator.predict_proba(images).max(axis=1)
    scores = dict(zip(parts, np.log(np.maximum(surest, 1e-6)), strict=True))
    edges = _edges([Cut(cut.column * step, cut.slope) for cut in cuts], ink.shape)
    return [edges[i] & ~edges[j] for i, j in _best_path(scores, len(edges))]


def _edges(cuts: list[Cut], shape: tuple[int, ...]) -> list[NDArray[np.bool_]]:
    """Return what lies to the right of each cut, and of both ends."""
    right = [cut.right_of(shape) for cut in cuts]
    return [np.ones(shape, dtype=bool), *right, np.zeros(shape, dtype=bool)]


def _may_be_digit(part: Floats) -> bool:
    rows = np.flatnonzero((part > 0.5).any(axis=1))
    columns = np.flatnonzero((part > 0.5).any(axis=0))
    height = part.shape[0]
    return (
        len(rows) > 0
        and np.ptp(rows) >= LOWEST * height
        and np.ptp(columns) <= WIDEST * height
    )


def _best_path(
    scores: dict[tuple[int, int], float], n_edges: int
) -> list[tuple[int, int]]:
    """Return the parts, from the first edge to the last, with the best sum."""
    best: list[tuple[float, list[tuple[int, int]]]] = [(0.0, [])]
    for j in range(1, n_edges):
        ways = [
            (best[end][0] + scores[i, j] - COST, [*best[end][1], (i, j)])
            for i in range(j)
            if (i, j) in scores
            for end in (range(i, min(i + OVERLAP + 1, j)) if i else (0,))
            if end == 0 or best[end][1]
        ]
        best.append(max(ways, default=(-np.inf, [])))
    return best[-1][1]
