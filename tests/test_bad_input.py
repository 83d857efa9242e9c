"""Tests of what bad input gets: an error that explains it, and nothing half done."""

import copy
import re
from contextlib import contextmanager

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array, csr_matrix
from sklearn.exceptions import NotFittedError

from skmnist import MNISTClassifier, make_pipeline


def small(**params):
    return MNISTClassifier(**{"units": 8, "epochs": 1, "random_state": 0} | params)


def variables(clf):
    return [*clf.model_.variables, *clf.model_.optimizer.variables]


@pytest.fixture(scope="module")
def trained(rows):
    """Return a fitted classifier and the values of its variables."""
    clf = small(dropout=0.2).fit(*rows[0])
    return clf, [v.numpy().copy() for v in variables(clf)]


@pytest.fixture
def fitted(trained):
    """Return a fitted classifier, the same for each test whatever others did to it."""
    clf, values = trained
    for variable, value in zip(variables(clf), values, strict=True):
        variable.assign(value)
    return like(clf)


def like(fitted, **params):
    """Return another classifier around the same trained network."""
    clf = small()
    vars(clf).update(vars(fitted))
    vars(clf).update(params)
    return clf


def everything(clf):
    """Return all that a classifier is, for comparison."""
    state = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in vars(clf).items()
    }
    if "model_" in state:
        state["bits"] = [v.numpy().tobytes() for v in variables(clf)]
        X = np.linspace(0, 1, 3 * clf.n_features_in_).reshape(3, -1)
        state["predictions"] = clf.predict_proba(X).tobytes()
        state["history_"] = copy.deepcopy(clf.history_)
    return state


@contextmanager
def refused(clf, error, message):
    """Check that what follows is refused and leaves the classifier as it was."""
    before = everything(clf)
    with pytest.raises(error, match=f"(?s){message}"):
        yield
    # Not by pytest, which would spell out every byte that differs.
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
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_proba"])
@pytest.mark.parametrize("kind", BAD_FEATURES)
def test_features(rows, fitted, kind, method):
    change, error, message = BAD_FEATURES[kind]
    X, y = rows[0]
    args = (y,) if "fit" in method else ()
    with refused(fitted, error, message):
        getattr(fitted, method)(change(X), *args)
    if args:
        clf = small()
        with refused(clf, error, message):
            getattr(clf, method)(change(X), *args)


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
def test_features_of_another_number(rows, fitted, X, message, method):
    train = rows[0]
    y = np.arange(len(X)) % 2
    with refused(fitted, ValueError, message):
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


@pytest.mark.parametrize("method", ["fit", "partial_fit", "initialize", "validation"])
@pytest.mark.parametrize("kind", BAD_LABELS)
def test_labels(rows, fitted, kind, method):
    change, message = BAD_LABELS[kind]
    X, y = rows[0]
    if (kind, method) == ("none", "validation"):
        message = "needs both X_val and y_val"
    for clf in (fitted, small()):
        with refused(clf, ValueError, message):
            if method == "validation":
                clf.fit(X, y, X_val=X, y_val=change(y))
            else:
                getattr(clf, method)(X, change(y))


@pytest.mark.parametrize("method", ["fit", "partial_fit", "initialize"])
def test_one_class_only(rows, fitted, method):
    X, y = rows[0]
    clf = small()
    with refused(clf, ValueError, "y has one class, .*3.* needs two or more"):
        getattr(clf, method)(X[y == 3], y[y == 3])
    if method == "fit":
        with refused(fitted, ValueError, "y has one class"):
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
def test_labels_not_seen_before(rows, fitted, call):
    with refused(fitted, ValueError, r"previously unseen labels: .*10"):
        call(fitted, *rows[0])


def test_classes_that_partial_fit_is_not_to_expect(rows, fitted):
    X, y = rows[0]
    clf = small()
    with refused(clf, ValueError, "previously unseen labels: .*9"):
        clf.partial_fit(X, y, classes=range(9))
    with refused(
        fitted, ValueError, r"classes=range\(0, 9\) are not those of the first"
    ):
        fitted.partial_fit(X, y, classes=range(9))


BAD_WEIGHTS = {
    "fewer": (np.ones(299), ValueError, r"sample_weight.shape == \(299,\)"),
    "more": (np.ones(301), ValueError, r"sample_weight.shape == \(301,\)"),
    "2-D": (np.ones((300, 2)), ValueError, "must be 1D array or scalar"),
    "negative": (-np.ones(300), ValueError, "Negative values in data .*sample_weight"),
    "one negative": (1.0 - 2 * (np.arange(300) == 3), ValueError, "Negative values in"),
    "all 0": (np.zeros(300), ValueError, "[Ww]eight.*(nothing to train on|non-zero)"),
    "NaN": (np.full(300, np.nan), ValueError, "sample_weight contains NaN"),
    "text": (np.full(300, "heavy"), ValueError, "could not convert string to float"),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_sample_weights(rows, fitted, kind, method):
    sample_weight, error, message = BAD_WEIGHTS[kind]
    for clf in (fitted, small()):
        with refused(clf, error, message):
            getattr(clf, method)(*rows[0], sample_weight=sample_weight)


# Name, value, message of scikit-learn's.
CONSTRAINED = [
    ("epochs", 0, "an int in the range [1, inf). Got 0 instead."),
    ("epochs", -1, "an int in the range [1, inf). Got -1 instead."),
    ("epochs", 1.5, "an int in the range [1, inf). Got 1.5 instead."),
    ("batch_size", 0, "an int in the range [1, inf). Got 0 instead."),
    ("batch_size", -32, "an int in the range [1, inf). Got -32 instead."),
    ("batch_size", None, "an int in the range [1, inf). Got None instead."),
    ("augmentation", -0.5, "a float in the range [0.0, inf). Got -0.5 instead."),
    ("augmentation", np.inf, "a float in the range [0.0, inf). Got inf instead."),
    ("augmentation", "1", "a float in the range [0.0, inf). Got '1' instead."),
    ("units", 0, "an int in the range [1, inf) or an array-like. Got 0 instead."),
    ("units", -8, "an int in the range [1, inf) or an array-like. Got -8 instead."),
    ("units", 8.0, "an int in the range [1, inf) or an array-like. Got 8.0 instead."),
    ("units", "wide", "an int in the range [1, inf) or an array-like. Got 'wide'"),
    ("units", None, "an int in the range [1, inf) or an array-like. Got None"),
    ("dropout", 1.0, "a float in the range [0.0, 1.0). Got 1.0 instead."),
    ("dropout", -0.1, "a float in the range [0.0, 1.0). Got -0.1 instead."),
    ("validation_split", 1.0, "a float in the range [0.0, 1.0). Got 1.0 instead."),
    ("validation_split", -0.1, "a float in the range [0.0, 1.0). Got -0.1 instead."),
    ("validation_split", "0.1", "a float in the range [0.0, 1.0). Got '0.1' instead."),
    ("class_weight", "balance", "Got 'balance' instead."),
    ("class_weight", [1, 2], "Got [1, 2] instead."),
    ("activation", 3, "an instance of 'str' or a callable. Got 3 instead."),
    ("random_state", -1, "Got -1 instead."),
    ("random_state", "seed", "Got 'seed' instead."),
    ("epoch_cache", 3, "Got 3 instead."),
    ("shuffle", "no", "Got 'no' instead."),
    ("warm_start", None, "Got None instead."),
    ("verbose", "loud", "Got 'loud' instead."),
]
# Name, value, error, message.
BAD_PARAMETERS = [
    *(
        (name, value, ValueError, f"The '{name}' parameter of .* {re.escape(message)}")
        for name, value, message in CONSTRAINED
    ),
    ("fit__epochs", 0, ValueError, "The 'epochs' parameter .* Got 0 instead"),
    ("units", (64, 0), ValueError, "units == 0, must be >= 1"),
    ("units", (64, 0.5), TypeError, "units must be an instance of int, not "),
    ("optimizer", "rmsdrop", ValueError, "optimizer='rmsdrop' .*such as 'adam'"),
    ("optimizer", None, ValueError, "optimizer=None"),
    ("optimizer", 3, ValueError, "optimizer=3"),
    (
        "loss",
        "crossentropy?",
        ValueError,
        "loss='crossentropy.' .*such as 'categorical_",
    ),
    ("activation", "relux", ValueError, "activation='relux' .*such as 'relu'"),
]
# Looked at when a network is built.
BAD_FOR_BUILDING = [
    ("metrics", ("acuracy",), ValueError, "acuracy"),
    ("optimizer__rate", 0.1, ValueError, "not recognized: {'rate': 0.1}"),
    ("loss__label_smoothing", 0.1, TypeError, "does not accept parameters"),
]
# Looked at when it is trained.
BAD_FOR_TRAINING = [
    ("class_weight", {3: -1.0}, ValueError, "class_weight must .*-1.0"),
    ("class_weight", {3: np.nan}, ValueError, "class_weight must .*nan"),
    ("class_weight", {3: 1, "3": 2}, ValueError, r"has \['3'\], but .* \[0, 1, 2"),
    ("callbacks", [object()], TypeError, "callbacks"),
]


@pytest.mark.parametrize(
    ("call", "name", "value", "error", "message"),
    [
        (call, *bad)
        for call, cases in {
            "fit": BAD_PARAMETERS + BAD_FOR_BUILDING + BAD_FOR_TRAINING,
            "fit again": BAD_PARAMETERS + BAD_FOR_BUILDING + BAD_FOR_TRAINING,
            "partial_fit": BAD_PARAMETERS + BAD_FOR_BUILDING + BAD_FOR_TRAINING,
            "partial_fit again": BAD_PARAMETERS + BAD_FOR_TRAINING,
            "initialize": BAD_PARAMETERS + BAD_FOR_BUILDING,
            "initialize again": BAD_PARAMETERS + BAD_FOR_BUILDING,
        }.items()
        for bad in cases
    ],
)
def test_parameters(rows, fitted, call, name, value, error, message):
    method, _, again = call.partition(" ")
    params = {name: value}
    clf = like(fitted, **params) if again else small(**params)
    with refused(clf, error, message):
        getattr(clf, method)(*rows[0])


def test_a_refused_fit_has_drawn_nothing(rows):
    X, y = rows[0]
    states = [np.random.RandomState(7) for _ in range(2)]
    with pytest.raises(ValueError, match="class_weight must be finite"):
        small(random_state=states[0], class_weight={3: -1.0}).fit(X, y)
    assert states[0].randint(2**31 - 1) == states[1].randint(2**31 - 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda clf, X, y: clf.predict(X),
        lambda clf, X, y: clf.predict_proba(X),
        lambda clf, X, y: clf.score(X, y),
    ],
    ids=["predict", "predict_proba", "score"],
)
@pytest.mark.parametrize(
    "make", [small, lambda: make_pipeline(scale=1)], ids=["classifier", "pipeline"]
)
def test_predicting_before_fit(rows, make, call):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        call(make(), *rows[0])


@pytest.mark.parametrize(
    "hook",
    [
        "on_train_begin",
        "on_epoch_begin",
        "on_train_batch_end",
        "on_epoch_end",
        "on_train_end",
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "warm fit"])
def test_an_interrupted_training_has_not_happened(rows, fitted, method, hook):
    def stop(number, logs=None):
        # Not the first batch, nor the first epoch: there is something to undo.
        if not (hook == "on_train_batch_end" and number < 5):
            raise KeyboardInterrupt("stop here")

    callbacks = keras.callbacks.LambdaCallback(**{hook: stop})
    if hook in ("on_train_begin", "on_train_end"):
        callbacks = keras.callbacks.LambdaCallback(**{hook: lambda logs: stop(0)})
    params = {"callbacks": callbacks, "warm_start": method == "warm fit"}
    # Of 8 images each, there are enough batches for the compiled loop.
    params["batch_size"] = 8 if hook == "on_epoch_end" else 32
    for clf in (like(fitted, **params), small(**params)):
        with refused(clf, KeyboardInterrupt, "stop here"):
            getattr(clf, method.removeprefix("warm "))(*rows[0])


def test_after_an_interrupt_training_goes_on_as_if_it_had_not_been(rows):
    def stop(epoch, logs):
        raise KeyboardInterrupt

    clf, expected = (small(optimizer="adam", dropout=0.3) for _ in range(2))
    for estimator in (clf, expected):
        estimator.fit(*rows[0])
    clf.set_params(callbacks=keras.callbacks.LambdaCallback(on_epoch_end=stop))
    with pytest.raises(KeyboardInterrupt):
        clf.partial_fit(*rows[0])
    clf.set_params(callbacks=None)
    before, after = (everything(c.partial_fit(*rows[0])) for c in (expected, clf))
    assert before["bits"] == after["bits"]
    assert before["history_"] == after["history_"]


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
def test_images_given_to_a_pipeline(digits, pipe, kind, method):
    change, error, message = BAD_IMAGES[kind]
    images, _ = digits[0]
    with refused(pipe["classifier"], error, message):
        getattr(pipe, method)(change(images))


def test_images_scaled_already_are_reported_by_a_pipeline(digits, pipe):
    images, _ = digits[1]
    with pytest.warns(
        UserWarning, match="look scaled already. If they are, use scale="
    ):
        pipe.predict(images / 255)
