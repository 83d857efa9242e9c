"""The variables of a model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from skmnist._keras import keras


def state_variables(model: keras.Model) -> list[keras.Variable]:
    """Return all that training changes in a compiled model."""
    return [*model.variables, *getattr(model.optimizer, "variables", ())]


def all_variables(model: keras.Model) -> list[keras.Variable]:
    """Return these, and those that the model counts its metrics in."""
    return [*state_variables(model), *model.metrics_variables]


def assign(variables: Sequence[keras.Variable], values: Sequence[Any]) -> None:
    """Set variables to values, such as those of `state_variables`."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def take_over(model: keras.Model, old: keras.Model) -> None:
    """Let a model go on where another one of the same network was.

    An optimizer of the same kind goes on, too, but for its learning rate.
    """
    assign(model.variables, [variable.numpy() for variable in old.variables])
    optimizers = model.optimizer, old.optimizer
    shapes, old_shapes = ([v.shape for v in o.variables] for o in optimizers)
    if type(model.optimizer) is type(old.optimizer) and shapes == old_shapes:
        for variable, before in zip(*(o.variables for o in optimizers), strict=True):
            if variable.path.rpartition("/")[2] != "learning_rate":
                variable.assign(before)


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Set Keras' dtype policy for a while, if it is another."""
    before = keras.config.dtype_policy()
    if before.name != name:
        keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        if before.name != name:
            keras.config.set_dtype_policy(before)
