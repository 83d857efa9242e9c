"""A scikeras ``KerasClassifier`` that keeps today's scikit-learn contract.

scikeras 0.13 is the last release. What does not fit scikit-learn any more, and what
never did, is corrected here, in a subclass that knows nothing of digits or of any
network: a comment says what is wrong in scikeras 0.13, docs/scikeras.rst tells it in
full. Each correction may go when the oldest scikeras that is supported does it right.
"""

import copy
import inspect
import math
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import keras
import numpy as np
import scikeras
from numpy.typing import ArrayLike, NDArray
from scikeras import wrappers
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data

from skmnist._parameters import (
    Routed,
    check_known,
    check_routed,
    draw_seed,
    is_routed,
    refuse_keyword,
)
from skmnist._version import __version__
from skmnist.training.variables import assign, state_variables


class KerasClassifier(wrappers.KerasClassifier):
    """What a classifier around a Keras network has to do, whatever the network.

    A subclass sets its parameters in ``__init__``, those of scikeras that it uses
    among them, and hands the rest to `_route`. It builds ``model_`` itself, and
    implements `fit` and `predict_proba` with the methods below: `_check` and `_encode`
    the data, `_compile` the model, train, all of it within `_all_or_nothing`.
    """

    # Parameters.

    # What scikit-learn is to check each of them for.
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}
    # Those that an option of Keras' `fit`, such as `fit__epochs`, may override.
    _fit_parameters: ClassVar[tuple[str, ...]] = ()

    def _route(self, routed: Mapping[str, Any]) -> None:
        """Take the parameters to pass on, when the subclass has set its own."""
        # scikeras 0.13 takes any other name for a parameter of a function that builds
        # the model.
        known = [*vars(self), *Routed.__annotations__]
        # scikit-learn's check that constructors raise nothing takes the name of
        # **routed for that of a parameter. `_settings` refuses it.
        given = {name: routed[name] for name in routed if name != "routed"}
        check_routed(type(self).__name__, given, known)
        self.__dict__.update(routed)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, routed ones such as `optimizer__learning_rate` included.

        Parameters
        ----------
        **params
            Parameters of the constructor.

        Returns
        -------
        self : estimator
            The classifier.

        Raises
        ------
        ValueError
            If there is no such parameter.
        TypeError
            If an option of Keras' ``fit`` is not passed on.
        """
        routed = {name: value for name, value in params.items() if is_routed(name)}
        # Past scikeras 0.13, which advises a constructor call that would not work.
        BaseEstimator.set_params(
            self, **{name: params[name] for name in params.keys() - routed.keys()}
        )
        self._route(routed)
        return self

    def _get_param_names(self) -> list[str]:
        # scikeras 0.13 returns a generator, which error messages then show.
        return sorted(super()._get_param_names())

    def _settings(self) -> dict[str, Any]:
        """Check all parameters, and return those of training."""
        # scikeras 0.13 checks none: epochs=0 trains nothing.
        params = self.get_params(deep=False)
        if "routed" in params:
            refuse_keyword(type(self).__name__, "routed", ())
        settings = {name: params[name] for name in self._fit_parameters} | {
            name.removeprefix("fit__"): value
            for name, value in params.items()
            if name.startswith("fit__") and not name.startswith("fit__callbacks")
        }
        validate_parameter_constraints(
            self._parameter_constraints,
            params | settings,
            caller_name=type(self).__name__,
        )
        check_known("optimizer", self.optimizer, keras.optimizers.get, "'adam'")
        check_known("loss", self.loss, keras.losses.get, "'categorical_crossentropy'")
        return settings

    # What scikit-learn asks.

    def __sklearn_tags__(self) -> Tags:
        # scikeras 0.13 has only `_more_tags`, which scikit-learn no longer asks, and
        # `ClassifierMixin` comes too late in its class order to say what we are.
        tags = BaseEstimator.__sklearn_tags__(self)
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags()
        tags.target_tags.required = True
        return tags

    # scikeras 0.13 prints every parameter on a line of its own.
    __repr__ = BaseEstimator.__repr__

    # scikeras 0.13 scores in a way of its own, which checks `y` against the dtype
    # seen in fit and drops samples of weight 0.
    score = ClassifierMixin.score

    # Data.

    _remedy_for_images = "Make each sample a row: X.reshape(len(X), -1)."
    _remedy_for_one = "To predict one sample, pass X[np.newaxis]."

    def _validate(self, X: Any, y: Any = "no_validation", *, reset: bool) -> Any:
        """Let scikit-learn check the data, and add a remedy to what it says."""
        # scikeras 0.13 refuses dtypes other than that of fit, keeps no names of
        # features, and lets sparse arrays pass.
        try:
            return validate_data(self, X, y, dtype=np.float32, order="C", reset=reset)
        except ValueError as error:
            shape = getattr(X, "shape", ())
            if len(shape) > 2:
                remedy = self._remedy_for_images
            elif not reset and shape and np.prod(shape) == self.n_features_in_:
                remedy = self._remedy_for_one
            else:
                raise
            raise ValueError(f"{error} {remedy}") from error

    def _check(
        self, X: Any, y: Any, classes: ArrayLike | None = None, *, new: bool
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Check data to train on: for a new model, or for the one that is there."""
        X, y = self._validate(X, y, reset=new)
        check_classification_targets(y)
        if new:
            labels = y if classes is None else classes
            self.classes_ = LabelEncoder().fit(labels).classes_
            self._seed = draw_seed(self.random_state)
            self.history_: dict[str, list[float]] = {}
            check_two_classes(self.classes_)
        elif classes is not None and not np.array_equal(
            np.unique(classes), self.classes_
        ):
            raise ValueError(
                f"classes={classes!r} are not those of the first call,"
                f" {self.classes_!r}."
            )
        return X, y

    def _encode(self, y: NDArray[Any]) -> NDArray[Any]:
        """One-hot encode labels, or number them for a loss that takes numbers."""
        # scikeras 0.13 does not encode two classes so, which a softmax needs.
        encoder = LabelEncoder()
        encoder.classes_ = self.classes_
        numbers = encoder.transform(y)
        name = getattr(self.loss, "__name__", type(self.loss).__name__)
        if "sparse" in (self.loss if isinstance(self.loss, str) else name).lower():
            return numbers
        return np.eye(len(self.classes_), dtype=np.float32)[numbers]

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        *,
        new: bool,
    ) -> tuple[tuple[NDArray[Any], ...], NDArray[np.intp], NDArray[Any]]:
        """Return arrays to train on, their rows that have a weight, and labels."""
        X, y = self._check(X, y, classes, new=new)
        arrays = X, self._encode(y)
        weights = self._weigh(y, sample_weight)
        if weights is None:
            return arrays, np.arange(len(y)), y
        return (*arrays, weights), np.flatnonzero(weights), y

    def _weigh(
        self, y: NDArray[Any], sample_weight: ArrayLike | None
    ) -> NDArray[np.float32] | None:
        """Return the weight of each sample, its class's included, or None."""
        if sample_weight is None and self.class_weight is None:
            return None
        weights = _check_sample_weight(
            sample_weight, y, dtype=np.float32, ensure_non_negative=True
        )
        if self.class_weight is not None and weights.any():
            # Not in place, as in scikeras 0.13: the array may be the caller's.
            weights = weights * self._weights_of_classes(y, np.flatnonzero(weights))
            if not (np.isfinite(weights) & (weights >= 0)).all():
                raise ValueError(
                    "class_weight must be finite and not negative, got"
                    f" {self.class_weight}."
                )
        if not weights.any():
            raise ValueError("All samples have weight 0: there is nothing to train on.")
        return weights.astype(np.float32, copy=False)

    def _weights_of_classes(
        self, y: NDArray[Any], rows: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the weight of each sample's class; `rows` are those that count."""
        if not isinstance(self.class_weight, Mapping):
            return compute_sample_weight(self.class_weight, y, indices=rows)
        # scikit-learn 1.9 looks the label "3" up as a number, and refuses the weight of
        # a class that `y`, which may be a part of the data, lacks.
        labels = self.classes_.tolist()
        if unknown := [key for key in self.class_weight if key not in labels]:
            raise ValueError(
                f"class_weight has {unknown}, but the labels are {labels}."
            )
        weights = [float(self.class_weight.get(label, 1)) for label in labels]
        return np.array(weights)[np.searchsorted(self.classes_, y)]

    # The model.

    def _compile(self, settings: Mapping[str, Any], n_samples: int) -> None:
        """Compile `model_`, to be trained on a number of samples."""
        compiling = copy.copy(self)
        # scikeras 0.13 does not pass parameters on to an optimizer's parameter.
        name = "optimizer__learning_rate"
        if inspect.isclass(schedule := getattr(self, name, None)):
            options = {
                routed.removeprefix(f"{name}__"): value
                for routed, value in self.__dict__.items()
                if routed.startswith(f"{name}__")
            }
            if "decay_steps" in inspect.signature(schedule).parameters:
                # If not told otherwise, it lasts as long as training does.
                batches = math.ceil(n_samples / settings["batch_size"])
                options = {"decay_steps": settings["epochs"] * batches} | options
            compiling.__dict__[name] = schedule(**options)
        self.model_.compile(**compiling._get_compile_kwargs())
        self.model_.optimizer.build(self.model_.trainable_variables)

    def _get_compile_kwargs(self) -> dict[str, Any]:
        kwargs = super()._get_compile_kwargs()
        # scikeras 0.13 makes a tuple of metrics the only metric of a list.
        if isinstance(self.metrics, tuple):
            (kwargs["metrics"],) = map(list, kwargs["metrics"])
        # scikeras 0.13 looks the loss up. A name says more: it is Keras' own.
        if isinstance(self.loss, str):
            kwargs["loss"] = self.loss
        # scikeras 0.13 compiles every model with the very optimizer, loss and metrics
        # it was given, and an optimizer cannot serve a second model.
        new = {}
        if not isinstance(self.optimizer, keras.optimizers.Optimizer):
            new["optimizer"] = kwargs.pop("optimizer")  # was made just now
        return keras.tree.map_structure(_renew, kwargs) | new

    def _keras_callbacks(self) -> list[keras.callbacks.Callback]:
        """Let scikeras make callbacks from classes and routed parameters."""
        self._initialize_callbacks()
        callbacks = self.__dict__.pop("_fit_callbacks")
        del self._predict_callbacks
        return keras.tree.flatten(callbacks)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Leave everything as it was if anything fails or is interrupted."""
        # After a call that fails, scikeras 0.13 is half another estimator.
        before = self.__dict__.copy()
        generator = self.random_state
        if isinstance(generator, np.random.RandomState):
            drawn = generator.get_state()
        variables = state_variables(self.model_) if self.initialized_ else []
        values = [variable.numpy() for variable in variables]
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            assign(variables, values)
            if isinstance(generator, np.random.RandomState):
                generator.set_state(drawn)
            raise

    # Files.

    def __copy__(self) -> Self:
        # The default would take `__getstate__`, which is for pickling.
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

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
        return state

    def __reduce__(self) -> tuple[Any, ...]:
        # The versions come first in the file, so that they are told even if the rest
        # cannot be read with others.
        return _new_from_file, (type(self), _versions()), self.__getstate__()


def check_two_classes(y: NDArray[Any]) -> None:
    """Refuse labels of one class."""
    labels = np.unique(y)
    if len(labels) < 2:
        raise ValueError(
            f"y has one class, {labels[0]!r}, samples of weight 0 aside; a classifier"
            " needs two or more."
        )


def _renew(item: Any) -> Any:
    """Make a Keras object anew, without the variables that it may have by now."""
    kinds = (keras.optimizers.Optimizer, keras.losses.Loss, keras.metrics.Metric)
    return (
        type(item).from_config(item.get_config()) if isinstance(item, kinds) else item
    )


def _versions() -> dict[str, str]:
    """Return the versions of all that a saved classifier is made of."""
    return {
        "skmnist": __version__,
        "scikeras": scikeras.__version__,
        "keras": keras.__version__,
    }


def _new_from_file(
    cls: type[KerasClassifier], written: dict[str, str]
) -> KerasClassifier:
    """Make a classifier to be filled from a file, comparing versions."""
    differing = [n for n, version in _versions().items() if written[n] != version]
    if differing:
        then, now = (
            ", ".join(f"{name} {versions[name]}" for name in differing)
            for versions in (written, _versions())
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
