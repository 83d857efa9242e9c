"""Connected components of ink, text lines, and the ink of each digit."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from skmnist.pictures.line_removal import CONNECTED, find_ruling

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]
Boxes = NDArray[np.int64]  # rows of left, top, right, bottom
Areas = NDArray[np.int64]  # in pixels
Components = tuple[Labels, Boxes, Areas]
Shape = tuple[int, ...]
Box = tuple[int, int, int, int]

# A component that touches the border and lies nearer to it than this part of the
# picture's shorter side is a frame, or the edge of a table.
MARGIN = 0.1
# Smallest fragment of a digit, and largest distance from it, in sizes of the digit.
SMALLEST, FARTHEST = 0.12, 0.5
# Common height of neighbours in a text line, at least, in heights of the shorter one.
LEVEL = 0.3
# An exponent next to a digit, at most: its height, relative to the digit's; how far it
# is above the digit, in its own heights; its distance, in heights of the digit.
SMALL, RAISED, NEAR = 0.75, 0.8, 4
# A distance of one height costs so much of the common height: nearer lines win.
AWAY = 0.05
# Height in pixels of the shortest digits: shorter components are specks.
LEGIBLE = 9
# Margin around a detected box in which its digit's ink is looked for, in its heights.
MARGIN_OF_BOX = 0.12
# Height of a digit's ink, at least, in heights of its detected box.
FILLED = 0.5
# Slant that is corrected, at least and at most, in columns a row. It is estimated as if
# there were so many upright marks more.
LEAST_SLANT, MOST_SLANT, UPRIGHT = 0.1, 1, 3
# Components of a page at most: the rest are specks.
MAX_COMPONENTS = 5000


def find_components(ink: Floats) -> Components:
    """Return a label image of the connected components of ink, their boxes and areas.

    The first box is that of label 1. Ruled lines, frames, components along the border
    and, beyond `MAX_COMPONENTS`, the smallest components are omitted.
    """
    mask = ink > 0.5
    labels, n = ndimage.label(mask & ~find_ruling(mask), CONNECTED)
    areas = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    least = np.sort(areas)[-MAX_COMPONENTS] if n > MAX_COMPONENTS else 0
    m = round(MARGIN * min(mask.shape))
    inner = labels[m : mask.shape[0] - m, m : mask.shape[1] - m]
    inside = np.bincount(inner.ravel(), minlength=n + 1)[1:]
    places = ndimage.find_objects(labels)
    boxes = np.array([(x.start, y.start, x.stop, y.stop) for y, x in places], int)
    boxes = boxes.reshape(-1, 4)
    apart = (inside >= 0.2 * areas) | ~_at_border(boxes, mask.shape)
    kept = apart & (areas >= least)
    numbers = np.zeros(n + 1, np.int32)
    numbers[1:][kept] = range(1, 1 + np.count_nonzero(kept))
    return numbers[labels], boxes[kept], areas[kept]


def _at_border(boxes: Boxes, shape: Shape) -> Mask:
    """Return which boxes touch the border of a picture."""
    return np.asarray(((boxes[:, :2] == 0) | (boxes[:, 2:] == shape[::-1])).any(axis=1))


def _central(boxes: Boxes, shape: Shape) -> Mask:
    """Return which boxes the border does not cut, or reach the centre; else all."""
    x, y = shape[1] / 2, shape[0] / 2
    in_centre = ((boxes[:, :2] < (x, y)) & ((x, y) < boxes[:, 2:])).all(axis=1)
    central = in_centre | ~_at_border(boxes, shape)
    return central if central.any() else ~central


def find_one(ink: Floats) -> tuple[Floats, Box] | None:
    """Return the ink of the most prominent digit, and its box; None without ink."""
    labels, boxes, areas = find_components(ink)
    if not len(boxes):
        return None
    sizes = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    off_centre = np.abs((boxes[:, :2] + boxes[:, 2:]) / ink.shape[::-1] - 1).max(axis=1)
    prominence = _central(boxes, ink.shape) * sizes * (1 - off_centre)
    digit = int(np.argmax(prominence))
    fitting = (sizes <= sizes[digit]) & (areas >= SMALLEST**2 * areas[digit])
    box, own = boxes[digit], [digit + 1]
    order = np.argsort(_distances(box, boxes), kind="stable")
    for i in order[fitting[order] & (order != digit)]:
        if _distances(box, boxes[i : i + 1])[0] < FARTHEST * sizes[digit]:
            low, high = np.minimum(box, boxes[i])[:2], np.maximum(box, boxes[i])[2:]
            box, own = np.concatenate([low, high]), [*own, i + 1]
    left, top, right, bottom = box.tolist()
    inside = np.isin(labels[top:bottom, left:right], own)
    around = np.pad(ink, 1)[top : bottom + 2, left : right + 2]
    # The soft edge of a stroke lies just outside of the component.
    soft = ndimage.binary_dilation(np.pad(inside, 1), CONNECTED)
    return np.where(soft, around, 0), (left, top, right, bottom)


def _distances(box: Boxes, boxes: Boxes) -> NDArray[np.float64]:
    """Return the distance between a box and each of others."""
    gaps = np.maximum(boxes[:, :2] - box[2:], box[:2] - boxes[:, 2:])
    return np.hypot(*gaps.clip(0).T)


def typical_height(boxes: Boxes, areas: Areas, shape: Shape) -> int:
    """Return the text height: the median of the components, weighted by their area."""
    heights = boxes[:, 3] - boxes[:, 1]
    central = _central(boxes, shape)
    legible = central & (heights >= LEGIBLE)
    chosen = np.flatnonzero(legible if legible.any() else central)
    chosen = chosen[np.argsort(heights[chosen], kind="stable")]
    total = np.cumsum(areas[chosen])
    return int(heights[chosen[np.searchsorted(total, total[-1] / 2)]])


def find_slant(labels: Labels, boxes: Boxes, height: float) -> float:
    """Return the slant of writing in columns a row; 0 if it is small.

    It is the regression of columns on rows, within marks that may be single digits.
    """
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    single = (0.5 * height < heights) & (heights < 2 * height) & (widths < 2 * heights)
    places = np.nonzero(np.concatenate([[False], single])[labels])
    own, n = labels[places], np.maximum(np.bincount(labels[places]), 1)
    y, x = (place - (np.bincount(own, place) / n)[own] for place in places)
    n_single = np.count_nonzero(single)
    shrunk = n_single / (n_single + UPRIGHT)
    slant = shrunk * float((x * y).sum() / max((y * y).sum(), 1))
    return min(max(slant, -MOST_SLANT), MOST_SLANT) if abs(slant) > LEAST_SLANT else 0.0


def shifted(image: NDArray[Any], shifts: NDArray[np.int64]) -> NDArray[Any]:
    """Return an image with each row shifted to the right by so many pixels."""
    result = np.zeros((len(image), image.shape[1] + int(shifts.max())), image.dtype)
    for row, new, shift in zip(image, result, shifts, strict=True):
        new[shift : shift + len(row)] = row
    return result


def text_lines(boxes: Floats, numbers: list[int]) -> list[list[int]]:
    """Return the numbers of the boxes on each text line, in reading order.

    A line is followed from left to right, so it may rise or fall.
    """
    lines: list[list[int]] = []
    for k in sorted(numbers, key=lambda i: float(boxes[i, 0] + boxes[i, 2])):
        # Of a line, its last digit and, since that may be an exponent, the one before.
        levels = [max(_level(boxes[i], boxes[k]) for i in line[-2:]) for line in lines]
        if max(levels, default=0) > 0:
            lines[int(np.argmax(levels))].append(k)
        else:
            lines.append([k])
    return sorted(lines, key=lambda line: boxes[line, 1::2].mean())


def _level(before: Floats, box: Floats) -> float:
    """Return how well a box follows another one on a text line; 0 if it does not."""
    small, large = sorted((before, box), key=lambda box: float(box[3] - box[1]))
    height, full = small[3] - small[1], large[3] - large[1]
    common = (min(small[3], large[3]) - max(small[1], large[1])) / height
    apart = (box[0] - before[2]) / full
    if common > LEVEL:
        return float(1 + common / (1 + AWAY * max(apart, 0)))
    next_to = -0.5 * min(small[2] - small[0], large[2] - large[0]) / full < apart < NEAR
    raised = height < SMALL * full and small[1] < large[1] and common > -RAISED
    return float(common + RAISED) if raised and next_to else 0.0


def ink_of_digits(
    ink: Floats, labels: Labels, boxes: Floats, shifts: NDArray[np.int64]
) -> Iterator[tuple[Floats, Box] | None]:
    """Yield the ink of each detected digit and its box, or None where it has no ink.

    The box is that before the rows were shifted. A component that lies almost all in
    the box of one digit is that digit's. Of a component of several digits each has the
    ink in its box, and a pixel in several boxes is of the one whose centre is nearest.
    """
    h, w = ink.shape
    areas = np.bincount(labels.ravel())
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = np.maximum((boxes[:, 2:] - boxes[:, :2]) / 2, 1)
    for number, box in enumerate(boxes):
        margin = MARGIN_OF_BOX * (box[3] - box[1]) + 1
        left, top = np.maximum(box[:2] - margin, 0).astype(int)
        right, bottom = np.minimum(box[2:] + margin + 1, (w, h)).astype(int)
        place = np.s_[top:bottom, left:right]
        part = labels[place]
        y, x = np.mgrid[place] + 0.5
        meet = (np.abs(centres - centres[number]) < halves + halves[number]).all(axis=1)
        near = np.flatnonzero(meet)
        away = (np.stack([x, y], axis=-1)[..., None, :] - centres[near]) / halves[near]
        nearest = near[np.argmin(np.hypot(*np.moveaxis(away, -1, 0)), axis=-1)]
        own = (part > 0) & (nearest == number)
        here, counts = np.unique(part[own], return_counts=True)
        # A component of which hardly anything lies here reaches in from elsewhere.
        reaching = here[counts < 0.2 * np.minimum(areas[here], own.sum())]
        own &= ~np.isin(part, reaching)
        rows, columns = np.nonzero(own)
        if not len(rows) or np.ptp(rows) + 1 < FILLED * (box[3] - box[1]):
            yield None
            continue
        soft = ndimage.binary_dilation(own, CONNECTED) & ((part == 0) | own)
        rows, columns = rows + top, columns + left - shifts[rows + top]
        x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        tight = int(x0), int(y0), int(x1), int(y1)
        yield np.pad(np.where(soft, ink[place], 0), 1), tight
