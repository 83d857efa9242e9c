"""Images of handwritten digits: MNIST, and a small set that needs no network.

Everything read as MNIST is compared with the SHA-256 of its arrays, so a
damaged copy, or Fashion-MNIST under the same file names, is noticed here
rather than as a puzzling accuracy.
"""

import contextlib
import functools
import gzip
import hashlib
import os
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmnist._io import reading

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


# The names in Keras' archive: the original IDX file, the shape.
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
_ARCHIVE = f"an .npz file with the arrays {', '.join(_PARTS)}"
_EXPECTED = (
    f"{_ARCHIVE}, or a folder holding mnist.npz or the files "
    f"{', '.join(idx for idx, _ in _PARTS.values())} (plain or .gz)"
)


def fetch_mnist(path: str | os.PathLike[str] | None = None) -> tuple[Pair, Pair]:
    """Read MNIST from local files, or download it once into Keras' cache.

    Where there is no network, `path` or the environment variable
    ``SKMNIST_DATA`` says where the files are.

    Parameters
    ----------
    path : str or path-like, default=None
        An ``.npz`` file with the arrays ``x_train``, ``y_train``, ``x_test`` and
        ``y_test``, or a folder holding ``mnist.npz`` or the four original IDX
        files (``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``, and so
        on; plain or ``.gz``). None means ``SKMNIST_DATA``; where that is unset
        or empty, Keras' cache and, failing that, Keras' download.

    Returns
    -------
    (X_train, y_train), (X_test, y_test) : tuple of tuples of ndarray of uint8
        Images 0..255 of shapes (60000, 28, 28) and (10000, 28, 28), and labels
        0..9 of shapes (60000,) and (10000,).

    Raises
    ------
    FileNotFoundError
        If `path` does not exist, or is a folder without the files.
    OSError
        If nothing is cached and the download fails.
    ValueError
        If a file is cut short, damaged, or not MNIST.

    Notes
    -----
    Keras' cache is ``~/.keras/datasets``, or ``datasets`` in the folder named by
    ``KERAS_HOME``. The arrays take 55 MB; reading and verifying them takes about
    half a second.

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
        return _read_npz(file)
    if (file / "mnist.npz").exists():
        return _read_npz(file / "mnist.npz")
    return _read_idx_folder(file)


def load_digits_28x28(
    *,
    test_size: float = 0.2,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[Pair, Pair]:
    """Load scikit-learn's bundled digits in MNIST's format.

    1,797 real scans that need no network: small enough for examples and tests, and
    a stand-in where MNIST cannot be had.

    Parameters
    ----------
    test_size : float or int, default=0.2
        Fraction (in (0, 1)) or number of the images in the second pair.
    random_state : int, RandomState or None, default=None
        Decides which images these are; an int makes the split repeatable.

    Returns
    -------
    (X_train, y_train), (X_test, y_test) : tuple of tuples of ndarray of uint8
        Images 0..255 of shape (n, 28, 28) and labels 0..9 of shape (n,), each
        digit in both pairs in proportion.

    Raises
    ------
    ValueError
        If `test_size` leaves either pair with too few images.

    Notes
    -----
    The scans of 8x8 pixels go through :func:`~skmnist.to_mnist_format`, which takes
    seconds, once in a process. So what is trained on them reads other digits in that
    format, too, if not as well as what is trained on MNIST: after five epochs 0.53 of
    MNIST's test images, after a hundred with ``augmentation=1.0`` 0.84 (:ref:`data`).

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
    """Return all the bundled digits, for callers that copy what they hand on."""
    from sklearn.datasets import load_digits

    from skmnist.pictures import to_mnist_format

    digits = load_digits()
    images = np.array([to_mnist_format(image) for image in digits.images / 16])
    return images, digits.target.astype(np.uint8)


def _fetch_with_keras() -> tuple[Pair, Pair]:
    """Read Keras' cached file if it is whole, else let Keras download it."""
    # Read before Keras is asked: `get_file` compares the file's hash, not the arrays',
    # and would delete a good mnist.npz that another program wrote.
    problem = ""
    if (cached := _keras_cache()).exists():
        try:
            return _read_npz(cached)
        except ValueError as error:
            problem = f"the cached file is damaged ({error}) and "
    from skmnist._keras import keras

    try:
        train, test = keras.datasets.mnist.load_data()
    except Exception as error:  # `get_file` raises a bare Exception when offline
        # Of a download that ends early `get_file` removes what came, but not where it
        # only learns of it from the hash: the server named no length.
        with contextlib.suppress(OSError):
            _keras_cache().unlink()
        raise OSError(
            f"MNIST cannot be had: {problem}the download failed ({error}). Pass path=, "
            f"or set SKMNIST_DATA, to {_EXPECTED}"
        ) from error
    arrays = dict(zip(_PARTS, (*train, *test), strict=True))
    return _verified(arrays, dict.fromkeys(arrays, cached))


def _keras_cache() -> Path:
    """Return where `keras.utils.get_file` puts mnist.npz; it cannot be asked."""
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    if not os.access(home, os.W_OK):
        temporary = "/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()
        home = Path(temporary, ".keras")
    return home / "datasets" / "mnist.npz"


def _read_npz(file: Path) -> tuple[Pair, Pair]:
    """Read and verify an archive in Keras' layout."""
    arrays = {}
    # Not `np.load(file)`: of a file that is no archive it says that it is a pickle
    # and how to load it unsafely.
    with (
        reading(
            f"{file} ({file.stat().st_size} bytes) is cut short, damaged or not MNIST",
            f"; expected {_ARCHIVE} (for IDX files, pass their folder)",
        ),
        zipfile.ZipFile(file) as archive,
    ):
        names = archive.namelist()
        if missing := [name for name in _PARTS if f"{name}.npy" not in names]:
            raise ValueError(f"it holds {names} and lacks {missing}")
        for name in _PARTS:
            with archive.open(f"{name}.npy") as stream:
                arrays[name] = np.load(stream, allow_pickle=False)
    return _verified(arrays, dict.fromkeys(arrays, file))


def _read_idx_folder(folder: Path) -> tuple[Pair, Pair]:
    """Find, read and verify the four original files."""
    files, missing = {}, []
    for name, (idx, _) in _PARTS.items():
        spellings = (idx, idx.replace("-idx", ".idx"))
        candidates = [folder / (file + gz) for file in spellings for gz in ("", ".gz")]
        if found := [file for file in candidates if file.exists()]:
            files[name] = found[0]
        else:
            missing.append(idx)
    if missing:
        raise FileNotFoundError(
            f"{folder} holds no mnist.npz and lacks {', '.join(missing)} (looked for "
            "with '-idx' and with '.idx', plain and .gz)"
        )
    arrays = {name: _read_idx(file, _PARTS[name][1]) for name, file in files.items()}
    return _verified(arrays, files)


def _read_idx(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read one IDX file: magic number and dimensions, big-endian, then the bytes."""
    expected = (0x0800 + len(shape), *shape)
    layout = struct.Struct(f">{len(expected)}I")
    array = np.empty(shape, np.uint8)
    with (
        reading(f"{file} is cut short, damaged or not MNIST"),
        gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream,
    ):
        header = stream.read(layout.size)
        if len(header) == layout.size and layout.unpack(header) != expected:
            raise ValueError(
                f"bad magic number or shape {layout.unpack(header)}, expected "
                f"{expected}"
            )
        view, got = array.data.cast("B"), 0
        # In pieces, since gzip would read the whole into a second buffer.
        while count := stream.readinto(view[got : got + 2**20]):
            got += count
        if got < array.nbytes or stream.read(1):
            raise ValueError(
                f"expected {layout.size + array.nbytes} bytes, got "
                f"{len(header) + got if got < array.nbytes else 'more'}"
            )
    return array


def _verified(arrays: dict[str, Any], files: dict[str, Path]) -> tuple[Pair, Pair]:
    """Compare what was read with what MNIST is."""
    checked = []
    for name, (_, shape) in _PARTS.items():
        array = np.asarray(arrays[name], order="C")
        if array.shape != shape or array.dtype != np.uint8:
            raise ValueError(
                f"{name} in {files[name]} is {array.dtype} of shape {array.shape}, "
                f"expected uint8 of shape {shape}"
            )
        if (found := hashlib.sha256(array.data).hexdigest()) != _SHA256[name]:
            raise ValueError(
                f"{name} in {files[name]} is not MNIST's, or damaged: its checksum "
                f"differs (SHA-256 {found}, expected {_SHA256[name]})"
            )
        checked.append(array)
    return (checked[0], checked[1]), (checked[2], checked[3])
