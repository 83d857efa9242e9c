"""Tests of the data: MNIST from files and from Keras' cache, and the digits."""

import gzip
import json
import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, find_objects, zoom
from sklearn.datasets import load_digits

from skmnist import fetch_mnist, load_digits_28x28

SOURCE = os.environ.get("SKMNIST_DATA")
needs_mnist = pytest.mark.skipif(
    not SOURCE, reason="reads MNIST from where SKMNIST_DATA says"
)
NAMES = ("x_train", "y_train", "x_test", "y_test")
SHAPES = ((60000, 28, 28), (60000,), (10000, 28, 28), (10000,))
IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
HEADER = struct.pack(">4I", 2051, 60000, 28, 28)
SIZE = len(HEADER) + 60000 * 784


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("SKMNIST_DATA", raising=False)


@pytest.fixture(scope="module")
def mnist():
    """Return the four arrays as they were before this module's tests."""
    (X_train, y_train), (X_test, y_test) = fetch_mnist(SOURCE)
    return X_train, y_train, X_test, y_test


def write_idx(file, array):
    header = struct.pack(f">{1 + array.ndim}I", 2048 + array.ndim, *array.shape)
    content = header + array.tobytes()
    file.write_bytes(gzip.compress(content, 1) if file.suffix == ".gz" else content)


def assert_is_mnist(pairs, mnist):
    arrays = [array for pair in pairs for array in pair]
    for array, expected, shape in zip(arrays, mnist, SHAPES, strict=True):
        assert array.dtype == np.uint8
        assert array.shape == shape
        assert array.flags.c_contiguous
        assert array.flags.writeable
        np.testing.assert_array_equal(array, expected)


def refusal(path):
    """Return the message of the ValueError that reading `path` ends in."""
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        fetch_mnist(path)
    return str(caught.value)


class TestLocalFiles:
    @needs_mnist
    def test_npz_and_its_folder(self, mnist, tmp_path, monkeypatch):
        file = tmp_path / "mnist.npz"
        np.savez(file, **dict(zip(NAMES, mnist, strict=True)))
        assert_is_mnist(fetch_mnist(file), mnist)
        assert_is_mnist(fetch_mnist(str(tmp_path)), mnist)
        monkeypatch.setenv("SKMNIST_DATA", str(file))
        assert_is_mnist(fetch_mnist(), mnist)

    @needs_mnist
    def test_an_archive_in_fortran_order(self, mnist, tmp_path):
        arrays = {
            name: np.asfortranarray(array)
            for name, array in zip(NAMES, mnist, strict=True)
        }
        np.savez(tmp_path / "mnist.npz", **arrays)
        assert_is_mnist(fetch_mnist(tmp_path), mnist)

    @needs_mnist
    @pytest.mark.parametrize("gz", ["", ".gz"])
    @pytest.mark.parametrize("separator", ["-idx", ".idx"])
    def test_idx(self, mnist, tmp_path, separator, gz):
        for name, array in zip(IDX, mnist, strict=True):
            write_idx(tmp_path / (name.replace("-idx", separator) + gz), array)
        assert_is_mnist(fetch_mnist(tmp_path), mnist)

    @needs_mnist
    def test_one_wrong_bit(self, mnist, tmp_path):
        for name, array in zip(IDX, mnist, strict=True):
            write_idx(tmp_path / name, array)
        damaged = mnist[3].copy()
        damaged[1234] ^= 1
        write_idx(tmp_path / IDX[3], damaged)
        with pytest.raises(ValueError, match=r"y_test in .*: its checksum differs"):
            fetch_mnist(tmp_path)

    def test_keras_is_not_imported(self, tmp_path):
        code = "import sys, skmnist\ntry: skmnist.fetch_mnist('no/such')\n"
        code += (
            "except OSError: print('keras' in sys.modules, 'sklearn' in sys.modules)"
        )
        assert run_python(code, tmp_path).stdout == "False False\n"


class TestMissingFiles:
    def test_no_such_path(self, tmp_path, monkeypatch):
        absent = tmp_path / "absent.npz"
        with pytest.raises(
            FileNotFoundError, match=r"path=.*absent.npz does not exist"
        ):
            fetch_mnist(absent)
        monkeypatch.setenv("SKMNIST_DATA", str(absent))
        with pytest.raises(FileNotFoundError, match=r"SKMNIST_DATA=.*x_train.*t10k-"):
            fetch_mnist()

    def test_a_folder_without_the_files(self, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"holds no mnist.npz and lacks train-"
        ):
            fetch_mnist(tmp_path)

    def test_a_folder_without_one_of_them(self, tmp_path):
        for name in IDX[:3]:
            (tmp_path / name).touch()
        with pytest.raises(FileNotFoundError, match=f"lacks {IDX[3]} "):
            fetch_mnist(tmp_path)


class TestDamagedArchive:
    @pytest.mark.parametrize(
        "content", [b"", b"<html>404</html>", b"\x80\x04K\x01.", b"\x93NUMPY\x01\x00"]
    )
    def test_no_archive(self, tmp_path, content):
        file = tmp_path / "mnist.npz"
        file.write_bytes(content)
        message = refusal(file)
        assert f"({len(content)} bytes)" in message
        assert "not a zip file" in message
        assert "expected an .npz file with the arrays x_train" in message
        assert "pickle" not in message

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
    def test_cut_short(self, tmp_path, share):
        file = tmp_path / "mnist.npz"
        noise = np.random.default_rng(0).integers(0, 256, 10000, np.uint8)
        np.savez_compressed(file, **dict.fromkeys(NAMES, noise))
        os.truncate(file, int(share * file.stat().st_size))
        assert "cut short" in refusal(file)

    def test_damaged_inside(self, tmp_path):
        file = tmp_path / "mnist.npz"
        noise = np.random.default_rng(0).integers(0, 9, 10000, np.uint8)
        np.savez_compressed(file, **dict.fromkeys(NAMES, noise))
        content = bytearray(file.read_bytes())
        content[500:3000] = bytes(2500)
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"mnist\.npz .* damaged") as caught:
            fetch_mnist(file)
        assert caught.value.__cause__ is not None

    def test_other_arrays(self, tmp_path):
        np.savez(tmp_path / "other.npz", x_train=1, images=2)
        message = refusal(tmp_path / "other.npz")
        assert "holds ['x_train.npy', 'images.npy']" in message
        assert "lacks ['y_train', 'x_test', 'y_test']" in message

    def test_objects_are_not_unpickled(self, tmp_path):
        np.savez(tmp_path / "o.npz", **dict.fromkeys(NAMES, np.array([{}], object)))
        assert "allow_pickle=False" in refusal(tmp_path / "o.npz")

    def test_other_shape_or_dtype(self, tmp_path):
        np.savez(tmp_path / "a.npz", **dict.fromkeys(NAMES, np.zeros((3, 28, 28))))
        assert (
            f"x_train in {tmp_path / 'a.npz'} is float64 of shape (3, 28, 28), "
            "expected uint8 of shape (60000, 28, 28)"
        ) in refusal(tmp_path / "a.npz")

    def test_other_images(self, tmp_path):
        arrays = {
            name: np.zeros(shape, np.uint8)
            for name, shape in zip(NAMES, SHAPES, strict=True)
        }
        np.savez(tmp_path / "fashion.npz", **arrays)
        assert "its checksum differs (SHA-256 " in refusal(tmp_path / "fashion.npz")


class TestDamagedIDX:
    @pytest.fixture
    def images(self, tmp_path):
        """Return the first of four files, whose dimensions and size are right."""
        for name in IDX:
            (tmp_path / name).touch()
        (tmp_path / IDX[0]).write_bytes(HEADER)
        os.truncate(tmp_path / IDX[0], SIZE)  # zeros that take no space on the disk
        return tmp_path / IDX[0]

    @staticmethod
    def refusal(images):
        with pytest.raises(ValueError, match=IDX[0]) as caught:
            fetch_mnist(images.parent)
        return str(caught.value)

    @pytest.mark.parametrize("size", [0, 3, 15, 16, 17, SIZE - 1])
    def test_cut_short(self, images, size):
        os.truncate(images, size)
        assert f"expected {SIZE} bytes, got {size}" in self.refusal(images)

    def test_too_long(self, images):
        os.truncate(images, SIZE + 1)
        assert f"expected {SIZE} bytes, got more" in self.refusal(images)

    @pytest.mark.parametrize(
        "header", [(2049, 60000, 28, 28), (2051, 10000, 28, 28), (2051, 60000, 28, 27)]
    )
    def test_other_header(self, images, header):
        images.write_bytes(struct.pack(">4I", *header))
        assert (
            f"bad magic number or shape {header}, expected (2051, 60000, 28, 28)"
        ) in self.refusal(images)

    @pytest.mark.parametrize("damage", ["cut short", "plain", "changed"])
    def test_gzip(self, images, damage):
        content = gzip.compress(images.read_bytes(), 1)
        if damage == "cut short":
            content = content[: len(content) // 2]
        elif damage == "plain":
            content = HEADER
        else:
            content = content[:-8] + bytes(8)
        images.unlink()
        images.with_name(f"{IDX[0]}.gz").write_bytes(content)
        with pytest.raises(ValueError, match=f"{IDX[0]}.gz is cut short") as caught:
            fetch_mnist(images.parent)
        assert caught.value.__cause__ is not None


def run_python(code, keras_home, *args, **environment):
    """Run `code` in a process that no download can leave."""
    environment = {
        **os.environ,
        "KERAS_HOME": str(keras_home),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "https_proxy": "http://127.0.0.1:9",
        **environment,
    }
    environment.pop("SKMNIST_DATA", None)
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


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

# Keras' own download, but what it connects to is a server on this machine that ends
# the answer early: with and without having said how long it would be.
CUT_SHORT = """
import http.client, http.server, threading, urllib.request

class Server(http.server.BaseHTTPRequestHandler):
    length = None
    def do_GET(self):
        self.send_response(200)
        if self.length:
            self.send_header("Content-Length", self.length)
        self.end_headers()
        self.wfile.write(b"PK" + bytes(100_000))
    def log_message(self, *args):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()

class Here(urllib.request.HTTPSHandler):
    def https_open(self, request):
        request.host = f"127.0.0.1:{server.server_port}"
        return self.do_open(http.client.HTTPConnection, request)

no_proxy = urllib.request.ProxyHandler({})
urllib.request.install_opener(urllib.request.build_opener(Here, no_proxy))
"""


class TestKerasCache:
    def test_offline(self, tmp_path):
        done = run_python(FETCH, tmp_path)
        error, cause = json.loads(done.stdout.splitlines()[-1])
        assert error.startswith("OSError: MNIST cannot be had: the download failed (")
        for hint in ("path=", "SKMNIST_DATA", "mnist.npz", *NAMES, *IDX):
            assert hint in error
        assert "URL fetch failure" in cause
        assert not list(tmp_path.glob("datasets/*"))

    def test_a_damaged_file_in_the_cache(self, tmp_path):
        cached = tmp_path / "datasets" / "mnist.npz"
        cached.parent.mkdir()
        cached.write_bytes(b"PK half a file")
        done = run_python(FETCH, tmp_path)
        error = json.loads(done.stdout.splitlines()[-1])[0]
        assert f"the cached file is damaged ({cached} (14 bytes)" in error
        assert not cached.exists()

    def test_a_download_cut_short_leaves_no_file(self, tmp_path):
        code = CUT_SHORT + "Server.length = '11490434'\n" + FETCH
        code += "Server.length = None\n" + FETCH
        done = run_python(code, tmp_path)
        causes = [json.loads(x) for x in done.stdout.splitlines() if x.startswith('["')]
        assert "got only 100002 out of 11490434 bytes" in causes[0][1]
        assert "Incomplete or corrupted file detected" in causes[1][1]
        assert not list(tmp_path.glob("datasets/*"))

    @needs_mnist
    def test_a_good_file_in_the_cache(self, mnist, tmp_path, monkeypatch):
        # Not the file Keras would download, whose hash it knows, but the same arrays.
        (tmp_path / "datasets").mkdir()
        cached = tmp_path / "datasets" / "mnist.npz"
        np.savez(cached, **dict(zip(NAMES, mnist, strict=True)))
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        monkeypatch.setenv("SKMNIST_DATA", "")
        assert_is_mnist(fetch_mnist(), mnist)
        assert cached.exists()


class TestDigits:
    def test_shapes_and_dtypes(self):
        (X_train, y_train), (X_test, y_test) = load_digits_28x28()
        assert X_train.shape == (1437, 28, 28)
        assert X_test.shape == (360, 28, 28)
        assert {a.dtype for a in (X_train, y_train, X_test, y_test)} == {
            np.dtype(np.uint8)
        }
        assert (X_train.min(), X_train.max()) == (0, 255)
        for y in (y_train, y_test):  # stratified
            shares = np.bincount(y, minlength=10) / len(y)
            np.testing.assert_allclose(shares, 0.1, atol=0.01)

    def test_they_are_the_bundled_ones(self):
        (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
        digits = load_digits()
        # The split shuffles; the same one of the numbers 0..1796 says how.
        order = _order(0)
        y = np.concatenate([y_train, y_test])
        np.testing.assert_array_equal(y, digits.target[order])
        ours = np.concatenate([X_train, X_test])
        alike = [
            np.corrcoef(_boxed(image), _boxed(scan))[0, 1]
            for image, scan in zip(ours, digits.images[order], strict=True)
        ]
        assert np.mean(alike) > 0.75

    def test_they_are_framed_as_mnists_are(self):
        for X, _ in load_digits_28x28(random_state=0):
            for image in X:
                assert max(np.ptp(np.argwhere(image), axis=0)) + 1 == 20
                # To half a pixel, but where the frame ends.
                assert np.abs(np.subtract(center_of_mass(image), 14)).max() < 1

    def test_what_is_handed_out_can_be_written_to(self):
        (X, _), _ = load_digits_28x28(random_state=0)
        before = X.copy()
        X[:] = 0
        np.testing.assert_array_equal(load_digits_28x28(random_state=0)[0][0], before)

    def test_random_state(self):
        first, again, other = (
            load_digits_28x28(random_state=seed)[0][0] for seed in (3, 3, 4)
        )
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()
        random = np.random.RandomState(3)
        load_digits_28x28(random_state=random)
        assert random.randint(2**31) != np.random.RandomState(3).randint(2**31)

    def test_test_size(self):
        assert len(load_digits_28x28(test_size=0.5)[1][1]) == 899
        assert len(load_digits_28x28(test_size=100)[1][1]) == 100
        with pytest.raises(ValueError, match="test_size"):
            load_digits_28x28(test_size=1.5)


def _boxed(image):
    """Scale the box around the ink to 8x8 pixels, in a row."""
    box = image[find_objects((image > 0).astype(int))[0]].astype(float)
    options = {"order": 1, "mode": "nearest", "grid_mode": True}
    return zoom(box, np.divide(8, box.shape), **options).ravel()


def _order(seed):
    from sklearn.model_selection import train_test_split

    target = load_digits().target
    split = train_test_split(
        np.arange(len(target)), test_size=0.2, stratify=target, random_state=seed
    )
    return np.concatenate(split)
