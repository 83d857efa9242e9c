"""Which ink belongs to which digit, and in what order digits are read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

EIGHT = np.ones((3, 3), dtype=bool)


@dataclass
class Piece:
    """Ink that hangs together: its labels in the label image, and its box."""

    labels: list[int]
    box: tuple[int, int, int, int]  # left, top, right, bottom
    area: int

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]

    @property
    def width(self) -> int:
        return self.box[2] - self.box[0]

    def __or__(self, other: "Piece") -> "Piece":
        a, b = self.box, other.box
        box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
        return Piece(self.labels + other.labels, box, self.area + other.area)


def find_pieces(ink: NDArray[np.float32]) -> tuple[NDArray[np.int32], list[Piece]]:
    """Return the label image of ink that hangs together, and its pieces."""
    labels, n = ndimage.label(ink > 0.5, structure=EIGHT)
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    pieces = []
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        box = (columns.start, rows.start, columns.stop, rows.stop)
        pieces.append(Piece([label], box, int(areas[label])))
    return labels, _without_frame(pieces, ink.shape)


def _without_frame(pieces: list[Piece], shape: tuple[int, int]) -> list[Piece]:
    """Drop what lies along the border, and lines across the picture."""
    h, w = shape
    kept = []
    for piece in pieces:
        left, top, right, bottom = piece.box
        touches = (left == 0) + (top == 0) + (right == w) + (bottom == h)
        flat = min(piece.width, piece.height) < 0.15 * max(piece.width, piece.height)
        if touches and (touches >= 3 or flat or piece.area > 0.2 * h * w):
            continue
        kept.append(piece)
    return kept or pieces


def typical_height(pieces: list[Piece]) -> float:
    """Return the height of a digit: the median, weighted by ink."""
    order = sorted(pieces, key=lambda piece: piece.height)
    total = np.cumsum([piece.area for piece in order])
    return order[int(np.searchsorted(total, total[-1] / 2))].height


def _gap(a: Piece, b: Piece) -> float:
    """Return the distance between two boxes."""
    dx = max(a.box[0] - b.box[2], b.box[0] - a.box[2], 0)
    dy = max(a.box[1] - b.box[3], b.box[1] - a.box[3], 0)
    return float(np.hypot(dx, dy))


def one_digit(pieces: list[Piece]) -> Piece | None:
    """Return the largest piece with the fragments near it."""
    if not pieces:
        return None
    main = max(pieces, key=lambda p: p.area * max(p.height, p.width))
    size = max(main.height, main.width)
    for piece in sorted(pieces, key=lambda p: _gap(main, p)):
        if piece is main or piece.labels[0] in main.labels:
            continue
        if _gap(main, piece) < 0.25 * size and piece.area > 0.01 * main.area:
            main = main | piece
    return main


def digits_in_lines(pieces: list[Piece]) -> list[list[Piece]]:
    """Return the digits of each line of writing, in reading order."""
    if not pieces:
        return []
    height = typical_height(pieces)
    digits = _merged(pieces, height)
    digits = [d for d in digits if d.height > 0.4 * height]
    digits.sort(key=lambda d: d.box[0])
    line_of = list(range(len(digits)))
    for i, digit in enumerate(digits):
        for j in range(i + 1, len(digits)):
            other = digits[j]
            overlap = min(digit.box[3], other.box[3]) - max(digit.box[1], other.box[1])
            if overlap > 0.4 * min(digit.height, other.height):
                old, new = line_of[j], line_of[i]
                line_of = [new if line == old else line for line in line_of]
                break
    lines = [
        [d for d, k in zip(digits, line_of, strict=True) if k == line]
        for line in sorted(set(line_of))
    ]
    return sorted(lines, key=lambda line: np.mean([d.box[1] + d.box[3] for d in line]))


def _merged(pieces: list[Piece], height: float) -> list[Piece]:
    """Join fragments, such as the bar of a 5, to what they belong to."""
    whole = [p for p in pieces if p.height > 0.5 * height]
    for piece in pieces:
        if piece.height > 0.5 * height or piece.area < 4 or not whole:
            continue
        nearest = min(whole, key=lambda d: _gap(d, piece))
        if (
            _gap(nearest, piece) < 0.25 * height
            and max(piece.width, piece.height) > 0.12 * height
        ):
            whole[whole.index(nearest)] = nearest | piece
    return whole
