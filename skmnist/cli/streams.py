"""Output of the command line, and the standard error of its process."""

import contextlib
import os
import re
import subprocess
import sys

# Lines about the machine that TensorFlow logs from C++ at any log level: on instruction
# sets, and on the absence of a GPU.
_NOISE = (
    r"[IW]\d{4} |\d{4}-\d\d-\d\d [^:]*:\d\d:.*?: [IW] |WARNING: All log messages"
    r"|To enable the following|.*(cuInit|cu\w+ factory|computation placer)"
)
# Python for a process that copies other lines. It outlives a crash of this one.
_FILTER = f"""
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
for line in sys.stdin.buffer:
    if not re.match({_NOISE.encode()!r}, line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


def filter_stderr() -> None:
    """Drop TensorFlow's log from this process' standard error.

    Nothing is dropped if TF_CPP_MIN_LOG_LEVEL is set. `skmnist._keras` sets it, so this
    is called before its import. Text of Python does not pass the filter.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    with contextlib.suppress(OSError):  # No process, or no standard error.
        errors = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
        read, write = os.pipe()
        command = [sys.executable, "-ISc", _FILTER]
        subprocess.Popen(command, stdin=read, stdout=errors)
        os.dup2(write, 2)
        os.close(read)
        os.close(write)
        sys.stderr = errors


def say(text: str) -> None:
    """Print a result, in characters that the output can encode."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def complain(text: str) -> None:
    """Print a line to standard error."""
    with contextlib.suppress(OSError):
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
