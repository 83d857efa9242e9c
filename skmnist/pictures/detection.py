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
from typing import NamedTuple

import numpy as np
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
REJECTED = 0.45
# Height of a mark that counts, at least, in heights of the page's digits. Factor of the
# odds of not being a digit, at most.
LEAST_MARK, MAX_ODDS = 0.3, 20
# Text is looked at in these sizes, relative to its estimated height; on a page full of
# ink only in the first ones that fit.
SCALES = (1.0, 0.8, 1.3, 0.9, 1.15)
# Text that is less high, in pixels, is read like text of this height.
LEAST_HEIGHT = 9
# Of a page at most: pixels that the network sees, cells that are merged, and digits.
MAX_AREA, MAX_CELLS, MAX_DIGITS = 1_000_000, 2_500, 250
# Cells of which a convolution is computed at a time.
BLOCK = 2048
# Pixels around ink that the network sees, and blank pixels between two regions.
MARGIN, GAP = 10, 24


class Detections(NamedTuple):
    """Digits found: left, top, right and bottom of each, and class probabilities.

    The last of 11 classes is "not a digit".
    """

    boxes: Floats
    probabilities: Floats


def detect(ink: Floats, height: float, marks: Floats) -> Detections:
    """Detect the digits in ink of shape (h, w), from 0 to 1, of a text height.

    The network sees the ink at several sizes. `marks` has the boxes of the components.
    Boxes are in pixels of the ink.
    """
    found: list[Detections] = []
    free = MAX_AREA
    for relative in SCALES:
        scale = relative * HEIGHT / max(height, LEAST_HEIGHT)
        page, parts = scaled(ink, scale)
        area = sum(page[part].size for part in parts)
        if area > free and found:
            continue
        if area > free:  # then no other size fits
            page, parts = scaled(ink, scale * math.sqrt(free / area))
        free -= area
        h, w = (n - 2 * MARGIN for n in page.shape)
        boxes, probabilities = [np.empty((0, 4))], [np.empty((0, 11), np.float32)]
        for part in parts:
            of_part, p = detect_in(page[part])
            corner = part[1].start - MARGIN, part[0].start - MARGIN
            boxes.append((of_part + np.tile(corner, 2)) / (w, h, w, h))
            probabilities.append(p)
        everywhere = np.concatenate(boxes) * np.tile(ink.shape[::-1], 2)
        found.append(suppress(everywhere, np.concatenate(probabilities)))
    merged = adapt(combine(found), marks)
    digits = np.flatnonzero(merged.probabilities[:, 10] < REJECTED)
    if len(digits) > MAX_DIGITS:
        warnings.warn(
            f"{len(digits)} digits were detected; only the {MAX_DIGITS} most certain"
            " ones are read. Crop the picture to read the others.",
            UserWarning,
            stacklevel=4,
        )
        certain = np.argsort(merged.probabilities[digits, 10], kind="stable")
        digits = digits[certain[:MAX_DIGITS]]
    return Detections(merged.boxes[digits], merged.probabilities[digits])


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


def detect_in(ink: Floats) -> tuple[Floats, Floats]:
    """Return the box and the class probabilities of each cell that is a digit's."""
    logits, sides = answer(ink)
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    row, column = np.nonzero(1 - p[..., 10] > LEAST)
    p, sides = p[row, column], np.maximum(sides[row, column] * SIDES, 1)
    x, y = (column + 0.5) * CELL[1], (row + 0.5) * CELL[0]
    centre = np.stack([x, y, x, y], axis=1)
    return centre + sides * np.array([-1, -1, 1, 1]), p


def suppress(boxes: Floats, p: Floats) -> Detections:
    """Merge the answers of the cells of each digit, the most certain ones first."""
    found, merged = [], []
    for same in groups(boxes, p):
        weights = (1 - p[same, 10]) ** 2
        found.append(np.average(boxes[same], axis=0, weights=weights))
        merged.append(np.average(p[same], axis=0, weights=weights))
    return as_detections(found, merged)


def combine(of_sizes: Sequence[Detections]) -> Detections:
    """Average the probabilities of each digit over the sizes of the ink.

    At a size at which a digit was not found, its probability is 0.
    """
    boxes, p = (np.concatenate(arrays) for arrays in zip(*of_sizes, strict=True))
    size = np.repeat(range(len(of_sizes)), [len(found.boxes) for found in of_sizes])
    found, merged = [], []
    for same in groups(boxes, p):
        # The most certain one of each size.
        best = same[np.unique(size[same], return_index=True)[1]]
        found.append(np.average(boxes[best], axis=0, weights=1 - p[best, 10]))
        digits = p[best, :10].sum(axis=0) / len(of_sizes)
        merged.append(np.append(digits, 1 - digits.sum()))
    return as_detections(found, merged)


def adapt(found: Detections, marks: Floats) -> Detections:
    """Adapt the probabilities to a page on which most marks are not digits.

    Such a page is text. The odds that a detection is a digit are multiplied by the
    ratio of digits to other marks, if it is below 1: one step of the adjustment to a
    new prior of Saerens, Latinne and Decaestecker (2002), from even odds.
    """
    boxes, p = found
    digits = boxes[p[:, 10] < REJECTED]
    if not len(digits):
        return found
    centres = (marks[:, :2] + marks[:, 2:]) / 2
    inside = (digits[:, None, :2] < centres) & (centres < digits[:, None, 2:])
    least = LEAST_MARK * float(np.median(digits[:, 3] - digits[:, 1]))
    legible = marks[:, 3] - marks[:, 1] > max(least, LEAST_HEIGHT)
    others = np.count_nonzero(legible & ~inside.all(axis=2).any(axis=0))
    odds = [1.0] * 10 + [np.clip(others / len(digits), 1, MAX_ODDS)]
    p = p * np.array(odds, np.float32)
    return Detections(boxes, p / p.sum(axis=1, keepdims=True))


def groups(boxes: Floats, p: Floats) -> Iterator[NDArray[np.intp]]:
    """Yield the numbers of boxes of the same digit, by the most certain ones."""
    rest = np.argsort(p[:, 10], kind="stable")[:MAX_CELLS]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    while len(rest):
        first = rest[0]
        low = np.maximum(boxes[first, :2], boxes[rest, :2])
        high = np.minimum(boxes[first, 2:], boxes[rest, 2:])
        common = np.maximum(high - low, 0).prod(axis=1)
        same = common > SAME * (areas[first] + areas[rest] - common)
        same[0] = True
        yield rest[same]
        rest = rest[~same]


def as_detections(boxes: list[Floats], p: list[Floats]) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(p, np.float32).reshape(-1, 11),
    )


def answer(ink: Floats) -> tuple[Floats, Floats]:
    """Return the network's logits (rows, columns, 11) and sides (rows, columns, 4)."""
    h, w = (-(-n // 8) * 8 for n in ink.shape)
    x = np.zeros((h, w, 1), np.float32)
    x[: ink.shape[0], : ink.shape[1], 0] = ink
    kernels, biases = read_detector()
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
    kh, kw, n_in, n_out = kernel.shape
    h, w = x.shape[0] // strides[0], x.shape[1] // strides[1]
    if kh == kw == 1:
        return x @ kernel[0, 0] + bias
    total = np.subtract((kh, kw), 1) * dilation + 1 - strides
    x = np.pad(x, [*zip(total // 2, total - total // 2, strict=True), (0, 0)])
    result = np.empty((h, w, n_out), np.float32)
    # Some rows at a time, so that the columns stay in the processor's cache.
    n = max(1, BLOCK // w)
    columns = np.empty((n, w, kh * kw, n_in), np.float32)
    for start in range(0, h, n):
        block = result[start : start + n]
        rows = len(block) * strides[0]
        for i in range(kh):
            top = start * strides[0] + i * dilation[0]
            for j in range(kw):
                left = j * dilation[1]
                columns[: len(block), :, i * kw + j] = x[
                    top : top + rows : strides[0],
                    left : left + w * strides[1] : strides[1],
                ]
        np.matmul(
            columns[: len(block)].reshape(-1, kh * kw * n_in),
            kernel.reshape(-1, n_out),
            out=block.reshape(-1, n_out),
        )
    result += bias
    return result


@cache
def read_detector() -> tuple[list[Floats], list[Floats]]:
    """Return the network's kernels and biases."""
    kernels, biases, _ = read_layers(FILE)
    return kernels, biases
