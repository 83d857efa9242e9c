"""Processes forked from one that had used TensorFlow.

Its threads do not live on in them: what waits for one waits for ever.
"""

import os
import sys

_used = False
_lost = False


def _notice() -> None:
    global _lost
    # It may have been used without us, too. Its threads start with its context, for
    # which TensorFlow 2.21 has no public way to ask.
    module = sys.modules.get("tensorflow.python.eager.context")
    context = getattr(module, "_context", None)
    _lost = _used or getattr(context, "_initialized", False)


# Not everywhere can a process be forked.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_notice)


def has_lost_threads() -> bool:
    """Whether this process was forked from one that had used TensorFlow."""
    return _lost


def check_threads() -> None:
    """Refuse to use TensorFlow where it would hang, else note that it is used.

    Raises
    ------
    RuntimeError
        If this process was forked from one that had used TensorFlow.
    """
    global _used
    if _lost:
        raise RuntimeError(
            "This process was forked from one that had used TensorFlow, whose threads"
            " do not survive a fork: it would hang here. Start processes with"
            " multiprocessing.get_context('spawn') or joblib, use TensorFlow only after"
            " the fork, or predict with to_sklearn(...), made before it."
        )
    _used = True
