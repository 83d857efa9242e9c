"""Tests of networks of dense layers, on the real file of the one that splits digits.

That of the one that reads is tested in test_pretrained.py.
"""

import numpy as np
import pytest

from skmnist._dense import forward, read_layers, write_layers
from skmnist.pictures.splitting import FILE, N_LAYERS


def test_the_file_is_small_and_holds_numbers_only():
    assert FILE.stat().st_size <= 2_000_000
    with np.load(FILE, allow_pickle=False) as arrays:
        assert {arrays[name].dtype.kind for name in arrays.files} == {"f"}


@pytest.mark.parametrize("size", [0, 1, 1000, 700_000, -1])
def test_a_file_that_is_cut_short(tmp_path, size):
    damaged = tmp_path / FILE.name
    damaged.write_bytes(FILE.read_bytes()[:size])
    with pytest.raises(
        ValueError, match=rf"{damaged} \(\d+ bytes\), .* is cut short or damaged: "
    ):
        read_layers(damaged, N_LAYERS)


@pytest.mark.parametrize("place", [0, 600_000, 1_200_000])
def test_a_file_with_other_bytes(tmp_path, place):
    content = bytearray(FILE.read_bytes())
    content[place] ^= 0xFF
    damaged = tmp_path / FILE.name
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match="is cut short or damaged: "):
        read_layers(damaged, N_LAYERS)


def test_an_archive_of_something_else(tmp_path):
    other = tmp_path / "other.npz"
    np.savez(other, classes=np.arange(10))
    with pytest.raises(ValueError, match=r"damaged: .*coefs_1\.npy"):
        read_layers(other, 3, "classes")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz, .* is missing; install"):
        read_layers(tmp_path / "none.npz", 3)


def test_what_is_written_is_read(tmp_path):
    rng = np.random.default_rng(0)
    sizes = [(5, 4), (4, 3)]
    coefs = [rng.normal(size=size).astype(np.float16) for size in sizes]
    intercepts = [rng.normal(size=m).astype(np.float16) for _, m in sizes]
    write_layers(tmp_path / "layers.npz", 2, coefs, intercepts, names=np.arange(3))
    assert [file.name for file in tmp_path.iterdir()] == ["layers.npz"]
    read = read_layers(tmp_path / "layers.npz", 2, "names")
    for arrays, others in zip(read, (coefs, intercepts, [np.arange(3)]), strict=True):
        for array, other in zip(arrays, others, strict=True):
            np.testing.assert_array_equal(array, other)
    assert {array.dtype for array in (*read[0], *read[1])} == {np.dtype(np.float32)}


def test_another_number_of_layers_is_not_written(tmp_path):
    arrays = [np.zeros((2, 2), np.float32)] * 2
    with pytest.raises(ValueError, match="zip"):
        write_layers(tmp_path / "layers.npz", 3, arrays, arrays)
    assert not list(tmp_path.iterdir())


def test_forward_is_dense_layers_with_relu_between_them():
    coefs = [np.float32([[1, -1]]), np.float32([[1], [10]])]
    intercepts = [np.float32([0, 0]), np.float32([-5])]
    x = np.float32([[2], [-2]])
    np.testing.assert_array_equal(forward(coefs, intercepts, x), [[-3], [15]])
