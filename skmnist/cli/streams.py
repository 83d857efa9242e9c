"""Output of the command line."""

import re
import sys


def say(text: str) -> None:
    """Print a result, in characters that the output can encode."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def complain(text: str) -> None:
    """Print a line to standard error."""
    if sys.stderr:  # Closed, it is None, for which print uses standard output.
        print(f"skmnist: {text}", file=sys.stderr, flush=True)


def shown(name: str) -> str:
    """Return a file name in one line, with escapes for what cannot be printed."""
    if name.startswith("data:"):
        name = f"{name.partition(',')[0]},..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def one_line(error: BaseException, file: str = "") -> str:
    """Return the message of an error in one line, which names the file, if any."""
    text = str(error).strip() or type(error).__name__
    if file and isinstance(error, OSError) and error.filename is not None:
        text = f"{file}: {error.strerror}"
    if file:
        text = text.replace(file, name := shown(file))
        text = text if name in text else f"{name}: {text}"
    return shown(re.sub(r"\s*\n\s*", " ", text))
