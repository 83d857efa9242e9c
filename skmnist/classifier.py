"""A Keras classifier that keeps scikit-learn's contract."""

import copy
import inspect
import math
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, Literal, Self

import joblib
import keras
import numpy as np
import scikeras
from numpy.typing import ArrayLike, NDArray
from scikeras.wrappers import KerasClassifier
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import ClassifierTags, Tags, check_random_state, check_scalar
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    check_memory,
    validate_data,
)

from skmnist._version import __version__
from skmnist.network import build_network, predict_proba
from skmnist.training.batches import Batches
from skmnist.training.callbacks import (
    CallbackSupportMixin,
    epoch_tasks,
    with_callbacks,
)
from skmnist.training.loop import train
from skmnist.training.variables import assign, state_variables

# Comments that name scikeras 0.13 say what is wrong there. Each correction may go when
# the oldest scikeras that is supported does it right; docs/scikeras.rst lists them.

# Prefixes of the parameters that scikeras passes on. Those of building and predicting
# are missing: the network is built, and predicts, without scikeras.
_ROUTES = ("callbacks", "compile", "fit", "loss", "metrics", "optimizer")
# Options of Keras' `fit` that decide which batches an epoch has, or how it is counted.
_NOT_ROUTED = (
    "fit__x",
    "fit__y",
    "fit__initial_epoch",
    "fit__steps_per_epoch",
    "fit__validation_data",
)


class MNISTClassifier(CallbackSupportMixin, KerasClassifier):
    """Dense softmax network, trained by Keras and used like any classifier.

    A scikeras ``KerasClassifier`` around the network of the first lesson in deep
    learning: for images of 28x28 pixels and ten digits 784-512-512-10, dense
    layers with ReLU and a softmax. The widths of input and output come from the
    data, labels are one-hot encoded inside.

    Parameters
    ----------
    units : int or sequence of int, default=512
        Width of both hidden layers, or the width of each hidden layer.
    epochs : int, default=5
        Number of passes over the training data, at least 1.
    batch_size : int, default=32
        Samples in each gradient step, at least 1.
    activation : str or callable, default="relu"
        Activation of the hidden layers, as Keras takes it.
    dropout : float in [0, 1), default=0.0
        Share of each hidden layer's outputs that training sets to zero.
    distortion : float, default=0.0
        Strength by which every training image is distorted anew in every epoch: turned,
        scaled, slanted, shifted and bent at random,
        as :mod:`skmnist.training.distortion` says.
        0 is off, 1 is meant for MNIST. Takes square images, such as 784 features for
        28x28 pixels. Never done in prediction, nor to validation data.
    optimizer : str, class or instance of keras.optimizers.Optimizer, \
            default="rmsprop"
        An instance is copied, so that every fit starts with a fresh one.
    loss : str, callable, class or instance of keras.losses.Loss, \
            default="categorical_crossentropy"
        Targets are one-hot encoded, for a loss named "sparse..." class numbers.
    metrics : sequence, default=("accuracy",)
        Metrics to follow during training, as Keras takes them.
    validation_split : float in [0, 1), default=0.0
        Share of the training data to hold out, stratified and at random, for
        validation after each epoch. Not used when `fit` is given `X_val`, nor by
        `partial_fit`, which trains on all that it gets.
    callbacks : keras.callbacks.Callback, list of them, or None, default=None
        As scikeras takes them.
    class_weight : dict of label to float, "balanced" or None, default=None
        Weights of the classes, which multiply `sample_weight`. A label left out of a
        dict has weight 1; "balanced" weighs a class by the inverse of its frequency
        among the samples that are trained on.
    warm_start : bool, default=False
        Whether `fit` goes on from the last fit, with further epochs.
    shuffle : bool, default=True
        Whether to shuffle the training data before each epoch.
    verbose : {0, 1, 2}, default=0
        Progress on standard output: none, Keras' bar, or a line an epoch.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, order of the samples, dropout, distortion and
        `validation_split`. An int makes `fit` repeatable to the bit.
    memory : str, path, joblib.Memory or None, default=None
        Folder in which `fit` keeps its state after each epoch. A fit of the same
        parameters, seed included, on the same data then takes the epochs that were
        trained before from there, so that a grid over `epochs` costs what its largest
        value costs. The result is the same to the bit, on like processors and with as
        many threads of TensorFlow. Not used with `callbacks`, which may change what an
        epoch does, with functions of your own as activation, loss or metrics, nor where
        Keras' own loop runs.
    **routed
        Parameters that scikeras passes on, such as
        ``optimizer__learning_rate=1e-3`` or ``fit__validation_freq=2``; their names
        start with ``callbacks__``, ``compile__``, ``fit__``, ``loss__``,
        ``metrics__`` or ``optimizer__``.

    Attributes
    ----------
    model_ : keras.Model
        The trained network.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, of the dtype given to `fit`.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,), dtype object
        Names of the features, if `fit` was given a DataFrame.
    history_ : dict of str to list of float
        ``loss``, ``accuracy`` and, with validation data, ``val_loss`` and
        ``val_accuracy``: one value for each epoch since the weights were new, or for
        each that was validated.

    See Also
    --------
    skmnist.make_pipeline : The same behind flattening and scaling of images.
    sklearn.neural_network.MLPClassifier : scikit-learn's own network.

    Notes
    -----
    No global random state is read or changed: initial weights, the order of the
    samples and dropout each draw from a generator seeded for this fit, so that fits
    in threads and worker processes give what each gives alone. The order and what
    dropout drops follow from the seed and the number of the epoch: training 10
    epochs is training 5 and then, by `partial_fit` or `warm_start`, 5 more. Not so what
    the end of a training decides: a learning-rate schedule that lasts as long as the
    first one, and weights that the optimizer averages (`use_ema`).

    The network, RMSprop and five epochs are those of F. Chollet, "Deep Learning
    with Python" (2017), whose first example it extends by a second hidden layer.

    Examples
    --------
    >>> from skmnist import MNISTClassifier, flatten_and_scale, load_digits_28x28
    >>> (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
    >>> clf = MNISTClassifier(units=64, epochs=10, random_state=0)
    >>> clf.fit(flatten_and_scale(X_train), y_train)
    MNISTClassifier(epochs=10, random_state=0, units=64)
    >>> clf.score(flatten_and_scale(X_test), y_test) > 0.9
    True
    """

    def __init__(
        self,
        units: int | Sequence[int] = 512,
        *,
        epochs: int = 5,
        batch_size: int = 32,
        activation: str | Callable[..., Any] = "relu",
        dropout: float = 0.0,
        distortion: float = 0.0,
        optimizer: Any = "rmsprop",
        loss: Any = "categorical_crossentropy",
        metrics: Any = ("accuracy",),
        validation_split: float = 0.0,
        callbacks: Any = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        warm_start: bool = False,
        shuffle: bool = True,
        verbose: int | str = 0,
        random_state: int | np.random.RandomState | None = None,
        memory: str | os.PathLike[str] | joblib.Memory | None = None,
        **routed: Any,
    ):
        self.units = units
        self.epochs = epochs
        self.batch_size = batch_size
        self.activation = activation
        self.dropout = dropout
        self.distortion = distortion
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = metrics
        self.validation_split = validation_split
        self.callbacks = callbacks
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.shuffle = shuffle
        self.verbose = verbose
        self.random_state = random_state
        self.memory = memory
        self.__dict__.update(routed)

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training data of any real dtype, used as float32.
        y : array-like of shape (n_samples,)
            Labels: ints, strings, bools.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative. Samples of weight 0 are left out.
        X_val : array-like of shape (n_validation_samples, n_features), default=None
            Validation data, looked at after each epoch and never trained on.
        y_val : array-like of shape (n_validation_samples,), default=None
            Labels of the validation data.

        Returns
        -------
        self : MNISTClassifier
            The fitted classifier.

        Raises
        ------
        ValueError or TypeError
            If a parameter or the data are unusable. A classifier that was fitted
            before is then as it was.
        """
        settings = self._settings()
        tasks = epoch_tasks(self, settings["epochs"], X, y, sample_weight)
        goes_on = self.warm_start and self.initialized_
        with self._all_or_nothing():
            X, y = self._go_on(X, y) if goes_on else self._start(X, y)
            arrays, rows = self._training_data(X, y, sample_weight)
            _check_two_classes(y[rows])
            validation, split = None, settings["validation_split"]
            if X_val is not None and y_val is not None:
                X_valid, y_valid = self._go_on(X_val, y_val)
                validation = (X_valid, self._encode(y_valid)), None
            elif X_val is not None or y_val is not None:
                raise ValueError("Validation needs both X_val and y_val, got only one.")
            elif split:
                rows, held_out = train_test_split(
                    rows, test_size=split, stratify=y[rows], random_state=self._seed
                )
                validation = arrays, held_out
            if not goes_on:
                self._compile(settings, len(rows))
            self._train(settings, arrays, rows, validation, tasks)
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train for one more epoch, from the first one if not fitted yet.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels there will be, for the first call; by default those in `y`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative. Samples of weight 0 are left out.

        Returns
        -------
        self : MNISTClassifier
            The classifier, trained for one more epoch.

        Raises
        ------
        ValueError or TypeError
            If a parameter or the data are unusable, among them labels and numbers
            of features not seen before. The classifier is then as it was.
        """
        settings = self._settings()
        goes_on = self.initialized_
        with self._all_or_nothing():
            if goes_on:
                X, y = self._go_on(X, y)
                if classes is not None and not np.array_equal(
                    np.unique(classes), self.classes_
                ):
                    raise ValueError(
                        f"classes={classes!r} are not those of the first call,"
                        f" {self.classes_!r}."
                    )
            else:
                X, y = self._start(X, y, classes)
            arrays, rows = self._training_data(X, y, sample_weight)
            if not goes_on:
                self._compile(settings, len(rows))
            self._train(settings | {"epochs": 1, "memory": None}, arrays, rows)
        return self

    def initialize(self, X: Any, y: Any) -> Self:
        """Build the network without training it, to look at or start from.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data of the width that the network shall take.
        y : array-like of shape (n_samples,)
            Labels, each class at least once.

        Returns
        -------
        self : MNISTClassifier
            With an untrained `model_`, which `partial_fit` trains.
        """
        settings = self._settings()
        with self._all_or_nothing():
            X, y = self._start(X, y)
            self._compile(settings, len(X))
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data of any real dtype.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float32
            Probabilities, in the order of `classes_`.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        ValueError or TypeError
            If `X` is unusable or its features are not those seen in `fit`.
        """
        check_is_fitted(self, "model_")
        return predict_proba(self.model_, self._validate(X, reset=False))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data of any real dtype.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels, of the dtype given to `fit`.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        ValueError or TypeError
            If `X` is unusable or its features are not those seen in `fit`.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    # scikeras 0.13 scores in a way of its own, which checks `y` against the dtype
    # seen in fit and drops samples of weight 0.
    score = ClassifierMixin.score

    def set_params(self, **params: Any) -> Self:
        """Set parameters, routed ones such as `optimizer__learning_rate` included.

        Parameters
        ----------
        **params
            Parameters of the constructor.

        Returns
        -------
        self : MNISTClassifier
            The classifier.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        routed = {name: value for name, value in params.items() if _is_routed(name)}
        # Past scikeras 0.13, which advises a constructor call that would not work.
        BaseEstimator.set_params(
            self, **{name: params[name] for name in params.keys() - routed.keys()}
        )
        self.__dict__.update(routed)
        return self

    def _get_param_names(self) -> list[str]:
        # scikeras 0.13 returns a generator, which error messages then show.
        return sorted(super()._get_param_names())

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

    def __copy__(self) -> Self:
        # The default would take `__getstate__`, which is for pickling.
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if self.initialized_:
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

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Leave everything as it was if anything fails or is interrupted."""
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

    def _start(self, X: Any, y: Any, classes: ArrayLike | None = None) -> Any:
        """Check data, and build a new network for them."""
        X, y = self._validate(X, y, reset=True)
        check_classification_targets(y)
        self.classes_ = LabelEncoder().fit(y if classes is None else classes).classes_
        _check_two_classes(self.classes_)
        self._encode(y)
        self._seed = _draw_seed(self.random_state)
        self.model_ = self._build()
        self.history_: dict[str, list[float]] = {}
        return X, y

    def _build(self) -> keras.Model:
        """Build the network, with new weights."""
        return build_network(
            self.n_features_in_,
            len(self.classes_),
            units=self._widths(),
            activation=self.activation,
            dropout=self.dropout,
            seed=self._seed,
        )

    def _compile(self, settings: dict[str, Any], n_samples: int) -> None:
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

    def _go_on(self, X: Any, y: Any) -> Any:
        """Check data against those the network was built for."""
        X, y = self._validate(X, y, reset=False)
        check_classification_targets(y)
        self._encode(y)
        return X, y

    def _validate(self, X: Any, y: Any = "no_validation", *, reset: bool) -> Any:
        """Let scikit-learn check the data, and add a remedy to what it says."""
        try:
            return validate_data(self, X, y, dtype=np.float32, order="C", reset=reset)
        except ValueError as error:
            shape = getattr(X, "shape", ())
            if len(shape) > 2:
                remedy = "Flatten images with flatten_and_scale, or use make_pipeline."
            elif not reset and shape and np.prod(shape) == self.n_features_in_:
                remedy = "To predict one image, pass X[np.newaxis]."
            else:
                raise
            raise ValueError(f"{error} {remedy}") from error

    def _training_data(self, X: Any, y: Any, sample_weight: ArrayLike | None) -> Any:
        """Return the arrays to train on, and their rows that have a weight."""
        arrays = X, self._encode(y)
        if sample_weight is None and self.class_weight is None:
            return arrays, np.arange(len(X))
        weights = _check_sample_weight(
            sample_weight, X, dtype=np.float32, ensure_non_negative=True
        )
        if self.class_weight is not None and weights.any():
            # Not in place, as in scikeras 0.13: the array may be the caller's.
            weights = weights * self._weights_of_classes(y, np.flatnonzero(weights))
            if not (np.isfinite(weights) & (weights >= 0)).all():
                raise ValueError(
                    "class_weight must be finite and not negative, got"
                    f" {self.class_weight}."
                )
        rows = np.flatnonzero(weights)
        if not len(rows):
            raise ValueError("All samples have weight 0: there is nothing to train on.")
        return (*arrays, weights.astype(np.float32, copy=False)), rows

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

    def _encode(self, y: NDArray[Any]) -> NDArray[Any]:
        """One-hot encode labels, or number them for a loss that takes numbers."""
        encoder = LabelEncoder()
        encoder.classes_ = self.classes_
        numbers = encoder.transform(y)
        name = getattr(self.loss, "__name__", type(self.loss).__name__)
        if "sparse" in (self.loss if isinstance(self.loss, str) else name).lower():
            return numbers
        return np.eye(len(self.classes_), dtype=np.float32)[numbers]

    def _train(
        self,
        settings: dict[str, Any],
        arrays: tuple[NDArray[Any], ...],
        rows: NDArray[np.intp],
        validation: tuple[Any, Any] | None = None,
        tasks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        """Train `model_` on checked data and add to `history_`."""
        options = settings.copy()
        del options["validation_split"]
        names = ("batch_size", "shuffle", "distortion")
        order = {name: options.pop(name) for name in names} | {"seed": self._seed}
        callbacks = self._callbacks()
        if callbacks or self.random_state is None:
            options["memory"] = None
        self.history_ = train(
            self.model_,
            Batches(arrays, rows, **order),
            validation and Batches(*validation, batch_size=order["batch_size"]),
            history=self.history_,
            **options | {"callbacks": [*callbacks, *tasks]},
        )

    def _settings(self) -> dict[str, Any]:
        """Check the parameters and return those of training."""
        own = inspect.signature(type(self)).parameters
        for name in self.get_params(deep=False):
            if name not in own and not _is_routed(name):
                raise TypeError(
                    f"MNISTClassifier has no parameter {name!r}; names of parameters to"
                    f" pass on start with one of {', '.join(_ROUTES)} and '__'."
                )
            if name in _NOT_ROUTED:
                raise TypeError(
                    f"{name} cannot be passed on: which batches an epoch has is for"
                    " MNISTClassifier to decide."
                )
        names = (
            "epochs",
            "batch_size",
            "distortion",
            "shuffle",
            "validation_split",
            "verbose",
        )
        settings = {name: getattr(self, name) for name in names} | {
            name.removeprefix("fit__"): value
            for name, value in self.__dict__.items()
            if name.startswith("fit__") and not name.startswith("fit__callbacks")
        }
        for name in ("epochs", "batch_size"):
            check_scalar(settings[name], name, Integral, min_val=1)
        for width in self._widths():
            check_scalar(width, "units", Integral, min_val=1)
        check_scalar(settings["distortion"], "distortion", Real, min_val=0)
        if not np.isfinite(settings["distortion"]):
            raise ValueError(f"distortion == {self.distortion}, must be finite.")
        for name, share in (
            ("dropout", self.dropout),
            ("validation_split", settings["validation_split"]),
        ):
            check_scalar(
                share, name, Real, min_val=0, max_val=1, include_boundaries="left"
            )
        for name, get, examples in (
            ("activation", keras.activations.get, "'relu' or 'tanh'"),
            ("optimizer", keras.optimizers.get, "'rmsprop', 'adam' or 'sgd'"),
            ("loss", keras.losses.get, "'categorical_crossentropy'"),
        ):
            value, problem = getattr(self, name), None
            try:
                known = inspect.isclass(value) or get(value) is not None
            except (TypeError, ValueError) as error:
                known, problem = False, error
            if not known:
                raise ValueError(
                    f"{name}={value!r} is not one that Keras knows, such as {examples}."
                ) from problem
        memory = self.memory
        if isinstance(memory, os.PathLike):
            memory = os.fspath(memory)
        return settings | {"memory": None if memory is None else check_memory(memory)}

    def _widths(self) -> list[int]:
        """Return the width of each hidden layer."""
        return list(self.units) if np.iterable(self.units) else [self.units] * 2

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

    def _callbacks(self) -> list[keras.callbacks.Callback]:
        """Let scikeras make callbacks from classes and routed parameters."""
        self._initialize_callbacks()
        callbacks = self.__dict__.pop("_fit_callbacks")
        del self._predict_callbacks
        return keras.tree.flatten(callbacks)


def _versions() -> dict[str, str]:
    """Return the versions of all that a saved classifier is made of."""
    return {
        "skmnist": __version__,
        "scikeras": scikeras.__version__,
        "keras": keras.__version__,
    }


def _new_from_file(
    cls: type[MNISTClassifier], written: dict[str, str]
) -> MNISTClassifier:
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


def _renew(item: Any) -> Any:
    """Make a Keras object anew, without the variables that it may have by now."""
    kinds = (keras.optimizers.Optimizer, keras.losses.Loss, keras.metrics.Metric)
    return (
        type(item).from_config(item.get_config()) if isinstance(item, kinds) else item
    )


def _is_routed(name: str) -> bool:
    return name.split("__")[0] in _ROUTES and "__" in name


def _check_two_classes(y: NDArray[Any]) -> None:
    labels = np.unique(y)
    if len(labels) < 2:
        raise ValueError(
            f"y has one class, {labels[0]!r}, samples of weight 0 aside; a classifier"
            " needs two or more."
        )


def _draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed as scikit-learn understands `random_state`."""
    if random_state is None:
        # Not NumPy's global random state, which is scikit-learn's default.
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, Integral):
        check_scalar(random_state, "random_state", Integral, min_val=0)
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
