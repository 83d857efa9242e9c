"""scikit-learn's callbacks, which scikit-learn 1.9 brought."""

import io

import joblib
import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skmnist import MNISTClassifier, make_pipeline

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9")


class Recorder:
    """Note the calls of every hook, and what it could see."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X, y, fitted_estimator):
        self.calls.append(("begin", context.task_name, context.task_id))
        self.proba = fitted_estimator.predict_proba(X)

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.calls.append(("end", context.task_name, context.task_id))
        self.last = X, y, metadata, fitted_estimator
        return context.task_id + 1 == self.stop_after


class Failing(Recorder):
    """Fail at the end of the second epoch."""

    def on_fit_task_end(self, estimator, context):
        if context.task_id == 1:
            raise RuntimeError("enough")


def small(**params):
    return MNISTClassifier(**{"units": 8, "epochs": 3, "random_state": 0} | params)


def epochs(*ids):
    return [(what, "epoch", i) for i in ids for what in ("begin", "end")]


def test_every_epoch_is_a_task(rows):
    (X, y), (X_test, _) = rows
    recorder = Recorder()
    clf = small().set_callbacks(recorder).fit(X, y)
    assert recorder.calls == [
        "setup",
        ("begin", "fit", 0),
        *epochs(0, 1, 2),
        ("end", "fit", 0),
        "teardown",
    ]
    seen_X, seen_y, metadata, fitted = recorder.last
    assert seen_X is X
    assert seen_y is y
    assert metadata is None
    # What a callback was given is not trained on.
    proba = fitted.predict_proba(X_test)
    np.testing.assert_array_equal(proba, clf.predict_proba(X_test))
    clf.partial_fit(X, y)
    np.testing.assert_array_equal(proba, fitted.predict_proba(X_test))
    # And nothing is changed by their looking.
    np.testing.assert_array_equal(proba, small().fit(X, y).predict_proba(X_test))


def test_how_an_epoch_begins_is_how_the_last_one_ended(rows):
    recorder = Recorder(stop_after=1)
    clf = small().set_callbacks(recorder).fit(*rows[0])
    once = small(epochs=2).set_callbacks(recorder).fit(*rows[0])
    begun = recorder.proba
    assert len(once.history_["loss"]) == 1
    recorder.stop_after = None
    small(epochs=2).set_callbacks(recorder).fit(*rows[0])
    np.testing.assert_array_equal(recorder.proba, clf.predict_proba(rows[0][0]))
    assert not np.array_equal(recorder.proba, begun)


def test_true_stops_training(rows):
    recorder = Recorder(stop_after=2)
    clf = small(epochs=5).set_callbacks(recorder).fit(*rows[0])
    assert clf.history_["loss"] == small(epochs=2).fit(*rows[0]).history_["loss"]
    assert recorder.calls[2:-2] == epochs(0, 1)


def test_in_keras_loop_too(rows):
    recorder = Recorder(stop_after=2)
    clf = small(compile__run_eagerly=True).set_callbacks(recorder).fit(*rows[0])
    assert recorder.calls[2:-2] == epochs(0, 1)
    assert len(clf.history_["loss"]) == 2


def test_beside_callbacks_of_keras(rows):
    stop = keras.callbacks.EarlyStopping("loss", min_delta=100, patience=1)
    recorder = Recorder()
    clf = small(callbacks=stop).set_callbacks(recorder).fit(*rows[0])
    assert recorder.calls[2:-2] == epochs(0, 1)
    assert len(clf.history_["loss"]) == 2


def test_sample_weights_are_metadata(rows):
    weight = np.linspace(0.5, 1, len(rows[0][0]))
    recorder = Recorder()
    small().set_callbacks(recorder).fit(*rows[0], sample_weight=weight)
    assert recorder.last[2] == {"sample_weight": weight}


def test_epochs_go_on_with_a_warm_start(rows):
    recorder = Recorder()
    clf = small(warm_start=True).fit(*rows[0]).set_callbacks(recorder).fit(*rows[0])
    assert recorder.calls[2:-2] == epochs(0, 1, 2)
    assert len(clf.history_["loss"]) == 6


def test_a_failing_callback_leaves_everything_as_it_was(rows):
    clf = small().fit(*rows[0])
    before = clf.predict_proba(rows[0][0])
    failing = Failing()
    with pytest.raises(RuntimeError, match="enough"):
        clf.set_callbacks(failing).fit(*rows[0])
    np.testing.assert_array_equal(clf.predict_proba(rows[0][0]), before)
    assert failing.calls[-1] == "teardown"
    assert not hasattr(clf, "_callback_fit_ctx")
    clf.set_callbacks().fit(*rows[0])


def test_unusable_data_reach_no_callback(rows):
    recorder = Recorder()
    with pytest.raises(ValueError, match="NaN"):
        small().set_callbacks(recorder).fit(rows[0][0] * np.nan, rows[0][1])
    assert recorder.calls == ["setup", "teardown"]


def test_epochs_from_memory_are_reported(rows, tmp_path):
    recorders = Recorder(), Recorder()
    for recorder in recorders:
        small(epoch_cache=tmp_path).set_callbacks(recorder).fit(*rows[0])
    assert recorders[0].calls == recorders[1].calls
    np.testing.assert_array_equal(recorders[0].proba, recorders[1].proba)


def test_callbacks_are_no_parameters(rows):
    clf = small().set_callbacks(Recorder())
    assert clf.get_params() == small().get_params()
    assert clone(clf)._skl_callbacks == clf._skl_callbacks


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_scoring_monitor_scores_every_epoch(digits, backend):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    pipe = make_pipeline(units=8, epochs=3, random_state=0)
    pipe["classifier"].set_callbacks(monitor)
    with joblib.parallel_config(backend, n_jobs=2):
        search = GridSearchCV(pipe, {"classifier__units": [4, 8]}, cv=2)
        search.fit(*digits[0])
    scores = {
        row["task_id_path"]: row["accuracy"]
        for row in monitor.get_logs().data
        if row["task_name"] == "epoch"
    }
    # Of 2 widths in 2 folds, and then of the best one on all images.
    fits = [(0, 0, fit) for fit in range(4)] + [(0, 1)]
    classifier = 1
    assert scores.keys() == {
        (*fit, classifier, epoch) for fit in fits for epoch in range(3)
    }
    assert scores[0, 1, classifier, 2] == search.score(*digits[0])


def test_progress_bar_shows_search_pipeline_and_epochs(digits, monkeypatch):
    console = pytest.importorskip("rich").get_console()
    output = io.StringIO()
    monkeypatch.setattr(console, "file", output)
    monkeypatch.setattr(console, "_force_terminal", True)
    pipe = make_pipeline(units=8, epochs=3, random_state=0)
    search = GridSearchCV(pipe, {"classifier__units": [4, 8]}, cv=2)
    bar = callback.ProgressBar(max_propagation_depth=None)
    search.set_callbacks(bar).fit(*digits[0])
    for name in "GridSearchCV", "Pipeline", "MNISTClassifier":
        assert name in output.getvalue()
    assert "100%" in output.getvalue()
