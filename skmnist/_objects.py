"""Keras' losses, metrics and optimizers as values, to be copied and pickled.

Keras makes them anew from their configuration. That knows only what the author put
there, asks for classes to be registered, and is missing where the author wrote none.
Here they are taken apart into their attributes, as Python does with any other object.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmnist._keras import keras

BASES = (keras.losses.Loss, keras.metrics.Metric, keras.optimizers.Optimizer)


@dataclass(frozen=True, eq=False)
class Parts:
    """What a Keras object is, but for the variables that training gives it.

    Parameters
    ----------
    kind : type
        Its class, which pickle finds by its module.
    options : dict
        What its base class is to be initialised with: that keeps track of variables.
    attributes : dict
        All others, whatever the class's own constructor made them from.
    """

    kind: type
    options: Mapping[str, Any]
    attributes: Mapping[str, Any]

    def __sklearn_clone__(self) -> Any:
        return put_together(self)


@dataclass(frozen=True, eq=False)
class Slot:
    """A variable that a metric has from its constructor."""

    value: NDArray[Any]
    name: str


def take_apart(value: Any, memo: dict[int, Any] | None = None) -> Any:
    """Return a value with all Keras objects in it as `Parts`.

    Lists, tuples and dicts are looked into. `memo`, for several calls, makes the same
    object the same parts.
    """
    memo = {} if memo is None else memo
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, BASES):
        apart: Any = _parts(value, memo)
    elif _is_variable(value):
        apart = Slot(np.asarray(value.numpy()), value.name)
    elif isinstance(value, list):
        # Keras' own lists and dicts keep track of variables, too.
        apart = [take_apart(item, memo) for item in value]
    elif type(value) is tuple:
        apart = tuple(take_apart(item, memo) for item in value)
    elif isinstance(value, dict):
        apart = {key: take_apart(item, memo) for key, item in value.items()}
    else:
        return value
    memo[id(value)] = apart
    return apart


def put_together(value: Any, memo: dict[int, Any] | None = None) -> Any:
    """Return what `take_apart` took apart, made anew."""
    memo = {} if memo is None else memo
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, Parts):
        whole = _whole(value, memo)
    elif type(value) is list:
        whole = [put_together(item, memo) for item in value]
    elif type(value) is tuple:
        whole = tuple(put_together(item, memo) for item in value)
    elif type(value) is dict:
        whole = {key: put_together(item, memo) for key, item in value.items()}
    else:
        return value
    memo[id(value)] = whole
    return whole


def _parts(item: Any, memo: dict[int, Any]) -> Parts:
    options = {"name": item.name}
    if isinstance(item, keras.optimizers.Optimizer):
        rate = item._learning_rate
        options["learning_rate"] = float(rate.numpy()) if _is_variable(rate) else rate
    else:
        options["dtype"] = item._dtype_policy
    bare = vars(_bare(type(item), options))
    attributes = {
        name: take_apart(value, memo)
        for name, value in vars(item).items()
        if name not in bare or isinstance(value, str | int | float | None)
    }
    if attributes.pop("built", False):
        # What an optimizer has from training one model is no use to another.
        attributes = {n: v for n, v in attributes.items() if not _has_slot(v)}
    return Parts(type(item), options, attributes)


def _whole(parts: Parts, memo: dict[int, Any]) -> Any:
    item = _bare(parts.kind, parts.options)

    def fill(value: Any) -> Any:
        if isinstance(value, Slot):
            return item.add_variable(
                value.value.shape,
                lambda shape, dtype: value.value,
                dtype=value.value.dtype.name,
                name=value.name,
            )
        return value

    for name, value in parts.attributes.items():
        whole = put_together(value, memo)
        setattr(item, name, keras.tree.map_structure(fill, whole))
    return item


def _bare(kind: Any, options: Mapping[str, Any]) -> Any:
    """Make an object that only its base class has initialised."""
    item = kind.__new__(kind)
    base = next(base for base in BASES if issubclass(kind, base))
    base.__init__(item, **options)
    return item


def _is_variable(value: Any) -> bool:
    # Not all of Keras' variables are instances of keras.Variable before 3.7.
    return hasattr(value, "assign") and hasattr(value, "numpy")


def _has_slot(value: Any) -> bool:
    return any(isinstance(leaf, Slot) for leaf in keras.tree.flatten(value))
