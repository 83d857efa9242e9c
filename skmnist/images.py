"""Arrays of images in files: .npy, .npz and IDX, the last also compressed by gzip."""

import gzip
import math
import os
import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from skmnist._io import reading

# How each kind begins. In IDX the third byte is the type, 8 for bytes, and the fourth
# the number of dimensions.
_NPY, _NPZ, _IDX, _GZIP = b"\x93NUMPY", b"PK", b"\0\0\x08", b"\x1f\x8b"
# Bytes that an IDX file may hold: all of MNIST's are 60 million.
LARGEST = 2**31


def holds_arrays(file: str | os.PathLike[str]) -> bool:
    """Whether a file begins like one of arrays, and not like a picture."""
    with open(file, "rb") as stream:
        return stream.read(6).startswith((_NPY, _NPZ, _IDX, _GZIP))


def read_images(file: str | os.PathLike[str]) -> NDArray[Any]:
    """Read images from an .npy, .npz or IDX file.

    Parameters
    ----------
    file : str or path-like
        Holds one array, or one that is named ``x_test``, ``images`` or ``X``.

    Returns
    -------
    ndarray
        As in the file; of a single image of 28x28, shape (1, 28, 28).

    Raises
    ------
    ValueError
        If the file is cut short or damaged, or it is not clear where the images are.
    OSError
        If it cannot be read.
    """
    with open(file, "rb") as stream:
        start = stream.read(6)
        stream.seek(0)
        with reading(f"no images can be read from {file}"):
            if start.startswith(_GZIP):
                with gzip.open(stream) as unpacked:
                    images = _read_idx(unpacked)
            elif start.startswith(_IDX):
                images = _read_idx(stream)
            else:
                images = np.load(stream, allow_pickle=False)
            if not isinstance(images, np.ndarray):
                images = images[_choose(images.files)]
    return images[np.newaxis] if images.shape == (28, 28) else images


def _read_idx(stream: IO[bytes] | gzip.GzipFile) -> NDArray[np.uint8]:
    """Read images in MNIST's own format: magic number, three sides, bytes."""
    header = stream.read(16)
    if len(header) < 16 or header[:4] != b"\x00\x00\x08\x03":
        raise ValueError(
            "expected an IDX file of images, which begins with the bytes 0 0 8 3, got"
            f" {' '.join(map(str, header[:4])) or 'nothing'}"
        )
    shape = struct.unpack(">3I", header[4:])
    size = math.prod(shape)
    if size > LARGEST:
        raise ValueError(f"it announces {size} bytes, more than {LARGEST}")
    content = stream.read(size + 1)
    if len(content) != size:
        got = len(content) if len(content) < size else "more"
        raise ValueError(f"expected {size} bytes of images, got {got}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _choose(names: list[str]) -> str:
    """Decide which array of an .npz file holds the images."""
    known = [name for name in ("x_test", "images", "X") if name in names]
    if len(names) > 1 and len(known) == 1:
        return known[0]
    if len(names) != 1:
        raise ValueError(
            "expected one array, or one that is named x_test, images or X, but it "
            f"holds {', '.join(names) or 'none'}"
        )
    return names[0]
