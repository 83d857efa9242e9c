"""A dense softmax network as a scikit-learn classifier."""

import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, Self

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted

from skmnist._base import KerasClassifier, check_routed, parameters_of, to_python
from skmnist._keras import check_threads
from skmnist.network import predict_proba
from skmnist.training.callbacks import (
    CallbackSupportMixin,
    epoch_tasks,
    lend,
    with_callbacks,
)
from skmnist.training.loop import train

# Parameters that decide the batches of an epoch.
ORDER = ("batch_size", "shuffle", "augmentation")
# Type, lowest value and upper limit of each parameter that is a number.
NUMBERS = {
    "units": (Integral, 1, np.inf),
    "epochs": (Integral, 1, np.inf),
    "batch_size": (Integral, 1, np.inf),
    "dropout": (Real, 0, 1),
    "augmentation": (Real, 0, np.inf),
    "validation_split": (Real, 0, 1),
    "warm_start": ((bool, np.bool_), 0, 2),
    "shuffle": ((bool, np.bool_), 0, 2),
    "verbose": (Integral, 0, 3),
}


class MNISTClassifier(CallbackSupportMixin, KerasClassifier):
    """Dense softmax network for images of digits, trained with Keras.

    A scikeras ``KerasClassifier`` with a built-in network: for images of 28x28 pixels
    and ten digits 784-512-512-10, dense layers with ReLU and a softmax output. The
    widths of input and output follow from the data, and labels are one-hot encoded.

    Parameters
    ----------
    units : int or sequence of int, default=512
        Width of both hidden layers, or the width of each hidden layer.
    epochs : int, default=5
        Number of passes over the training data, at least 1.
    batch_size : int, default=32
        Samples in each gradient step, at least 1.
    activation : str or callable, default="relu"
        Activation of the hidden layers, as in Keras.
    dropout : float in [0, 1), default=0.0
        Share of each hidden layer's outputs that training sets to zero.
    augmentation : float, default=0.0
        Strength of the random data augmentation of each training image in each epoch
        (:mod:`skmnist.training.augmentation`). Needs square images; 1 suits MNIST.
    optimizer : str, class or instance of keras.optimizers.Optimizer, \
            default="rmsprop"
        An instance is copied for each fit, and must have a complete `get_config`.
    loss : str, callable, class or instance of keras.losses.Loss, \
            default="categorical_crossentropy"
        Targets are one-hot encoded, or class numbers for a loss that takes only these.
    metrics : sequence, default=("accuracy",)
        Metrics to report for each epoch, as in Keras. Instances are copied.
    validation_split : float in [0, 1), default=0.0
        Share of the training data to validate on after each epoch, stratified and at
        random. Ignored by `fit` with `X_val`, and `partial_fit`.
    callbacks : keras.callbacks.Callback, list of them, or None, default=None
        Callback classes or instances, as in scikeras.
    class_weight : dict of label to float, "balanced" or None, default=None
        Weights of the classes, multiplied with `sample_weight`; 1 for labels that are
        not in the dict. "balanced" is the inverse frequency in the training data.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the previous fit for `epochs` more
        epochs. `units`, `activation` and `dropout` must be the same.
    shuffle : bool, default=True
        Whether to shuffle the training data before each epoch.
    verbose : {0, 1, 2}, default=0
        Progress on standard output: none, a progress bar, or one line for each epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, sample order, dropout, augmentation and
        `validation_split`. With an int, `fit` is repeatable to the bit.
    epoch_cache : str, path, joblib.Memory or None, default=None
        Folder for the state of `fit` after each epoch. A later fit with the same
        parameters, seed and data resumes from it, so a grid search over `epochs` costs
        only its largest value. Ignored with `callbacks`, with functions as activation,
        loss or metrics, and where Keras' own loop is used.
    **routed
        Parameters for Keras, such as ``optimizer__learning_rate=1e-3``, with the prefix
        ``callbacks__``, ``compile__``, ``fit__``, ``loss__``, ``metrics__`` or
        ``optimizer__``.

    Attributes
    ----------
    model_ : keras.Model
        The trained network.
    classes_ : ndarray of shape (n_classes,)
        Sorted labels, with the dtype given to `fit`.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,), dtype object
        Names of the features, if `fit` was given a DataFrame.
    history_ : dict of str to list of float
        ``loss``, ``accuracy`` and, with validation data, ``val_loss`` and
        ``val_accuracy``: one value for each epoch since the initial weights.

    See Also
    --------
    skmnist.make_pipeline : The classifier after flattening and scaling of images.
    sklearn.neural_network.MLPClassifier : scikit-learn's own network.

    Notes
    -----
    No global random state is read or changed. Sample order and dropout depend on the
    seed and the number of the epoch, so training 10 epochs equals training 5 and then,
    by `partial_fit` or `warm_start`, 5 more. Exceptions are learning-rate schedules
    whose length is derived from `epochs`, and weight averaging (`use_ema`).

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
        augmentation: float = 0.0,
        optimizer: Any = "rmsprop",
        loss: Any = "categorical_crossentropy",
        metrics: Any = ("accuracy",),
        validation_split: float = 0.0,
        callbacks: Any = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        warm_start: bool = False,
        shuffle: bool = True,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
        epoch_cache: str | os.PathLike[str] | joblib.Memory | None = None,
        **routed: Any,
    ):
        self.units = units
        self.epochs = epochs
        self.batch_size = batch_size
        self.activation = activation
        self.dropout = dropout
        self.augmentation = augmentation
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
        self.epoch_cache = epoch_cache
        check_routed(type(self).__name__, routed, parameters_of(type(self))[0])
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
            Labels: ints, strings or bools.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights relative to their mean. Samples of weight 0 are ignored.
        X_val : array-like of shape (n_validation_samples, n_features), default=None
            Validation data, evaluated after each epoch and never trained on.
        y_val : array-like of shape (n_validation_samples,), default=None
            Labels of the validation data.

        Returns
        -------
        self : MNISTClassifier
            The fitted classifier.

        Raises
        ------
        ValueError or TypeError
            If a parameter or the data cannot be used, or training diverges. The
            classifier is unchanged.
        KeyboardInterrupt
            If training is interrupted. The classifier is then fitted with the epochs
            that were finished, or unchanged if none was.
        RuntimeError
            In a process forked from one in which skmnist had used TensorFlow.
        """
        return self._fit(X, y, sample_weight, X_val, y_val)

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch, the first one if not fitted yet.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels of all calls, for the first call; by default those in `y`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights relative to the mean of the first call.

        Returns
        -------
        self : MNISTClassifier
            The classifier, trained for one more epoch.
        """
        return self._fit(X, y, sample_weight, classes=classes, incremental=True)

    def initialize(self, X: Any, y: Any) -> Self:
        """Build the network without training it.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data with the features of the network.
        y : array-like of shape (n_samples,)
            Labels, each class at least once.

        Returns
        -------
        self : MNISTClassifier
            With an untrained `model_`, which `partial_fit` trains.
        """
        options = self._check_parameters()
        with self._unchanged_on_error(new=True):
            samples = self._check_training(X, y, new=True)
            del self._mean_weight  # that of the first training
            self.model_ = self._model(options, len(samples.y), new=True)
            self.history_: dict[str, list[float]] = {}
        return self

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        X_val: Any = None,
        y_val: Any = None,
        *,
        classes: ArrayLike | None = None,
        incremental: bool = False,
    ) -> Self:
        """Check data, build the network and train it; if incremental, for one epoch."""
        options = self._check_parameters()
        epochs = 1 if incremental else options["epochs"]
        new = not (hasattr(self, "model_") and (incremental or self.warm_start))
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        data = {"X": X, "y": y, "metadata": metadata, "build": self._build_network}
        tasks = [] if incremental else epoch_tasks(self, epochs=epochs, **data)
        with self._unchanged_on_error(new=new):
            samples = self._check_training(X, y, sample_weight, classes, new=new)
            share = options.pop("validation_split")
            held_out = validation = None
            if (X_val is None) != (y_val is None):
                raise ValueError("X_val and y_val must be given both, got only one.")
            if X_val is not None:
                held_out = self._check_labelled(X_val, y_val, new=False)
            elif share and not incremental:
                samples, held_out = samples.split(share, self._seed)
            model = self._model(options, len(samples.rows), new=new)
            callbacks = self._make_callbacks()
            # Callbacks may change an epoch, and without a seed, each fit differs.
            cached = not (incremental or callbacks or self.random_state is None)
            order = {name: options.pop(name) for name in ORDER}
            batches = self._batches(samples, model, seed=self._seed, **order)
            if held_out is not None:
                size = batches.batch_size
                validation = self._batches(held_out, model, batch_size=size)
            history = {} if new else dict(self.history_)
            n_before = len(history.get("loss", ()))
            options |= {"epochs": epochs, "callbacks": [*callbacks, *tasks]}
            options["epoch_cache"] = self.epoch_cache if cached else None
            try:
                with lend(callbacks):
                    train(model, batches, validation, history=history, **options)
            finally:
                # Interrupted training is kept if an epoch was finished.
                if len(history.get("loss", ())) > n_before:
                    self.model_, self.history_ = model, history
        return self

    def _check_parameters(self) -> dict[str, Any]:
        """Check all parameters, and return those of training."""
        training = (*ORDER, "epochs", "validation_split", "verbose")
        options = {name: getattr(self, name) for name in training}
        for name, value in self._routed("fit").items():
            if not name.startswith("fit__callbacks"):
                options[name.removeprefix("fit__")] = value
        options = to_python(options)
        for name, (kind, low, limit) in NUMBERS.items():
            value = options.get(name, getattr(self, name))
            limits = {"min_val": low, "max_val": limit, "include_boundaries": "left"}
            for number in np.atleast_1d(value) if name == "units" else [value]:
                check_scalar(number, name, kind, **limits)
        weights, cache = self.class_weight, self.epoch_cache
        if not isinstance(weights, Mapping | None) and str(weights) != "balanced":
            expected = "a dict of label to weight, 'balanced' or None"
            raise ValueError(f"class_weight must be {expected}, got {weights!r}.")
        if not isinstance(cache, str | os.PathLike | joblib.Memory | None):
            raise TypeError(f"epoch_cache must be a path or Memory, got {cache!r}.")
        for name in ("optimizer", "loss"):
            if getattr(self, name) is None:
                raise ValueError(f"{name} must be a name or object of Keras, got None.")
        check_random_state(self.random_state)
        return options

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data of any real dtype.

        Returns
        -------
        ndarray of shape (n_samples,)
            Most probable labels, with the dtype given to `fit`.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_log_proba(self, X: Any) -> NDArray[np.float32]:
        """Predict the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data of any real dtype.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float32
            Minus infinity where the probability is 0.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data of any real dtype.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float32
            Probabilities, in the order of `classes_`.
        """
        check_is_fitted(self, "model_")
        check_threads()
        return predict_proba(self.model_, self._validate(X, reset=False))
