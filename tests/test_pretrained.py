"""Tests of the trained network that comes with the package, on its real file."""

import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
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

# Two libraries sum up in different orders, each with an error of about 1e-6.
ROUNDING = 3e-6


@pytest.fixture(scope="module")
def pipe():
    return load_pretrained()


@pytest.fixture(scope="module")
def images(digits):
    return digits[1][0]


@pytest.fixture(scope="module")
def unknown_writers():
    """Return the bundled digits of four writers, on which it was not trained."""
    digits = load_digits()
    X = np.array([to_mnist_format(image / 16) for image in digits.images[1287:]])
    return X, digits.target[1287:]


def train_on(pipe, X, y, epochs):
    for _ in range(epochs):
        pipe["classifier"].partial_fit(pipe["preprocess"].transform(X), y)


def test_it_is_what_to_sklearn_gives(pipe, images):
    assert type(pipe) is Pipeline
    assert list(pipe.named_steps) == ["preprocess", "classifier"]
    mlp, exported = pipe["classifier"], to_sklearn(load_pretrained(trainable=True))
    assert type(mlp) is MLPClassifier
    assert repr(exported["preprocess"]) == repr(pipe["preprocess"])
    assert vars(mlp).keys() - vars(exported["classifier"]).keys() == {"loss_"}
    for name in ("coefs_", "intercepts_"):
        arrays, others = (getattr(p["classifier"], name) for p in (pipe, exported))
        for array, other in zip(arrays, others, strict=True):
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, other)
    np.testing.assert_array_equal(
        pipe.predict_proba(images), exported.predict_proba(images)
    )


def test_its_probabilities_are_those_of_the_files_numbers(pipe, images):
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


def test_the_file_is_small():
    assert pretrained.FILE.stat().st_size <= 1_500_000


def test_it_predicts_without_tensorflow_or_network(pipe, images, tmp_path):
    np.save(tmp_path / "X.npy", images)
    code = """
import sys
import numpy as np

def refuse_network(event, args):
    if event.startswith("socket."):
        raise RuntimeError(event)

sys.addaudithook(refuse_network)
for name in ("tensorflow", "keras", "scikeras", "matplotlib", "PIL"):
    sys.modules[name] = None
from skmnist import load_pretrained

np.save(sys.argv[2], load_pretrained().predict_proba(np.load(sys.argv[1])))
"""
    files = [tmp_path / name for name in ("X.npy", "proba.npy")]
    command = [sys.executable, "-W", "error", "-c", code, *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    np.testing.assert_array_equal(np.load(files[1]), pipe.predict_proba(images))


def test_it_copies_like_any_pipeline(pipe, images, tmp_path):
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
def test_pipelines_are_independent(digits, trainable):
    (X, y), (X_test, _) = digits
    one, other = (load_pretrained(trainable=trainable) for _ in range(2))
    before = other.predict_proba(X_test)
    train_on(one, X, y, epochs=1)
    assert np.abs(one.predict_proba(X_test) - before).max() > 0.01
    for untouched in (other, load_pretrained(trainable=trainable)):
        np.testing.assert_array_equal(untouched.predict_proba(X_test), before)


def test_trainable_has_the_same_weights(pipe, images):
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


def test_training_on_learns_and_is_repeatable(digits):
    # Digits that lie on their side, unlike all that it was trained on.
    (X, y), (X_test, y_test) = digits
    X, X_test = (np.rot90(images, axes=(1, 2)) for images in (X, X_test))
    one, other = (load_pretrained(trainable=True) for _ in range(2))
    before = log_loss(y_test, one.predict_proba(X_test))
    train_on(one, X, y, epochs=5)
    assert log_loss(y_test, one.predict_proba(X_test)) < 0.95 * before
    assert len(one["classifier"].history_["loss"]) == 5
    # `fit` too goes on, with further epochs.
    other.set_params(classifier__epochs=5).fit(X, y)
    np.testing.assert_array_equal(
        one.predict_proba(X_test), other.predict_proba(X_test)
    )


def test_it_reads_writers_it_does_not_know(pipe, unknown_writers):
    assert pipe.score(*unknown_writers) >= 0.98


def test_learning_a_hand_forgets_little(pipe, unknown_writers):
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
def test_it_reads_mnist(mnist, pipe):
    X, y = mnist[1]
    assert pipe.score(X, y) >= 0.9955
    assert log_loss(y, pipe.predict_proba(X)) <= 0.015


@pytest.mark.parametrize("size", [0, 1, 1000, 700_000, -1])
def test_a_file_that_is_cut_short(monkeypatch, tmp_path, size):
    damaged = tmp_path / "pretrained.npz"
    damaged.write_bytes(pretrained.FILE.read_bytes()[:size])
    monkeypatch.setattr(pretrained, "FILE", damaged)
    with pytest.raises(
        ValueError, match=r"pretrained\.npz \(\d+ bytes\), .* is cut short or damaged: "
    ):
        load_pretrained()


@pytest.mark.parametrize("place", [0, 600_000, 1_200_000])
def test_a_file_with_other_bytes(monkeypatch, tmp_path, place):
    content = bytearray(pretrained.FILE.read_bytes())
    content[place] ^= 0xFF
    damaged = tmp_path / "pretrained.npz"
    damaged.write_bytes(content)
    monkeypatch.setattr(pretrained, "FILE", damaged)
    with pytest.raises(ValueError, match="is cut short or damaged: "):
        load_pretrained()


def test_an_archive_of_something_else(monkeypatch, tmp_path):
    other = tmp_path / "other.npz"
    np.savez(other, classes=np.arange(10))
    monkeypatch.setattr(pretrained, "FILE", other)
    with pytest.raises(ValueError, match=r"damaged: .*loss_curve\.npy"):
        load_pretrained()


def test_no_file(monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "FILE", tmp_path / "pretrained.npz")
    with pytest.raises(
        FileNotFoundError, match=r"pretrained\.npz, .* is missing; install"
    ):
        load_pretrained()


def test_what_is_saved_is_loaded(monkeypatch, pipe, images, tmp_path):
    file = tmp_path / "saved.npz"
    pretrained.save_pretrained(pipe, file)
    assert list(tmp_path.iterdir()) == [file]
    monkeypatch.setattr(pretrained, "FILE", file)
    loaded = load_pretrained()
    assert loaded.get_params(deep=False).keys() == pipe.get_params(deep=False).keys()
    assert repr(loaded) == repr(pipe)
    np.testing.assert_array_equal(
        loaded.predict_proba(images), pipe.predict_proba(images)
    )
