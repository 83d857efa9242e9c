"""The variables of a model."""

from collections.abc import Sequence
from typing import Any

import keras


def state_variables(model: keras.Model) -> list[keras.Variable]:
    """Return all that training changes in a compiled model."""
    return [*model.variables, *model.optimizer.variables]


def all_variables(model: keras.Model) -> list[keras.Variable]:
    """Return these, and those that the model counts its metrics in."""
    return [*state_variables(model), *model.metrics_variables]


def assign(variables: Sequence[keras.Variable], values: Sequence[Any]) -> None:
    """Set variables to values, such as those of `state_variables`."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
