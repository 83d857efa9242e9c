"""Atomic writes, and errors for corrupt files."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
