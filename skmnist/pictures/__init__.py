"""Pictures of handwriting in MNIST's format.

A picture goes through five steps, each a module: `source` reads it, upright and not
larger than needed; `ink` tells ink from paper, whatever light fell on it; `layout`
says which ink belongs to which digit, and in what order they are read; `touching` tells
digits apart that touch; and `format` draws each as MNIST would have it.
"""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from skmnist.pictures.binarization import find_ink
from skmnist.pictures.decoding import Picture, describe, read_colours
from skmnist.pictures.detection import Detections, detect
from skmnist.pictures.normalization import as_mnist
from skmnist.pictures.segmentation import (
    cut_out,
    find_components,
    ink_of_digits,
    one_digit,
    text_lines,
    typical_height,
    without_rest,
)


@dataclass(frozen=True, eq=False)
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

    Examples
    --------
    >>> import numpy as np
    >>> from skmnist import find_digits
    >>> digits = find_digits(np.zeros((100, 100), dtype=np.uint8))  # a black frame
    >>> len(digits), digits.boxes.shape
    (0, (0, 4))
    """

    images: NDArray[np.uint8]
    boxes: NDArray[np.int64]
    lines: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)


def to_mnist_format(picture: Picture) -> NDArray[np.uint8]:
    """Return a picture of one digit as an image of MNIST's kind.

    A network reads what looks like what it has learned from. People's pictures do
    not: their ink is dark, thin, off the centre, and light falls on the paper. Here a
    picture goes the way that MNIST's own digits went.

    Parameters
    ----------
    picture : path, binary file, Pillow image or ndarray
        A photo, a scan or a drawing of one digit, of any size and any colours, light
        on dark or dark on light, transparent or not. An array has the shape (h, w),
        (h, w, 1), (h, w, 3) or (h, w, 4), and uint8 or floats in [0, 1]. Of an
        animation the first frame is taken.

    Returns
    -------
    ndarray of shape (28, 28), dtype uint8
        Ink 255 on 0, scaled into 20x20 and centred by its mass, with strokes as wide
        and as soft as MNIST's.

    Raises
    ------
    ValueError
        If there is no ink; if the file is no picture, damaged, or larger than Pillow
        thinks safe; if an array has another shape or floats outside [0, 1].
    TypeError
        If it is none of the above, or an array of another dtype.
    OSError
        If the file does not exist, is a folder or cannot be opened.

    See Also
    --------
    find_digits : Where there may be several digits, or none.

    Notes
    -----
    The preparation is that of LeCun et al., "Gradient-Based Learning Applied to
    Document Recognition", Proceedings of the IEEE 86 (1998), section III.A.

    Examples
    --------
    >>> import numpy as np
    >>> from skmnist import to_mnist_format
    >>> paper = np.full((200, 300, 3), 230, dtype=np.uint8)
    >>> paper[40:160, 220:226] = (20, 30, 120)  # a 1 in blue
    >>> image = to_mnist_format(paper)
    >>> image.shape, image.dtype, int(image.max())
    ((28, 28), dtype('uint8'), 255)
    >>> rows, columns = np.nonzero(image)
    >>> int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())
    (5, 24, 13, 14)
    """
    ink = find_ink(read_colours(picture).values)
    labels, pieces = find_components(ink)
    digit = one_digit(pieces, ink.shape)
    if digit is None:
        raise ValueError(f"No ink was found in {describe(picture)}: it looks blank.")
    return as_mnist(cut_out(ink, labels, digit))


def find_digits(picture: Picture, *, estimator: Any = None) -> Digits:
    """Find every digit of a picture, in reading order.

    Parameters
    ----------
    picture : path, binary file, Pillow image or ndarray
        As `to_mnist_format` takes it, but with any number of digits, in any number of
        lines of writing.
    estimator : object, default=None
        Not used: touching digits are separated without a classifier. Accepted so that
        calls of earlier versions work.

    Returns
    -------
    Digits
        Their images, boxes and lines; arrays of length 0 where there are none.

    Raises
    ------
    ValueError, TypeError, OSError
        As `to_mnist_format`, except that a blank picture is not an error.

    Examples
    --------
    >>> import numpy as np
    >>> from skmnist import find_digits
    >>> paper = np.full((200, 300), 230, dtype=np.uint8)
    >>> paper[40:160, 220:226] = paper[50:150, 100:107] = 30  # 11
    >>> digits = find_digits(paper)
    >>> digits.images.shape, digits.lines.tolist()
    ((2, 28, 28), [0, 0])
    >>> digits.boxes.tolist()
    [[100, 50, 107, 150], [220, 40, 226, 160]]
    """
    colours = read_colours(picture)
    page = find_on_page(colours.values)
    scale = np.tile(np.divide(colours.size, colours.values.shape[1::-1]), 2)
    return Digits(page.images, np.rint(page.boxes * scale).astype(np.int64), page.lines)


class Page(NamedTuple):
    """The digits of a page, in reading order, and the detector's answer for each.

    `probabilities` has 11 columns, the last for "not a digit"; `boxes` are in pixels of
    the colours.
    """

    images: NDArray[np.uint8]
    boxes: NDArray[np.int64]
    lines: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def find_on_page(colours: NDArray[np.float32]) -> Page:
    """Find the digits in an upright picture of shape (h, w, 3), from 0 to 1."""
    ink = find_ink(colours)
    labels, components = find_components(ink)
    if components:
        height = typical_height(components, ink.shape)
        found = detect(without_rest(ink, labels, components), height)
    else:
        found = Detections.empty()
    cut = list(ink_of_digits(ink, labels, found.boxes))
    seen = [number for number, part in enumerate(cut) if part is not None]
    lines = text_lines(found.boxes, seen)
    order = [number for line in lines for number in line]
    parts = [part for number in order if (part := cut[number])]
    return Page(
        images=np.array([as_mnist(i) for i, _ in parts], np.uint8).reshape(-1, 28, 28),
        boxes=np.array([box for _, box in parts], np.int64).reshape(-1, 4),
        lines=np.repeat(np.arange(len(lines)), [len(line) for line in lines]),
        probabilities=found.probabilities[order],
    )


def load_pictures(
    folder: str | os.PathLike[str],
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Load a folder of pictures of one digit each, in a subfolder for each label.

    For training on one's own hand, or testing with it. The layout is that of
    `sklearn.datasets.load_files` and Keras' ``image_dataset_from_directory``.

    Parameters
    ----------
    folder : str or path-like
        Holds a subfolder for each label, such as ``7/``, with pictures in it. Hidden
        files and files next to the subfolders are ignored.

    Returns
    -------
    X : ndarray of shape (n_pictures, 28, 28), dtype uint8
        The pictures as `to_mnist_format` returns them, sorted by label and name.
    y : ndarray of shape (n_pictures,)
        Names of their subfolders: as int64 if all are whole numbers, else as str.

    Raises
    ------
    ValueError
        If there are no pictures, or one of them is corrupt or blank; it is named.
    OSError
        If the folder does not exist or is not a folder.

    Warns
    -----
    UserWarning
        If files were ignored that are not pictures, by name and content, such as
        ``Thumbs.db``, or folders within the subfolders.

    Examples
    --------
    >>> from skmnist import load_pictures
    >>> X, y = load_pictures("my_digits")  # doctest: +SKIP
    """
    found = [
        file
        for subfolder in _visible(Path(folder))
        if subfolder.is_dir()
        for file in _visible(subfolder)
    ]
    files = [file for file in found if _is_picture(file)]
    if ignored := [file for file in found if file not in files]:
        warnings.warn(
            f"Ignored {len(ignored)} of {len(found)} files in {folder} that are not"
            f" pictures, such as {ignored[0].relative_to(folder)}.",
            UserWarning,
            stacklevel=2,
        )
    if not files:
        raise ValueError(
            f"{folder} holds no pictures in subfolders: it needs one for each label, "
            "such as 7/ with pictures of sevens in it."
        )
    names = [file.parent.name for file in files]
    numbers = all(name.isdecimal() for name in names)
    X = np.array([to_mnist_format(file) for file in files])
    return X, np.array([int(name) for name in names] if numbers else names)


def _visible(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.name[0] != ".")


def _is_picture(file: Path) -> bool:
    """Return whether a file is a picture by its ending or its content."""
    if file.is_dir():
        return False
    if file.suffix.lower() in Image.registered_extensions():
        return True
    try:
        Image.open(file).close()
    except UnidentifiedImageError:
        return False
    return True
