"""Detect and classify digits in ink with a small convolutional network, in NumPy.

The network is a space displacement network (LeCun et al., "Gradient-Based Learning
Applied to Document Recognition", Proceedings of the IEEE 86 (1998), section VII): it
sees all of a strip of ink at once and says, for each cell of 4x2 pixels, whether a
digit is centred there, which one, and how far away its four sides are. So touching
digits need no splitting, and marks that are not digits are left out. The network was
trained by `examples/train_reader.py`.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from skmnist.pretrained import read_layers

Floats = NDArray[np.float32]

# Written by examples/train_reader.py. The constants up to DILATION belong to it.
FILE = Path(__file__).with_name("detection.npz")
# Height in pixels at which the network knows digits best.
HEIGHT = 20
# Rows and columns of ink for each cell of the answer.
CELL = (4, 2)
# Pixels in which the network gives the distance of a digit's sides.
SIDES = 16
# Strides and dilation of each convolution.
STRIDES = ((2, 2), (2, 1), (1, 1), (1, 2), *6 * [(1, 1)])
DILATION = (*6 * [(1, 1)], (1, 2), (1, 2), (1, 1), (1, 1))
# Boxes that overlap by more, as intersection over union, are of the same digit.
SAME = 0.3
# Cells that are less probably a digit's are not looked at.
LEAST = 0.15
# Marks are rejected if their probability of not being a digit is larger.
REJECTED = 0.56
# Height of a mark that counts, at least, in heights of the page's digits. Factor of the
# odds of not being a digit, at most.
LEAST_MARK, MAX_ODDS = 0.3, 20
# Usual and largest distance from a digit to the nearest other one, in its height. Its
# log odds fall by the difference from the usual one.
USUAL, FAR = (0.5, 1), 1.75
# Text is looked at in these sizes, relative to its estimated height; on a page full of
# ink only in the first ones that fit. The height of the digits found in the first size
# replaces the estimate. If that was wrong by this factor, the size is looked at again.
SCALES = (1.0, 1.0, 0.8, 1.3, 0.9, 1.15)
WRONG = 4 / 3
# Text that is less high, in pixels, is read like text of this height.
LEAST_HEIGHT = 9
# Of a page at most: pixels that the network sees, cells that are merged, and digits.
MAX_AREA, MAX_CELLS, MAX_DIGITS = 800_000, 2_500, 250
# Cells of which a convolution is computed at a time.
BLOCK = 2048
# Pixels around ink that the network sees, and blank pixels between two regions.
MARGIN, GAP = 10, 24
_layers = cache(read_layers)


def detect(
    ink: Floats, height: float, marks: NDArray[np.int64], *, quick: bool = False
) -> tuple[Floats, Floats]:
    """Return the boxes and the class probabilities of the digits in ink.

    The ink, (h, w) from 0 to 1, is looked at in several sizes, if `quick` in one.
    `height` is that of the text, `marks` has the boxes of the components. Boxes are in
    pixels of the ink; the last of the 11 classes is "not a digit".
    """
    found: list[Floats] = []
    free = MAX_AREA
    for relative in SCALES:
        if found and (quick or relative == 1):
            continue
        scale = relative * HEIGHT / max(height, LEAST_HEIGHT)
        page, parts = scaled(ink, scale)
        area = sum(page[part].size for part in parts)
        if area > free and found:
            continue
        if area > free:  # then no other size fits
            page, parts = scaled(ink, scale * math.sqrt(free / area))
        free -= area
        cells = np.concatenate(
            [np.empty((0, 15)), *(detect_in(page, p) for p in parts)]
        )
        of_page = np.array(ink.shape[::-1]) / np.subtract(page.shape[::-1], 2 * MARGIN)
        cells[:, :4] = (cells[:, :4] - MARGIN) * np.tile(of_page, 2)
        found.append(suppress(cells))
        if relative == 1 and len(digits := found[0][found[0][:, -1] < REJECTED]):
            before, height = height, float(np.median(digits[:, 3] - digits[:, 1]))
            ratio = height / max(before, LEAST_HEIGHT)
            if free > area and not 1 / WRONG < ratio < WRONG:
                found.clear()
    merged = combine(found) if len(found) > 1 else found[0]
    merged = prefer_groups(adapt(merged, marks))
    merged = merged[merged[:, -1] < REJECTED]
    if len(merged) > MAX_DIGITS:
        warnings.warn(
            f"{len(merged)} digits were detected; only the {MAX_DIGITS} most certain"
            " ones are read. Crop the picture to read the others.",
            UserWarning,
            stacklevel=5,
        )
        merged = merged[np.argsort(merged[:, -1], kind="stable")[:MAX_DIGITS]]
    return merged[:, :4], merged[:, 4:]


def scaled(ink: Floats, scale: float) -> tuple[Floats, list[tuple[slice, slice]]]:
    """Return scaled ink with a margin, and its parts between blank rows and columns."""
    h, w = (max(1, round(n * scale)) for n in ink.shape)
    image = Image.fromarray(ink).resize((w, h), Image.Resampling.BILINEAR)
    page = np.pad(np.asarray(image), MARGIN)
    mask = page > 0.2
    parts = [
        (rows, columns)
        for rows in _runs(np.asarray(mask.any(axis=1)))
        for columns in _runs(np.asarray(mask[rows].any(axis=0)))
    ]
    return page, parts


def _runs(filled: NDArray[np.bool_]) -> Iterator[slice]:
    """Yield runs of what is filled, with a margin, joined where they are near."""
    places = np.flatnonzero(filled)
    if len(places):
        ends = np.flatnonzero(np.diff(places) > GAP)
        starts, stops = places[[0, *(ends + 1)]], places[[*ends, -1]]
        for start, stop in zip(starts, stops, strict=True):
            yield slice(max(start - MARGIN, 0), stop + MARGIN)


def detect_in(page: Floats, part: tuple[slice, slice]) -> Floats:
    """Return the box and the class probabilities of each cell that is a digit's."""
    logits, sides = answer(page[part])
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    row, column = np.nonzero(1 - p[..., 10] > LEAST)
    sides = np.maximum(sides[row, column] * SIDES, 1)
    top, left = part[0].start, part[1].start
    x, y = (column + 0.5) * CELL[1] + left, (row + 0.5) * CELL[0] + top
    centre = np.stack([x, y, x, y], axis=1)
    boxes = centre + sides * np.array([-1, -1, 1, 1])
    return np.hstack([boxes, p[row, column]], dtype=np.float32)


def suppress(cells: Floats) -> Floats:
    """Merge the answers of the cells of each digit, the most certain ones first."""
    weights = (1 - cells[:, -1]) ** 2
    merged = [weights[i] @ cells[i] / weights[i].sum() for i in groups(cells)]
    return np.array(merged, np.float32).reshape(-1, 15)


def combine(of_sizes: Sequence[Floats]) -> Floats:
    """Average the probabilities of each digit over the sizes of the ink.

    At a size at which a digit was not found, its probability is 0.
    """
    found = np.concatenate(of_sizes)
    size = np.repeat(range(len(of_sizes)), list(map(len, of_sizes)))
    merged = []
    for same in groups(found):
        # The most certain one of each size.
        best = found[same[np.unique(size[same], return_index=True)[1]]]
        box = np.average(best[:, :4], axis=0, weights=1 - best[:, -1])
        digits = best[:, 4:-1].sum(axis=0) / len(of_sizes)
        merged.append([*box, *digits, 1 - digits.sum()])
    return np.array(merged, np.float32).reshape(-1, 15)


def adapt(found: Floats, marks: NDArray[np.int64]) -> Floats:
    """Adapt the probabilities to a page on which most marks are not digits.

    Such a page is text. The odds that a detection is a digit are multiplied by the
    ratio of digits to other marks, if it is below 1: one step of the adjustment to a
    new prior of Saerens, Latinne and Decaestecker (2002), from even odds.
    """
    digits = found[found[:, -1] < REJECTED, :4]
    if not len(digits):
        return found
    least = LEAST_MARK * float(np.median(digits[:, 3] - digits[:, 1]))
    legible = marks[marks[:, 3] - marks[:, 1] > max(least, LEAST_HEIGHT)]
    left, top, right, bottom = digits.T[..., None]
    x, y = (legible[:, :2] + legible[:, 2:]).T / 2
    inside = (left < x) & (x < right) & (top < y) & (y < bottom)
    others = np.count_nonzero(~inside.any(axis=0))
    return _with_odds(found, np.clip(others / len(digits), 1, MAX_ODDS))


def prefer_groups(found: Floats) -> Floats:
    """Make digits that are nearer to others than usual more probable, and others less.

    The distance is the number of columns between two boxes, or in both, and twice that
    of the rows between their centres. A digit that is alone is as near as usual. What
    is farther away is also less probable the less clear its class is.
    """
    numbers = np.flatnonzero(found[:, -1] < REJECTED)
    if not len(numbers):
        return found
    digits = found[numbers, :4]
    left, top, right, bottom = found[:, :4].T[..., None]
    columns = np.abs(np.maximum(left - digits[:, 2], digits[:, 0] - right))
    away = columns + np.abs(top + bottom - digits[:, 1] - digits[:, 3])
    away[numbers, range(len(numbers))] = np.inf  # from itself
    nearest = away.min(axis=1) / np.median(digits[:, 3] - digits[:, 1])
    nearest = np.where(np.isinf(nearest), USUAL[0], np.minimum(nearest, FAR))
    clear = found[:, 4:-1].max(axis=1) / (1 - found[:, -1])
    odds = np.exp(nearest - nearest.clip(*USUAL)) / clear ** np.minimum(nearest, 1)
    return _with_odds(found, odds)


def _with_odds(found: Floats, factor: float | Floats) -> Floats:
    """Return the detections with the odds of not being a digit multiplied."""
    p = found[:, 4:].copy()
    p[:, 10] *= factor
    return np.hstack([found[:, :4], p / p.sum(axis=1, keepdims=True)], dtype=np.float32)


def groups(found: Floats) -> Iterator[NDArray[np.intp]]:
    """Yield the numbers of rows of the same digit, by the most certain ones."""
    rest = np.argsort(found[:, -1], kind="stable")[:MAX_CELLS]
    low, high = found[:, :2], found[:, 2:4]
    areas = (high - low).prod(axis=1)
    while len(rest):
        first = rest[0]
        nearest = np.minimum(high[first], high[rest])
        width, height = (nearest - np.maximum(low[first], low[rest])).clip(0).T
        common = width * height
        same = common > SAME * (areas[first] + areas[rest] - common)
        same[0] = True
        yield rest[same]
        rest = rest[~same]


def answer(ink: Floats) -> tuple[Floats, Floats]:
    """Return the network's logits (rows, columns, 11) and sides (rows, columns, 4)."""
    h, w = (-(-n // 8) * 8 for n in ink.shape)
    x = np.zeros((h, w, 1), np.float32)
    x[: ink.shape[0], : ink.shape[1], 0] = ink
    kernels, biases, _ = _layers(FILE)
    for i, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        y = convolve(x, kernel, bias, STRIDES[i], DILATION[i])
        if i < len(kernels) - 1:
            np.maximum(y, 0, out=y)
        # A residual network (He et al. 2016).
        x = x + y if x.shape == y.shape else y
    cells = x.reshape(h // 4, w // 2, 15)
    return cells[..., :11], cells[..., 11:]


def convolve(
    x: Floats,
    kernel: Floats,
    bias: Floats,
    strides: tuple[int, int],
    dilation: tuple[int, int],
) -> Floats:
    """Convolve an image (h, w, channels) with a kernel, padded as Keras' "same" is."""
    kh, kw, _, n_out = kernel.shape
    h, w = x.shape[0] // strides[0], x.shape[1] // strides[1]
    size = np.subtract((kh, kw), 1) * dilation + 1
    total = size - strides
    x = np.pad(x, [*zip(total // 2, total - total // 2, strict=True), (0, 0)])
    windows = sliding_window_view(x, tuple(size), axis=(0, 1))
    windows = windows[:: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    windows, kernel = windows.transpose(0, 1, 3, 4, 2), kernel.reshape(-1, n_out)
    result = np.empty((h, w, n_out), np.float32)
    # Some rows at a time, so that the windows stay in the processor's cache.
    n = max(1, BLOCK // w)
    for start in range(0, h, n):
        rows = windows[start : start + n].reshape(-1, len(kernel))
        np.matmul(rows, kernel, out=result[start : start + n].reshape(-1, n_out))
    result += bias
    return result
