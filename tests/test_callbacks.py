"""Callbacks: those of scikit-learn 1.9, and Keras callbacks given as instances.

The tests of scikit-learn's callbacks fail if that experimental interface changes.
"""

import io
import pickle

import joblib
import keras
import numpy as np
import pytest
from estimators import small_classifier
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skmnist import make_pipeline

# Left out on other Pythons.
pytestmark = pytest.mark.long

try:
    from sklearn import callback
except ImportError:
    callback = None
needs_callbacks = pytest.mark.skipif(callback is None, reason="scikit-learn < 1.9")


def small(**params):
    return small_classifier(**{"epochs": 3} | params)


def test_fit_keras_callback_instances_stay_small_and_keep_results(rows, tmp_path):
    stopping = keras.callbacks.EarlyStopping(
        "loss", mode="max", patience=1, restore_best_weights=True
    )
    callbacks = [
        stopping,
        keras.callbacks.ModelCheckpoint(tmp_path / "model.keras"),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TensorBoard(tmp_path / "board"),
    ]
    size = len(pickle.dumps(callbacks))
    clf = small(callbacks=callbacks).fit(*rows[0])
    assert (tmp_path / "model.keras").exists()
    assert stopping.stopped_epoch == 1
    assert len(pickle.dumps(callbacks)) < size + 500
    pickled = pickle.loads(pickle.dumps(clf))
    proba = clf.predict_proba(rows[1][0])
    np.testing.assert_array_equal(pickled.predict_proba(rows[1][0]), proba)
    for copied in clone(clf), pickled:
        assert len(copied.fit(*rows[0]).history_["loss"]) == 2


class Own(keras.callbacks.Callback):
    """A callback as users write them."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def on_train_begin(self, logs=None):
        self.losses, self.network = [], self.model

    def on_epoch_end(self, epoch, logs=None):
        self.count += 1
        self.losses.append(logs["loss"])
        self.kernel = self.model.get_weights()[0]


def test_fit_own_keras_callback_keeps_results_and_drops_the_model(rows):
    own = Own()
    clf = small(callbacks=[own])
    for fits in (1, 2):
        clf.fit(*rows[0])
        assert own.losses == clf.history_["loss"]
        np.testing.assert_array_equal(own.kernel, clf.model_.get_weights()[0])
        assert own.count == clone(clf).callbacks[0].count == 3 * fits
        assert own.model is None
        assert not hasattr(own, "network")


class Recorder:
    """Note the calls of every hook and their arguments."""

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


def epochs(*ids):
    return [(what, "epoch", i) for i in ids for what in ("begin", "end")]


@needs_callbacks
class TestSklearnCallbacks:
    def test_every_epoch_is_a_task(self, rows):
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
        # The estimator that a callback gets is a copy.
        proba = fitted.predict_proba(X_test)
        np.testing.assert_array_equal(proba, clf.predict_proba(X_test))
        clf.partial_fit(X, y)
        np.testing.assert_array_equal(proba, fitted.predict_proba(X_test))
        # Callbacks do not change the result.
        np.testing.assert_array_equal(proba, small().fit(X, y).predict_proba(X_test))

    def test_epoch_begins_with_the_state_after_the_last_one(self, rows):
        recorder = Recorder(stop_after=1)
        clf = small().set_callbacks(recorder).fit(*rows[0])
        recorder.stop_after = None
        small(epochs=2).set_callbacks(recorder).fit(*rows[0])
        np.testing.assert_array_equal(recorder.proba, clf.predict_proba(rows[0][0]))

    @pytest.mark.parametrize("params", [{}, {"compile__run_eagerly": True}])
    def test_true_stops_training(self, rows, params):
        recorder = Recorder(stop_after=2)
        clf = small(epochs=5, **params).set_callbacks(recorder).fit(*rows[0])
        assert len(clf.history_["loss"]) == 2
        assert recorder.calls[2:-2] == epochs(0, 1)

    def test_keras_callbacks_stop_training(self, rows):
        stop = keras.callbacks.EarlyStopping("loss", min_delta=100, patience=1)
        recorder = Recorder()
        clf = small(callbacks=stop).set_callbacks(recorder).fit(*rows[0])
        assert recorder.calls[2:-2] == epochs(0, 1)
        assert len(clf.history_["loss"]) == 2

    def test_sample_weights_are_metadata(self, rows):
        weight = np.linspace(0.5, 1, len(rows[0][0]))
        recorder = Recorder()
        small().set_callbacks(recorder).fit(*rows[0], sample_weight=weight)
        assert recorder.last[2] == {"sample_weight": weight}

    def test_warm_start_numbers_epochs_from_0(self, rows):
        recorder = Recorder()
        clf = small(warm_start=True).fit(*rows[0])
        clf.set_callbacks(recorder).fit(*rows[0])
        assert recorder.calls[2:-2] == epochs(0, 1, 2)
        assert len(clf.history_["loss"]) == 6

    def test_callback_that_raises_leaves_the_classifier_unchanged(self, rows):
        clf = small().fit(*rows[0])
        before = clf.predict_proba(rows[0][0])
        failing = Failing()
        with pytest.raises(RuntimeError, match="enough"):
            clf.set_callbacks(failing).fit(*rows[0])
        np.testing.assert_array_equal(clf.predict_proba(rows[0][0]), before)
        assert failing.calls[-1] == "teardown"
        clf.set_callbacks().fit(*rows[0])

    def test_invalid_data_call_no_hook(self, rows):
        recorder = Recorder()
        with pytest.raises(ValueError, match="NaN"):
            small().set_callbacks(recorder).fit(rows[0][0] * np.nan, rows[0][1])
        assert recorder.calls == ["setup", "teardown"]

    def test_cached_epochs_are_tasks(self, rows, tmp_path):
        recorders = Recorder(), Recorder()
        for recorder in recorders:
            small(epoch_cache=tmp_path).set_callbacks(recorder).fit(*rows[0])
        assert recorders[0].calls == recorders[1].calls
        np.testing.assert_array_equal(recorders[0].proba, recorders[1].proba)

    def test_set_callbacks_adds_no_parameter_and_is_cloned(self, rows):
        recorder = Recorder()
        clf = small().set_callbacks(recorder)
        assert clf.get_params() == small().get_params()
        clone(clf).fit(*rows[0])
        assert recorder.calls[2:-2] == epochs(0, 1, 2)

    @pytest.mark.parametrize(
        "backend",
        ["sequential", "threading", pytest.param("loky", marks=pytest.mark.process)],
    )
    def test_scoring_monitor_scores_every_epoch(self, digits, backend):
        monitor = callback.ScoringMonitor(scoring="accuracy")
        pipe = make_pipeline(units=8, epochs=2, random_state=0)
        pipe["classifier"].set_callbacks(monitor)
        with joblib.parallel_config(backend, n_jobs=2):
            search = GridSearchCV(pipe, {"classifier__units": [4, 8]}, cv=2)
            search.fit(*digits[0])
        scores = {
            row["task_id_path"]: row["accuracy"]
            for row in monitor.get_logs().data
            if row["task_name"] == "epoch"
        }
        # 2 widths in 2 folds, then the refit on all images.
        fits = [(0, 0, fit) for fit in range(4)] + [(0, 1)]
        classifier = 1
        assert scores.keys() == {
            (*fit, classifier, epoch) for fit in fits for epoch in range(2)
        }
        assert scores[0, 1, classifier, 1] == search.score(*digits[0])

    def test_progress_bar_shows_search_pipeline_and_epochs(self, digits):
        rich = pytest.importorskip("rich")
        output = io.StringIO()
        pipe = make_pipeline(units=8, epochs=2, random_state=0)
        search = GridSearchCV(pipe, {"classifier__units": [4, 8]}, cv=2)
        bar = callback.ProgressBar(max_propagation_depth=None)
        rich.reconfigure(file=output, force_terminal=True)
        try:
            search.set_callbacks(bar).fit(*digits[0])
        finally:
            rich.reconfigure()
        for name in "GridSearchCV", "Pipeline", "MNISTClassifier":
            assert name in output.getvalue()
        assert "100%" in output.getvalue()
