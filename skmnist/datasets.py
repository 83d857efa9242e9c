"""Images of handwritten digits: MNIST, a small offline set, and arrays in files.

MNIST's arrays are compared with their SHA-256, so that a corrupt copy, or Fashion-MNIST
under the same file names, is rejected and does not show as low accuracy.
"""

import functools
import gzip
import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmnist._io import reading
from skmnist.preprocessing import look_inverted

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
# Names in Keras' archive: the original IDX file, the shape.
_PARTS = {
    "x_train": ("train-images-idx3-ubyte", (60000, 28, 28)),
    "y_train": ("train-labels-idx1-ubyte", (60000,)),
    "x_test": ("t10k-images-idx3-ubyte", (10000, 28, 28)),
    "y_test": ("t10k-labels-idx1-ubyte", (10000,)),
}
_SHA256 = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
_EXPECTED = (
    f"an .npz file with the arrays {', '.join(_PARTS)}, or a folder holding mnist.npz"
    f" or the files {', '.join(part[0] for part in _PARTS.values())} (plain or .gz)"
)
# First bytes of each kind of file. The third byte of an IDX file is the type of its
# values, 8 for unsigned bytes, the fourth the number of dimensions.
_NPY, _NPZ, _IDX, _GZIP = b"\x93NUMPY", b"PK", b"\0\0\x08", b"\x1f\x8b"


def fetch_mnist(path: str | os.PathLike[str] | None = None) -> tuple[Pair, Pair]:
    """Read MNIST from local files, or download it once into Keras' cache.

    Parameters
    ----------
    path : str or path-like, default=None
        An ``.npz`` file with the arrays ``x_train``, ``y_train``, ``x_test`` and
        ``y_test``, or a folder holding ``mnist.npz`` or the four original IDX
        files (``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``, and so
        on; plain or ``.gz``). None means ``SKMNIST_DATA`` or, if that is unset or
        empty, Keras' cache, to which MNIST is downloaded if it is not there.

    Returns
    -------
    (X_train, y_train), (X_test, y_test) : tuple of tuples of ndarray of uint8
        Images 0..255 of shapes (60000, 28, 28) and (10000, 28, 28), and labels
        0..9 of shapes (60000,) and (10000,).

    Raises
    ------
    OSError
        If `path` does not exist or is a folder without the files, or the download
        fails.
    ValueError
        If a file is truncated, corrupt, or not MNIST.

    Examples
    --------
    >>> from skmnist import fetch_mnist
    >>> (X_train, y_train), (X_test, y_test) = fetch_mnist()  # doctest: +SKIP
    >>> X_train.shape, X_train.dtype  # doctest: +SKIP
    ((60000, 28, 28), dtype('uint8'))
    """
    source = path if path is not None else os.environ.get("SKMNIST_DATA") or None
    if source is None:
        return _fetch_with_keras()
    file = Path(source).expanduser()
    if not file.exists():
        name = "path" if path is not None else "SKMNIST_DATA"
        raise FileNotFoundError(f"{name}={file} does not exist; expected {_EXPECTED}")
    if not file.is_dir():
        return _read_archive(file)
    archive = file / "mnist.npz"
    return _read_archive(archive) if archive.exists() else _read_idx_folder(file)


def load_digits_28x28(
    *, test_size: float = 0.2, random_state: int | np.random.RandomState | None = None
) -> tuple[Pair, Pair]:
    """Load scikit-learn's bundled digits in MNIST's format.

    1,797 real scans that need no download: small enough for examples and tests, and a
    replacement for MNIST offline.

    Parameters
    ----------
    test_size : float or int, default=0.2
        Fraction (in (0, 1)) or number of the images in the second pair.
    random_state : int, RandomState or None, default=None
        Seed of the split; an int makes it repeatable.

    Returns
    -------
    (X_train, y_train), (X_test, y_test) : tuple of tuples of ndarray of uint8
        Images 0..255 of shape (n, 28, 28) and labels 0..9 of shape (n,). The split is
        stratified by label.

    Notes
    -----
    The scans of 8x8 pixels are converted by :func:`~skmnist.to_mnist_format` once in a
    process, which takes seconds. A classifier trained on them reads other digits in
    that format, but not as well as one trained on MNIST: on MNIST's test images its
    accuracy is 53 % after five epochs, and 84 % after a hundred with
    ``augmentation=1.0`` (:ref:`data`).

    Examples
    --------
    >>> from skmnist import load_digits_28x28
    >>> (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
    >>> X_train.shape, X_train.dtype, X_test.shape
    ((1437, 28, 28), dtype('uint8'), (360, 28, 28))
    """
    # Imported here to keep `import skmnist`, and `skmnist --help`, quick.
    from sklearn.model_selection import train_test_split

    images, labels = _digits_as_mnist()
    X_train, X_test, y_train, y_test = train_test_split(
        images, labels, test_size=test_size, stratify=labels, random_state=random_state
    )
    return (X_train, y_train), (X_test, y_test)


@functools.cache
def _digits_as_mnist() -> Pair:
    """Return all bundled digits; the caller must not hand out these very arrays."""
    from sklearn.datasets import load_digits

    from skmnist.pictures import to_mnist_format

    digits = load_digits()
    images = np.array([to_mnist_format(image) for image in digits.images / 16])
    return images, digits.target.astype(np.uint8)


def holds_arrays(file: str | os.PathLike[str]) -> bool:
    """Return whether a file begins like a file of arrays, not like a picture."""
    with open(file, "rb") as stream:
        return stream.read(6).startswith((_NPY, _NPZ, _IDX, _GZIP))


def read_images(file: str | os.PathLike[str]) -> NDArray[Any]:
    """Read an array of images from an .npy, .npz or IDX file, plain or compressed.

    An .npz file holds one array, or one that is named ``x_test``, ``images`` or ``X``.
    """
    with reading(f"no images can be read from {file}"):
        with open(file, "rb") as stream:
            start = stream.read(6)
        if start.startswith(_NPY):
            return np.load(file)
        if not start.startswith(_NPZ):
            return _read_idx(Path(file))
        with _open_npz(Path(file)) as archive:
            names = archive.files
            if len(names) > 1:
                names = [name for name in ("x_test", "images", "X") if name in names]
            if len(names) != 1:
                raise ValueError(
                    "expected one array, or one that is named x_test, images or X, got"
                    f" {', '.join(archive.files) or 'none'}"
                )
            return archive[names[0]]


def to_grey_levels(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert an array of images of 28x28 pixels to uint8, ink 255 on 0.

    Accepts values from 0 to 255, from 0 to 1, or bool; dark ink on light paper; axes of
    length 1; rows of 784 pixels; and a single image. Raises ValueError otherwise.
    """
    shape = images.shape
    axes = shape[:-1] if shape[-1:] == (1,) else shape
    if axes[-2:] != (28, 28) and axes[-1:] != (784,):
        raise ValueError(
            f"images must have 28x28 pixels, got an array of shape {shape}; resize"
            " them, or save them as pictures, such as PNG files"
        )
    if images.dtype.kind not in "biuf":
        raise ValueError(f"images must hold numbers, got {images.dtype}")
    low, high = (images.min(), images.max()) if images.size else (0, 0)
    if not (low >= 0 and high <= 255):  # NaN fails this, too.
        raise ValueError(
            "grey levels must be from 0 to 255, or from 0 to 1, got values from"
            f" {low:g} to {high:g}; undo the normalization before saving them"
        )
    scale = 255 if high <= 1 else 1
    levels = np.rint(np.multiply(images, scale, dtype=np.float32)).astype(np.uint8)
    levels = levels.reshape(-1, 28, 28)
    return 255 - levels if look_inverted(levels) else levels


def _fetch_with_keras() -> tuple[Pair, Pair]:
    """Read MNIST from Keras' cache, after a download if it is missing there."""
    from skmnist._keras import keras

    try:
        file = Path(keras.utils.get_file("mnist.npz", origin=_URL))
    except Exception as error:  # Keras raises a bare Exception if offline.
        raise OSError(
            f"MNIST cannot be downloaded ({error}). Pass path=, or set SKMNIST_DATA,"
            f" to {_EXPECTED}"
        ) from error
    return _read_archive(file)


def _open_npz(file: Path) -> Any:
    """Open an .npz file, to read arrays by name."""
    # Of another file, np.load says that it is a pickle and how to load it unsafely.
    if not zipfile.is_zipfile(file):
        raise ValueError("it is not an .npz file")
    return np.load(file)


def _read_archive(file: Path) -> tuple[Pair, Pair]:
    """Read and verify an archive in Keras' layout."""
    problem = f"{file} is truncated, corrupt or not MNIST"
    with reading(problem, f"; expected {_EXPECTED}"), _open_npz(file) as archive:
        if missing := [name for name in _PARTS if name not in archive]:
            raise ValueError(f"it holds {archive.files} and lacks {missing}")
        arrays = {name: archive[name] for name in _PARTS}
    return _verify(arrays, file)


def _read_idx_folder(folder: Path) -> tuple[Pair, Pair]:
    """Find, read and verify the four original files."""
    arrays = {}
    for name, (idx, _) in _PARTS.items():
        spellings = (idx, idx.replace("-idx", ".idx"))
        candidates = [folder / (file + gz) for file in spellings for gz in ("", ".gz")]
        file = next(filter(Path.exists, candidates), None)
        if file is None:
            raise FileNotFoundError(
                f"{folder} holds no mnist.npz and lacks {idx} (looked for with '-idx'"
                " and with '.idx', plain and .gz)"
            )
        with reading(f"{file} is truncated, corrupt or not MNIST"):
            arrays[name] = _read_idx(file)
    return _verify(arrays, folder)


def _read_idx(file: Path) -> NDArray[np.uint8]:
    """Read one IDX file: magic number and dimensions, big-endian, then the bytes."""
    content = file.read_bytes()
    if content.startswith(_GZIP):
        content = gzip.decompress(content)
    magic = content[:4]
    if magic not in (_IDX + b"\1", _IDX + b"\3"):
        raise ValueError(
            "expected an IDX file of images or labels, which begins with the bytes"
            f" 0 0 8 3 or 0 0 8 1, got {' '.join(map(str, magic)) or 'nothing'}"
        )
    shape = np.frombuffer(content, ">u4", count=magic[3], offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + shape.nbytes)
    return values.reshape(shape).copy()


def _verify(arrays: dict[str, Any], source: Path) -> tuple[Pair, Pair]:
    """Compare shapes, types and checksums with MNIST's."""
    checked = []
    for name, (_, shape) in _PARTS.items():
        array = np.asarray(arrays[name], order="C")
        found = hashlib.sha256(array.tobytes()).hexdigest()
        properties: Any = (array.shape, array.dtype, found)
        if properties != (shape, np.uint8, _SHA256[name]):
            raise ValueError(
                f"{name} in {source} is not MNIST's, or corrupt: expected uint8 of"
                f" shape {shape} with SHA-256 {_SHA256[name]}, got {array.dtype} of"
                f" shape {array.shape} with SHA-256 {found}"
            )
        checked.append(array)
    return (checked[0], checked[1]), (checked[2], checked[3])
