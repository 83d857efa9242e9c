"""Which ink belongs to which digit, and in what order digits are read."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from skmnist.pictures.line_removal import find_ruling

Labels = NDArray[np.int32]
Shape = tuple[int, ...]
Box = tuple[int, int, int, int]  # left, top, right, bottom

# Of the picture's sides: ink that comes from the border and stays this close to it is
# a frame, the edge of a cell or of a table.
MARGIN = 0.1
# Ink less high than this, in heights of the writing, is a part of a digit, or nothing.
PART = 0.4
# The smallest part of a digit, in heights of the writing; dots are smaller.
DOT = 0.12
# How far the parts of a digit are apart at most, in heights: the bar of a 5, say, in
# writing, and in a picture of which one knows that it holds a single digit.
NEAR, NEAR_ALONE = 0.25, 0.5
# Ink that comes from the border belongs to the writing if it is not larger than this,
# in heights of the writing.
LARGE = 1.5
# How much of the lower one's height two neighbours on a line have in common.
LEVEL = 0.3
# Height in pixels of the lowest digits: lower components are specks.
LEGIBLE = 9
# Margin around a detected box in which its digit's ink is looked for, in its heights.
MARGIN_OF_BOX = 0.12
# Of a detected box's height: the height of the ink of its digit, at least.
FILLED = 0.5
# Components of a page at most: the rest are specks.
MAX_COMPONENTS = 5000


@dataclass(frozen=True)
class Component:
    """Ink that hangs together: its numbers in the label image, its box, its area."""

    labels: tuple[int, ...]
    box: Box
    area: int

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]

    @property
    def size(self) -> int:
        """Return the longer side of the box."""
        return max(self.box[2] - self.box[0], self.height)

    def gap(self, other: "Component") -> float:
        """Return the distance between the two boxes."""
        a, b = self.box, other.box
        dx = max(a[0] - b[2], b[0] - a[2], 0)
        dy = max(a[1] - b[3], b[1] - a[3], 0)
        return float(np.hypot(dx, dy))

    def overlap(self, other: "Component", axis: int) -> float:
        """Return what the two have in common along an axis, per shorter side."""
        a, b = self.box, other.box
        common = min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis])
        return common / min(a[axis + 2] - a[axis], b[axis + 2] - b[axis])

    def __or__(self, other: "Component") -> "Component":
        a, b = self.box, other.box
        box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
        return Component(self.labels + other.labels, box, self.area + other.area)


def find_components(ink: NDArray[np.float32]) -> tuple[Labels, list[Component]]:
    """Return a label image of the connected components of the ink, and the components.

    Left out are ruled lines, frames, components along the border and, of more than
    `MAX_COMPONENTS`, the smallest ones.
    """
    mask = ink > 0.5
    labels, n = ndimage.label(mask & ~find_ruling(mask), structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    if n > MAX_COMPONENTS:
        least = np.sort(areas[1:])[-MAX_COMPONENTS]
        areas[0] = 0
        labels, n = ndimage.label((areas >= least)[labels], structure=np.ones((3, 3)))
        areas = np.bincount(labels.ravel(), minlength=n + 1)
    margin = np.bincount(_in_margin(labels), minlength=n + 1)
    components = []
    for label, (y, x) in enumerate(ndimage.find_objects(labels), start=1):
        box = (x.start, y.start, x.stop, y.stop)
        component = Component((label,), box, int(areas[label]))
        at_border = _touches(component, mask.shape)
        if not (at_border and margin[label] > 0.8 * component.area):
            components.append(component)
    return labels, components


def without_rest(
    ink: NDArray[np.float32], labels: Labels, components: list[Component]
) -> NDArray[np.float32]:
    """Return the ink of the components alone, with the soft edges of their strokes."""
    kept = np.zeros(labels.max() + 1, dtype=bool)
    kept[[label for component in components for label in component.labels]] = True
    rest = (ink > 0.5) & ~kept[labels]
    return np.where(rest, 0, ink)


def _in_margin(labels: Labels) -> Labels:
    h, w = (int(MARGIN * side + 0.5) for side in labels.shape)
    margin = np.ones(labels.shape, dtype=bool)
    margin[h : labels.shape[0] - h, w : labels.shape[1] - w] = False
    # Where a side is so short that its margin is less than a pixel, nothing is in it.
    return labels[margin & bool(h and w)]


def _touches(piece: Component, shape: Shape) -> bool:
    left, top, right, bottom = piece.box
    return left == 0 or top == 0 or right == shape[1] or bottom == shape[0]


def _central(pieces: list[Component], shape: Shape) -> list[Component]:
    """Return the pieces that the border does not cut, or that reach the centre.

    A digit may fill the frame; what comes in from the border and is not what the
    picture was taken of, is not.
    """
    y, x = shape[0] / 2, shape[1] / 2
    central = [
        piece
        for piece in pieces
        if not _touches(piece, shape)
        or (piece.box[0] < x < piece.box[2] and piece.box[1] < y < piece.box[3])
    ]
    return central or pieces


def one_digit(pieces: list[Component], shape: Shape) -> Component | None:
    """Return the most prominent piece, with the parts near it."""
    if not pieces:
        return None
    main = max(_central(pieces, shape), key=lambda piece: _prominence(piece, shape))
    size, least = main.size, DOT**2 * main.area
    for piece in sorted((p for p in pieces if p is not main), key=main.gap):
        near = main.gap(piece) < NEAR_ALONE * size
        if near and piece.size <= size and piece.area >= least:
            main |= piece
    return main


def _prominence(piece: Component, shape: Shape) -> float:
    """Return how likely a picture is about a piece: large, and in the middle."""
    left, top, right, bottom = piece.box
    x, y = (left + right) / shape[1] - 1, (top + bottom) / shape[0] - 1
    return piece.size * (1 - max(abs(x), abs(y)))


def typical_height(components: list[Component], shape: Shape) -> float:
    """Return the text height: the median of the components, weighted by their area."""
    central = _central(components, shape)
    legible = [component for component in central if component.height >= LEGIBLE]
    order = sorted(legible or central, key=lambda component: component.height)
    total = np.cumsum([component.area for component in order])
    return order[int(np.searchsorted(total, total[-1] / 2))].height


def text_lines(boxes: NDArray[np.float32], numbers: list[int]) -> list[list[int]]:
    """Return the numbers of the boxes on each text line, in reading order.

    A line is followed from left to right, so it may rise or fall.
    """
    lines: list[list[int]] = []
    for number in sorted(numbers, key=lambda i: float(boxes[i, 0] + boxes[i, 2])):
        top, bottom = boxes[number, 1::2]
        ends = []
        for line in lines:
            before = boxes[line[-1]]
            common = min(bottom, before[3]) - max(top, before[1])
            if common > LEVEL * min(bottom - top, before[3] - before[1]):
                ends.append(line)
        if ends:
            max(ends, key=lambda line: boxes[line[-1], 0]).append(number)
        else:
            lines.append([number])
    return sorted(lines, key=lambda line: boxes[line, 1::2].mean())


def cut_out(
    ink: NDArray[np.float32], labels: Labels, component: Component
) -> NDArray[np.float32]:
    """Return the ink of a component within its box, with a pixel around it."""
    left, top, right, bottom = component.box
    own = np.zeros((bottom - top + 2, right - left + 2), dtype=bool)
    own[1:-1, 1:-1] = np.isin(labels[top:bottom, left:right], component.labels)
    around = np.pad(ink, 1)[top : bottom + 2, left : right + 2]
    # The soft edge of a stroke lies just outside of the component.
    return np.where(ndimage.binary_dilation(own, np.ones((3, 3))), around, 0)


def ink_of_digits(
    ink: NDArray[np.float32], labels: Labels, boxes: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.float32], Box] | None]:
    """Yield the ink of each detected digit and its box, or None where it has no ink.

    A component that lies almost all in the box of one digit is that digit's. Of a
    component of several digits each has the ink in its box, and a pixel in several
    boxes is of the one whose centre is nearest.
    """
    h, w = ink.shape
    areas = np.bincount(labels.ravel())
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = np.maximum((boxes[:, 2:] - boxes[:, :2]) / 2, 1)
    for number, box in enumerate(boxes):
        margin = MARGIN_OF_BOX * (box[3] - box[1]) + 1
        left, top = (max(int(side - margin), 0) for side in box[:2])
        right, bottom = (
            min(int(box[2] + margin) + 1, w),
            min(int(box[3] + margin) + 1, h),
        )
        place = np.s_[top:bottom, left:right]
        part = labels[place]
        y, x = np.mgrid[place] + 0.5
        meet = (np.abs(centres - centres[number]) < halves + halves[number]).all(axis=1)
        near = np.flatnonzero(meet)
        away = [
            np.hypot((x - cx) / half_w, (y - cy) / half_h)
            for (cx, cy), (half_w, half_h) in zip(
                centres[near], halves[near], strict=True
            )
        ]
        own = (part > 0) & (near[np.argmin(away, axis=0)] == number)
        here, counts = np.unique(part[own], return_counts=True)
        # A component of which hardly anything lies here reaches in from elsewhere.
        reaching = here[counts < 0.2 * np.minimum(areas[here], own.sum())]
        own &= ~np.isin(part, reaching)
        rows, columns = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
        if not len(rows) or np.ptp(rows) + 1 < FILLED * (box[3] - box[1]):
            yield None
            continue
        soft = ndimage.binary_dilation(own, np.ones((3, 3))) & ((part == 0) | own)
        tight = (
            left + int(columns[0]),
            top + int(rows[0]),
            left + int(columns[-1]) + 1,
            top + int(rows[-1]) + 1,
        )
        yield np.pad(np.where(soft, ink[place], 0), 1), tight
