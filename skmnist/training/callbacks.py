"""Callbacks: scikit-learn's are told of every epoch, some of Keras' of every batch."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from skmnist._keras import keras

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9 has no callbacks
    Method = TypeVar("Method", bound=Callable[..., Any])

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand where scikit-learn's own class would."""

    def with_callbacks(method: Method) -> Method:
        """Return a method as it is."""
        return method


__all__ = [
    "CallbackSupportMixin",
    "epoch_tasks",
    "lend",
    "looks_at_batches",
    "with_callbacks",
]


def epoch_tasks(
    estimator: Any, epochs: int, X: Any, y: Any, sample_weight: Any
) -> list[keras.callbacks.Callback]:
    """Return what tells the callbacks of an estimator of its epochs, if it has any.

    Parameters
    ----------
    estimator : MNISTClassifier
        About to be fitted, in a method that `with_callbacks` decorates.
    epochs : int
        Number of epochs that it is to be trained.
    X, y, sample_weight
        What its `fit` was given.
    """
    if not hasattr(estimator, "_skl_callbacks"):
        return []
    arguments = {"estimator": estimator, "X": X, "y": y}
    if sample_weight is not None:
        arguments["metadata"] = {"sample_weight": sample_weight}
    return [
        EpochTasks(estimator._init_callback_context(max_subtasks=epochs), arguments)
    ]


class EpochTasks(keras.callbacks.Callback):
    """A Keras callback that tells scikit-learn's of a fit and of each of its epochs.

    Parameters
    ----------
    context : sklearn.callback.CallbackContext
        That of the fit.
    arguments : dict
        Those of all hooks: estimator, X, y, metadata.
    """

    def __init__(self, context: Any, arguments: dict[str, Any]):
        super().__init__()
        self.fit = context
        self.arguments = arguments | {"reconstruction_attributes": self._snapshot}

    def _snapshot(self) -> dict[str, Any]:
        """Return what turns a copy of the estimator into one fitted up to now."""
        model = self.arguments["estimator"]._build()
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
    """Take back from callbacks, after a training, what they need no longer.

    They are the user's own objects, which may be read afterwards, and parameters of the
    estimator, which are copied with it. So they keep what they noted, but for the
    model, copies of its weights, and what cannot be copied, such as open files.
    """
    before = [dict(vars(callback)) for callback in callbacks]
    try:
        yield
    finally:
        for callback, attributes in zip(callbacks, before, strict=True):
            for name, value in dict(vars(callback)).items():
                if name not in attributes and not _is_note(name, value):
                    del vars(callback)[name]
                elif value is not attributes.get(name) and not _is_note(name, value):
                    vars(callback)[name] = attributes[name]


def _is_note(name: str, value: Any) -> bool:
    """Whether an attribute of a callback can be kept."""
    if name in ("_model", "best_weights"):
        return False
    # Not by a copy: one of what belongs to TensorFlow, begun and given up, takes
    # TensorFlow's caches of tensors along when it is deleted.
    try:
        pickle.dumps(value)
    except Exception:
        return False
    return True


_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


def looks_at_batches(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback is to be called for every single batch."""
    idle: list[type] = [keras.callbacks.Callback]
    # These two can look at batches, but seldom do.
    if getattr(callback, "save_freq", None) == "epoch":
        idle.append(keras.callbacks.ModelCheckpoint)
    if getattr(callback, "update_freq", None) == "epoch":
        idle.append(keras.callbacks.TensorBoard)
    return any(
        getattr(getattr(callback, hook), "__func__", None)
        not in [getattr(kind, hook) for kind in idle]
        for hook in _BATCH_HOOKS
    )
