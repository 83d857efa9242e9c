"""Preprocessing and classifier in one scikit-learn pipeline."""

import math
from collections.abc import Sequence
from inspect import signature
from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted, validate_data

from skmnist._base import check_routed
from skmnist.classifier import MNISTClassifier
from skmnist.preprocessing import flatten_and_scale
from skmnist.training.callbacks import CallbackSupportMixin


class ImageTransformer(CallbackSupportMixin, FunctionTransformer):
    """Apply a function to images, and know the names and number of their pixels.

    scikit-learn's ``FunctionTransformer`` compares column names only if it rejects
    three-dimensional arrays. Supporting scikit-learn's callbacks prevents a warning of
    pipelines in each fit of a search.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Store the column names, if there are any, and the number of pixels."""
        super().fit(X, y)
        shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
        self._n_features_out = math.prod(shape[1:])
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Apply the function to data with the column names of `fit`."""
        if hasattr(self, "n_features_in_"):
            # Only names: `ensure_2d` would compare the second dimension of images.
            names_only = {"skip_check_array": True, "ensure_2d": False}
            validate_data(self, X, reset=False, **names_only)
        return self.func(X, **(self.kw_args or {}))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the columns, or pixel0, pixel1, ..."""
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
    **classifier_params: Any,
) -> Pipeline:
    """Make a pipeline that flattens, scales and classifies images.

    It is a plain :class:`~sklearn.pipeline.Pipeline` with the steps ``preprocess`` and
    ``classifier``, so it clones, pickles, cross-validates and grid-searches like any
    other.

    Parameters
    ----------
    units : int or sequence of int, default=512
        Width of both hidden layers, or the width of each hidden layer.
    epochs : int, default=5
        Number of passes over the training images.
    scale : float, default=255.0
        Divisor of pixel values; 1.0 for images already in [0, 1].
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

    Examples
    --------
    >>> from skmnist import load_digits_28x28, make_pipeline
    >>> (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
    >>> pipe = make_pipeline(units=64, epochs=10, random_state=0)
    >>> pipe.fit(X_train, y_train).score(X_test, y_test) > 0.9
    True
    """
    known = {**signature(make_pipeline).parameters, **MNISTClassifier().get_params()}
    check_routed("make_pipeline", classifier_params.keys() - known, known)
    images = ImageTransformer(flatten_and_scale, kw_args={"scale": scale})
    clf = MNISTClassifier(units, epochs=epochs, **classifier_params)
    return Pipeline([("preprocess", images), ("classifier", clf)], memory=memory)
