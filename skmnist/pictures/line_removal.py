"""Find the lines of ruled and grid paper, and frames around digits."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
# Pixels are connected along sides and corners.
CONNECTED = np.ones((3, 3), dtype=bool)

# Lines are followed in steps of this many columns, a row up or down for each: they may
# be out of level by one in eight, and bend.
STEP = 8
# Of the picture's side: the length of a line on paper, at least.
LENGTH = 0.5
# In heights of what is written: no stroke of a digit is as long.
HEIGHTS = 3
# Of a line's thickness: the height of a run of ink from which a stroke crosses it.
CROSSING = 1.5
# In thicknesses of a line: the height of the shortest digit.
LOWEST = 4
# So many lines are a ruling, even if none comes from the border.
MANY = 3
# Shorter side of a frame in pixels; length of its lines, and height of what is written
# into it, as parts of its sides: at least.
SMALLEST, STRAIGHT, INSIDE = 24, 0.9, 0.3
# Components that are looked at as frames at most, the largest ones.
MOST_FRAMES = 100


def find_ruling(mask: Mask) -> Mask:
    """Return which pixels of ink belong to lines of paper, or to frames of digits."""
    ruling = _level_lines(mask) | _level_lines(mask.T).T
    labels, _ = ndimage.label(mask, CONNECTED)
    areas = np.bincount(labels.ravel())[1:]
    places = ndimage.find_objects(labels)
    for i in np.argsort(areas)[: -MOST_FRAMES - 1 : -1]:
        around = mask[places[i]]
        if min(around.shape) >= SMALLEST:
            ruling[places[i]] |= _frame_lines(labels[places[i]] == i + 1, around)
    return ruling


def _frame_lines(own: Mask, mask: Mask) -> Mask:
    """Return the pixels of the lines of a cell or a table, if a component is one.

    It has two or more straight lines each way, as long as itself, and writing inside.
    """
    none, lines = np.zeros_like(own), np.zeros_like(own)
    for ink, found in (own, lines), (own.T, lines.T):
        long = _path_lengths(ink) > STRAIGHT * (ink.shape[1] - STEP)
        if ndimage.label(long, CONNECTED)[1] < 2:
            return none
        found |= _pixels_of(long, ink)[0]
    inside = ndimage.find_objects(ndimage.label(mask & ~lines, CONNECTED)[0])
    written = any(rows.stop - rows.start > INSIDE * len(own) for rows, _ in inside)
    return lines if written else none


def _level_lines(mask: Mask) -> Mask:
    """Return the pixels of level lines that are far longer than digits are high."""
    none = np.zeros_like(mask)
    lengths = _path_lengths(mask)
    long = lengths > LENGTH * mask.shape[1]
    if not long.any():
        return none
    from_border = long[:, 0].any() or long[:, -1].any()
    if not from_border and ndimage.label(long, CONNECTED)[1] < MANY:
        return none
    lines, thickness = _pixels_of(long, mask)
    rest = ndimage.find_objects(ndimage.label(mask & ~lines, CONNECTED)[0])
    heights = [rows.stop - rows.start for rows, _ in rest]
    digits = [height for height in heights if height > LOWEST * thickness]
    if not digits or lengths.max() < HEIGHTS * np.median(digits):
        return none
    return lines


def _pixels_of(long: Mask, mask: Mask) -> tuple[Mask, float]:
    """Return the pixels of lines that run through blocks, and their thickness."""
    lines = np.repeat(long, STEP, axis=1)
    lines = np.pad(lines, ((0, 0), (0, mask.shape[1] - lines.shape[1])), mode="edge")
    lines = ndimage.binary_dilation(lines, np.ones((3, 1))) & mask
    runs = _run_heights(mask)
    thickness = float(np.median(runs[lines]))
    # Strokes that cross a line stay.
    return lines & (runs <= CROSSING * thickness + 1), thickness


def _path_lengths(mask: Mask) -> NDArray[np.int64]:
    """Return the length in columns of the longest path through each block of a row.

    A path opening (Heijmans, Buckley and Talbot 2005): from a block, which is full of
    ink, a path goes on to the next column of blocks, in its row or a neighbouring one.
    """
    h, n = mask.shape[0], mask.shape[1] // STEP
    thick = ndimage.binary_dilation(mask, np.ones((3, 1)))
    full = thick[:, : n * STEP].reshape(h, n, STEP).all(axis=2)
    total = np.zeros((h, n), dtype=np.int64)
    for order in (range(n), range(n - 1, -1, -1)):
        length = np.zeros(h + 2, dtype=np.int64)
        for k in order:
            on = np.maximum(np.maximum(length[:-2], length[2:]), length[1:-1]) + 1
            length[1:-1] = np.where(full[:, k], on, 0)
            total[:, k] += length[1:-1]
    return np.maximum(total - 1, 0) * STEP


def _run_heights(mask: Mask) -> NDArray[np.int64]:
    """Return for each pixel of ink the height of the upright run that it is in."""
    columns = np.pad(mask, ((1, 1), (0, 0))).T
    edges = np.flatnonzero(np.diff(columns.ravel().astype(np.int8)))
    heights = edges[1::2] - edges[::2]
    runs = np.zeros(columns.shape, dtype=np.int64)
    runs[columns] = np.repeat(heights, heights)
    return runs.T[1:-1]
