"""Tests of weights of samples and of classes."""

import numpy as np
import pytest
from sklearn.ensemble import AdaBoostClassifier

from skmnist import MNISTClassifier
from skmnist._weights import mean_weight


def small(**params):
    return MNISTClassifier(**{"units": 16, "epochs": 2, "random_state": 0} | params)


def proba(clf, X):
    return clf.predict_proba(X)


@pytest.mark.parametrize("constant", [1e-300, 1 / 300, 1.0, 3, 1000.0, 1e300])
@pytest.mark.parametrize("way", ["fit", "partial_fit", "class_weight", "some left out"])
def test_a_constant_factor_changes_nothing(rows, constant, way):
    X, y = rows[0]
    weights = 1.0 + np.arange(len(y)) % 3
    if way == "fit":
        fits = [small().fit(X, y, w) for w in (weights, constant * weights)]
    elif way == "some left out":
        weights[:50] = 0
        fits = [small().fit(X, y, w) for w in (weights, constant * weights)]
    elif way == "class_weight":
        if constant > 1e38 or constant < 1e-38:
            pytest.skip("a weight of classes is multiplied with those of samples")
        classes = {label: constant * (1 + label % 2) for label in range(10)}
        ones = {label: 1.0 + label % 2 for label in range(10)}
        fits = [small(class_weight=w).fit(X, y) for w in (ones, classes)]
    else:
        fits = [
            small()
            .partial_fit(X, y, sample_weight=w)
            .partial_fit(X, y, sample_weight=w)
            for w in (weights, constant * weights)
        ]
    np.testing.assert_allclose(proba(fits[0], X), proba(fits[1], X), atol=1e-3)


def test_weights_of_1_are_none_to_the_bit(rows):
    X, y = rows[0]
    expected = proba(small().fit(X, y), X)
    for constant in (1.0, 2.0, 0.25):
        clf = small().fit(X, y, np.full(len(y), constant))
        np.testing.assert_allclose(proba(clf, X), expected, atol=1e-5)


def test_the_loss_is_a_weighted_mean(rows):
    X, y = rows[0]
    weights = 1.0 + np.arange(len(y)) % 3
    clf = small(optimizer="sgd", optimizer__learning_rate=0.0)
    reported = clf.fit(X, y, 7 * weights).history_["loss"][-1]
    losses = -np.log(proba(clf, X)[np.arange(len(y)), y])
    assert reported == pytest.approx(np.average(losses, weights=weights), rel=1e-3)


def test_parts_of_the_data_count_by_their_weights(rows):
    X, y = rows[0]

    def step(weight):
        clf = small(optimizer="sgd", batch_size=300).partial_fit(
            X, y, sample_weight=np.ones(len(y))
        )
        before = clf.model_.get_weights()[0]
        clf.partial_fit(X, y, sample_weight=np.full(len(y), weight))
        return clf.model_.get_weights()[0] - before

    np.testing.assert_allclose(step(3.0), 3 * step(1.0), atol=1e-6)


def test_training_on_is_training_in_one_go(rows):
    X, y = rows[0]
    weights = 10.0 + np.arange(len(y)) % 3
    once = small(epochs=3).fit(X, y, weights)
    parts = small(epochs=2).fit(X, y, weights).partial_fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(proba(once, X), proba(parts, X))


def test_boosting_learns(rows):
    (X, y), (X_test, y_test) = rows
    clf = small(units=64, epochs=10)
    boosted = AdaBoostClassifier(clf, n_estimators=2, random_state=0).fit(X, y)
    # A tenth, if weights of 1 / 300 hardly moved the network.
    assert boosted.score(X_test, y_test) > 0.5


def test_weights_of_classes_are_not_those_of_validation(rows):
    X, y = rows[0]
    still = {"optimizer": "sgd", "optimizer__learning_rate": 0.0}
    losses = [
        small(validation_split=0.3, class_weight=weight, **still)
        .fit(X, y)
        .history_["val_loss"][-1]
        for weight in (None, {8: 100.0}, "balanced")
    ]
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-6)


def test_mean_weight_of_what_is_small_or_large():
    assert mean_weight(np.array([0.0, 1.0, 3.0])) == 2
    assert mean_weight(np.full(1000, 1e307)) == pytest.approx(1e307)
    assert mean_weight(np.full(7, 0.1)) == pytest.approx(0.1)
