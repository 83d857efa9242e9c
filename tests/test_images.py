"""Tests of reading arrays of images from files."""

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from skmnist.images import holds_arrays, read_images

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


def idx(images, magic=0x0803):
    return struct.pack(">4I", magic, *images.shape) + images.tobytes()


@pytest.fixture
def files(tmp_path):
    """Return files that hold the images, one of each kind."""
    np.save(tmp_path / "images.npy", IMAGES)
    np.savez(tmp_path / "one.npz", anything=IMAGES)
    np.savez_compressed(tmp_path / "named.npz", X=IMAGES, y=np.arange(5))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "images.gz").write_bytes(gzip.compress(idx(IMAGES)))
    return sorted(tmp_path.iterdir())


def test_each_kind_is_read(files):
    for file in files:
        assert holds_arrays(file)
        np.testing.assert_array_equal(read_images(file), IMAGES)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "ICO", "TGA"])
def test_a_picture_holds_no_arrays(tmp_path, kind):
    Image.fromarray(IMAGES[0]).save(tmp_path / "picture", kind)
    assert not holds_arrays(tmp_path / "picture")


def test_one_image_is_read_as_one(tmp_path):
    np.save(tmp_path / "image.npy", IMAGES[0])
    assert read_images(tmp_path / "image.npy").shape == (1, 28, 28)


def test_a_file_cut_anywhere_is_refused(files):
    for file in files:
        content = file.read_bytes()
        for size in range(2, len(content), max(1, len(content) // 40)):
            file.write_bytes(content[:size])
            with pytest.raises(ValueError, match=r"no images can be read from .*"):
                read_images(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(IMAGES) + b"0", "expected 3920 bytes of images, got more"),
        (struct.pack(">2I", 0x0801, 5) + bytes(5), "begins with the bytes 0 0 8 3"),
        (struct.pack(">4I", 0x0803, 2**31, 28, 28), "announces 1683627180032 bytes"),
        (idx(IMAGES, 0x0804), "begins with the bytes 0 0 8 3, got 0 0 8 4"),
    ],
)
def test_an_idx_file_of_something_else(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_images(tmp_path / "file")


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match="no images can be read"):
        read_images(tmp_path / "objects.npy")
