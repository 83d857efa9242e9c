"""Pictures of handwriting in MNIST's format."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from skmnist.pictures.format import as_mnist
from skmnist.pictures.ink import find_ink
from skmnist.pictures.layout import Piece, digits_in_lines, find_pieces, one_digit
from skmnist.pictures.source import Picture, read_colours
from skmnist.pictures.touching import Glyph, split_touching


@dataclass(frozen=True)
class Digits:
    """The digits of a picture, in reading order.

    Attributes
    ----------
    images : ndarray of shape (n, 28, 28), dtype uint8
        Each digit as MNIST would have it: ink 255 on 0.
    boxes : ndarray of shape (n, 4), dtype int
        Left, top, right and bottom of each, in pixels of the upright picture.
    lines : ndarray of shape (n,), dtype int
        The line of writing that each is on, from 0.
    """

    images: NDArray[np.uint8]
    boxes: NDArray[np.int64]
    lines: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)


def to_mnist_format(picture: Picture) -> NDArray[np.uint8]:
    """Return a picture of one digit as an image of MNIST's kind."""
    ink = find_ink(read_colours(picture).values)
    labels, pieces = find_pieces(ink)
    digit = one_digit(pieces, ink.shape)
    if digit is None:
        raise ValueError("No ink was found in the picture: it looks blank.")
    return as_mnist(_cut_out(ink, labels, digit))


def find_digits(picture: Picture, *, estimator: Any = None) -> Digits:
    """Find every digit of a picture, in reading order."""
    colours = read_colours(picture)
    ink = find_ink(colours.values)
    labels, pieces = find_pieces(ink)
    lines = digits_in_lines(pieces, ink.shape)
    found = [
        (Glyph(_cut_out(ink, labels, digit), digit.box), number)
        for number, line in enumerate(lines)
        for digit in line
    ]
    if estimator is not None:
        found = split_touching(found, estimator)
    scale = np.divide(colours.size, ink.shape[::-1])
    boxes = np.array([glyph.box for glyph, _ in found]).reshape(-1, 4)
    images = np.array([as_mnist(glyph.ink) for glyph, _ in found], dtype=np.uint8)
    return Digits(
        images.reshape(-1, 28, 28),
        np.rint(boxes * np.tile(scale, 2)).astype(np.int64),
        np.array([number for _, number in found], dtype=np.int64),
    )


def load_pictures(
    folder: str | os.PathLike[str],
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Load a folder of pictures of one digit each, in a subfolder for each label."""
    images, labels = [], []
    for sub in sorted(p for p in Path(folder).iterdir() if p.is_dir()):
        for file in sorted(sub.iterdir()):
            images.append(to_mnist_format(file))
            labels.append(sub.name)
    return np.array(images), np.array(labels)


def _cut_out(
    ink: NDArray[np.float32], labels: NDArray[np.int32], digit: Piece
) -> NDArray[np.float32]:
    """Return the digit's own ink within its box, with a pixel around it."""
    left, top, right, bottom = digit.box
    own = np.zeros((bottom - top + 2, right - left + 2), dtype=bool)
    own[1:-1, 1:-1] = np.isin(labels[top:bottom, left:right], digit.labels)
    around = np.pad(ink, 1)[top : bottom + 2, left : right + 2]
    # The soft edge of a stroke lies just outside of what hangs together.
    return np.where(ndimage.binary_dilation(own, np.ones((3, 3))), around, 0)
