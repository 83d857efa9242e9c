"""Keras: importing it, checking for forked processes, and a model's variables."""

import os
from collections.abc import Sequence
from typing import Any

# TensorFlow reads it once, when it is imported, which scikeras does, too. 1 hides what
# is only information.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")

import keras as keras
import tensorflow as tf  # noqa: F401
from scikeras import wrappers as wrappers

_used = _lost = False


def _after_fork() -> None:
    global _lost
    _lost = _used


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def has_lost_threads() -> bool:
    """Note that Keras will be used, and return whether TensorFlow would hang here."""
    global _used
    _used = True
    return _lost


def check_threads() -> None:
    """Raise a RuntimeError in a process forked from one in which skmnist used Keras."""
    if has_lost_threads():
        raise RuntimeError(
            "This process was forked from one that had used TensorFlow, which would"
            " hang here. Start processes with multiprocessing.get_context('spawn') or"
            " joblib, or predict with to_sklearn(...), called before the fork."
        )


def state_variables(model: keras.Model) -> list[keras.Variable]:
    """Return all variables that training changes in a compiled model."""
    return [*model.variables, *getattr(model.optimizer, "variables", ())]


def assign(variables: Sequence[keras.Variable], values: Sequence[Any]) -> None:
    """Set variables to values, such as those of `state_variables`."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def take_over(model: keras.Model, old: keras.Model) -> None:
    """Continue in a model the training of another one of the same network.

    An optimizer of the same class and shapes is continued, except its learning rate.
    """
    assign(model.variables, [variable.numpy() for variable in old.variables])
    optimizer, before = model.optimizer, old.optimizer
    shapes, old_shapes = ([v.shape for v in o.variables] for o in (optimizer, before))
    if type(optimizer) is type(before) and shapes == old_shapes:
        rate = optimizer.learning_rate
        for variable, value in zip(optimizer.variables, before.variables, strict=True):
            if variable is not rate:
                variable.assign(value)
