"""Pictures of handwriting in MNIST's format.

Each step is a module: `decoding` (a file becomes upright colours), `binarization` (the
strength of ink, 0 to 1), `line_removal` (ruled lines), `segmentation` (connected
components, text lines), `detection` (a network finds the digits of a page) and
`normalization` (a digit in MNIST's format).
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from skmnist.pictures.binarization import find_ink
from skmnist.pictures.decoding import LONGEST_SIDE, Picture, Size, Upright, read_picture
from skmnist.pictures.detection import detect
from skmnist.pictures.normalization import as_mnist
from skmnist.pictures.segmentation import (
    LEGIBLE,
    Box,
    Components,
    Floats,
    find_components,
    find_one,
    find_slant,
    ink_of_digits,
    shifted,
    text_lines,
    typical_height,
)

# Pixels along the longer side at which a picture is looked at. The higher resolution is
# used where text is not higher, in pixels, than ENOUGH at the lower one.
RESOLUTIONS, ENOUGH = (600, LONGEST_SIDE), 48
# A page of at most MOST_TURNED components, less than half of them digits of a FAIR
# probability, is turned if most digits are CLEAR then, so many of them not SYMMETRIC.
FAIR, CLEAR, ENOUGH_CLEAR, SYMMETRIC, MOST_TURNED = 0.7, 0.85, 3, (0, 8), 100

Found: TypeAlias = tuple["Digits", Floats]  # with the detector's 11 probabilities


@dataclass(frozen=True, eq=False)
class Digits:
    """The digits of a picture, in reading order.

    Attributes
    ----------
    images : ndarray of shape (n, 28, 28), dtype uint8
        Each digit in MNIST's format: ink 255 on 0.
    boxes : ndarray of shape (n, 4), dtype int
        Left, top, right and bottom, in pixels of the picture, turned by its EXIF tag.
    lines : ndarray of shape (n,), dtype int
        Text line of each digit, counted from 0.

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
    """Convert a picture of one digit to MNIST's format.

    A network classifies images like those it was trained on. People's pictures differ:
    dark thin ink, off the centre, uneven light. The picture is binarized, and its digit
    scaled and centred as MNIST's digits were.

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
        If the picture is blank; if the file is not a picture, is corrupt, or is larger
        than Pillow thinks safe; if an array has another shape or floats outside [0, 1].
    TypeError
        If `picture` is of another type, or an array of another dtype.
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
    return find_single(read_picture(picture)).images[0]


def find_digits(picture: Picture, *, estimator: Any = None) -> Digits:
    """Find the digits of a picture, in reading order.

    Parameters
    ----------
    picture : path, binary file, Pillow image or ndarray
        As `to_mnist_format` takes it, but with any number of digits, in any number of
        text lines.
    estimator : object, default=None
        Not used: touching digits are separated without a classifier.

    Returns
    -------
    Digits
        Images, boxes and lines; arrays of length 0 for a picture without digits.

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
    return find_on_page(read_picture(picture))[0]


def find_single(picture: Upright) -> Digits:
    """Find the most prominent digit of a picture; a ValueError if it is blank."""
    for ink in _ink_at_resolutions(picture):
        found = find_one(ink)
        if found and found[1][3] - found[1][1] > ENOUGH:
            break
    if found is None:
        raise ValueError(f"No ink was found in {picture.name}: it looks blank.")
    return _digits([found], [[0]], ink.shape, picture.size)


def find_on_page(picture: Upright) -> Found:
    """Find the digits of a page, and the detector's 11 probabilities for each.

    The last class is "not a digit". A page that is not read clearly is turned: a camera
    that looks down at a desk does not know which side is up.
    """
    for ink in _ink_at_resolutions(picture):
        _, marks, areas = components = find_components(ink)
        if len(marks) and typical_height(marks, areas, ink.shape) > ENOUGH:
            break
    digits, probabilities = found = _find(ink, components, picture.size)
    fair = int((probabilities[:, :10] > FAIR).sum())
    legible = int((np.diff(marks[:, 1::2]) >= LEGIBLE).sum())
    if len(marks) > MOST_TURNED or 2 * fair >= max(legible, len(digits)):
        return found
    quick = [_find_turned(ink, n, picture.size, quick=True) for n in (1, 2, 3)]
    clear = [_count_clear(page[1]) for page in quick]
    if max(clear) < max(ENOUGH_CLEAR, fair + 1):
        return found
    return _find_turned(ink, 1 + int(np.argmax(clear)), picture.size)


def _count_clear(probabilities: Floats) -> int:
    """Return how many asymmetric digits are clear; 0 unless most digits are."""
    clear = probabilities[:, :10] > CLEAR
    asymmetric = np.delete(clear, SYMMETRIC, axis=1)
    return int(asymmetric.sum()) if 2 * clear.sum() > len(clear) else 0


def _find_turned(ink: Floats, turns: int, size: Size, *, quick: bool = False) -> Found:
    """Find the digits of a page after quarter turns counterclockwise."""
    ink, turned = np.rot90(ink, turns), size[::-1] if turns % 2 else size
    digits, probabilities = _find(ink, find_components(ink), turned, quick=quick)
    boxes = digits.boxes
    for turn in range(turns, 4):  # on to a full turn
        left, top, right, bottom = boxes.T
        width = size[turn % 2]
        boxes = np.stack([top, width - right, bottom, width - left], axis=1)
    return replace(digits, boxes=boxes), probabilities


def _find(ink: Floats, found: Components, size: Size, *, quick: bool = False) -> Found:
    """Find the digits of a page that is the right way up."""
    labels, marks, areas = found
    if not len(marks):
        return _digits([], [], ink.shape, size), np.empty((0, 11), np.float32)
    height = typical_height(marks, areas, ink.shape)
    # Shifted, so that the writing is upright.
    shifts = np.rint(-np.arange(len(ink)) * find_slant(labels, marks, height))
    shifts = (shifts - shifts.min()).astype(int)
    page, labels = shifted(ink, shifts), shifted(labels, shifts)
    marks[:, ::2] += shifts[marks[:, 1::2].mean(axis=1).astype(int), None]
    # The soft edges of strokes have no label.
    ink_of_marks = np.where((page > 0.5) & (labels == 0), 0, page)
    boxes, probabilities = detect(ink_of_marks, height, marks, quick=quick)
    parts = list(ink_of_digits(page, labels, boxes, shifts))
    seen = [number for number, part in enumerate(parts) if part is not None]
    lines = text_lines(boxes, seen)
    order = [number for line in lines for number in line]
    return _digits(parts, lines, ink.shape, size), probabilities[order]


def _ink_at_resolutions(picture: Upright) -> Iterator[Floats]:
    """Yield the strength of ink at a low resolution, then at a higher one."""
    for longest_side in RESOLUTIONS:
        yield find_ink(picture.colours(longest_side))
        if max(picture.image.size) <= longest_side:
            break


def _digits(
    parts: Sequence[tuple[Floats, Box] | None],
    lines: list[list[int]],
    shape: tuple[int, ...],
    size: Size,
) -> Digits:
    """Return the parts of the ink that the text lines name, in reading order."""
    chosen = [part for line in lines for number in line if (part := parts[number])]
    images = [as_mnist(ink) for ink, _ in chosen]
    boxes = np.array([box for _, box in chosen], np.float64).reshape(-1, 4)
    scale = np.tile(np.divide(size, shape[::-1]), 2)
    return Digits(
        images=np.array(images, np.uint8).reshape(-1, 28, 28),
        boxes=np.rint(boxes * scale).astype(np.int64),
        lines=np.repeat(np.arange(len(lines)), [len(line) for line in lines]),
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
    subfolders = [file for file in _visible(Path(folder)) if file.is_dir()]
    found = [file for subfolder in subfolders for file in _visible(subfolder)]
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
