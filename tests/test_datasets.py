"""Tests of MNIST from files and from Keras' cache, of the digits, and of arrays."""

import gzip
import json
import os
import re
import struct

import numpy as np
import pytest
from PIL import Image
from processes import run_python
from scipy.ndimage import center_of_mass, find_objects, zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmnist import fetch_mnist, load_digits_28x28
from skmnist.datasets import holds_arrays, read_images, to_grey_levels

SOURCE = os.environ.get("SKMNIST_DATA")
needs_mnist = pytest.mark.skipif(not SOURCE, reason="needs MNIST: set SKMNIST_DATA")
NAMES = ("x_train", "y_train", "x_test", "y_test")
SHAPES = ((60000, 28, 28), (60000,), (10000, 28, 28), (10000,))
IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("SKMNIST_DATA", raising=False)


@pytest.fixture(scope="module")
def mnist():
    """Return the four arrays."""
    (X_train, y_train), (X_test, y_test) = fetch_mnist(SOURCE)
    return X_train, y_train, X_test, y_test


def as_idx(array, kind=0x0800):
    header = struct.pack(f">{1 + array.ndim}I", kind + array.ndim, *array.shape)
    return header + array.tobytes()


def write_idx(file, array):
    content = as_idx(array)
    file.write_bytes(gzip.compress(content, 1) if file.suffix == ".gz" else content)


def assert_is_mnist(pairs, mnist):
    arrays = [array for pair in pairs for array in pair]
    for array, expected, shape in zip(arrays, mnist, SHAPES, strict=True):
        assert array.dtype == np.uint8
        assert array.shape == shape
        assert array.flags.c_contiguous
        assert array.flags.writeable
        np.testing.assert_array_equal(array, expected)


def error_of(path):
    """Return the message of the ValueError that fetch_mnist raises."""
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        fetch_mnist(path)
    return str(caught.value)


# fetch_mnist


@needs_mnist
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_fetch_mnist_npz_or_its_folder(mnist, tmp_path, monkeypatch, layout):
    file = tmp_path / "mnist.npz"
    np.savez(file, **dict(zip(NAMES, map(layout, mnist), strict=True)))
    assert_is_mnist(fetch_mnist(str(tmp_path)), mnist)
    monkeypatch.setenv("SKMNIST_DATA", str(file))
    assert_is_mnist(fetch_mnist(), mnist)


@needs_mnist
@pytest.mark.parametrize(("separator", "gz"), [("-idx", ""), (".idx", ".gz")])
def test_fetch_mnist_idx_files(mnist, tmp_path, separator, gz):
    for name, array in zip(IDX, mnist, strict=True):
        write_idx(tmp_path / (name.replace("-idx", separator) + gz), array)
    assert_is_mnist(fetch_mnist(tmp_path), mnist)
    changed = mnist[3].copy()
    changed[1234] ^= 1
    write_idx(tmp_path / (IDX[3].replace("-idx", separator) + gz), changed)
    with pytest.raises(ValueError, match=r"y_test in .* is not MNIST's, or corrupt"):
        fetch_mnist(tmp_path)


def test_fetch_mnist_missing_files_raise(tmp_path, monkeypatch):
    absent = tmp_path / "absent.npz"
    with pytest.raises(FileNotFoundError, match=r"path=.*absent.npz does not exist"):
        fetch_mnist(absent)
    monkeypatch.setenv("SKMNIST_DATA", str(absent))
    with pytest.raises(FileNotFoundError, match=r"SKMNIST_DATA=.*x_train.*t10k-"):
        fetch_mnist()
    with pytest.raises(FileNotFoundError, match=r"no mnist.npz and lacks train-"):
        fetch_mnist(tmp_path)
    write_idx(tmp_path / IDX[0], IMAGES)
    with pytest.raises(FileNotFoundError, match=f"lacks {IDX[1]} "):
        fetch_mnist(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>", b"\x80\x04K\x01.", b"\x93NUMPY\x01\x00"]
)
def test_fetch_mnist_other_file_says_what_is_expected(tmp_path, content):
    file = tmp_path / "mnist.npz"
    file.write_bytes(content)
    message = error_of(file)
    assert "is truncated, corrupt or not MNIST: it is not an .npz file" in message
    assert "expected an .npz file with the arrays x_train" in message
    assert "pickle" not in message


def test_fetch_mnist_other_arrays_raise(tmp_path):
    file = tmp_path / "other.npz"
    np.savez(file, x_train=1, images=2)
    message = error_of(file)
    assert "holds ['x_train', 'images']" in message
    assert "lacks ['y_train', 'x_test', 'y_test']" in message
    np.savez(file, **dict.fromkeys(NAMES, np.zeros((3, 28, 28))))
    message = error_of(file)
    assert f"x_train in {file} is not MNIST's, or corrupt: expected uint8" in message
    assert "got float64 of shape (3, 28, 28) with SHA-256 " in message
    np.savez(file, **dict.fromkeys(NAMES, np.array([{}], object)))
    assert "allow_pickle=False" in error_of(file)
    zeros = (np.zeros(shape, np.uint8) for shape in SHAPES)
    np.savez(file, **dict(zip(NAMES, zeros, strict=True)))
    assert "got uint8 of shape (60000, 28, 28) with SHA-256 " in error_of(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (as_idx(IMAGES)[:-1], r"cannot reshape array of size 3919 into shape \(5,28"),
        (as_idx(IMAGES) + b"0", r"cannot reshape array of size 3921 into shape \(5,28"),
        (as_idx(IMAGES)[:10], "buffer is smaller than requested size"),
        (b"", "begins with the bytes 0 0 8 3 or 0 0 8 1, got nothing"),
        (as_idx(IMAGES, 0x0D00), "0 0 8 1, got 0 0 13 3"),
        (gzip.compress(as_idx(IMAGES), mtime=0)[:-9], "EOFError"),
    ],
    ids=["short", "long", "header", "empty", "floats", "gz"],
)
def test_idx_file_of_other_content_raises(tmp_path, content, message):
    for name in IDX:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{IDX[0]} is truncated, .*{message}"):
        fetch_mnist(tmp_path)
    with pytest.raises(ValueError, match=rf"no images .* {tmp_path / IDX[0]}: .*"):
        read_images(tmp_path / IDX[0])


FETCH = """
import json, sys
import skmnist
try:
    skmnist.fetch_mnist()
except OSError as error:
    causes = []
    while error:
        causes.append(f"{type(error).__name__}: {error}")
        error = error.__cause__
    print("\\n" + json.dumps(causes))
"""


def fetch_offline(code, keras_home):
    """Run code in a process that cannot download; return its errors with causes."""
    proxy = "http://127.0.0.1:9"
    done = run_python(code, KERAS_HOME=str(keras_home), https_proxy=proxy)
    lines = [line for line in done.stdout.splitlines() if line.startswith('["')]
    return [json.loads(line) for line in lines]


@pytest.mark.process
def test_fetch_mnist_offline_says_where_files_may_be(tmp_path):
    ((error, cause),) = fetch_offline(FETCH, tmp_path)
    assert error.startswith("OSError: MNIST cannot be downloaded (")
    for hint in ("path=", "SKMNIST_DATA", "mnist.npz", *NAMES, *IDX):
        assert hint in error
    assert "URL fetch failure" in cause


@needs_mnist
def test_fetch_mnist_cached_file_of_another_program_is_read(mnist, tmp_path):
    # Not the file that Keras downloads, but the same arrays.
    (tmp_path / "datasets").mkdir()
    cached = tmp_path / "datasets" / "mnist.npz"
    np.savez(cached, **dict(zip(NAMES, mnist, strict=True)))
    code = """
import pathlib, sys
import skmnist
print(skmnist.fetch_mnist()[1][1].sum())
pathlib.Path(sys.argv[1]).write_bytes(b"PK half a file")
try:
    skmnist.fetch_mnist()
except ValueError as error:
    print(error)
"""
    done = run_python(code, cached, KERAS_HOME=str(tmp_path), SKMNIST_DATA="")
    total, problem = done.stdout.splitlines()
    assert int(total) == mnist[3].sum()
    assert problem.startswith(f"{cached} is truncated, corrupt or not MNIST: ")


# load_digits_28x28


def test_load_digits_shapes_and_classes():
    (X_train, y_train), (X_test, y_test) = load_digits_28x28()
    assert X_train.shape == (1437, 28, 28)
    assert X_test.shape == (360, 28, 28)
    assert {a.dtype for a in (X_train, y_train, X_test, y_test)} == {np.dtype(np.uint8)}
    assert (X_train.min(), X_train.max()) == (0, 255)
    for y in (y_train, y_test):  # stratified
        fractions = np.bincount(y, minlength=10) / len(y)
        np.testing.assert_allclose(fractions, 0.1, atol=0.01)


def test_load_digits_images_are_those_of_scikit_learn():
    (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
    digits = load_digits()
    # The same split of the numbers 0 to 1796.
    order = np.concatenate(
        train_test_split(
            np.arange(1797), test_size=0.2, stratify=digits.target, random_state=0
        )
    )
    y = np.concatenate([y_train, y_test])
    np.testing.assert_array_equal(y, digits.target[order])
    ours = np.concatenate([X_train, X_test])
    correlations = [
        np.corrcoef(_resize_box(image), _resize_box(scan))[0, 1]
        for image, scan in zip(ours, digits.images[order], strict=True)
    ]
    assert np.mean(correlations) > 0.75


def _resize_box(image):
    """Scale the box around the ink to 8x8 pixels, as a row."""
    box = image[find_objects((image > 0).astype(int))[0]].astype(float)
    options = {"order": 1, "mode": "nearest", "grid_mode": True}
    return zoom(box, np.divide(8, box.shape), **options).ravel()


def test_load_digits_images_are_framed_as_mnists():
    for X, _ in load_digits_28x28(random_state=0):
        for image in X:
            assert max(np.ptp(np.argwhere(image), axis=0)) + 1 == 20
            # To half a pixel, except at the edge of the frame.
            assert np.abs(np.subtract(center_of_mass(image), 14)).max() < 1


def test_load_digits_arrays_are_the_callers_own():
    (X, _), _ = load_digits_28x28(random_state=0)
    before = X.copy()
    X[:] = 0
    np.testing.assert_array_equal(load_digits_28x28(random_state=0)[0][0], before)


def test_load_digits_random_state_and_test_size():
    first, again, other = (
        load_digits_28x28(random_state=seed)[0][0] for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    random = np.random.RandomState(3)
    load_digits_28x28(random_state=random)
    assert random.randint(2**31) != np.random.RandomState(3).randint(2**31)
    assert len(load_digits_28x28(test_size=0.5)[1][1]) == 899
    assert len(load_digits_28x28(test_size=100)[1][1]) == 100
    with pytest.raises(ValueError, match="test_size"):
        load_digits_28x28(test_size=1.5)


# Arrays of images in files


def test_read_images_each_format(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    np.savez(tmp_path / "one.npz", anything=IMAGES)
    np.savez_compressed(tmp_path / "named.npz", X=IMAGES, y=np.arange(5))
    np.savez(tmp_path / "test.npz", x_test=IMAGES, y_test=np.arange(5))
    write_idx(tmp_path / "t10k-images-idx3-ubyte", IMAGES)
    write_idx(tmp_path / "images.gz", IMAGES)
    for file in tmp_path.iterdir():
        assert holds_arrays(file)
        np.testing.assert_array_equal(read_images(file), IMAGES)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "ICO", "TGA"])
def test_holds_arrays_picture_is_false(tmp_path, kind):
    Image.fromarray(IMAGES[0]).save(tmp_path / "picture", kind)
    assert not holds_arrays(tmp_path / "picture")


@pytest.mark.parametrize("names", [("a", "b"), ("x_train", "y_train"), ("images", "X")])
def test_read_images_ambiguous_names_raise(names, tmp_path):
    np.savez(tmp_path / "images.npz", **dict.fromkeys(names, IMAGES))
    with pytest.raises(
        ValueError, match=f"one array, .* x_test, images or X, got {', '.join(names)}"
    ):
        read_images(tmp_path / "images.npz")


@pytest.mark.parametrize("save", [np.save, np.savez])
def test_read_images_objects_are_not_unpickled(tmp_path, save):
    file = tmp_path / f"objects.np{'z' if save is np.savez else 'y'}"
    save(file, np.array([object()]))
    with pytest.raises(ValueError, match=r"no images can be read .*allow_pickle=False"):
        read_images(file)


@pytest.fixture(scope="module")
def few():
    """Return real digits, light on dark."""
    return load_digits_28x28(random_state=0)[1][0][:40]


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X[..., np.newaxis],
        lambda X: X[:, np.newaxis],
        lambda X: X.reshape(len(X), 784),
        lambda X: X / 255,
        lambda X: (X / 255).astype(np.float16),
        lambda X: X.astype(np.int64),
        lambda X: X.astype(">f4"),
        lambda X: 255 - X,
        lambda X: 1 - X / 255,
    ],
)
def test_to_grey_levels_variants_are_converted(few, change):
    np.testing.assert_array_equal(to_grey_levels(change(few)), few)
    np.testing.assert_array_equal(to_grey_levels(change(few)[:1]), few[:1])


def test_to_grey_levels_bool_single_or_no_image(few):
    np.testing.assert_array_equal(
        to_grey_levels(few > 127), (few > 127).astype(np.uint8) * 255
    )
    for one in (few[0], few[0, ..., np.newaxis], few[0].ravel()):
        np.testing.assert_array_equal(to_grey_levels(one), few[:1])
    assert to_grey_levels(few[:0]).shape == (0, 28, 28)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 27, 27)), r"28x28 pixels, got an array of shape \(5, 27, 27\)"),
        (np.zeros((5, 28, 28, 3)), "28x28 pixels"),
        (np.zeros(5), "28x28 pixels"),
        (np.array(3), "28x28 pixels"),
        (np.full((5, 784), "a"), "must hold numbers, got <U1"),
        (IMAGES * 257.0, "from 0 to 255, or from 0 to 1, got .* 0 to 65535"),
        (IMAGES - 127.5, "got values from -127.5 to 127.5; undo the normalization"),
        (np.full((5, 28, 28), np.nan), "got values from nan to nan"),
    ],
)
def test_to_grey_levels_other_arrays_raise(images, message):
    with pytest.raises(ValueError, match=message):
        to_grey_levels(images)
