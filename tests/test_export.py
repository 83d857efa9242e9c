"""Tests of to_sklearn, here and in processes without Keras."""

import copy
import pickle

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
import skops.io
from processes import run_python
from skl2onnx import to_onnx
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skmnist import MNISTClassifier, flatten_and_scale, make_pipeline, to_sklearn

# Left out on other Pythons.
pytestmark = pytest.mark.long

# A label for each of the ten digits.
LABELS = {
    "ints": np.arange(10, dtype=np.uint8),
    "strings": np.array(list("abcdefghij")),
    "objects": np.array(list("abcdefghij"), dtype=object),
    "three strings": np.repeat(["small", "medium", "large"], [3, 3, 4]),
    "two ints": np.repeat([3, -7], 5),
    "two strings": np.repeat(["small", "large"], 5),
    "bools": np.arange(10) > 4,
}
NETWORKS = {
    "relu": {"units": 16},
    "tanh": {"units": (32, 24, 16), "activation": "tanh"},
    "sigmoid": {"units": (64,), "activation": "sigmoid"},
    "linear": {"units": (16, 16), "activation": "linear"},
    "the function": {"units": 16, "activation": keras.activations.tanh},
    "dropout": {"units": (64, 32), "dropout": 0.3},
    "no hidden layer": {"units": (), "activation": "gelu"},
}


# NumPy and TensorFlow add in different orders, each with an error of about 1e-6.
ROUNDING = 3e-6


def check_alike(exported, estimator, X):
    """Compare labels and probabilities of two fitted estimators."""
    labels, proba = exported.predict(X), exported.predict_proba(X)
    expected = estimator.predict(X)
    assert len(np.unique(labels)) > 1
    assert labels.dtype == expected.dtype
    np.testing.assert_array_equal(labels, expected)
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba, estimator.predict_proba(X), rtol=0, atol=ROUNDING)
    assert exported.classes_.dtype == estimator.classes_.dtype
    np.testing.assert_array_equal(exported.classes_, estimator.classes_)


@pytest.fixture(scope="module")
def fitted(digits):
    """Return a pipeline fitted on each kind of labels."""
    X, y = digits[0]
    pipe = make_pipeline(16, 3, random_state=0)
    return {name: clone(pipe).fit(X, labels[y]) for name, labels in LABELS.items()}


@pytest.fixture
def pipe(fitted):
    return copy.deepcopy(fitted["ints"])


@pytest.mark.parametrize("name", LABELS)
def test_to_sklearn_any_labels(digits, fitted, name):
    X_test, y_test = digits[1]
    exported = to_sklearn(fitted[name])
    assert type(exported) is Pipeline
    assert type(exported["classifier"]) is MLPClassifier
    assert list(exported.named_steps) == ["preprocess", "classifier"]
    check_alike(exported, fitted[name], X_test)
    y_test = LABELS[name][y_test]
    assert exported.score(X_test, y_test) == fitted[name].score(X_test, y_test)


@pytest.mark.parametrize(
    ("name", "labels"), [*((name, "ints") for name in NETWORKS), ("tanh", "bools")]
)
def test_to_sklearn_any_network_of_mlpclassifier(rows, name, labels):
    (X, y), (X_test, _) = rows
    params = {"epochs": 3, "random_state": 0} | NETWORKS[name]
    clf = MNISTClassifier(**params).fit(X, LABELS[labels][y])
    exported = to_sklearn(clf)
    check_alike(exported, clf, X_test)
    layers = [layer for layer in clf.model_.layers if "dropout" not in layer.name]
    assert exported.hidden_layer_sizes == tuple(layer.units for layer in layers[:-1])


def test_to_sklearn_untrained_network(rows):
    (X, y), (X_test, _) = rows
    clf = MNISTClassifier(16, random_state=0).initialize(X, y)
    exported = to_sklearn(clf)
    check_alike(exported, clf, X_test)
    assert (exported.n_iter_, exported.loss_curve_) == (0, [])


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    ("activation", "name"),
    [("gelu", "gelu"), (double, "double"), (keras.layers.LeakyReLU(), "LeakyReLU")],
)
def test_to_sklearn_other_activation_raises_by_name(rows, activation, name):
    clf = MNISTClassifier(8, activation=activation).initialize(*rows[0])
    # The network counts, not what a next fit would make.
    clf.set_params(activation="relu")
    with pytest.raises(
        ValueError, match=f"no activation '{name}', .* linear, relu, sigmoid, tanh;"
    ):
        to_sklearn(clf)


@pytest.mark.parametrize("estimator", [make_pipeline(), MNISTClassifier()])
def test_to_sklearn_not_fitted_raises(estimator):
    with pytest.raises(NotFittedError, match="This MNISTClassifier instance is not"):
        to_sklearn(estimator)


@pytest.mark.parametrize(
    ("what", "name"),
    [
        (GridSearchCV(make_pipeline(), {}), "GridSearchCV"),
        (LogisticRegression(), "LogisticRegression"),
        (Pipeline([("classifier", LogisticRegression())]), "LogisticRegression"),
        (Pipeline([]), "Pipeline"),
        (MNISTClassifier, "type"),
        (None, "NoneType"),
    ],
)
def test_to_sklearn_other_estimator_raises(what, name):
    with pytest.raises(TypeError, match=f"ends in one, got {name};.* best_estimator_"):
        to_sklearn(what)


def test_to_sklearn_has_all_attributes_that_mlpclassifier_fits(rows, pipe):
    # Fails if scikit-learn adds or renames an attribute, private ones included.
    (X, y), _ = rows
    mlp = to_sklearn(pipe)["classifier"]
    with pytest.warns(ConvergenceWarning):  # Three epochs are few.
        own = clone(mlp).fit(X, y)
    assert mlp.get_params() == own.get_params()
    # Each fit sets these before it reads them.
    state = {"_optimizer", "_random_state", "_best_coefs", "_best_intercepts"}
    assert vars(own).keys() - vars(mlp).keys() <= state
    assert mlp._label_binarizer.y_type_ == own._label_binarizer.y_type_
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_iter_"):
        assert getattr(mlp, name) == getattr(own, name)
    for name in ("coefs_", "intercepts_"):
        shapes = [(w.shape, w.dtype) for w in getattr(own, name)]
        assert [(w.shape, w.dtype) for w in getattr(mlp, name)] == shapes


class Resampler(BaseEstimator):
    """A step that changes the samples to fit on, as imbalanced-learn's samplers."""

    def fit_resample(self, X, y):
        return X[::2], y[::2]


class ResamplingPipeline(Pipeline):
    """A pipeline with a Resampler as its first step, as imbalanced-learn's."""

    def fit(self, X, y):
        self.steps[-1][1].fit(*self.steps[0][1].fit_resample(X, y))
        return self

    def predict(self, X):
        return self.steps[-1][1].predict(X)


def test_to_sklearn_leaves_out_resampling_steps(rows):
    (X, y), (X_test, _) = rows
    steps = [("sampler", Resampler()), ("classifier", MNISTClassifier(8, epochs=2))]
    pipe = ResamplingPipeline(steps).fit(X, y)
    exported = to_sklearn(pipe)
    assert type(exported) is Pipeline
    assert list(exported.named_steps) == ["classifier"]
    np.testing.assert_array_equal(exported.predict(X_test), pipe.predict(X_test))


def test_to_sklearn_imbalanced_learn_pipeline(rows):
    imblearn = pytest.importorskip("imblearn.pipeline")
    from imblearn.over_sampling import RandomOverSampler

    (X, y), (X_test, _) = rows
    scale = FunctionTransformer(flatten_and_scale, kw_args={"scale": 1.0})
    classifier = MNISTClassifier(8, epochs=2)
    steps = [("a", scale), ("b", RandomOverSampler()), ("c", classifier)]
    pipe = imblearn.Pipeline(steps).fit(X, y)
    exported = to_sklearn(pipe)
    assert list(exported.named_steps) == ["a", "c"]
    check_alike(exported, pipe, X_test)


def test_to_sklearn_step_without_transform_raises_by_name(rows):
    clf = MNISTClassifier(8).initialize(*rows[0])
    pipe = Pipeline([("odd", "passthrough"), ("classifier", clf)])
    pipe.steps[0] = ("odd", LogisticRegression())
    with pytest.raises(TypeError, match="step 'odd': a LogisticRegression does not"):
        to_sklearn(pipe)


def test_to_sklearn_copies_parameters_and_history(rows, digits):
    clf = MNISTClassifier(
        [np.int64(16), 8],
        activation="sigmoid",
        epochs=2,
        batch_size=np.int64(20),
        shuffle=False,
        random_state=np.int64(3),
    ).fit(*rows[0])
    mlp = to_sklearn(clf)
    assert repr(mlp) == repr(
        MLPClassifier(
            activation="logistic",
            alpha=0.0,
            batch_size=20,
            hidden_layer_sizes=(16, 8),
            max_iter=2,
            random_state=3,
            shuffle=False,
        )
    )
    assert mlp.loss_curve_ == clf.history_["loss"]
    assert mlp.loss_ == mlp.best_loss_ == clf.history_["loss"][-1]
    assert mlp.n_features_in_ == 784
    assert not hasattr(mlp, "feature_names_in_")
    # A generator has state, and its next numbers are for the next fit here.
    clf.set_params(random_state=np.random.RandomState(0))
    assert to_sklearn(clf).random_state is None


def test_to_sklearn_copies_feature_names(rows):
    (X, y), (X_test, _) = rows
    names = [f"pixel{i}" for i in range(784)]
    X, X_test = (pd.DataFrame(part, columns=names) for part in (X, X_test))
    clf = MNISTClassifier(16, epochs=3, random_state=0).fit(X, y)
    exported = to_sklearn(clf)
    assert exported.feature_names_in_.tolist() == names
    check_alike(exported, clf, X_test)
    with pytest.raises(ValueError, match="feature names should match"):
        exported.predict(X_test[names[::-1]])


def test_to_sklearn_copies_other_steps(rows):
    (X, y), (X_test, _) = rows
    pipe = Pipeline(
        [
            ("nothing", "passthrough"),
            ("scale", FunctionTransformer(flatten_and_scale, kw_args={"scale": 1.0})),
            ("pca", PCA(20, random_state=0)),
            ("net", MNISTClassifier(16, epochs=5, random_state=0)),
        ]
    ).fit(X, y)
    exported = to_sklearn(pipe.set_params(memory="a/folder"))
    assert exported.memory is None
    assert list(exported.named_steps) == list(pipe.named_steps)
    check_alike(exported, pipe, X_test)
    before = exported.predict_proba(X_test)
    pipe.set_params(memory=None).fit(X[:100], y[:100])
    assert np.abs(pipe.predict_proba(X_test) - before).max() > 0.01
    np.testing.assert_array_equal(exported.predict_proba(X_test), before)


def test_to_sklearn_shares_no_weights(rows, pipe):
    (X, y), (X_test, _) = rows
    clf, mlp = pipe["classifier"], to_sklearn(pipe)["classifier"]
    before = mlp.predict_proba(X_test)
    clf.partial_fit(X, y)
    np.testing.assert_array_equal(mlp.predict_proba(X_test), before)
    assert len(mlp.loss_curve_) == 3
    after = clf.predict_proba(X_test)
    mlp.partial_fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X_test), after)
    # It continues from the trained weights.
    assert len(mlp.loss_curve_) == 4
    assert mlp.loss_ == mlp.loss_curve_[3] < mlp.loss_curve_[2]
    assert mlp.coefs_[0].dtype == np.float32


def test_to_sklearn_pickle_clone_and_repr(digits, pipe):
    X_test = digits[1][0]
    exported = to_sklearn(pipe)
    proba = exported.predict_proba(X_test)
    for other in (pickle.loads(pickle.dumps(exported)), copy.deepcopy(exported)):
        np.testing.assert_array_equal(other.predict_proba(X_test), proba)
    unfitted = clone(exported)
    assert repr(unfitted) == repr(exported)
    assert "MLPClassifier(" in repr(exported)
    with pytest.raises(NotFittedError):
        unfitted.predict(X_test)


def write_joblib(exported, file, X):
    joblib.dump(exported, file)


def write_skops(exported, file, X):
    skops.io.dump(exported, file)


def write_onnx(exported, file, X):
    rows = exported["preprocess"].transform(X[:1])
    options = {"zipmap": False}
    file.write_bytes(
        to_onnx(exported["classifier"], rows, options=options).SerializeToString()
    )


# How each file is written here, the modules hidden from the process that loads it, and
# how that process predicts.
FORMATS = {
    "joblib": (
        write_joblib,
        "tensorflow keras scikeras",
        """
import joblib

def predict(file, X):
    model = joblib.load(file)
    return model.predict(X), model.predict_proba(X)
""",
    ),
    "skops": (
        write_skops,
        "tensorflow keras scikeras",
        """
import skops.io

def predict(file, X):
    model = skops.io.load(file, trusted=["skmnist.preprocessing.flatten_and_scale"])
    return model.predict(X), model.predict_proba(X)
""",
    ),
    "onnx": (
        write_onnx,
        "tensorflow keras scikeras skmnist sklearn joblib skl2onnx onnx",
        """
import onnxruntime

def predict(file, X):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    rows = X.reshape(len(X), -1).astype(np.float32) / np.float32(255)
    labels, proba = session.run(None, {"X": rows})
    return labels.tolist(), proba  # strings come as objects
""",
    ),
}
HIDE = """
import sys
import numpy as np

hidden, *args = sys.argv[1:]
for name in hidden.split():
    sys.modules[name] = None
    try:
        __import__(name)
    except ImportError:
        continue
    raise RuntimeError(f"{name} can be imported")
"""
PREDICT = """
X, *files = args
for file in files:
    labels, proba = predict(file, np.load(X))
    np.savez(file, labels=labels, proba=proba)
"""


@pytest.mark.parametrize("name", FORMATS)
def test_to_sklearn_saved_predicts_without_keras(digits, fitted, tmp_path, name):
    (X_test, _), kinds = digits[1], ("ints", "strings", "two strings", "bools")
    write, hidden, predict = FORMATS[name]
    np.save(tmp_path / "X.npy", X_test)
    for kind in kinds:
        write(to_sklearn(fitted[kind]), tmp_path / f"{kind}.{name}", X_test)
    files = [tmp_path / f"{kind}.{name}" for kind in kinds]
    args = (hidden, tmp_path / "X.npy", *files)
    run_python(HIDE + predict + PREDICT, *args, flags=("-W", "error"))
    for kind, file in zip(kinds, files, strict=True):
        found = np.load(f"{file}.npz")
        labels, proba = found["labels"], found["proba"]
        expected = fitted[kind].predict(X_test)
        assert len(np.unique(expected)) > 1
        if name != "onnx":  # which has no uint8 and no bools as labels
            assert labels.dtype == expected.dtype
        np.testing.assert_array_equal(labels, expected)
        assert proba.dtype == np.float32
        # onnxruntime rounds differently.
        np.testing.assert_allclose(
            proba,
            fitted[kind].predict_proba(X_test),
            rtol=0,
            atol=1e-5 if name == "onnx" else ROUNDING,
        )


@pytest.mark.parametrize("name", FORMATS)
def test_to_sklearn_file_size_is_that_of_the_weights(digits, tmp_path, name):
    X, y = digits[0]
    pipe = make_pipeline(epochs=1).fit(X, y)
    file = tmp_path / f"digits.{name}"
    FORMATS[name][0](to_sklearn(pipe), file, X)
    # 669,706 weights of 4 bytes.
    assert 2_678_824 < file.stat().st_size < 2_900_000


def test_to_sklearn_skops_trusts_all_but_preprocessing(pipe, tmp_path):
    exported = to_sklearn(pipe)
    for part, untrusted in (
        (exported, ["skmnist.preprocessing.flatten_and_scale"]),
        (exported["classifier"], []),
    ):
        skops.io.dump(part, tmp_path / "part.skops")
        found = skops.io.get_untrusted_types(file=tmp_path / "part.skops")
        assert found == untrusted
    skops.io.load(tmp_path / "part.skops")
