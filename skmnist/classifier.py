"""The classifier: a dense softmax network that scikit-learn knows how to use."""

import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self, Unpack

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils import check_scalar
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skmnist._base import KerasClassifier, check_two_classes
from skmnist._keras import check_threads, keras
from skmnist._parameters import Routed, check_known
from skmnist.network import build_network, predict_proba
from skmnist.training.batches import Batches
from skmnist.training.callbacks import (
    CallbackSupportMixin,
    epoch_tasks,
    lend,
    with_callbacks,
)
from skmnist.training.loop import train

# What decides the batches of an epoch.
ORDER = ("batch_size", "shuffle", "augmentation")


class MNISTClassifier(CallbackSupportMixin, KerasClassifier):
    """Dense softmax network, trained by Keras and used like any classifier.

    A scikeras ``KerasClassifier`` around the network of the first lesson in deep
    learning: for images of 28x28 pixels and ten digits 784-512-512-10, dense layers
    with ReLU and a softmax. The widths of input and output come from the data, labels
    are one-hot encoded inside.

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
    augmentation : float, default=0.0
        Strength by which every training image is turned, scaled, slanted, shifted and
        bent at random, anew in every epoch (:mod:`skmnist.training.augmentation`). 0 is
        off, 1 is meant for MNIST. Takes square images, such as 784 features for 28x28
        pixels. Never done in prediction, nor to validation data.
    optimizer : str, class or instance of keras.optimizers.Optimizer, \
            default="rmsprop"
        An instance is copied, so that every fit starts with a fresh one.
    loss : str, callable, class or instance of keras.losses.Loss, \
            default="categorical_crossentropy"
        Targets are one-hot encoded, for a loss named "sparse..." class numbers.
    metrics : sequence, default=("accuracy",)
        Metrics to follow during training, as Keras takes them.
    validation_split : float in [0, 1), default=0.0
        Share of the training data to hold out, stratified and at random, to validate
        on after each epoch. Not used if `fit` is given `X_val`, nor by `partial_fit`.
    callbacks : keras.callbacks.Callback, list of them, or None, default=None
        As scikeras takes them.
    class_weight : dict of label to float, "balanced" or None, default=None
        Weights of the classes, which multiply `sample_weight`. A label left out has
        weight 1; "balanced" is the inverse of a class's frequency in the training data.
    warm_start : bool, default=False
        Whether `fit` goes on from the last fit, with further epochs. What was set since
        counts, but for a change of `units`, `activation` or `dropout`, an error.
    shuffle : bool, default=True
        Whether to shuffle the training data before each epoch.
    verbose : {0, 1, 2}, default=0
        Progress on standard output: none, Keras' bar, or a line an epoch.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, order of the samples, dropout, augmentation and
        `validation_split`. An int makes `fit` repeatable to the bit.
    epoch_cache : str, path, joblib.Memory or None, default=None
        Folder in which `fit` keeps its state after each epoch. A fit of the same
        parameters, seed included, on the same data takes the epochs that were trained
        before from there: a grid over `epochs` costs what its largest value costs. The
        result is the same to the bit, on like processors and with as many threads of
        TensorFlow. Where an epoch cannot be kept, a warning says so once. Not used with
        `callbacks`, with functions of your own as activation, loss or metrics, nor
        where Keras' own loop runs.
    **routed
        Parameters that scikeras passes on, such as ``optimizer__learning_rate=1e-3``;
        names start with ``callbacks__``, ``compile__``, ``fit__``, ``loss__``,
        ``metrics__`` or ``optimizer__``. Others are refused with a TypeError.

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
    samples and dropout each draw from a generator seeded for this fit, so that fits in
    threads and worker processes give what each gives alone. Order and dropout follow
    from the seed and the number of the epoch: training 10 epochs is training 5 and
    then, by `partial_fit` or `warm_start`, 5 more. Not so what the end of a training
    decides: a learning-rate schedule as long as the first one, and weights that the
    optimizer averages (`use_ema`).

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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "units": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "activation": [str, callable],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "augmentation": [Interval(Real, 0, None, closed="left")],
        "validation_split": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [Mapping, StrOptions({"balanced"}), None],
        "warm_start": ["boolean"],
        "shuffle": ["boolean"],
        "verbose": ["verbose", StrOptions({"auto"})],
        "random_state": ["random_state"],
        "epoch_cache": [str, os.PathLike, joblib.Memory, None],
    }
    _fit_parameters = (*ORDER, "epochs", "validation_split", "verbose")
    _network_parameters = ("units", "activation", "dropout")
    _remedy_for_images = "Flatten images with flatten_and_scale, or use make_pipeline."
    _remedy_for_one = "To predict one image, pass X[np.newaxis]."

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
        verbose: int | str = 0,
        random_state: int | np.random.RandomState | None = None,
        epoch_cache: str | os.PathLike[str] | joblib.Memory | None = None,
        **routed: Unpack[Routed],
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
        self._route(routed)

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
            Weights, not negative, which count beside their mean. Samples of weight 0
            are left out.
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
            If a parameter or the data are unusable, or training diverges. The
            classifier is then as it was.
        MemoryError
            If there is not enough memory. The classifier is then as it was.
        RuntimeError
            In a process forked from one that had used TensorFlow.
        """
        return self._fit(X, y, sample_weight, X_val, y_val)

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
            Weights, not negative, which count beside the mean of the first call.

        Returns
        -------
        self : MNISTClassifier
            The classifier, trained for one more epoch.

        Raises
        ------
        ValueError or TypeError
            If a parameter or the data are unusable, labels not seen before among them.
            The classifier is then as it was.
        """
        return self._fit(X, y, sample_weight, classes=classes, incremental=True)

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
            X, y = self._check(X, y, new=True)
            self._start(settings, len(X))
        return self

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        *,
        classes: ArrayLike | None = None,
        incremental: bool = False,
    ) -> Self:
        """Check, encode, build, compile and train; if incremental, for one epoch."""
        settings = self._settings()
        epochs = 1 if incremental else settings["epochs"]
        batch_size = settings["batch_size"]
        new = not (self.initialized_ and (incremental or self.warm_start))
        tasks = []
        if not incremental:
            tasks = epoch_tasks(self, self._build, epochs, X, y, sample_weight)
        with self._all_or_nothing():
            data = self._prepare(X, y, sample_weight, classes, new=new)
            rows, labels = data.rows, data.labels
            validation = None
            if X_val is not None and y_val is not None:
                X_val, y_val = self._check(X_val, y_val, new=False)
                held_out = X_val, self._encode(y_val)
                validation = Batches(held_out, batch_size=batch_size)
            elif X_val is not None or y_val is not None:
                raise ValueError("Validation needs both X_val and y_val, got only one.")
            if not incremental:
                check_two_classes(labels[rows])
                if validation is None and (share := settings["validation_split"]):
                    rows, others = train_test_split(
                        rows,
                        test_size=share,
                        stratify=labels[rows],
                        random_state=self._seed,
                    )
                    validation = Batches(data.held_out, others, batch_size=batch_size)
            if new:
                self._start(settings, len(rows))
            else:
                self._go_on()
            callbacks = self._keras_callbacks()
            # Another fit may take these epochs, if no callback changes what they do.
            repeatable = self.random_state is not None and not callbacks
            order = {name: settings.pop(name) for name in ORDER}
            del settings["validation_split"]
            with lend(callbacks):
                self.history_ = train(
                    self.model_,
                    Batches(data.arrays, rows, seed=self._seed, **order),
                    validation,
                    history=self.history_,
                    callbacks=[*callbacks, *tasks],
                    epoch_cache=self.epoch_cache
                    if repeatable and not incremental
                    else None,
                    **settings | {"epochs": epochs},
                )
        return self

    def _build(self) -> keras.Model:
        """Build the network, with new weights."""
        return build_network(
            self.n_features_in_,
            len(self.classes_),
            units=self.units,
            activation=self.activation,
            dropout=self.dropout,
            seed=self._seed,
        )

    def _settings(self) -> dict[str, Any]:
        """Check all parameters, and return those of training."""
        settings = super()._settings()
        for width in np.atleast_1d(self.units):
            check_scalar(width, "units", Integral, min_val=1)
        check_known("activation", self.activation, keras.activations.get, "'relu'")
        return settings

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
        check_threads()
        return predict_proba(self.model_, self._validate(X, reset=False))
