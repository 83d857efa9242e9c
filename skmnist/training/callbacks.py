"""Calls of scikit-learn's callbacks, and Keras callbacks given as instances.

scikit-learn's callbacks, such as `_init_callback_context`, are experimental as of 1.9.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from skmnist._keras import keras

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.callback import with_callbacks as with_callbacks
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Replacement for scikit-learn's class."""

    def with_callbacks(method: Any) -> Any:
        """Return a method unchanged."""
        return method


def epoch_tasks(estimator: Any, **options: Any) -> list[keras.callbacks.Callback]:
    """Return the Keras callback that calls an estimator's callbacks, if it has any."""
    has_callbacks = hasattr(estimator, "_skl_callbacks")
    return [EpochTasks(estimator, **options)] if has_callbacks else []


class EpochTasks(keras.callbacks.Callback):
    """Call scikit-learn's callbacks for a fit and for each epoch."""

    def __init__(self, estimator: Any, build: Any, epochs: int, **data: Any):
        super().__init__()
        self.fit = estimator._init_callback_context(max_subtasks=epochs)
        # Returns a new network of the estimator.
        self.build = build
        self.arguments = {"estimator": estimator, **data}
        self.arguments["reconstruction_attributes"] = self._snapshot

    def _snapshot(self) -> dict[str, Any]:
        """Return the attributes that turn a copy of the estimator into a fitted one."""
        model = self.build()
        model.set_weights(self.model.get_weights())
        return {"model_": model}

    def on_train_begin(self, logs: Any = None) -> None:
        self.fit.call_on_fit_task_begin(**self.arguments)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = self.fit.subcontext("epoch")
        self.epoch.call_on_fit_task_begin(**self.arguments)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.epoch.call_on_fit_task_end(**self.arguments):
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        self.fit.call_on_fit_task_end(**self.arguments)


@contextmanager
def lend(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[None]:
    """Reset callbacks after training, except their results.

    A callback given as an instance is a parameter of the estimator, which is cloned and
    pickled. It keeps numbers, strings, arrays and named functions, such as
    `stopped_epoch`, but not the model, open files and `best_weights`.
    """
    before = [dict(vars(callback)) for callback in callbacks]
    try:
        yield
    finally:
        for callback, attributes in zip(callbacks, before, strict=True):
            for name, value in vars(callback).items():
                leaves = keras.tree.flatten(value)
                if name != "best_weights" and all(_is_result(i) for i in leaves):
                    attributes[name] = value
            vars(callback).clear()
            vars(callback).update(attributes)


def _is_result(value: Any) -> bool:
    # EarlyStopping changes the sign of `min_delta` when it sets `monitor_op`.
    is_function = getattr(value, "__qualname__", "").isidentifier()
    plain = bool | int | float | str | np.generic | np.ndarray | None
    return isinstance(value, plain) or is_function


_BATCH_HOOKS = [name for name in vars(keras.callbacks.Callback) if "_batch_" in name]


def looks_at_batches(callback: keras.callbacks.Callback) -> bool:
    """Return whether a callback has to be called for every batch."""
    idle: list[type] = [keras.callbacks.Callback]
    # Two classes have hooks for batches that do nothing with this value.
    if "epoch" in (vars(callback).get(name) for name in ("save_freq", "update_freq")):
        idle += [keras.callbacks.ModelCheckpoint, keras.callbacks.TensorBoard]
    return any(
        getattr(getattr(callback, hook), "__func__", None)
        not in [getattr(kind, hook) for kind in idle]
        for hook in _BATCH_HOOKS
    )
