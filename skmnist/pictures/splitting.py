"""Digits that touch, told apart by a network that has learned whose ink is whose.

The network sees the left end of some ink. It says how likely that is one digit alone
and, of each pixel, how likely it is ink of the leftmost digit. So a digit is taken off,
what remains is looked at again, and so on to the right end. Where the network is in
doubt, several ways are followed side by side (beam search). The classifier for whom
the digits are meant judges them, as in LeCun et al. 1998, section V: the best way is
the one whose digits it is surest of.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skmnist.pictures.normalization import as_mnist
from skmnist.pretrained import forward, read_layers

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Written by examples/train_touching.py.
FILE = Path(__file__).with_name("splitting.npz")
# What the network sees: ink scaled to this height, and as much of its left end as this
# width holds, after an empty margin. It answers for the pixels of the first columns.
HEIGHT, WIDTH, MARGIN, REACH = 20, 32, 2, 26
# It looks at ink moved by so many columns, too, and the mean of its answers counts.
SHIFTS = (-1, 0, 1)
# What is surer than this to be one digit alone is left whole, and nothing else tried.
SURE = 0.98
# Ink is the leftmost digit's from the first probability on, and what remains has it up
# to the second. Between them it is ink of both: digits overlap where they touch.
LIMITS = ((0.5, 0.5), (0.3, 0.7), (0.15, 0.85))
# The part of the ink that a digit has at least.
LEAST = 0.05
# So many ways are followed at once.
BEAM = 4
# Nothing counts as less likely: the logarithm of 0 is infinite.
UNLIKELY = 1e-6
# Ink that is higher, in pixels, is looked at a whole number of times smaller.
FINEST = 60


@dataclass(frozen=True)
class Glyph:
    """Ink that is taken for one digit, with a pixel around it, and its box."""

    ink: Floats
    box: tuple[int, int, int, int]  # left, top, right, bottom of the ink

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The digit as MNIST would have it, 28x28, drawn once."""
        return as_mnist(self.ink)

    def part(self, mask: Mask) -> "Glyph":
        """Return what of it lies within `mask`."""
        ink = np.where(mask, self.ink, 0)
        left, top = self.box[0] - 1, self.box[1] - 1
        own = _box(ink)
        return Glyph(ink, (left + own[0], top + own[1], left + own[2], top + own[3]))


@dataclass(frozen=True)
class Way:
    """Digits that were taken off from the left, and what remains, if not nothing.

    They are masks of the same ink. The score is the logarithm of a probability.
    """

    digits: tuple[Mask, ...]
    rest: Mask | None
    score: float


def split_touching(
    found: list[tuple[Glyph, int]], estimator: Any
) -> list[tuple[Glyph, int]]:
    """Split each glyph where the estimator is surer of its parts than of the whole."""
    result = []
    for glyph, line in found:
        h, w = glyph.ink.shape
        step = -(-h // FINEST)
        masks = best_digits(_shrunk(glyph.ink, step), estimator)
        if len(masks) == 1:
            result.append((glyph, line))
            continue
        for mask in masks:
            fine = mask.repeat(step, axis=0).repeat(step, axis=1)[:h, :w]
            result.append((glyph.part(fine), line))
    return result


def best_digits(ink: Floats, estimator: Any) -> tuple[Mask, ...]:
    """Return which pixels are whose, for each digit from left to right."""
    ways = [Way((), np.ones(ink.shape, dtype=bool), 0.0)]
    ended: list[Way] = []
    while ways:
        further = [after for way in ways for after in take_off(ink, way)]
        if not ended and len(further) == 1:
            return further[0].digits
        images = np.array([as_mnist(np.where(w.digits[-1], ink, 0)) for w in further])
        surest = _logarithm(estimator.predict_proba(images).max(axis=1))
        judged = [
            replace(way, score=way.score + sure)
            for way, sure in zip(further, surest, strict=True)
        ]
        ended += [way for way in judged if way.rest is None]
        ways = [way for way in judged if way.rest is not None]
        ways = sorted(ways, key=lambda way: way.score)[-BEAM:]
    return max(ended, key=lambda way: way.score).digits


def take_off(ink: Floats, way: Way) -> Iterator[Way]:
    """Yield what may come next: the last digit, or one with more after it."""
    assert way.rest is not None
    alone, first = look(np.where(way.rest, ink, 0))
    yield Way((*way.digits, way.rest), None, way.score + _logarithm(alone))
    if alone > SURE:
        return
    strong = ink > 0.5
    least, before = LEAST * strong.sum(), strong[way.rest].sum()
    for lower, upper in LIMITS:
        digit, rest = way.rest & (first >= lower), way.rest & (first < upper)
        if least <= strong[rest].sum() <= before - least:
            yield Way((*way.digits, digit), rest, way.score + _logarithm(1 - alone))


def look(ink: Floats) -> tuple[float, Floats]:
    """Return how likely this is one digit alone, and how likely pixels are the first's.

    The latter has the shape of the ink.
    """
    left, top, right, bottom = _box(ink)
    h, w = bottom - top, right - left
    part = np.ascontiguousarray(ink[top:bottom, left:right])
    small = _resized(part, HEIGHT, max(1, round(w * HEIGHT / h)))
    alone, first = ask(small / small.max())
    # The soft edge of a stroke, just outside of the box, is whose the stroke is.
    around = (top, ink.shape[0] - bottom), (left, ink.shape[1] - right)
    return alone, np.pad(_resized(first, h, w), around, "edge")


def ask(small: Floats) -> tuple[float, Floats]:
    """Return the network's answers for ink of its height, and of any width."""
    width = small.shape[1]
    starts = [MARGIN + shift for shift in SHIFTS]
    views = np.zeros((len(starts), HEIGHT, WIDTH), dtype=np.float32)
    for view, start in zip(views, starts, strict=True):
        view[:, start : start + width] = small[:, : WIDTH - start]
    answers = forward(*_network(), views.reshape(len(views), -1))
    reach = REACH - max(starts)  # of every view
    pixels = [
        answer[1:].reshape(HEIGHT, REACH)[:, start : start + reach]
        for answer, start in zip(answers, starts, strict=True)
    ]
    first = np.zeros_like(small)
    first[:, :reach] = _probability(np.mean(pixels, axis=0))[:, :width]
    return float(_probability(answers[:, 0].mean())), first


@cache
def _network() -> tuple[list[Floats], list[Floats]]:
    coefs, intercepts, _ = read_layers(FILE)
    return coefs, intercepts


def _box(ink: Floats) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the ink."""
    strong = ink > 0.5
    rows, columns = (np.flatnonzero(strong.any(axis=axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _shrunk(ink: Floats, step: int) -> Floats:
    """Return the strongest of `step` by `step` pixels: hairlines do not break."""
    for axis, size in enumerate(ink.shape):
        ink = np.maximum.reduceat(ink, range(0, size, step), axis=axis)
    return ink


def _resized(values: Floats, height: int, width: int) -> Floats:
    how = Image.Resampling.BOX if height < len(values) else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(values).resize((width, height), how))


def _probability(logits: Any) -> Any:
    return (1 + np.tanh(logits / 2)) / 2


def _logarithm(probability: Any) -> Any:
    return np.log(np.maximum(probability, UNLIKELY))
