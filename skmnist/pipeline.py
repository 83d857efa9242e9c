"""Preprocessing and classifier in one scikit-learn pipeline."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any, Literal, Self, Unpack

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import _check_feature_names, check_is_fitted

from skmnist._parameters import Routed, check_routed
from skmnist.classifier import MNISTClassifier
from skmnist.preprocessing import flatten_and_scale
from skmnist.training.callbacks import CallbackSupportMixin


class ClassifierParams(Routed, total=False):
    """Parameters of the classifier that the pipeline passes on to it."""

    batch_size: int
    activation: str | Callable[..., Any]
    dropout: float
    augmentation: float
    optimizer: Any
    loss: Any
    metrics: Any
    validation_split: float
    callbacks: Any
    class_weight: Mapping[Any, float] | Literal["balanced"] | None
    warm_start: bool
    shuffle: bool
    verbose: int | str
    random_state: int | np.random.RandomState | None
    epoch_cache: str | os.PathLike[str] | joblib.Memory | None


class ImageTransformer(CallbackSupportMixin, FunctionTransformer):
    """A ``FunctionTransformer`` that knows the features it is given and gives.

    scikit-learn's own compares names of columns only if it refuses images of three
    dimensions, and does not know how many pixels an image has. This one needs no
    `fit`, as the other, but remembers names and pixels once it is fitted. And it takes
    scikit-learn's callbacks, if it has nothing to tell them: pipelines warn, in every
    fit of a search, of a step that takes none.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Remember the names of columns, if there are any, and the number of pixels."""
        super().fit(X, y)
        shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
        self._n_features_out = math.prod(shape[1:])
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Apply the function, if the columns are those of `fit`.

        Raises
        ------
        ValueError
            If they are missing, renamed or in another order.
        """
        if hasattr(self, "n_features_in_"):
            _check_feature_names(self, X, reset=False)
        return self.func(X, **(self.kw_args or {}))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the columns, or of the pixels: pixel0, pixel1, ..."""
        check_is_fitted(self)
        if input_features is None:
            input_features = getattr(self, "feature_names_in_", None)
        if input_features is None or len(input_features) != self._n_features_out:
            input_features = [f"pixel{i}" for i in range(self._n_features_out)]
        return np.asarray(input_features, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")


def make_pipeline(
    units: int | Sequence[int] = 512,
    epochs: int = 5,
    *,
    scale: float = 255.0,
    memory: str | joblib.Memory | None = None,
    **classifier_params: Unpack[ClassifierParams],
) -> Pipeline:
    """Make a pipeline that classifies images as they come.

    The whole first lesson in one object: flatten, scale, one-hot encode, and
    train a softmax network. It is a plain :class:`~sklearn.pipeline.Pipeline`
    with the steps ``preprocess`` and ``classifier``, so it clones, pickles,
    cross-validates and grid-searches like any other.

    Parameters
    ----------
    units : int or sequence of int, default=512
        Width of both hidden layers, or the width of each hidden layer.
    epochs : int, default=5
        Number of passes over the training images.
    scale : float, default=255.0
        What pixel values are divided by; 1.0 for images already in [0, 1].
    memory : str, joblib.Memory or None, default=None
        Cache of the pipeline's transformers, as in
        :class:`~sklearn.pipeline.Pipeline`.
    **classifier_params
        Further parameters of :class:`~skmnist.MNISTClassifier`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Takes images of shape (n_images, height, width),
        (n_images, height, width, 1) or (n_images, n_features), of any real
        dtype, and one label for each.

    Raises
    ------
    TypeError
        If the classifier has no such parameter; the nearest name is told.

    Examples
    --------
    >>> from skmnist import load_digits_28x28, make_pipeline
    >>> (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
    >>> pipe = make_pipeline(units=64, epochs=10, random_state=0)
    >>> pipe.fit(X_train, y_train).score(X_test, y_test) > 0.9
    True
    """
    known = signature(make_pipeline).parameters | ClassifierParams.__annotations__
    unknown = {n: v for n, v in classifier_params.items() if n not in known}
    check_routed("make_pipeline", unknown, known)
    return Pipeline(
        [
            (
                "preprocess",
                ImageTransformer(flatten_and_scale, kw_args={"scale": scale}),
            ),
            (
                "classifier",
                MNISTClassifier(units=units, epochs=epochs, **classifier_params),
            ),
        ],
        memory=memory,
    )
