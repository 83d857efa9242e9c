"""Copies and pickles of Keras objects, and of fitted models."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from skmnist._keras import assign, has_lost_threads, keras, state_variables

# Given as instances, these cannot be copied or pickled by Python: Keras saves them by
# name, and does not find a user's own class by its name.
COPIED = (keras.losses.Loss, keras.metrics.Metric, keras.optimizers.Optimizer)
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, eq=False)
class Packed:
    """A Keras loss, metric or optimizer as its class and its parameters."""

    kind: Any
    # Attributes of a loss, which has no variables; else the result of `get_config`.
    config: dict[str, Any]

    @classmethod
    def of(cls, item: Any) -> "Packed":
        """Pack a Keras object, if its configuration holds all its parameters."""
        kind = type(item)
        if isinstance(item, keras.losses.Loss):
            return cls(kind, dict(vars(item)))
        cause = None
        try:
            packed = cls(kind, _replace(item.get_config(), (), None, {}))
            for value in vars(item).values():
                # Keras would not find a user's own schedule by its name.
                if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
                    packed.config["learning_rate"] = value
            problem = _difference(item, packed.unpack())
        except Exception as error:
            problem, cause = f"{type(error).__name__}: {error}", error
        if problem:
            role = "metrics" if isinstance(item, keras.metrics.Metric) else "optimizer"
            raise ValueError(
                f"{kind.__name__}.get_config must return all parameters, so that the"
                f" instance can be copied for training; got: {problem}. Define"
                f" get_config, or give the class and its parameters by prefix:"
                f" {role}={kind.__name__}, {role}__x=..."
            ) from cause
        return packed

    def unpack(self) -> Any:
        """Return a new object with the same parameters."""
        if not issubclass(self.kind, keras.losses.Loss):
            # A copy of the configuration, because some classes change it.
            return self.kind.from_config(dict(self.config))
        item = self.kind.__new__(self.kind)
        item.__dict__.update(self.config)
        return item

    # scikit-learn's `clone` calls it for a parameter.
    __sklearn_clone__ = unpack


def _difference(item: Any, copied: Any) -> str:
    """Describe a difference between an object and its copy; "" if there is none."""
    config, init = item.get_config(), type(item).__init__
    if not init.__module__.startswith("keras."):
        for name, parameter in list(inspect.signature(init).parameters.items())[1:]:
            if name not in config and parameter.kind not in VARIADIC:
                return f"no {name}"
    if repr(config) != repr(copied.get_config()):
        return f"{copied.get_config()} from {config}"
    # Built for another model, an optimizer has further attributes.
    attributes = {} if getattr(item, "built", False) else vars(item)
    plain = bool | int | float | str | None
    for name, value in attributes.items():
        is_plain = all(isinstance(leaf, plain) for leaf in keras.tree.flatten(value))
        if is_plain and repr(value) != repr(vars(copied).get(name)):
            return f"{name}={vars(copied).get(name)!r} instead of {value!r}"
    return ""


def pack(value: Any) -> Any:
    """Replace Keras objects in lists, tuples and dicts, the same object by the same."""
    return _replace(value, COPIED, Packed.of, {})


def unpack(value: Any) -> Any:
    """Return the value that was packed, with new Keras objects."""
    return _replace(value, Packed, Packed.unpack, {})


def _replace(value: Any, kinds: Any, function: Any, memo: dict[int, Any]) -> Any:
    """Replace objects of some classes, wherever they are in a value."""
    if isinstance(value, kinds):
        if id(value) not in memo:
            memo[id(value)] = function(value)
        return memo[id(value)]
    # Keras' subclasses of list and dict, too, which cannot be pickled.
    if isinstance(value, list):
        return [_replace(item, kinds, function, memo) for item in value]
    if type(value) is tuple:
        return tuple(_replace(item, kinds, function, memo) for item in value)
    if isinstance(value, dict):
        return {k: _replace(item, kinds, function, memo) for k, item in value.items()}
    return value


@dataclass(frozen=True, eq=False)
class SavedModel:
    """State of a model that its parameters do not determine."""

    # Of the variables of model and optimizer.
    values: list[NDArray[Any]]
    # Name of the dtype policy.
    dtype: str
    # Whether each layer is trained.
    trainable: list[bool]

    @classmethod
    def of(cls, model: keras.Model) -> "SavedModel":
        """Save a model."""
        return cls(
            [variable.numpy() for variable in state_variables(model)],
            model.dtype_policy.name,
            [layer.trainable for layer in model.layers],
        )

    def restore(self, model: keras.Model) -> keras.Model:
        """Set a new model of the same network to this state, and return it."""
        for layer, trainable in zip(model.layers, self.trainable, strict=True):
            layer.trainable = trainable
        # The saved model has fewer variables if it was not compiled.
        assign(state_variables(model)[: len(self.values)], self.values)
        return model


class PicklingMixin(BaseEstimator):
    """Copies, clones and pickles of a classifier with all its Keras objects."""

    # Builds and compiles a model under a dtype policy.
    _make_model: Callable[[str], keras.Model]

    def __copy__(self) -> Self:
        # Without it, a shallow copy would use the state for pickling.
        copied = type(self).__new__(type(self))
        copied.__dict__.update(vars(self))
        return copied

    def __sklearn_clone__(self) -> Self:
        apart = copy.copy(self)
        apart.__dict__.update(pack(self.get_params()))
        return super(PicklingMixin, apart).__sklearn_clone__()

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        # scikeras 0.13 leaves the model to Keras, which does not find a user's own
        # functions and classes.
        if isinstance(state.get("model_"), keras.Model):
            state["model_"] = SavedModel.of(state["model_"])
        return pack(state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(unpack(state))
        # Where TensorFlow would hang, the first use raises an error: an error here
        # would end a worker of multiprocessing, which then waits.
        saved = vars(self).get("model_")
        if isinstance(saved, SavedModel) and not has_lost_threads():
            self.model_ = saved.restore(self._make_model(saved.dtype))
