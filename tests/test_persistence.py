"""Tests of saving, loading and copying what is fitted."""

import copy
import json
import pickle
import subprocess
import sys

import joblib
import keras
import numpy as np
import pytest
from sklearn.exceptions import InconsistentVersionWarning

import skmnist
from skmnist import MNISTClassifier, _pickling, make_pipeline

PIPELINES = {
    "RMSprop": {},
    "Adam, dropout": {"optimizer": "adam", "dropout": 0.3},
    "SGD, momentum": {"optimizer": "sgd", "optimizer__momentum": 0.9},
    "RandomState": {"dropout": 0.3, "random_state": np.random.RandomState(0)},
    "callback": {"callbacks": [keras.callbacks.TerminateOnNaN()]},
}
LOAD_AND_GO_ON = """
import json, sys, joblib, numpy as np
folder = sys.argv[1]
data = np.load(f"{folder}/digits.npz")
history = {}
for i in range(int(sys.argv[2])):
    pipe = joblib.load(f"{folder}/{i}.joblib")
    np.save(f"{folder}/{i}-loaded.npy", pipe.predict_proba(data["X_test"]))
    X = pipe["preprocess"].transform(data["X"])
    pipe["classifier"].partial_fit(X, data["y"])
    np.save(f"{folder}/{i}-trained.npy", pipe.predict_proba(data["X_test"]))
    history[i] = pipe["classifier"].history_
print(json.dumps(history))
"""


@pytest.fixture(scope="module")
def trips(digits, tmp_path_factory):
    """Return how each pipeline goes on here, and from its file in a fresh process.

    Probabilities before and after another epoch, and the history.
    """
    (X, y), (X_test, _) = digits
    folder = tmp_path_factory.mktemp("trip")
    np.savez(folder / "digits.npz", X=X, y=y, X_test=X_test)
    here = {}
    for number, (name, params) in enumerate(PIPELINES.items()):
        # In batches of 8, there are enough of them for the compiled loop.
        params = {"random_state": 0, "batch_size": 8} | params
        pipe = make_pipeline(16, 2, **params).fit(X, y)
        joblib.dump(pipe, folder / f"{number}.joblib")
        before = pipe.predict_proba(X_test)
        clf = pipe["classifier"].partial_fit(pipe["preprocess"].transform(X), y)
        here[name] = before, pipe.predict_proba(X_test), clf.history_
    process = subprocess.run(
        [sys.executable, "-c", LOAD_AND_GO_ON, folder, str(len(PIPELINES))],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert process.returncode == 0, process.stderr
    there = {
        name: (
            np.load(folder / f"{number}-loaded.npy"),
            np.load(folder / f"{number}-trained.npy"),
            json.loads(process.stdout)[str(number)],
        )
        for number, name in enumerate(PIPELINES)
    }
    return here, there


@pytest.mark.parametrize("name", PIPELINES)
def test_a_fresh_process_goes_on_as_if_nothing_had_been(trips, name):
    (before, after, history), (loaded, trained, other_history) = (
        trip[name] for trip in trips
    )
    np.testing.assert_array_equal(loaded, before)
    np.testing.assert_array_equal(trained, after)
    assert np.abs(trained - loaded).max() > 1e-4
    assert other_history == history
    assert len(history["loss"]) == 3


COPIES = {
    "pickle": lambda clf: pickle.loads(pickle.dumps(clf)),
    "deepcopy": copy.deepcopy,
}


@pytest.fixture
def clf(rows):
    return MNISTClassifier(8, epochs=1, dropout=0.3, random_state=0).fit(*rows[0])


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_goes_on_alike_and_apart(rows, clf, how):
    train, (X_test, _) = rows
    other = COPIES[how](clf)
    before = clf.predict_proba(X_test)
    np.testing.assert_array_equal(other.predict_proba(X_test), before)
    other.partial_fit(*train)
    np.testing.assert_array_equal(clf.predict_proba(X_test), before)
    assert len(clf.history_["loss"]) == 1
    clf.partial_fit(*train)
    np.testing.assert_array_equal(
        other.predict_proba(X_test), clf.predict_proba(X_test)
    )


@pytest.mark.parametrize("how", COPIES)
def test_what_a_copy_keeps(rows, clf, how):
    clf.set_params(optimizer__learning_rate=0.01, callbacks=[])
    other = COPIES[how](clf)
    assert repr(other) == repr(clf)
    assert other.get_params() == clf.get_params()
    assert other.history_ == clf.history_
    assert other.classes_.dtype == clf.classes_.dtype
    assert other.classes_.tolist() == clf.classes_.tolist()
    assert other.n_features_in_ == clf.n_features_in_ == 784
    assert not hasattr(COPIES[how](MNISTClassifier()), "model_")


def test_callbacks_that_cannot_be_pickled_are_not_in_the_way(rows, clf, tmp_path):
    (X_test, _) = rows[1]
    seen = []
    callback = keras.callbacks.LambdaCallback(lambda epoch, logs: seen.append(epoch))
    clf.set_params(callbacks=[callback]).partial_fit(*rows[0])
    with pytest.warns(UserWarning, match="without its callbacks, which cannot be pick"):
        joblib.dump(clf, tmp_path / "clf.joblib")
    other = joblib.load(tmp_path / "clf.joblib")
    assert other.callbacks is None
    np.testing.assert_array_equal(
        other.predict_proba(X_test), clf.predict_proba(X_test)
    )
    other.partial_fit(*rows[0])
    assert seen == [1]
    # The one that was saved has kept its callback.
    assert clf.partial_fit(*rows[0]).callbacks == [callback]
    assert seen == [1, 2]


def test_callbacks_that_can_be_pickled_are_kept(rows, clf):
    clf.set_params(epochs=5, callbacks=keras.callbacks.EarlyStopping("loss", 100, 1))
    other = pickle.loads(pickle.dumps(clf.fit(*rows[0])))
    # No epoch is better than the first by 100.
    assert len(other.fit(*rows[0]).history_["loss"]) == 2


def test_a_file_of_other_versions_is_read_with_a_warning(
    rows, clf, tmp_path, monkeypatch
):
    (X_test, _) = rows[1]
    joblib.dump(clf, tmp_path / "clf.joblib")
    here = f"skmnist {skmnist.__version__}, keras {keras.__version__}"
    monkeypatch.setattr(_pickling, "__version__", "99.1")
    monkeypatch.setattr(keras, "__version__", "99.2")
    message = f"MNISTClassifier from version {here} .* skmnist 99.1, keras 99.2"
    with pytest.warns(InconsistentVersionWarning, match=message):
        other = joblib.load(tmp_path / "clf.joblib")
    np.testing.assert_array_equal(
        other.predict_proba(X_test), clf.predict_proba(X_test)
    )


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("compress", [0, 3])
def test_a_file_that_is_cut_off_gives_no_classifier(clf, tmp_path, share, compress):
    file = tmp_path / "clf.joblib"
    joblib.dump(clf, file, compress=compress)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    # That of pickle or zlib, whichever notices.
    with pytest.raises(Exception):  # noqa: B017, PT011
        joblib.load(file)


def test_a_shallow_copy_is_not_pickled(rows, clf):
    clf.set_params(callbacks=[keras.callbacks.LambdaCallback(print)])
    other = copy.copy(clf)
    assert other.callbacks is clf.callbacks
    assert other.model_ is clf.model_
