"""A fitted classifier in a file: its parameters and the values of its variables."""

import copy
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import scikeras
from numpy.typing import NDArray
from scikeras import wrappers
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning

from skmnist._keras import assign, has_lost_threads, keras, state_variables
from skmnist._objects import put_together, take_apart
from skmnist._version import __version__


@dataclass(frozen=True, eq=False)
class SavedModel:
    """What a model has beside the parameters that it was built and compiled with.

    Parameters
    ----------
    values : list of ndarray
        Those of its variables, and of its optimizer's.
    dtype : str
        Its dtype policy.
    trainable : list of bool
        Which of its layers are trained.
    """

    values: list[NDArray[Any]]
    dtype: str
    trainable: list[bool]

    @classmethod
    def of(cls, model: keras.Model) -> "SavedModel":
        """Save a model."""
        return cls(
            [variable.numpy() for variable in state_variables(model)],
            model.dtype_policy.name,
            [layer.trainable for layer in model.layers],
        )

    def restore(self, clf: Any) -> keras.Model:
        """Make the model of a classifier anew."""
        maker = copy.copy(clf)
        # They may have been set since.
        for name in clf._recipe():
            del maker.__dict__[name]
        maker.__dict__.update(clf._made_of)
        model = maker._make_model(self.dtype)
        for layer, trainable in zip(model.layers, self.trainable, strict=True):
            layer.trainable = trainable
        # As few as there are, if it was not compiled.
        assign(state_variables(model)[: len(self.values)], self.values)
        return model


class SavedByParts(wrappers.KerasClassifier):
    """A scikeras classifier that is copied, cloned and pickled with all in it."""

    def __copy__(self) -> Self:
        # The default would take `__getstate__`, which is for pickling.
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __sklearn_clone__(self) -> Self:
        # scikit-learn copies parameters as Keras does, by their configuration.
        apart = copy.copy(self)
        apart.__dict__.update(take_apart(self.get_params(deep=False)))
        return BaseEstimator.__sklearn_clone__(apart)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if self.initialized_:
            # scikeras 0.13 cannot be saved with callbacks that cannot.
            try:
                pickle.dumps(self.callbacks)
            except Exception as error:
                warnings.warn(
                    f"Saved without its callbacks, which cannot be pickled: {error}",
                    UserWarning,
                    stacklevel=2,
                )
                state["callbacks"] = None
            # scikeras 0.13 leaves this to Keras, which does not find again what is the
            # user's own.
            if isinstance(self.model_, keras.Model):
                state["model_"] = SavedModel.of(self.model_)
        return take_apart(state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(put_together(state))
        # If TensorFlow would hang, the error is for the first use: one in unpickling
        # ends a worker of multiprocessing, which then waits.
        if self.initialized_ and not has_lost_threads():
            self.__dict__["model_"] = self.model_.restore(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # The versions come first in the file, so that they are told even if the rest
        # cannot be read with others.
        return new_from_file, (type(self), versions()), self.__getstate__()


def versions() -> dict[str, str]:
    """Return the versions of all that a saved classifier is made of."""
    return {
        "skmnist": __version__,
        "scikeras": scikeras.__version__,
        "keras": keras.__version__,
    }


def new_from_file(cls: Any, written: Mapping[str, str]) -> Any:
    """Make a classifier to be filled from a file, comparing versions."""
    differing = [n for n, version in versions().items() if written[n] != version]
    if differing:
        then, now = (
            ", ".join(f"{name} {found[name]}" for name in differing)
            for found in (written, versions())
        )
        warnings.warn(
            InconsistentVersionWarning(
                estimator_name=cls.__name__,
                original_sklearn_version=then,
                current_sklearn_version=now,
            ),
            stacklevel=2,
        )
    return cls.__new__(cls)
