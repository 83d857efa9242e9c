"""Tests of rejected input: the error explains it, and nothing is changed."""

import copy
from contextlib import contextmanager

import keras
import numpy as np
import pandas as pd
import pytest
from estimators import assert_same_state, small_classifier, state
from scipy.sparse import csr_array, csr_matrix
from sklearn.exceptions import NotFittedError

from skmnist import make_pipeline
from skmnist._keras import assign, state_variables

# Left out on other Pythons.
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def trained(rows):
    """Return a fitted classifier and the values of its variables."""
    clf = small_classifier(dropout=0.2).fit(*rows[0])
    return clf, [variable.numpy() for variable in state_variables(clf.model_)]


@pytest.fixture
def fitted(trained):
    """Return a fitted classifier, the same for each test."""
    clf, values = trained
    assign(state_variables(clf.model_), values)
    return like(clf)


def like(fitted, **params):
    """Return another classifier with the same trained network."""
    clf = copy.copy(fitted)
    vars(clf).update(params)
    return clf


def everything(clf):
    """Return all attributes of a classifier, and its state and predictions."""
    found = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in vars(clf).items()
    }
    if "model_" in found:
        X = np.linspace(0, 1, 3 * clf.n_features_in_).reshape(3, -1)
        found["predictions"] = clf.predict_proba(X).tobytes()
        found["state"] = state(clf)
        found["history_"] = copy.deepcopy(clf.history_)
    return found


@contextmanager
def rejected(clf, error, message):
    """Check that an error is raised and leaves the classifier unchanged."""
    before = everything(clf)
    with pytest.raises(error, match=f"(?s){message}"):
        yield clf
    # Not compared by pytest, which would print each byte that differs.
    after = everything(clf)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []


def with_one(value):
    def change(X):
        X = X.copy()
        X[2, 300] = value
        return X

    return change


BAD_FEATURES = {
    "NaN": (with_one(np.nan), ValueError, "X contains NaN"),
    "infinity": (with_one(np.inf), ValueError, "X contains infinity"),
    "too large": (
        lambda X: X + 1e300,
        ValueError,
        "X contains infinity or a value too",
    ),
    "strings": (
        lambda X: np.full(X.shape, "dark"),
        ValueError,
        "string to float: .*dark",
    ),
    "objects": (
        lambda X: np.full(X.shape, object()),
        TypeError,
        "number, not 'object'",
    ),
    "text in a frame": (
        lambda X: pd.DataFrame(X).rename(columns=str).assign(name="dark"),
        ValueError,
        "string to float: .*dark",
    ),
    "complex": (lambda X: X * 1j, ValueError, "Complex data not supported"),
    "sparse matrix": (csr_matrix, TypeError, "Sparse data was passed"),
    "sparse array": (csr_array, TypeError, "Sparse data was passed"),
    "1-D": (lambda X: X[0], ValueError, r"Expected 2D array, got 1D"),
    "a number": (lambda X: 5.0, ValueError, "Expected 2D array, got scalar"),
    "None": (lambda X: None, ValueError, "Expected 2D array|should be a 2D array"),
    "no samples": (lambda X: X[:0], ValueError, r"0 sample\(s\) \(shape=\(0, 784\)\)"),
    "no features": (
        lambda X: X[:, :0],
        ValueError,
        r"0 feature\(s\) \(shape=\(300, 0\)",
    ),
    "images": (
        lambda X: X.reshape(-1, 28, 28),
        ValueError,
        r"dim 3.*Flatten images with flatten_and_scale, or use make_pipeline",
    ),
}


# NumPy's, of what is too large for float32.
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
@pytest.mark.parametrize("kind", BAD_FEATURES)
def test_bad_features_raise(rows, fitted, kind):
    change, error, message = BAD_FEATURES[kind]
    X, y = rows[0]
    with rejected(small_classifier(), error, message) as clf:
        clf.fit(change(X), y)
    with rejected(fitted, error, message):
        fitted.fit(change(X), y)
    with rejected(fitted, error, message):
        fitted.predict_proba(change(X))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((5, 27 * 27)), "X has 729 features, but MNISTClassifier .* 784 feat"),
        (np.zeros((5, 785)), "X has 785 features, but MNISTClassifier .* 784 features"),
        (np.zeros((28, 28)), r"X has 28 features, .* 784 .* pass X\[np\.newaxis\]"),
        (np.zeros(784), r"1D array.*one image, pass X\[np\.newaxis\]"),
    ],
    ids=["27x27", "one more", "one image", "one row"],
)
@pytest.mark.parametrize("method", ["predict", "partial_fit", "warm fit", "validation"])
def test_features_of_another_width_raise(rows, fitted, X, message, method):
    train = rows[0]
    y = np.arange(len(X)) % 2
    with rejected(fitted, ValueError, message):
        if method == "predict":
            fitted.predict(X)
        elif method == "partial_fit":
            fitted.partial_fit(X, y)
        elif method == "validation":
            fitted.fit(*train, X_val=X, y_val=y)
        else:
            like(fitted, warm_start=True).fit(X, y)


# For three hundred images.
BAD_LABELS = {
    "fewer": (lambda y: y[:299], r"inconsistent numbers of samples: \[300, 299\]"),
    "more": (lambda y: [*y, 1], r"inconsistent numbers of samples: \[300, 301\]"),
    "multilabel": (lambda y: np.eye(10)[y], r"y should be a 1d array, .*\(300, 10\)"),
    "continuous": (lambda y: y + 0.5, "Unknown label type: continuous"),
    "NaN": (lambda y: np.where(y > 5, np.nan, y), "Input y contains NaN"),
    "none": (lambda y: None, "requires y to be passed, but the target y is None"),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit", "validation"])
@pytest.mark.parametrize("kind", BAD_LABELS)
def test_bad_labels_raise(rows, fitted, kind, method):
    change, message = BAD_LABELS[kind]
    X, y = rows[0]
    if (kind, method) == ("none", "validation"):
        message = "X_val and y_val must be given both"
    for clf in (fitted, small_classifier()):
        with rejected(clf, ValueError, message):
            if method == "validation":
                clf.fit(X, y, X_val=X, y_val=change(y))
            else:
                getattr(clf, method)(X, change(y))


@pytest.mark.parametrize("method", ["fit", "partial_fit", "initialize"])
def test_labels_of_one_class_raise(rows, fitted, method):
    X, y = rows[0]
    clf = small_classifier()
    with rejected(clf, ValueError, r"y must have more than one class, got \[3\]"):
        getattr(clf, method)(X[y == 3], y[y == 3])
    if method == "fit":
        with rejected(fitted, ValueError, r"more than one class, got \[3\]"):
            fitted.fit(X, y, sample_weight=y == 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda clf, X, y: clf.partial_fit(X, y + 1),
        lambda clf, X, y: clf.fit(X, y, X_val=X, y_val=y + 1),
        lambda clf, X, y: like(clf, warm_start=True).fit(X, y + 1),
    ],
    ids=["partial_fit", "validation", "warm fit"],
)
def test_labels_not_seen_before_raise(rows, fitted, call):
    with rejected(fitted, ValueError, r"previously unseen labels: .*10"):
        call(fitted, *rows[0])


def test_partial_fit_other_classes_raise(rows, fitted):
    X, y = rows[0]
    clf = small_classifier()
    with rejected(clf, ValueError, "previously unseen labels: .*9"):
        clf.partial_fit(X, y, classes=range(9))
    with rejected(
        fitted, ValueError, r"classes must be those of the first call, .* range\(0, 9\)"
    ):
        fitted.partial_fit(X, y, classes=range(9))


# Each is rejected with the name of the parameter and what is expected.
WEIGHTS = "sample_weight must be a number of at least 0 for each of 300 samples"
BAD_WEIGHTS = {
    "fewer": (np.ones(299), WEIGHTS),
    "more": (np.ones(301), WEIGHTS),
    "2-D": (np.ones((300, 2)), WEIGHTS),
    "one negative": (1.0 - 2 * (np.arange(300) == 3), WEIGHTS),
    "all 0": (np.zeros(300), f"{WEIGHTS}, not zero for all"),
    "NaN": (np.full(300, np.nan), "sample_weight contains NaN"),
    "text": (np.full(300, "heavy"), "could not convert string to float"),
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_sample_weight_bad_values_raise(rows, fitted, kind):
    sample_weight, message = BAD_WEIGHTS[kind]
    with rejected(small_classifier(), ValueError, message) as clf:
        clf.fit(*rows[0], sample_weight=sample_weight)
    with rejected(fitted, ValueError, message):
        fitted.partial_fit(*rows[0], sample_weight=sample_weight)


# Checked before the data. Name, value, error, message.
BAD_PARAMETERS = [
    ("epochs", 0, ValueError, "epochs == 0, must be >= 1"),
    ("epochs", 1.5, TypeError, "epochs must be an instance of int, not float"),
    ("fit__epochs", 0, ValueError, "epochs == 0, must be >= 1"),
    ("batch_size", -32, ValueError, "batch_size == -32, must be >= 1"),
    ("batch_size", None, TypeError, "batch_size must be an instance of int"),
    ("augmentation", -0.5, ValueError, "augmentation == -0.5, must be >= 0"),
    ("augmentation", np.inf, ValueError, "augmentation == inf, must be < inf"),
    ("augmentation", "1", TypeError, "augmentation must be an instance of float"),
    ("units", 0, ValueError, "units == 0, must be >= 1"),
    ("units", "wide", TypeError, "units must be an instance of int"),
    ("units", None, TypeError, "units must be an instance of int"),
    ("units", (64, 0), ValueError, "units == 0, must be >= 1"),
    ("units", (64, 0.5), TypeError, "units must be an instance of int"),
    ("dropout", 1.0, ValueError, "dropout == 1.0, must be < 1"),
    ("dropout", -0.1, ValueError, "dropout == -0.1, must be >= 0"),
    ("validation_split", 1.0, ValueError, "validation_split == 1.0, must be < 1"),
    ("validation_split", "0.1", TypeError, "validation_split must be an instance of"),
    ("class_weight", "balance", ValueError, "class_weight must be .*got 'balance'"),
    ("class_weight", [1, 2], ValueError, r"class_weight must be .*got \[1, 2\]"),
    ("random_state", -1, ValueError, "Seed must be between 0 and"),
    ("random_state", "seed", ValueError, "'seed' cannot be used to seed"),
    ("epoch_cache", 3, TypeError, "epoch_cache must be a path or Memory, got 3"),
    ("shuffle", "no", TypeError, "shuffle must be an instance of"),
    ("warm_start", None, TypeError, "warm_start must be an instance of"),
    ("verbose", 3, ValueError, "verbose == 3, must be < 3"),
]
# Checked when a network is built and compiled.
BAD_FOR_BUILDING = [
    ("activation", "relux", ValueError, "activation.*relux"),
    ("activation", 3, ValueError, "activation.*3"),
    ("optimizer", "rmsdrop", ValueError, "optimizer.*rmsdrop"),
    ("optimizer", None, ValueError, "optimizer must be .*got None"),
    ("loss", "crossentropy?", ValueError, "loss.*crossentropy"),
    ("loss", None, ValueError, "loss must be .*got None"),
    ("metrics", ("acuracy",), ValueError, "acuracy"),
    ("optimizer__rate", 0.1, ValueError, "not recognized: {'rate': 0.1}"),
    ("loss__label_smoothing", 0.1, TypeError, "does not accept parameters"),
]
# Checked with the labels, or when training starts.
BAD_FOR_TRAINING = [
    ("class_weight", {3: -1.0}, ValueError, "class_weight must .*-1.0"),
    ("class_weight", {3: np.nan}, ValueError, "class_weight must .*nan"),
    ("class_weight", {3: 1, "3": 2}, ValueError, r"for \[0, 1.*got \['3'\]"),
    ("callbacks", [object()], TypeError, "callbacks"),
    ("fit__x", 3, TypeError, "x"),
]


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    BAD_PARAMETERS + BAD_FOR_BUILDING + BAD_FOR_TRAINING,
)
def test_fit_bad_parameter_raises(rows, fitted, name, value, error, message):
    params = {name: value}
    with rejected(small_classifier(**params), error, message) as clf:
        clf.fit(*rows[0])
    for other in (
        like(fitted, **params),
        like(fitted, **{"warm_start": True} | params),
    ):
        with rejected(other, (error, ValueError), f"{message}|to continue training"):
            other.fit(*rows[0])


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("initialize", {"epochs": 0}),
        ("initialize", {"metrics": ("acuracy",)}),
        ("partial_fit", {"batch_size": 0}),
        ("partial_fit", {"class_weight": {3: -1.0}}),
    ],
)
def test_initialize_and_partial_fit_bad_parameter_raises(rows, fitted, method, params):
    for clf in (small_classifier(**params), like(fitted, **params)):
        with rejected(clf, ValueError, "must be|acuracy"):
            getattr(clf, method)(*rows[0])


def test_fit_bad_parameter_does_not_advance_random_state(rows):
    states = [np.random.RandomState(7) for _ in range(2)]
    with pytest.raises(ValueError, match="class_weight must be finite"):
        small_classifier(random_state=states[0], class_weight={3: -1.0}).fit(*rows[0])
    assert states[0].randint(2**31 - 1) == states[1].randint(2**31 - 1)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score"])
def test_predict_before_fit_raises(digits, rows, method):
    estimators = [(small_classifier(), rows[0]), (make_pipeline(), digits[0])]
    for estimator, (X, y) in estimators:
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(estimator, method)(X, *([y] if method == "score" else []))


HOOKS = ["on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_epoch_end"]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "warm fit"])
def test_interrupt_before_the_end_of_an_epoch_changes_nothing(
    rows, fitted, method, hook
):
    def stop(number, logs=None):
        # Not at the first batch, so that there is something to restore.
        if not (hook == "on_train_batch_end" and number < 5):
            raise KeyboardInterrupt("stop here")

    def start(logs=None):
        stop(0)

    action = start if hook == "on_train_begin" else stop
    callbacks = keras.callbacks.LambdaCallback(**{hook: action})
    # Batches of 8 are enough for the compiled loop.
    params = {"callbacks": callbacks, "batch_size": 8 if "epoch" in hook else 32}
    params["warm_start"] = method == "warm fit"
    for clf in (like(fitted, **params), small_classifier(**params)):
        with rejected(clf, KeyboardInterrupt, "stop here"):
            getattr(clf, method.removeprefix("warm "))(*rows[0])


def test_training_after_an_interrupt_equals_training_without(rows):
    def stop(epoch, logs):
        raise KeyboardInterrupt

    clf, expected = (
        small_classifier(optimizer="adam", dropout=0.3).fit(*rows[0]) for _ in range(2)
    )
    clf.set_params(callbacks=keras.callbacks.LambdaCallback(on_epoch_end=stop))
    with pytest.raises(KeyboardInterrupt):
        clf.partial_fit(*rows[0])
    clf.set_params(callbacks=None).partial_fit(*rows[0])
    assert_same_state(clf, expected.partial_fit(*rows[0]))


@pytest.fixture(scope="module")
def pipe(digits):
    """Return a fitted pipeline, which no test here may change."""
    return make_pipeline(8, 1, random_state=0).fit(*digits[0])


BAD_IMAGES = {
    "NaN": (lambda X: np.where(X > 254, np.nan, X), ValueError, "X contains NaN"),
    "infinity": (lambda X: np.where(X > 254, np.inf, X), ValueError, "infinity"),
    "strings": (lambda X: np.full(X.shape, "dark"), ValueError, "real numbers.*'dark'"),
    "objects": (
        lambda X: np.full(X.shape, object()),
        TypeError,
        "real numbers.*object",
    ),
    "complex": (lambda X: X * 1j, ValueError, "Complex data not supported"),
    "sparse": (lambda X: csr_array(X[:, 0]), TypeError, "Sparse .* csr_array; use X"),
    "1-D": (lambda X: X[0, 0], ValueError, r"got \(28,\).*X\[np.newaxis\]"),
    "none": (lambda X: X[:0], ValueError, r"0 sample\(s\) \(shape=\(0, 784\)\)"),
    "colour": (lambda X: np.stack([X] * 3, -1), ValueError, r"got \(300, 28, 28, 3\)"),
    "one image": (lambda X: X[0], ValueError, r"has 28 feat.* pass X\[np\.newaxis\]"),
    "27x27": (lambda X: X[:, 1:, 1:], ValueError, "has 729 features, .*expecting 784"),
    "29x28": (lambda X: X[:, [0, *range(28)]], ValueError, "has 812 features, .* 784"),
}


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_pipeline_bad_images_raise(digits, pipe, kind, method):
    change, error, message = BAD_IMAGES[kind]
    images, _ = digits[0]
    with rejected(pipe["classifier"], error, message):
        getattr(pipe, method)(change(images))


def test_pipeline_scaled_images_warn(digits, pipe):
    images, _ = digits[1]
    with pytest.warns(
        UserWarning, match="look scaled already. If they are, use scale="
    ):
        pipe.predict(images / 255)
