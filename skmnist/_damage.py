"""What is said of files that are cut short or damaged."""

from collections.abc import Iterator
from contextlib import contextmanager


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
