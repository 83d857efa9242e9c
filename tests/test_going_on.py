"""Tests of training on after parameters were set, and of what training leaves."""

import pickle

import keras
import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV

from skmnist import MNISTClassifier


def small(**params):
    return MNISTClassifier(**{"units": 8, "epochs": 1, "random_state": 0} | params)


WAYS = {
    "warm fit": lambda clf, X, y: clf.set_params(warm_start=True).fit(X, y),
    "partial_fit": lambda clf, X, y: clf.partial_fit(X, y),
    "loaded": lambda clf, X, y: pickle.loads(pickle.dumps(clf)).partial_fit(X, y),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_learning_rate_that_was_set_is_trained_with(rows, way):
    X, y = rows[0]
    clf = small(optimizer="adam", optimizer__learning_rate=0.01).fit(X, y)
    before = clf.predict_proba(X)
    clf = WAYS[way](clf.set_params(optimizer__learning_rate=0.0), X, y)
    assert float(clf.model_.optimizer.learning_rate) == 0.0
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    # Adam's moments and its count of steps go on.
    assert int(clf.model_.optimizer.iterations) == 20


@pytest.mark.parametrize("way", WAYS)
def test_another_optimizer_loss_or_metric(rows, way):
    X, y = rows[0]
    clf = small().fit(X, y)
    before = clf.model_.get_weights()
    params = {
        "optimizer": "sgd",
        "optimizer__learning_rate": 0.0,
        "loss": "sparse_categorical_crossentropy",
        "metrics": None,
        "compile__run_eagerly": True,
    }
    clf = WAYS[way](clf.set_params(**params), X, y)
    assert isinstance(clf.model_.optimizer, keras.optimizers.SGD)
    assert clf.model_.run_eagerly
    for one, two in zip(before, clf.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "params", [{"units": 9}, {"activation": "tanh"}, {"dropout": 0.5}], ids=str
)
def test_another_network_is_refused_by_name(rows, way, params):
    X, y = rows[0]
    clf = small().fit(X, y)
    (name,) = params
    was = getattr(clf, name)
    before = clf.predict_proba(X)
    clf.set_params(**params)
    with pytest.raises(ValueError, match=f"{name}=.* cannot be trained on with"):
        WAYS[way](clf, X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    WAYS[way](clf.set_params(**{name: was}), X, y)


def test_a_failure_leaves_the_optimizer_as_it_was(rows):
    X, y = rows[0]
    clf = small(optimizer="adam").fit(X, y)
    optimizer = clf.model_.optimizer
    clf.set_params(optimizer="sgd", optimizer__learning_rate=1e30)
    with pytest.raises(ValueError, match="diverged"):
        clf.partial_fit(X, y)
    assert clf.model_.optimizer is optimizer


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_numpy_numbers_are_numbers(rows, kind):
    X, y = rows[0]
    numbers = {"units": 8, "epochs": 2, "batch_size": 8}
    expected = small(**numbers, dropout=0.5).fit(X, y).predict_proba(X)
    numpy = {name: kind(value) for name, value in numbers.items()}
    clf = small(**numpy, dropout=np.float64(0.5), shuffle=np.bool_(True)).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


def test_training_that_diverges_is_refused_and_undone(rows):
    X, y = rows[0]
    wild = {"optimizer": "sgd", "optimizer__learning_rate": 1e30}
    with pytest.raises(ValueError, match="diverged: after 1 epoch weights are"):
        small(**wild).fit(X, y)
    grid = {"optimizer__learning_rate": [1e30, 0.1]}
    search = GridSearchCV(small(optimizer="sgd"), grid, cv=2, error_score=0.0)
    with pytest.warns(Warning, match="diverged"):
        search.fit(X, y)
    assert search.best_params_ == {"optimizer__learning_rate": 0.1}


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16", "float64", "float16"])
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def test_probabilities_are_float32_under_any_policy(rows, policy):
    (X, y), (X_test, _) = rows
    clf = small(batch_size=8).fit(X, y)
    proba = clf.predict_proba(X_test)
    for part in (proba, clf.predict_proba(X_test[:1])):
        assert part.dtype == np.float32
        np.testing.assert_allclose(part.sum(axis=1), 1, atol=1e-6)
    CalibratedClassifierCV(small(), cv=2).fit(X, y)
    saved = pickle.dumps(clf)
    keras.config.set_dtype_policy("float32")
    other = pickle.loads(saved)
    np.testing.assert_array_equal(other.predict_proba(X_test), proba)
    assert other.partial_fit(X, y).model_.dtype_policy.name == policy
    assert keras.config.dtype_policy().name == "float32"


def test_a_metric_may_have_several_values(rows):
    metric = keras.metrics.Recall(thresholds=[0.3, 0.6], name="recall")
    values = small(metrics=[metric], epochs=2).fit(*rows[0]).history_["recall"]
    assert np.shape(values) == (2, 2)


def test_layers_that_are_not_trained_stay_so(rows):
    X, y = rows[0]
    clf = small(batch_size=8).fit(X, y)
    clf.model_.layers[0].trainable = False
    before = clf.model_.get_weights()
    other = pickle.loads(pickle.dumps(clf))
    for one in (clf, other):
        one.partial_fit(X, y)
        after = one.model_.get_weights()
        np.testing.assert_array_equal(before[0], after[0])
        assert not np.array_equal(before[2], after[2])
