"""scikit-learn's callbacks, told of every epoch."""

from collections.abc import Callable
from typing import Any, TypeVar

import keras

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9 has no callbacks
    Method = TypeVar("Method", bound=Callable[..., Any])

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand where scikit-learn's own class would."""

    def with_callbacks(method: Method) -> Method:
        """Return a method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "EpochTasks", "with_callbacks"]


class EpochTasks(keras.callbacks.Callback):
    """A Keras callback that tells scikit-learn's of a fit and of each of its epochs.

    Parameters
    ----------
    context : sklearn.callback.CallbackContext
        That of the fit.
    arguments : dict
        Those of all hooks: estimator, X, y, metadata.
    snapshot : callable
        Returns the attributes of a classifier fitted up to now.
    """

    def __init__(
        self,
        context: Any,
        arguments: dict[str, Any],
        snapshot: Callable[[], dict[str, Any]],
    ):
        super().__init__()
        self.fit = context
        self.arguments = arguments | {"reconstruction_attributes": snapshot}

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
