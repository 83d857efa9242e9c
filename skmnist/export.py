"""The trained network as scikit-learn's own, for where there is no Keras."""

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

from skmnist._forks import check_threads

if TYPE_CHECKING:
    from skmnist.classifier import MNISTClassifier


def to_sklearn(pipeline: "Pipeline | MNISTClassifier") -> Pipeline | MLPClassifier:
    """Turn a fitted pipeline into one of scikit-learn alone.

    To predict, a dense network needs matrix products and no Keras. With copies of
    the trained weights in an :class:`~sklearn.neural_network.MLPClassifier`, it loads
    without importing TensorFlow, and what knows scikit-learn but not Keras, such as
    skops and skl2onnx (``pip install 'skmnist[ship]'``), can write it: :ref:`shipping`
    shows how.

    Parameters
    ----------
    pipeline : Pipeline or MNISTClassifier
        Fitted: what :func:`~skmnist.make_pipeline` gives, any other pipeline that
        ends in an :class:`~skmnist.MNISTClassifier`, or one without a pipeline.

    Returns
    -------
    sklearn.pipeline.Pipeline or sklearn.neural_network.MLPClassifier
        Fitted: for a pipeline, one with copies of its other steps and an
        ``MLPClassifier`` as the last, under the same names; for a classifier, the
        ``MLPClassifier``. It takes what `pipeline` takes and predicts the same
        labels, and probabilities that differ by float32 rounding. What they have in
        common is set as parameters (``hidden_layer_sizes``, ``activation``,
        ``batch_size``, ``shuffle``, ``max_iter`` for the epochs, an int as
        ``random_state``), and ``loss_curve_`` is the history of the loss.

    Raises
    ------
    TypeError
        If `pipeline` is no ``MNISTClassifier`` and does not end in one.
    NotFittedError
        If the classifier is not fitted.
    ValueError
        If the hidden layers have an activation that ``MLPClassifier`` has not. It
        has those that Keras calls "linear", "relu", "sigmoid" and "tanh".
    RuntimeError
        If it came by pickle to a process forked from one that had used TensorFlow.

    See Also
    --------
    skmnist.make_pipeline : The pipeline to train.

    Notes
    -----
    Dropout does nothing in prediction and is left out. For two classes, whose
    probabilities follow from one of them, ``MLPClassifier`` has one output. The
    optimizer is not carried over: `fit` and `partial_fit` of the result train with
    scikit-learn's Adam, without a penalty on the weights.

    The step ``preprocess`` refers to :func:`~skmnist.flatten_and_scale`, so loading
    the pipeline takes skmnist, if not what it depends on to train. The last step
    alone is scikit-learn to the last object, and takes rows of numbers.

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
    from skmnist._pickling import SavedModel
    from skmnist.classifier import MNISTClassifier

    if isinstance(pipeline, Pipeline) and pipeline.steps:
        *others, (name, last) = pipeline.steps
        # Not its memory, a folder of the machine that trained. Copies, since fitting
        # the pipeline again would fit its very steps.
        steps = [(other, _to_plain(step)) for other, step in others]
        return Pipeline([*steps, (name, to_sklearn(last))])
    if not isinstance(pipeline, MNISTClassifier):
        raise TypeError(
            "to_sklearn takes a fitted MNISTClassifier or a pipeline that ends in one,"
            f" got {type(pipeline).__name__}; of a search, pass best_estimator_."
        )
    check_is_fitted(pipeline, "model_")
    if isinstance(pipeline.model_, SavedModel):  # loaded where TensorFlow would hang
        check_threads()
    return _to_mlp(pipeline)


def _to_plain(step: Any) -> Any:
    """Copy a step; the one of make_pipeline becomes scikit-learn's own."""
    from skmnist.pipeline import ImageTransformer

    step = copy.deepcopy(step)
    if not isinstance(step, ImageTransformer):
        return step
    plain = FunctionTransformer(step.func, kw_args=step.kw_args)
    if hasattr(step, "feature_names_in_"):
        # Columns have names, so there are two dimensions, and it may compare them.
        plain.set_params(validate=True)
        plain.feature_names_in_ = step.feature_names_in_
    if hasattr(step, "n_features_in_"):
        plain.n_features_in_ = step.n_features_in_
    return plain


def _to_mlp(clf: "MNISTClassifier") -> MLPClassifier:
    """Copy a fitted classifier's network and parameters into an MLPClassifier."""
    activation, coefs, intercepts = _read_network(clf.model_)
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
    """Make an MLPClassifier that has all that its own `fit` would have set.

    Parameters
    ----------
    coefs : sequence of ndarray of shape (n_inputs, n_outputs), dtype float32
        Weights of each layer. The arrays become the classifier's own.
    intercepts : sequence of ndarray of shape (n_outputs,), dtype float32
        Biases of each layer.
    classes : ndarray of shape (n_classes,)
        Labels, sorted, one for each output of the last layer, a softmax.
    loss_curve : sequence of float, default=()
        Loss after each epoch of training, if it is known.
    **params
        Further parameters of ``MLPClassifier``.

    Returns
    -------
    sklearn.neural_network.MLPClassifier
        Fitted.
    """
    coefs, intercepts, losses = list(coefs), list(intercepts), list(loss_curve)
    mlp = MLPClassifier(
        hidden_layer_sizes=tuple(len(bias) for bias in intercepts[:-1]),
        alpha=0.0,
        **params,
    )
    mlp.classes_ = classes
    mlp._label_binarizer = LabelBinarizer().fit(mlp.classes_)
    # Fitting makes strings of dtype object, or of more room, another dtype.
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
    # Where `partial_fit` starts: an optimizer that has seen no sample yet.
    mlp.t_, mlp._no_improvement_count = 0, 0
    mlp.best_loss_ = min(losses, default=math.inf)
    mlp.best_validation_score_ = mlp.validation_scores_ = None
    return mlp


def _read_network(model: Any) -> tuple[str, list[Any], list[Any]]:
    """Return activation, weights and biases as MLPClassifier has them."""
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
    return (
        names[activation],
        [kernel.astype(np.float32) for kernel in kernels],
        [bias.astype(np.float32) for bias in biases],
    )
