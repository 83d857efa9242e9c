"""Keras, imported without what TensorFlow remarks on the machine that it is on.

A dozen lines on instruction sets and on GPUs that are not there, some of them errors by
their own rating, would bury what a script or a notebook prints. Warnings and errors of
any other kind are shown. Who sets ``TF_CPP_MIN_LOG_LEVEL`` to 0, or imports TensorFlow
beforehand, sees all; a higher level of the user's own is left as it is.
"""

import contextlib
import functools
import os
import re
import sys
import tempfile
from collections.abc import Iterator

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_REMARKS = re.compile(
    rb"""^(
        I\d{4}\ | \d{4}-\d\d-\d\d[^\n]*:\ I\       # information, in both of its forms
        | WARNING:\ All\ log\ messages\ before\ absl
        | To\ enable\ the\ following\ instructions
        # Without a driver for GPUs, or without a GPU.
        | [^\n]*failed\ call\ to\ cuInit[^\n]*(\(303\)|NO_DEVICE|no\ CUDA-capable)
        # Of TensorFlow 2.18 and 2.19, wherever there is no GPU.
        | [^\n]*Unable\ to\ register\ cu\w+\ factory
        | [^\n]*computation\ placer\ already\ registered
        | [^\n]*TF-TRT\ Warning:\ Could\ not\ find\ TensorRT
    )[^\n]*\n?""",
    re.MULTILINE | re.VERBOSE,
)


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Hold back what comes on standard error, and then show all but the remarks."""
    # As of 2.21 TensorFlow reports some whatever the level is, from C++, so past
    # `sys.stderr`. May go when the level is heeded.
    _flush()
    try:
        stderr = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            _flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            os.write(2, _REMARKS.sub(b"", file.read()))


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


_own_level = os.environ.get(LEVEL)
_quietly = _own_level != "0" and "tensorflow" not in sys.modules
if _quietly:
    # It is read once, in importing. Processes started later are to find what was there.
    os.environ.setdefault(LEVEL, "1")
    try:
        with without_remarks():
            import keras

            # As scikeras does, whatever the backend.
            import tensorflow  # noqa: F401
    finally:
        if _own_level is None:
            del os.environ[LEVEL]
else:
    import keras

__all__ = ["keras", "start_tensorflow", "without_remarks"]


@functools.cache
def start_tensorflow() -> None:
    """Have TensorFlow look for GPUs and start its compiler, which it remarks on.

    Not when it is imported: until it is used, a process may be forked.
    """
    if _quietly and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with without_remarks():
            tf.function(lambda: tf.constant(0), jit_compile=True, autograph=False)()
