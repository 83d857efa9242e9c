"""Tests of the files of networks that come with the package, on the real ones."""

import numpy as np
import pytest

from skmnist import pretrained
from skmnist._dense import forward, read_layers, write_layers
from skmnist.pictures import touching

N_LAYERS = 3


@pytest.fixture(params=[pretrained.FILE, touching.FILE], ids=lambda file: file.stem)
def file(request):
    return request.param


def names_of_others(file):
    return ("classes", "loss_curve") if file == pretrained.FILE else ()


def test_the_files_are_small_and_hold_numbers_only(file):
    assert file.stat().st_size <= 2_000_000
    with np.load(file, allow_pickle=False) as arrays:
        assert {arrays[name].dtype.kind for name in arrays.files} <= set("fu")


@pytest.mark.parametrize("size", [0, 1, 1000, 700_000, -1])
def test_a_file_that_is_cut_short(file, tmp_path, size):
    damaged = tmp_path / file.name
    damaged.write_bytes(file.read_bytes()[:size])
    with pytest.raises(
        ValueError, match=rf"{damaged} \(\d+ bytes\), .* is cut short or damaged: "
    ):
        read_layers(damaged, N_LAYERS, *names_of_others(file))


@pytest.mark.parametrize("place", [0, 600_000, 1_200_000])
def test_a_file_with_other_bytes(file, tmp_path, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 0xFF
    damaged = tmp_path / file.name
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match="is cut short or damaged: "):
        read_layers(damaged, N_LAYERS, *names_of_others(file))


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
    write_layers(tmp_path / "layers.npz", coefs, intercepts, names=np.arange(3))
    assert [file.name for file in tmp_path.iterdir()] == ["layers.npz"]
    read = read_layers(tmp_path / "layers.npz", 2, "names")
    for arrays, others in zip(read, (coefs, intercepts, [np.arange(3)]), strict=True):
        for array, other in zip(arrays, others, strict=True):
            np.testing.assert_array_equal(array, other)
    assert {array.dtype for array in (*read[0], *read[1])} == {np.dtype(np.float32)}


def test_forward_is_dense_layers_with_relu_between_them():
    coefs = [np.float32([[1, -1]]), np.float32([[1], [10]])]
    intercepts = [np.float32([0, 0]), np.float32([-5])]
    x = np.float32([[2], [-2]])
    np.testing.assert_array_equal(forward(coefs, intercepts, x), [[-3], [15]])
