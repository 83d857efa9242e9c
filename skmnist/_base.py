"""A scikeras ``KerasClassifier`` that keeps today's scikit-learn contract.

scikeras 0.13 is the last release. What does not fit scikit-learn any more, and what
never did, is corrected here, in a subclass that knows nothing of digits or of any
network: a comment says what is wrong in scikeras 0.13, docs/scikeras.rst tells it in
full. Each correction may go when the oldest scikeras that is supported does it right.
"""

import copy
import inspect
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from skmnist._keras import (
    assign,
    check_threads,
    dtype_policy,
    keras,
    state_variables,
    take_over,
)
from skmnist._objects import put_together, take_apart
from skmnist._parameters import (
    Routed,
    check_known,
    check_routed,
    draw_seed,
    is_routed,
    refuse_keyword,
    to_python,
)
from skmnist._pickling import SavedByParts
from skmnist._weights import mean_weight, weigh


class Prepared(NamedTuple):
    """Data to train on."""

    # Features, targets and, if not all are the same, weights.
    arrays: tuple[NDArray[Any], ...]
    # As validation has them: without the weights of classes, which are for training.
    held_out: tuple[NDArray[Any], ...]
    # Those that have a weight.
    rows: NDArray[np.intp]
    labels: NDArray[Any]


class KerasClassifier(SavedByParts):
    """What a classifier around a Keras network has to do, whatever the network.

    A subclass sets its parameters in ``__init__``, those of scikeras that it uses
    among them, and hands the rest to `_route`. It says in `_build` what network to
    build, and implements `fit` and `predict_proba` with the methods below: `_check` and
    `_encode` the data, `_start` or `_go_on` with the model, train, all of it within
    `_all_or_nothing`.
    """

    # Parameters.

    # What scikit-learn is to check each of them for.
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}
    # Those that an option of Keras' `fit`, such as `fit__epochs`, may override.
    _fit_parameters: ClassVar[tuple[str, ...]] = ()
    # Those that decide which network is built.
    _network_parameters: ClassVar[tuple[str, ...]] = ()

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
        params = to_python(self.get_params(deep=False))
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

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data of any real dtype.

        Returns
        -------
        ndarray of shape (n_samples,)
            The most probable labels, of the dtype given to `fit`.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Predict the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data of any real dtype.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float32
            In the order of `classes_`; minus infinity where a probability is 0.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

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
    ) -> Prepared:
        """Check, encode and weigh data to train on."""
        X, y = self._check(X, y, classes, new=new)
        weights, given = weigh(y, sample_weight, self.class_weight, self.classes_)
        if new or not hasattr(self, "_mean_weight"):
            # Weights count beside this one, so that a constant factor changes nothing.
            self._mean_weight = 1.0 if weights is None else mean_weight(weights)
        arrays: tuple[NDArray[Any], ...] = (X, self._encode(y))
        held_out = arrays
        if weights is not None:
            arrays = *arrays, (weights / self._mean_weight).astype(np.float32)
        if given is not None:
            held_out = *held_out, (given / mean_weight(given)).astype(np.float32)
        rows = np.arange(len(y)) if weights is None else np.flatnonzero(weights)
        return Prepared(arrays, held_out, rows, y)

    # The model.

    def _build(self) -> keras.Model:
        """Build the network, with new weights."""
        raise NotImplementedError

    def _recipe(self) -> dict[str, Any]:
        """Return the parameters by which a model is built and compiled."""
        own = {*self._network_parameters, "optimizer", "loss", "metrics"}
        routes = {"compile", "loss", "metrics", "optimizer"}
        return {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name in own or (is_routed(name) and name.split("__")[0] in routes)
        }

    def _start(self, settings: Mapping[str, Any], n_samples: int) -> None:
        """Start with a new model, to be trained on a number of samples."""
        self._n_steps = settings["epochs"] * math.ceil(
            n_samples / settings["batch_size"]
        )
        self._made_of = self._recipe()
        self.model_ = self._make_model(keras.config.dtype_policy().name)

    def _go_on(self) -> None:
        """Let the model that is there heed parameters that were set since."""
        # scikeras 0.13 does not look.
        recipe, made_of = self._recipe(), self._made_of
        changed = [
            name
            for name in recipe | made_of
            if not _same(recipe.get(name), made_of.get(name))
        ]
        for name in self._network_parameters:
            if name in changed:
                raise ValueError(
                    f"{name}={recipe[name]!r} cannot be trained on with: the network"
                    f" was built with {name}={made_of[name]!r}. Set it back, or fit"
                    " anew with warm_start=False."
                )
        if changed:
            # Another model, since the old one may be needed if training fails.
            old, self._made_of = self.model_, recipe
            self.model_ = self._make_model(old.dtype_policy.name)
            take_over(self.model_, old)

    def _make_model(self, dtype: str) -> keras.Model:
        """Build and compile a model, under a dtype policy of Keras."""
        maker = copy.copy(self)
        maker.__dict__.update(to_python(self._recipe()))
        # scikeras 0.13 does not pass parameters on to an optimizer's parameter.
        name = "optimizer__learning_rate"
        if inspect.isclass(schedule := getattr(maker, name, None)):
            options = {
                routed.removeprefix(f"{name}__"): value
                for routed, value in maker.__dict__.items()
                if routed.startswith(f"{name}__")
            }
            if "decay_steps" in inspect.signature(schedule).parameters:
                # If not told otherwise, it lasts as long as training does.
                options = {"decay_steps": self._n_steps} | options
            maker.__dict__[name] = schedule(**options)
        with dtype_policy(dtype):
            model = maker._build()
            model.compile(**maker._get_compile_kwargs())
            model.optimizer.build(model.trainable_variables)
        return model

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
        return {name: put_together(take_apart(kwargs[name])) for name in kwargs}

    def _keras_callbacks(self) -> list[keras.callbacks.Callback]:
        """Let scikeras make callbacks from classes and routed parameters."""
        self._initialize_callbacks()
        callbacks = self.__dict__.pop("_fit_callbacks")
        del self._predict_callbacks
        return keras.tree.flatten(callbacks)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Leave everything as it was if anything fails or is interrupted."""
        check_threads()
        # After a call that fails, scikeras 0.13 is half another estimator.
        before = self.__dict__.copy()
        generator = self.random_state
        if isinstance(generator, np.random.RandomState):
            drawn = generator.get_state()
        variables = state_variables(self.model_) if self.initialized_ else []
        values = [variable.numpy() for variable in variables]
        try:
            yield
        except BaseException as error:
            self.__dict__.clear()
            self.__dict__.update(before)
            assign(variables, values)
            if isinstance(generator, np.random.RandomState):
                generator.set_state(drawn)
            # TensorFlow's own, which says more of its insides than of the cause.
            if type(error).__name__ == "ResourceExhaustedError":
                raise MemoryError(
                    "There is not enough memory to train this network. Choose fewer"
                    " units, or a smaller batch_size."
                ) from error
            raise


def check_two_classes(y: NDArray[Any]) -> None:
    """Refuse labels of one class."""
    labels = np.unique(y)
    if len(labels) < 2:
        raise ValueError(
            f"y has one class, {labels[0]!r}, samples of weight 0 aside; a classifier"
            " needs two or more."
        )


def _same(a: Any, b: Any) -> bool:
    """Whether two values of a parameter are the same."""
    return a is b or bool(np.array_equal(a, b))
