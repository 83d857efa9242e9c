"""Tests of the bundled pretrained model and its file."""

import pickle

import joblib
import numpy as np
import pytest
from processes import run_python
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from skmnist import (
    MNISTClassifier,
    load_pretrained,
    pretrained,
    to_mnist_format,
    to_sklearn,
)

# NumPy and TensorFlow add in different orders, each with an error of about 1e-6.
ROUNDING = 3e-6


@pytest.fixture(scope="module")
def pipe():
    return load_pretrained()


@pytest.fixture(scope="module")
def images(digits):
    return digits[1][0]


@pytest.fixture(scope="module")
def unknown_writers():
    """Return the bundled digits of four writers, held out of its training."""
    digits = load_digits()
    X = np.array([to_mnist_format(image / 16) for image in digits.images[1287:]])
    return X, digits.target[1287:]


def train_on(pipe, X, y, epochs):
    for _ in range(epochs):
        pipe["classifier"].partial_fit(pipe["preprocess"].transform(X), y)


def test_load_pretrained_is_as_to_sklearn_converts(pipe, images):
    assert type(pipe) is Pipeline
    assert list(pipe.named_steps) == ["preprocess", "classifier"]
    mlp, exported = pipe["classifier"], to_sklearn(load_pretrained(trainable=True))
    assert type(mlp) is MLPClassifier
    assert repr(exported["preprocess"]) == repr(pipe["preprocess"])
    for name in ("coefs_", "intercepts_"):
        arrays, others = (getattr(p["classifier"], name) for p in (pipe, exported))
        for array, other in zip(arrays, others, strict=True):
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, other)
    np.testing.assert_array_equal(
        pipe.predict_proba(images), exported.predict_proba(images)
    )


def test_load_pretrained_probabilities_follow_from_the_file(pipe, images):
    with np.load(pretrained.FILE, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    assert {array.dtype.kind for array in arrays.values()} <= set("fu")
    x = images.reshape(-1, 784).astype(np.float64) / 255
    for layer in (1, 2, 3):
        x = x @ arrays[f"coefs_{layer}"].astype(np.float64)
        x += arrays[f"intercepts_{layer}"]
        x = np.maximum(x, 0) if layer < 3 else np.exp(x)
    x /= x.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(pipe.predict_proba(images), x, rtol=0, atol=ROUNDING)
    labels = pipe.predict(images)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, x.argmax(axis=1))


def test_pretrained_file_is_small():
    assert pretrained.FILE.stat().st_size <= 1_500_000


def test_load_pretrained_predicts_offline_without_tensorflow(pipe, images, tmp_path):
    np.save(tmp_path / "X.npy", images)
    code = """
import sys
import numpy as np

def reject_download(event, args):
    if event.startswith("socket."):
        raise RuntimeError(event)

sys.addaudithook(reject_download)
for name in ("tensorflow", "keras", "scikeras", "matplotlib", "PIL"):
    sys.modules[name] = None
from skmnist import load_pretrained

np.save(sys.argv[2], load_pretrained().predict_proba(np.load(sys.argv[1])))
"""
    files = [tmp_path / name for name in ("X.npy", "proba.npy")]
    done = run_python(code, *files, flags=("-W", "error"))
    assert (done.stdout, done.stderr) == ("", "")
    np.testing.assert_array_equal(np.load(files[1]), pipe.predict_proba(images))


def test_load_pretrained_pickle_and_clone(pipe, images, tmp_path):
    joblib.dump(pipe, tmp_path / "pipe.joblib")
    for other in (
        pickle.loads(pickle.dumps(pipe)),
        joblib.load(tmp_path / "pipe.joblib"),
    ):
        np.testing.assert_array_equal(
            other.predict_proba(images), pipe.predict_proba(images)
        )
    unfitted = clone(pipe)
    assert repr(unfitted) == repr(pipe)
    with pytest.raises(NotFittedError):
        unfitted.predict(images)


@pytest.mark.parametrize("trainable", [False, True])
def test_load_pretrained_pipelines_share_nothing(digits, trainable):
    (X, y), (X_test, _) = digits
    one, other = (load_pretrained(trainable=trainable) for _ in range(2))
    before = other.predict_proba(X_test)
    train_on(one, X, y, epochs=1)
    assert np.abs(one.predict_proba(X_test) - before).max() > 0.01
    for untouched in (other, load_pretrained(trainable=trainable)):
        np.testing.assert_array_equal(untouched.predict_proba(X_test), before)


def test_load_pretrained_trainable_has_the_same_weights(pipe, images):
    trainable = load_pretrained(trainable=True)
    clf = trainable["classifier"]
    assert type(clf) is MNISTClassifier
    assert trainable["preprocess"].kw_args == pipe["preprocess"].kw_args
    assert (clf.n_features_in_, clf.history_) == (784, {})
    assert clf.classes_.dtype == np.uint8
    assert clf.classes_.tolist() == list(range(10))
    np.testing.assert_allclose(
        trainable.predict_proba(images),
        pipe.predict_proba(images),
        rtol=0,
        atol=ROUNDING,
    )


def test_load_pretrained_fine_tuning_is_repeatable(digits):
    # Rotated digits, unlike its training data.
    (X, y), (X_test, y_test) = digits
    X, X_test = (np.rot90(images, axes=(1, 2)) for images in (X, X_test))
    one, other = (load_pretrained(trainable=True) for _ in range(2))
    before = log_loss(y_test, one.predict_proba(X_test))
    train_on(one, X, y, epochs=5)
    assert log_loss(y_test, one.predict_proba(X_test)) < 0.95 * before
    assert len(one["classifier"].history_["loss"]) == 5
    # `fit` continues from the weights, too.
    other.set_params(classifier__epochs=5).fit(X, y)
    np.testing.assert_array_equal(
        one.predict_proba(X_test), other.predict_proba(X_test)
    )


def test_load_pretrained_accuracy_on_held_out_writers(pipe, unknown_writers):
    assert pipe.score(*unknown_writers) >= 0.98


def test_load_pretrained_fine_tuning_to_a_writer_keeps_others(pipe, unknown_writers):
    # Fifty digits by the last writer, and those of three others.
    X, y = unknown_writers
    trainable = load_pretrained(trainable=True)
    train_on(trainable, X[380:430], y[380:430], epochs=10)
    assert trainable.score(X[:380], y[:380]) >= pipe.score(X[:380], y[:380]) - 0.02
    before, after = (
        log_loss(y[430:], model.predict_proba(X[430:]), labels=range(10))
        for model in (pipe, trainable)
    )
    assert after < 0.8 * before


@pytest.mark.slow
def test_load_pretrained_accuracy_on_mnist(mnist, pipe):
    X, y = mnist[1]
    assert pipe.score(X, y) >= 0.9955
    assert log_loss(y, pipe.predict_proba(X)) <= 0.015


# The file of the weights


def test_read_layers_returns_arrays_of_the_file(tmp_path):
    arrays = {"names": np.arange(3)}
    for n, width in enumerate((4, 3), start=1):
        arrays[f"coefs_{n}"] = np.full((n, width), n, np.float16)
        arrays[f"intercepts_{n}"] = np.full(width, n / 2, np.float16)
    np.savez(tmp_path / "layers.npz", **arrays)
    coefs, intercepts, others = pretrained.read_layers(tmp_path / "layers.npz", "names")
    assert {array.dtype for array in (*coefs, *intercepts)} == {np.dtype(np.float32)}
    for n in 1, 2:
        np.testing.assert_array_equal(coefs[n - 1], arrays[f"coefs_{n}"])
        np.testing.assert_array_equal(intercepts[n - 1], arrays[f"intercepts_{n}"])
    np.testing.assert_array_equal(others, [arrays["names"]])


def test_predict_proba_applies_relu_between_layers():
    coefs = [np.float32([[2, -2]]), np.float32([[1, 1], [10, 20]])]
    intercepts = [np.float32([-1, 1]), np.float32([-3, 0])]
    network = pretrained.DenseNetwork(coefs, intercepts, np.arange(2), [])
    # Hidden units of 1 and 0, and outputs of -2 and 1.
    proba = network.predict_proba(np.full((1, 1), 255, np.uint8))
    np.testing.assert_allclose(proba[0, 1], 1 / (1 + np.exp(-3)), rtol=1e-6)
