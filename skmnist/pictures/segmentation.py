"""Which ink belongs to which digit, and in what order digits are read."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from skmnist.pictures.line_removal import find_ruling

Labels = NDArray[np.int32]
Shape = tuple[int, ...]

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
LEVEL = 0.4


@dataclass(frozen=True)
class Piece:
    """Ink that hangs together: its numbers in the label image, its box, its area."""

    labels: tuple[int, ...]
    box: tuple[int, int, int, int]  # left, top, right, bottom
    area: int

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]

    @property
    def size(self) -> int:
        """Return the longer side of the box."""
        return max(self.box[2] - self.box[0], self.height)

    def gap(self, other: "Piece") -> float:
        """Return the distance between the two boxes."""
        a, b = self.box, other.box
        dx = max(a[0] - b[2], b[0] - a[2], 0)
        dy = max(a[1] - b[3], b[1] - a[3], 0)
        return float(np.hypot(dx, dy))

    def overlap(self, other: "Piece", axis: int) -> float:
        """Return what the two have in common along an axis, per shorter side."""
        a, b = self.box, other.box
        common = min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis])
        return common / min(a[axis + 2] - a[axis], b[axis + 2] - b[axis])

    def __or__(self, other: "Piece") -> "Piece":
        a, b = self.box, other.box
        box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
        return Piece(self.labels + other.labels, box, self.area + other.area)


def find_pieces(ink: NDArray[np.float32]) -> tuple[Labels, list[Piece]]:
    """Return an image that numbers what hangs together, and its pieces.

    Ruled lines and what runs along the border are left out.
    """
    mask = ink > 0.5
    ruling = find_ruling(mask)
    labels, n = ndimage.label(mask & ~ruling, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    margin = np.bincount(_in_margin(labels), minlength=n + 1)
    pieces = []
    for label, (y, x) in enumerate(ndimage.find_objects(labels), start=1):
        box = (x.start, y.start, x.stop, y.stop)
        piece = Piece((label,), box, int(areas[label]))
        if not (_touches(piece, mask.shape) and margin[label] > 0.8 * piece.area):
            pieces.append(piece)
    return labels, pieces


def _in_margin(labels: Labels) -> Labels:
    h, w = (int(MARGIN * side + 0.5) for side in labels.shape)
    margin = np.ones(labels.shape, dtype=bool)
    margin[h : labels.shape[0] - h, w : labels.shape[1] - w] = False
    # Where a side is so short that its margin is less than a pixel, nothing is in it.
    return labels[margin & bool(h and w)]


def _touches(piece: Piece, shape: Shape) -> bool:
    left, top, right, bottom = piece.box
    return left == 0 or top == 0 or right == shape[1] or bottom == shape[0]


def _central(pieces: list[Piece], shape: Shape) -> list[Piece]:
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


def one_digit(pieces: list[Piece], shape: Shape) -> Piece | None:
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


def _prominence(piece: Piece, shape: Shape) -> float:
    """Return how likely a picture is about a piece: large, and in the middle."""
    left, top, right, bottom = piece.box
    x, y = (left + right) / shape[1] - 1, (top + bottom) / shape[0] - 1
    return piece.size * (1 - max(abs(x), abs(y)))


def digits_in_lines(pieces: list[Piece], shape: Shape) -> list[list[Piece]]:
    """Return the digits of each line of writing, from left to right."""
    if not pieces:
        return []
    central = _central(pieces, shape)
    height = typical_height(central)
    writing = [p for p in pieces if p in central or p.size < LARGE * height]
    digits = sorted(_joined(writing, height), key=lambda digit: digit.box[0])
    lines: list[list[Piece]] = []
    for digit in digits:
        # The nearest to the left at the same height, since lines may rise or fall.
        ends = [line for line in lines if digit.overlap(line[-1], axis=1) > LEVEL]
        if ends:
            max(ends, key=lambda line: line[-1].box[0]).append(digit)
        else:
            lines.append([digit])
    return sorted(lines, key=lambda line: np.mean([d.box[1] + d.box[3] for d in line]))


def typical_height(pieces: Iterable[Piece]) -> float:
    """Return the height of the writing: the median, each as often as it has ink."""
    order = sorted(pieces, key=lambda piece: piece.height)
    total = np.cumsum([piece.area for piece in order])
    return order[int(np.searchsorted(total, total[-1] / 2))].height


def _joined(pieces: list[Piece], height: float) -> list[Piece]:
    """Join parts, such as the bar of a 5, to the digits above or below them."""
    whole = [piece for piece in pieces if piece.height > PART * height]
    for part in pieces:
        if part.height > PART * height or part.size < DOT * height:
            continue
        near = [
            digit
            for digit in whole
            if digit.gap(part) < NEAR * height and digit.overlap(part, axis=0) > 0
        ]
        if near:
            nearest = min(near, key=part.gap)
            whole[whole.index(nearest)] = nearest | part
    return whole
