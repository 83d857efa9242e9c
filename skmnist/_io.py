"""Atomic writes, and errors for corrupt files."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What is not written to for so many seconds has been left by a process that was killed.
ABANDONED = 60


@contextmanager
def replacing(file: Path, folder: Path | None = None) -> Iterator[Path]:
    """Give a path to write to, and put it in a file's place in one step.

    A process that is killed meanwhile leaves it, to be removed by a later one.

    Parameters
    ----------
    file : path
        What is written. If that fails, an older file of the name is as it was.
    folder : path, default=that of `file`
        Where to write, on the same disk.
    """
    folder = folder or file.parent
    # Not the number of the process: containers that share a disk may all have the same.
    temporary = folder / f".skmnist-{uuid.uuid4().hex}{file.suffix}"
    try:
        yield temporary
        _remove_abandoned(temporary)
        os.replace(temporary, file)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _remove_abandoned(temporary: Path) -> None:
    """Remove what others of the kind have left in the folder."""
    # By the clock of the disk, which may be another machine's.
    now = temporary.stat().st_mtime
    for other in temporary.parent.glob(".skmnist-*"):
        # Another process may remove it first.
        with suppress(OSError):
            if now - other.stat().st_mtime > ABANDONED:
                other.unlink()


@contextmanager
def reading(problem: str, remedy: str = "") -> Iterator[None]:
    """Raise a ValueError that begins with `problem`, whatever a reader raises.

    NumPy's, Pillow's and others' raise nearly anything on damaged files, MemoryError
    too, where a size is damaged. What the system says, naming a file, goes on as it is.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{problem}: {kind}{error}{remedy}") from error
