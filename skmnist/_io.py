"""Atomic writes, archives of arrays, and errors for corrupt files."""

import os
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a temporary path next to `file`, and rename it to `file` at the end.

    If writing fails, the temporary file is removed and an older `file` stays as it was.
    """
    # Not the process id: containers that share a disk may have the same.
    temporary = file.parent / f".skmnist-{uuid.uuid4().hex}{file.suffix}"
    try:
        yield temporary
        os.replace(temporary, file)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def reading(problem: str, remedy: str = "") -> Iterator[None]:
    """Turn any error of a file reader into a ValueError that begins with `problem`.

    NumPy, Pillow and others raise nearly anything on corrupt files, even MemoryError.
    Errors of the operating system that name a file stay as they are.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{problem}: {kind}{error}{remedy}") from error


def read_npz(
    file: Path, choose: Callable[[list[str]], Sequence[str]]
) -> dict[str, NDArray[Any]]:
    """Read the arrays of an .npz file that `choose` selects from their names."""
    # Not np.load: of a file that is not an archive, np.load says that it is a pickle
    # and how to load it unsafely.
    with zipfile.ZipFile(file) as archive:

        def read(name: str) -> NDArray[Any]:
            with archive.open(f"{name}.npy") as stream:
                return np.asarray(np.load(stream, allow_pickle=False))

        names = [name.removesuffix(".npy") for name in archive.namelist()]
        return {name: read(name) for name in choose(names)}
