"""Calls of scikit-learn's callbacks, and Keras callbacks given as instances.

scikit-learn's callbacks are experimental as of 1.9, their first release: the methods
that an estimator calls (`_init_callback_context`) and those of the context may change.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from skmnist._keras import keras

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.callback import with_callbacks as with_callbacks
except ImportError:  # scikit-learn < 1.9
    Method = TypeVar("Method", bound=Callable[..., Any])

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Replacement for scikit-learn's class."""

    def with_callbacks(method: Method) -> Method:
        """Return a method unchanged."""
        return method


# Types of the attributes that a callback keeps after training.
PLAIN = (bool, int, float, str, np.generic, np.ndarray, type(None))


def epoch_tasks(
    estimator: CallbackSupportMixin,
    build: Callable[[], keras.Model],
    epochs: int,
    X: Any,
    y: Any,
    sample_weight: Any,
) -> list[keras.callbacks.Callback]:
    """Return the Keras callback that calls an estimator's callbacks, if it has any.

    `with_callbacks` decorates the method that trains it. `build` returns a new network
    of the estimator; X, y and sample_weight are the arguments of its `fit`.
    """
    if not hasattr(estimator, "_skl_callbacks"):
        return []
    arguments = {"estimator": estimator, "X": X, "y": y}
    if sample_weight is not None:
        arguments["metadata"] = {"sample_weight": sample_weight}
    context = estimator._init_callback_context(max_subtasks=epochs)
    return [EpochTasks(context, build, arguments)]


class EpochTasks(keras.callbacks.Callback):
    """Call scikit-learn's callbacks for a fit and for each epoch."""

    def __init__(
        self, context: Any, build: Callable[[], Any], arguments: dict[str, Any]
    ):
        super().__init__()
        self.fit = context
        self.build = build
        self.arguments = arguments | {"reconstruction_attributes": self._snapshot}

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
    pickled. It keeps attributes of numbers, strings and arrays, and lists, tuples and
    dicts of them, such as `stopped_epoch`. All others, such as the model, open files
    and `best_weights`, are set back to their values before training.
    """
    before = [dict(vars(callback)) for callback in callbacks]
    try:
        yield
    finally:
        for callback, attributes in zip(callbacks, before, strict=True):
            for name, value in vars(callback).items():
                leaves = keras.tree.flatten(value)
                if name != "best_weights" and all(isinstance(i, PLAIN) for i in leaves):
                    attributes[name] = value
            vars(callback).clear()
            vars(callback).update(attributes)


_BATCH_HOOKS = [
    f"on_{phase}batch_{end}"
    for phase in ("", "train_", "test_")
    for end in ("begin", "end")
]


def looks_at_batches(callback: keras.callbacks.Callback) -> bool:
    """Return whether a callback has to be called for every batch."""
    idle: list[type] = [keras.callbacks.Callback]
    # These two have hooks for batches, used only with other values.
    if getattr(callback, "save_freq", None) == "epoch":
        idle.append(keras.callbacks.ModelCheckpoint)
    if getattr(callback, "update_freq", None) == "epoch":
        idle.append(keras.callbacks.TensorBoard)
    return any(
        getattr(getattr(callback, hook), "__func__", None)
        not in [getattr(kind, hook) for kind in idle]
        for hook in _BATCH_HOOKS
    )
