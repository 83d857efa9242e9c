"""Conversion of a trained network to scikit-learn alone."""

import copy
import math
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, LabelBinarizer
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from skmnist.classifier import MNISTClassifier


def to_sklearn(pipeline: "Pipeline | MNISTClassifier") -> Pipeline | MLPClassifier:
    """Convert a fitted pipeline to scikit-learn's own classes.

    To predict, a dense network needs matrix products and no Keras. The trained weights
    are copied into an :class:`~sklearn.neural_network.MLPClassifier`, which loads
    without TensorFlow, and which skops and skl2onnx can write
    (``pip install 'skmnist[ship]'``): see :ref:`shipping`.

    Parameters
    ----------
    pipeline : Pipeline or MNISTClassifier
        Fitted: from :func:`~skmnist.make_pipeline`, another pipeline that ends in an
        :class:`~skmnist.MNISTClassifier`, or the classifier alone.

    Returns
    -------
    sklearn.pipeline.Pipeline or sklearn.neural_network.MLPClassifier
        Fitted: for a pipeline, copies of its other steps and an ``MLPClassifier`` as
        the last step, under the same names; for a classifier, the ``MLPClassifier``.
        It predicts the same labels, and probabilities that differ by float32 rounding.
        Steps that only resample training data (imbalanced-learn) are left out. Common
        parameters are copied (``hidden_layer_sizes``, ``activation``, ``batch_size``,
        ``shuffle``, ``max_iter`` for the epochs, an int as ``random_state``);
        ``loss_curve_`` is the history of the loss.

    Raises
    ------
    TypeError
        If `pipeline` is not an ``MNISTClassifier`` and does not end in one, or another
        step does not transform.
    ValueError
        If the activation of the hidden layers is not Keras' "linear", "relu", "sigmoid"
        or "tanh", which ``MLPClassifier`` has.

    Notes
    -----
    The optimizer's state is not copied: `fit` and `partial_fit` of the result train
    with scikit-learn's Adam. The step ``preprocess`` refers to
    :func:`~skmnist.flatten_and_scale`, so loading the pipeline requires skmnist.

    Examples
    --------
    >>> from skmnist import load_digits_28x28, make_pipeline, to_sklearn
    >>> (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
    >>> pipe = make_pipeline(units=64, epochs=10, random_state=0).fit(X_train, y_train)
    >>> exported = to_sklearn(pipe)
    >>> exported["classifier"]
    MLPClassifier(alpha=0.0, batch_size=32, hidden_layer_sizes=(64, 64),
                  max_iter=10, random_state=0)
    >>> exported.score(X_test, y_test) == pipe.score(X_test, y_test)
    True
    """
    from skmnist._keras import check_threads
    from skmnist._pickling import SavedModel
    from skmnist.classifier import MNISTClassifier

    if isinstance(pipeline, Pipeline) and pipeline.steps:
        *others, (name, last) = pipeline.steps
        exported = to_sklearn(last)
        # Without `memory`, a folder of this machine.
        steps = [(n, _to_plain(n, step)) for n, step in others if not _resamples(step)]
        return Pipeline([*steps, (name, exported)])
    if not isinstance(pipeline, MNISTClassifier):
        raise TypeError(
            "to_sklearn takes a fitted MNISTClassifier or a pipeline that ends in one,"
            f" got {type(pipeline).__name__}; of a search, pass best_estimator_."
        )
    check_is_fitted(pipeline, "model_")
    if isinstance(pipeline.model_, SavedModel):  # loaded where TensorFlow would hang
        check_threads()
    return _to_mlp(pipeline)


def _resamples(step: Any) -> bool:
    """Return whether a step only changes the samples that are trained on."""
    return hasattr(step, "fit_resample") and not hasattr(step, "transform")


def _to_plain(name: str, step: Any) -> Any:
    """Copy a step; that of make_pipeline becomes a FunctionTransformer."""
    from skmnist.pipeline import ImageTransformer

    if not (step is None or isinstance(step, str) or hasattr(step, "transform")):
        raise TypeError(
            f"to_sklearn cannot convert the step {name!r}: a {type(step).__name__} does"
            " not transform."
        )
    step = copy.deepcopy(step)
    if not isinstance(step, ImageTransformer):
        return step
    plain = FunctionTransformer(step.func, kw_args=step.kw_args)
    if hasattr(step, "feature_names_in_"):
        # Named columns are two-dimensional, which `validate` requires.
        plain.set_params(validate=True)
        plain.feature_names_in_ = step.feature_names_in_
    if hasattr(step, "n_features_in_"):
        plain.n_features_in_ = step.n_features_in_
    return plain


def _to_mlp(clf: "MNISTClassifier") -> MLPClassifier:
    """Copy a fitted classifier's network and parameters into an MLPClassifier."""
    activation, coefs, intercepts = _read_layers(clf.model_)
    seed = clf.random_state
    mlp = make_mlp(
        coefs,
        intercepts,
        clf.classes_.copy(),
        loss_curve=clf.history_.get("loss", ()),
        activation=activation,
        batch_size=int(clf.batch_size),
        max_iter=int(clf.epochs),
        shuffle=bool(clf.shuffle),
        random_state=int(seed) if isinstance(seed, Integral) else None,
    )
    if hasattr(clf, "feature_names_in_"):
        mlp.feature_names_in_ = clf.feature_names_in_.copy()
    return mlp


def make_mlp(
    coefs: Sequence[NDArray[np.float32]],
    intercepts: Sequence[NDArray[np.float32]],
    classes: NDArray[Any],
    *,
    loss_curve: Sequence[float] = (),
    **params: Any,
) -> MLPClassifier:
    """Return an MLPClassifier with these weights and all attributes that `fit` sets.

    scikit-learn 1.7 to 1.9 have no public way to give an MLPClassifier its weights, so
    this function sets its fitted attributes, two of them private. A test compares them
    with those of a fitted one, and fails if scikit-learn changes them.

    `coefs` and `intercepts` have an item for each layer, the last with an output for
    each of the sorted `classes`. The arrays are not copied.
    """
    coefs, intercepts, losses = list(coefs), list(intercepts), list(loss_curve)
    widths = tuple(map(len, intercepts[:-1]))
    mlp = MLPClassifier(hidden_layer_sizes=widths, alpha=0.0, **params)
    mlp.classes_ = classes
    mlp._label_binarizer = LabelBinarizer().fit(mlp.classes_)
    # LabelBinarizer changes the dtype of strings.
    mlp._label_binarizer.classes_ = mlp.classes_
    mlp.out_activation_ = "softmax"
    if len(mlp.classes_) == 2:
        # softmax(a, b)[1] is logistic(b - a)
        coefs[-1] = coefs[-1][:, 1:] - coefs[-1][:, :1]
        intercepts[-1] = intercepts[-1][1:] - intercepts[-1][:1]
        mlp.out_activation_ = "logistic"
    mlp.coefs_, mlp.intercepts_ = coefs, intercepts
    mlp.n_layers_, mlp.n_outputs_ = len(coefs) + 1, len(intercepts[-1])
    mlp.n_features_in_ = len(coefs[0])
    mlp.n_iter_, mlp.loss_curve_ = len(losses), losses
    if losses:
        mlp.loss_ = losses[-1]
    # State of `partial_fit` before its first batch.
    mlp.t_, mlp._no_improvement_count = 0, 0
    mlp.best_loss_ = min(losses, default=math.inf)
    mlp.best_validation_score_ = mlp.validation_scores_ = None
    return mlp


def _read_layers(model: Any) -> tuple[str, list[Any], list[Any]]:
    """Return activation, weights and biases in MLPClassifier's form."""
    from skmnist._keras import keras

    names = {
        keras.activations.linear: "identity",
        keras.activations.relu: "relu",
        keras.activations.sigmoid: "logistic",
        keras.activations.tanh: "tanh",
    }
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    activation = dense[0].activation if len(dense) > 1 else keras.activations.linear
    if activation not in names:
        name = getattr(activation, "__name__", type(activation).__name__)
        raise ValueError(
            f"MLPClassifier has no activation {name!r}, only Keras' own"
            f" {', '.join(sorted(known.__name__ for known in names))}; train with one"
            " of these, or ship the pipeline with Keras."
        )
    kernels, biases = zip(*(layer.get_weights() for layer in dense), strict=True)
    coefs, intercepts = ([np.float32(x) for x in of] for of in (kernels, biases))
    return names[activation], coefs, intercepts
