"""Which ink belongs to which digit, and in what order digits are read."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

MARGIN = 0.1
EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Piece:
    """Ink that hangs together: its labels in the label image, its box, its area."""

    labels: tuple[int, ...]
    box: tuple[int, int, int, int]  # left, top, right, bottom
    area: int

    @property
    def width(self) -> int:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]

    @property
    def size(self) -> int:
        return max(self.width, self.height)

    def gap(self, other: "Piece") -> float:
        """Return the distance between the two boxes."""
        a, b = self.box, other.box
        dx = max(a[0] - b[2], b[0] - a[2], 0)
        dy = max(a[1] - b[3], b[1] - a[3], 0)
        return float(np.hypot(dx, dy))

    def overlap(self, other: "Piece", axis: int) -> float:
        """Return how much of the shorter side the two have in common."""
        a, b = self.box, other.box
        common = min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis])
        shorter = min(a[axis + 2] - a[axis], b[axis + 2] - b[axis])
        return common / shorter

    def __or__(self, other: "Piece") -> "Piece":
        a, b = self.box, other.box
        box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
        return Piece(self.labels + other.labels, box, self.area + other.area)


def find_pieces(ink: NDArray[np.float32]) -> tuple[NDArray[np.int32], list[Piece]]:
    """Return the label image of ink that hangs together, and its pieces."""
    mask = ink > 0.5
    labels, pieces = _labelled(mask)
    lines = _long_lines(mask) | _long_lines(mask.T).T
    if lines.any():
        labels, pieces = _labelled(mask & ~lines)
    return labels, _without_margin(labels, pieces)


def _labelled(mask):
    labels, n = ndimage.label(mask, structure=EIGHT)
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    pieces = [
        Piece(
            (label,),
            (columns.start, rows.start, columns.stop, rows.stop),
            int(areas[label]),
        )
        for label, (rows, columns) in enumerate(ndimage.find_objects(labels), 1)
    ]
    return labels, pieces


def _long_lines(mask):
    """Return the pixels of nearly level lines far longer than digits are high."""
    h, w = mask.shape
    step = 8
    n = w // step
    out = np.zeros_like(mask)
    if n < 12:
        return out
    # a block counts if it has a run over all its columns, one pixel up or down
    thick = ndimage.binary_dilation(mask, np.ones((3, 1)))
    blocks = thick[:, : n * step].reshape(h, n, step).all(2)
    forward = np.zeros((h + 2, n), np.int32)
    backward = np.zeros((h + 2, n), np.int32)
    for lengths, order in (forward, range(n)), (backward, range(n - 1, -1, -1)):
        before = np.zeros(h + 2, np.int32)
        for k in order:
            best = np.maximum(np.maximum(before[:-2], before[2:]), before[1:-1])
            lengths[1:-1, k] = np.where(blocks[:, k], best + 1, 0)
            before = lengths[:, k]
    length = (forward + backward)[1:-1] - 1
    long = length * step > 0.5 * w
    if not long.any():
        return out
    out[:, : n * step] = np.repeat(long, step, axis=1)
    out[:, n * step :] = out[:, n * step - 1 : n * step]
    out = ndimage.binary_dilation(out, np.ones((3, 1))) & mask
    # strokes that cross a line are higher than the line is thick
    runs = _vertical_runs(mask)
    thickness = float(np.median(runs[out]))
    out &= runs <= 1.5 * thickness + 1
    edge = long[:, 0].any() or long[:, -1].any()
    if not edge and ndimage.label(long, structure=EIGHT)[1] < 3:
        return np.zeros_like(mask)
    rest = [p for p in _labelled(mask & ~out)[1] if p.height > 4 * thickness]
    if not rest or length.max() * step < 3 * typical_height(rest):
        return np.zeros_like(mask)
    return out


def _vertical_runs(mask):
    """Return for each pixel the height of the vertical run it is in."""
    padded = np.pad(mask, ((1, 1), (0, 0))).T.ravel()
    edges = np.flatnonzero(np.diff(padded.astype(np.int8)))
    starts, stops = edges[::2] + 1, edges[1::2] + 1
    runs = np.zeros(padded.size, np.int32)
    runs[np.flatnonzero(padded)] = np.repeat(stops - starts, stops - starts)
    return runs.reshape(mask.shape[1], -1).T[1:-1]


def _without_margin(labels, pieces: list[Piece]) -> list[Piece]:
    """Drop what runs along the border: frames, cells, the edge of a table."""
    margin = np.ones(labels.shape, dtype=bool)
    h, w = (round(MARGIN * n) for n in labels.shape)
    margin[h : labels.shape[0] - h, w : labels.shape[1] - w] = False
    if not h or not w:
        return pieces
    inside = np.bincount(labels[margin], minlength=labels.max() + 1)
    return [p for p in pieces if inside[p.labels[0]] < 0.8 * p.area or not _touches(p, labels.shape)]


def _touches(piece, shape) -> bool:
    left, top, right, bottom = piece.box
    return left == 0 or top == 0 or right == shape[1] or bottom == shape[0]


def _main(pieces: list[Piece], shape: tuple[int, int]) -> list[Piece]:
    """Return the pieces that are not cut by the border, or are what the picture is of."""
    h, w = shape
    whole = [
        p
        for p in pieces
        if not _touches(p, shape)
        or (p.box[0] < w / 2 < p.box[2] and p.box[1] < h / 2 < p.box[3])
    ]
    return whole or pieces


def typical_height(pieces: Iterable[Piece]) -> float:
    """Return the height of a digit: the median, weighted by ink."""
    order = sorted(pieces, key=lambda piece: piece.height)
    total = np.cumsum([piece.area for piece in order])
    return order[int(np.searchsorted(total, total[-1] / 2))].height


def _prominence(piece: Piece, shape: tuple[int, int]) -> float:
    """Return how likely a picture is about a piece: large, and in the middle."""
    left, top, right, bottom = piece.box
    x, y = (left + right) / shape[1] - 1, (top + bottom) / shape[0] - 1
    return piece.size * (1 - max(abs(x), abs(y)))


def one_digit(pieces: list[Piece], shape) -> Piece | None:
    """Return the largest piece with the fragments near it."""
    if not pieces:
        return None
    main = max(_main(pieces, shape), key=lambda piece: _prominence(piece, shape))
    size, least = main.size, 0.02 * main.area
    for piece in sorted((p for p in pieces if p is not main), key=main.gap):
        if main.gap(piece) < 0.5 * size and piece.size <= size and piece.area >= least:
            main |= piece
    return main


def digits_in_lines(pieces: list[Piece], shape) -> list[list[Piece]]:
    """Return the digits of each line of writing, in reading order."""
    if not pieces:
        return []
    main = _main(pieces, shape)
    height = typical_height(main)
    pieces = [p for p in pieces if p in main or (p.height<1.5*height and p.width<1.5*height)]
    digits = _merged(pieces, height)
    digits.sort(key=lambda digit: digit.box[0])
    line_of = list(range(len(digits)))
    for i, digit in enumerate(digits):
        for j in range(i + 1, len(digits)):
            if digit.overlap(digits[j], axis=1) > 0.4:
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
    whole = [p for p in pieces if p.height > 0.4 * height]
    for piece in sorted(pieces, key=lambda p: -p.area):
        if piece.height > 0.4 * height or piece.size < 0.12 * height:
            continue
        near = [w for w in whole if w.gap(piece) < 0.25 * height and w.overlap(piece, 0) > 0]
        if near:
            nearest = min(near, key=piece.gap)
            whole[whole.index(nearest)] = nearest | piece
    return whole
