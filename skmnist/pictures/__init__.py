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
    digits = [digit for line in lines for digit in line]
    images = [as_mnist(_cut_out(ink, labels, digit)) for digit in digits]
    scale = np.divide(colours.size, ink.shape[::-1])
    boxes = np.array([digit.box for digit in digits]).reshape(-1, 4)
    return Digits(
        np.array(images, dtype=np.uint8).reshape(-1, 28, 28),
        np.rint(boxes * np.tile(scale, 2)).astype(np.int64),
        np.repeat(np.arange(len(lines)), [len(line) for line in lines]),
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
    """Return the digit's own ink, with the soft edge of its strokes."""
    left, top, right, bottom = digit.box
    part = np.s_[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1]
    own = np.isin(labels[part], digit.labels)
    return np.where(ndimage.binary_dilation(own, np.ones((3, 3))), ink[part], 0)
