"""Tests in scikit-learn's searches, cross-validation and meta-estimators."""

import numpy as np
import pytest
import sklearn
from estimators import assert_same_state, small_pipeline
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score, log_loss, make_scorer, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.naive_bayes import GaussianNB

from skmnist import MNISTClassifier

# Left out on other Pythons.
pytestmark = pytest.mark.long

GRID = {"classifier__units": [8, (16, 8)], "classifier__epochs": [1, 2]}


def by_hand(pipe, X, y):
    """Fit and test on each of two stratified folds: yield pipelines and test rows."""
    for train, test in StratifiedKFold(2).split(X, y):
        yield clone(pipe).fit(X[train], y[train]), test


@pytest.fixture(scope="module")
def grid_search(digits):
    return GridSearchCV(small_pipeline(), GRID, cv=2, error_score="raise").fit(
        *digits[0]
    )


class TestSearches:
    def test_grid_search_scores_equal_single_fits(self, digits, grid_search):
        X, y = digits[0]
        results = grid_search.cv_results_
        assert len(results["params"]) == 4
        for number, params in enumerate(results["params"]):
            folds = by_hand(small_pipeline().set_params(**params), X, y)
            assert [results[f"split{i}_test_score"][number] for i in range(2)] == [
                pipe.score(X[test], y[test]) for pipe, test in folds
            ]

    @pytest.mark.process
    def test_grid_search_in_two_processes_finds_the_same(self, digits, grid_search):
        search = clone(grid_search).set_params(n_jobs=2).fit(*digits[0])
        for name in ("split0_test_score", "split1_test_score", "rank_test_score"):
            np.testing.assert_array_equal(
                search.cv_results_[name], grid_search.cv_results_[name]
            )
        np.testing.assert_array_equal(
            *(s.predict_proba(digits[1][0]) for s in (search, grid_search))
        )

    def test_grid_search_refits_the_best(self, digits, grid_search):
        expected = (
            small_pipeline().set_params(**grid_search.best_params_).fit(*digits[0])
        )
        np.testing.assert_array_equal(
            grid_search.predict_proba(digits[1][0]),
            expected.predict_proba(digits[1][0]),
        )

    def test_grid_search_over_routed_parameters(self, digits):
        grid = {"classifier__optimizer__learning_rate": [0.0, 0.01]}
        search = GridSearchCV(small_pipeline(epochs=3), grid, cv=2, error_score="raise")
        search.fit(*digits[0])
        assert search.best_params_ == {"classifier__optimizer__learning_rate": 0.01}

    def test_halving_search_uses_epochs_as_resource(self, digits):
        search = HalvingGridSearchCV(
            small_pipeline(),
            {"classifier__units": [4, 8, 16]},
            resource="classifier__epochs",
            max_resources=4,
            min_resources=1,
            factor=2,
            cv=2,
            random_state=0,
            error_score="raise",
        ).fit(*digits[0])
        assert search.n_resources_ == [1, 2]
        assert search.n_candidates_ == [3, 2]
        epochs = [p["classifier__epochs"] for p in search.cv_results_["params"]]
        assert epochs == search.cv_results_["n_resources"].tolist()
        best = search.best_estimator_["classifier"]
        assert len(best.history_["loss"]) == search.best_params_["classifier__epochs"]


class TestCrossValidation:
    def test_cross_val_score_equals_single_fits(self, digits):
        X, y = digits[0]
        scores = cross_val_score(small_pipeline(), X, y, cv=2, error_score="raise")
        assert scores.tolist() == [
            pipe.score(X[test], y[test])
            for pipe, test in by_hand(small_pipeline(), X, y)
        ]

    def test_cross_val_predict_equals_single_fits(self, digits):
        X, y = digits[0]
        proba = cross_val_predict(small_pipeline(), X, y, cv=2, method="predict_proba")
        for pipe, test in by_hand(small_pipeline(), X, y):
            np.testing.assert_array_equal(proba[test], pipe.predict_proba(X[test]))

    def test_learning_curve_equals_single_fits(self, digits):
        X, y = digits[0]
        sizes, _, scores = learning_curve(
            small_pipeline(), X, y, train_sizes=[20, 150], cv=2, error_score="raise"
        )
        assert sizes.tolist() == [20, 150]
        folds = by_hand(small_pipeline(), X, y)
        assert scores[1].tolist() == [p.score(X[test], y[test]) for p, test in folds]

    def test_cross_validate_scores_probabilities(self, digits):
        X, y = digits[0]
        scoring = ("neg_log_loss", "roc_auc_ovr")
        scores = cross_validate(
            small_pipeline(), X, y, cv=2, scoring=scoring, error_score="raise"
        )
        for fold, (pipe, test) in enumerate(by_hand(small_pipeline(), X, y)):
            proba = pipe.predict_proba(X[test]).astype(np.float64)
            loss = log_loss(y[test], proba / proba.sum(axis=1, keepdims=True))
            assert scores["test_neg_log_loss"][fold] == pytest.approx(-loss, rel=1e-5)
            areas = [roc_auc_score(y[test] == k, proba[:, k]) for k in range(10)]
            assert scores["test_roc_auc_ovr"][fold] == pytest.approx(np.mean(areas))


class TestMetaEstimators:
    def test_soft_voting_returns_the_mean(self, digits):
        members = [(f"seed {i}", small_pipeline(random_state=i)) for i in range(2)]
        vote = VotingClassifier(members, voting="soft").fit(*digits[0])
        expected = np.mean(
            [p.fit(*digits[0]).predict_proba(digits[1][0]) for _, p in members], axis=0
        )
        np.testing.assert_allclose(
            vote.predict_proba(digits[1][0]), expected, atol=1e-6
        )

    def test_calibration_uses_single_fits(self, digits):
        (X, y), (X_test, _) = digits
        calibrated = CalibratedClassifierCV(small_pipeline(epochs=3), cv=2).fit(X, y)
        members = calibrated.calibrated_classifiers_
        folds = by_hand(small_pipeline(epochs=3), X, y)
        for member, (pipe, _) in zip(members, folds, strict=True):
            assert_same_state(member.estimator[-1], pipe[-1])
        expected = np.mean([m.predict_proba(X_test) for m in members], axis=0)
        np.testing.assert_allclose(calibrated.predict_proba(X_test), expected)

    def test_stacking_uses_out_of_fold_probabilities(self, digits):
        X, y = digits[0]
        pipe = small_pipeline()
        stack = StackingClassifier([("network", pipe)], GaussianNB(), cv=2)
        stack.fit(X, y)
        features = cross_val_predict(pipe, X, y, cv=2, method="predict_proba")
        expected = GaussianNB().fit(features, y)
        np.testing.assert_allclose(stack.final_estimator_.theta_, expected.theta_)
        X_test = digits[1][0]
        expected = expected.predict(pipe.fit(X, y).predict_proba(X_test))
        assert stack.predict(X_test).tolist() == expected.tolist()

    def test_bagging_returns_the_mean(self, digits):
        X, y = (digits[0][0].reshape(-1, 784), digits[0][1])
        X_test = digits[1][0].reshape(-1, 784)
        bag = BaggingClassifier(small_pipeline(), n_estimators=2, random_state=0)
        bag.fit(X, y)
        members = [pipe.predict_proba(X_test) for pipe in bag.estimators_]
        np.testing.assert_allclose(
            bag.predict_proba(X_test), np.mean(members, axis=0), atol=1e-6
        )
        assert not np.array_equal(members[0], members[1])

    def test_permutation_importance_finds_the_feature(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(300, 4))
        # Of four features, only this one tells the class.
        y = X[:, 2] > 0
        clf = MNISTClassifier(16, epochs=10, random_state=0).fit(X, y)
        importances = permutation_importance(clf, X, y, random_state=0).importances_mean
        assert importances.argmax() == 2
        assert importances[2] > 0.3
        assert np.delete(importances, 2).max() < 0.1


@pytest.fixture(scope="module")
def validated(digits):
    """Return a pipeline fitted with validation data that were transformed by hand."""
    (X, y), (X_val, y_val) = digits
    pipe = small_pipeline(epochs=2)
    return pipe.fit(
        X,
        y,
        classifier__X_val=pipe["preprocess"].transform(X_val),
        classifier__y_val=y_val,
        classifier__sample_weight=1.0 + y,
    )


class TestValidationDataThroughAPipeline:
    def test_validation_data_through_a_pipeline(self, digits, validated):
        history = validated["classifier"].history_
        assert {name: len(values) for name, values in history.items()} == {
            "loss": 2,
            "accuracy": 2,
            "val_loss": 2,
            "val_accuracy": 2,
        }
        assert history["val_accuracy"][-1] == pytest.approx(validated.score(*digits[1]))

    def test_metadata_routing_of_validation_data(self, digits, validated):
        (X, y), (X_val, y_val) = digits
        with sklearn.config_context(enable_metadata_routing=True):
            pipe = small_pipeline(epochs=2)
            pipe.set_params(transform_input=["X_val"])
            pipe["classifier"].set_fit_request(
                X_val=True, y_val=True, sample_weight=True
            )
            pipe.fit(X, y, X_val=X_val, y_val=y_val, sample_weight=1.0 + y)
        assert pipe["classifier"].history_ == validated["classifier"].history_
        np.testing.assert_array_equal(
            pipe.predict_proba(X_val), validated.predict_proba(X_val)
        )

    def test_metadata_routing_of_weights_to_fit_and_score(self, digits):
        X, y = digits[0]
        sample_weight = 1.0 + (y > 4)
        with sklearn.config_context(enable_metadata_routing=True):
            pipe = small_pipeline()
            pipe["classifier"].set_fit_request(sample_weight=True)
            pipe["classifier"].set_score_request(sample_weight=True)
            pipe.fit(X, y, sample_weight=sample_weight)
            score = pipe.score(X, y, sample_weight=sample_weight)
        expected = small_pipeline().fit(X, y, classifier__sample_weight=sample_weight)
        np.testing.assert_array_equal(pipe.predict_proba(X), expected.predict_proba(X))
        assert score == accuracy_score(y, pipe.predict(X), sample_weight=sample_weight)

    def test_metadata_routing_of_weights_through_a_search(self, digits):
        X, y = digits[0]
        sample_weight = 1.0 + (y > 4)
        with sklearn.config_context(enable_metadata_routing=True):
            pipe = small_pipeline()
            pipe["classifier"].set_fit_request(sample_weight=True)
            scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
            search = GridSearchCV(
                pipe, GRID, scoring=scorer, cv=2, error_score="raise"
            ).fit(X, y, sample_weight=sample_weight)
        for fold, (train, test) in enumerate(StratifiedKFold(2).split(X, y)):
            expected = clone(search.best_estimator_).fit(
                X[train], y[train], classifier__sample_weight=sample_weight[train]
            )
            score = expected.score(X[test], y[test], sample_weight=sample_weight[test])
            scores = search.cv_results_[f"split{fold}_test_score"]
            assert scores[search.best_index_] == score
