"""Connected components of ink, text lines, and the ink of each digit."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from skmnist.pictures.line_removal import CONNECTED, find_ruling

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Shape = tuple[int, ...]
Box = tuple[int, int, int, int]  # left, top, right, bottom

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


@dataclass(frozen=True)
class Component:
    """Connected ink: its numbers in the label image, its box and its area."""

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

    def distance(self, other: "Component") -> float:
        """Return the distance between the two boxes."""
        a, b = self.box, other.box
        dx = max(a[0] - b[2], b[0] - a[2], 0)
        dy = max(a[1] - b[3], b[1] - a[3], 0)
        return float(np.hypot(dx, dy))

    def __or__(self, other: "Component") -> "Component":
        a, b = self.box, other.box
        box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
        return Component(self.labels + other.labels, box, self.area + other.area)


def find_components(ink: Floats) -> tuple[Labels, list[Component]]:
    """Return a label image of the connected components of the ink, and the components.

    Ruled lines, frames, components along the border and, beyond `MAX_COMPONENTS`, the
    smallest components are omitted and have label 0.
    """
    mask = ink > 0.5
    labels, n = ndimage.label(mask & ~find_ruling(mask), CONNECTED)
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    least = np.sort(areas[1:])[-MAX_COMPONENTS] if n > MAX_COMPONENTS else 0
    m = round(MARGIN * min(mask.shape))
    inner = labels[m : mask.shape[0] - m, m : mask.shape[1] - m]
    inside = np.bincount(inner.ravel(), minlength=n + 1) >= 0.2 * areas
    components = []
    for label, place in enumerate(ndimage.find_objects(labels), start=1):
        if areas[label] >= least:
            (top, bottom), (left, right) = ((side.start, side.stop) for side in place)
            box = left, top, right, bottom
            component = Component((label,), box, int(areas[label]))
            if inside[label] or not _touches_border(component, mask.shape):
                components.append(component)
    numbers = [component.labels[0] for component in components]
    labels[~np.isin(labels, numbers)] = 0
    return labels, components


def _touches_border(component: Component, shape: Shape) -> bool:
    left, top, right, bottom = component.box
    return left == 0 or top == 0 or right == shape[1] or bottom == shape[0]


def _central(components: list[Component], shape: Shape) -> list[Component]:
    """Return the components that the border does not cut, or that reach the centre."""
    y, x = shape[0] / 2, shape[1] / 2

    def is_central(component: Component) -> bool:
        left, top, right, bottom = component.box
        in_centre = left < x < right and top < y < bottom
        return in_centre or not _touches_border(component, shape)

    return list(filter(is_central, components)) or components


def find_one(ink: Floats) -> tuple[Floats, Box] | None:
    """Return the ink of the most prominent digit, and its box; None without ink."""
    labels, components = find_components(ink)
    if not components:
        return None

    def prominence(component: Component) -> float:
        left, top, right, bottom = component.box
        x, y = (left + right) / ink.shape[1] - 1, (top + bottom) / ink.shape[0] - 1
        return component.size * (1 - max(abs(x), abs(y)))

    digit = max(_central(components, ink.shape), key=prominence)
    size, least = digit.size, SMALLEST**2 * digit.area
    rest = [component for component in components if component is not digit]
    for part in sorted(rest, key=digit.distance):
        near = digit.distance(part) < FARTHEST * size
        if near and part.size <= size and part.area >= least:
            digit |= part
    return _cut_out(ink, labels, digit), digit.box


def _cut_out(ink: Floats, labels: Labels, component: Component) -> Floats:
    """Return the ink of a component within its box, with a pixel around it."""
    left, top, right, bottom = component.box
    own = np.isin(labels[top:bottom, left:right], component.labels)
    around = np.pad(ink, 1)[top : bottom + 2, left : right + 2]
    # The soft edge of a stroke lies just outside of the component.
    return np.where(ndimage.binary_dilation(np.pad(own, 1), CONNECTED), around, 0)


def typical_height(components: list[Component], shape: Shape) -> float:
    """Return the text height: the median of the components, weighted by their area."""
    central = _central(components, shape)
    legible = [component for component in central if component.height >= LEGIBLE]
    order = sorted(legible or central, key=lambda component: component.height)
    total = np.cumsum([component.area for component in order])
    return order[int(np.searchsorted(total, total[-1] / 2))].height


def find_slant(labels: Labels, components: list[Component], height: float) -> float:
    """Return the slant of writing in columns a row, by its moments; 0 if it is small.

    It is the covariance of columns and rows within marks that may be single digits,
    divided by the variance of the rows.
    """
    single = [c for c in components if 0.5 < c.height / height < 2 > c.size / c.height]
    numbers = [component.labels[0] for component in single]
    places = np.nonzero(np.isin(labels, numbers))
    own, n = labels[places], np.maximum(np.bincount(labels[places]), 1)
    y, x = (place - (np.bincount(own, place) / n)[own] for place in places)
    shrunk = len(single) / (len(single) + UPRIGHT)
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
