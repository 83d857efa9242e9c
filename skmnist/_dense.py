"""Networks of dense layers in NumPy alone, and the files that they come in."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmnist._io import reading, replacing

Floats = NDArray[np.float32]


def forward(coefs: Sequence[Floats], intercepts: Sequence[Floats], x: Floats) -> Floats:
    """Return what the last layer gives, before any softmax. ReLU is between layers."""
    for weights, biases in zip(coefs, intercepts, strict=True):
        x = x @ weights + biases
        if weights is not coefs[-1]:
            np.maximum(x, 0, out=x)
    return x


def write_layers(
    file: str | os.PathLike[str],
    n_layers: int,
    coefs: Sequence[Floats],
    intercepts: Sequence[Floats],
    **arrays: NDArray[Any],
) -> None:
    """Write weights as float16, and other arrays as they are, whole or not at all."""
    layers = zip(range(n_layers), coefs, intercepts, strict=True)
    for n, weights, biases in layers:
        arrays[f"coefs_{n + 1}"] = weights.astype(np.float16)
        arrays[f"intercepts_{n + 1}"] = biases.astype(np.float16)
    with replacing(Path(file)) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def read_layers(
    file: Path, n_layers: int, *names: str
) -> tuple[list[Floats], list[Floats], list[NDArray[Any]]]:
    """Read a file of the package, and see that it is whole.

    Returns
    -------
    coefs, intercepts : list of ndarray of float32
        Of each layer.
    others : list of ndarray
        The other arrays that are asked for by name.
    """
    if not file.exists():
        raise FileNotFoundError(
            f"{file}, the trained network that comes with skmnist, is missing; install"
            " skmnist again."
        )
    # Not `np.load(file)`: of a file that is no archive it says that it is a pickle
    # and how to load it unsafely. An archive has checksums, which are compared.
    with (
        reading(
            f"{file} ({file.stat().st_size} bytes), the trained network that comes with"
            " skmnist, is cut short or damaged",
            "; install skmnist again.",
        ),
        zipfile.ZipFile(file) as archive,
    ):

        def read(name: str) -> NDArray[Any]:
            with archive.open(f"{name}.npy") as stream:
                return np.asarray(np.load(stream, allow_pickle=False))

        others = [read(name) for name in names]
        coefs, intercepts = (
            [read(f"{kind}_{n + 1}").astype(np.float32) for n in range(n_layers)]
            for kind in ("coefs", "intercepts")
        )
    return coefs, intercepts, others
