"""Tests of the classifier: what it promises as scikit-learn's, scikeras' and Keras'."""

import hashlib
import os
import random
import re
import subprocess
import sys
from types import MappingProxyType

import joblib
import keras
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import tensorflow as tf
from scikeras.wrappers import KerasClassifier
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold, check_cv
from sklearn.utils import get_tags
from sklearn.utils.class_weight import compute_sample_weight

from skmnist import MNISTClassifier
from skmnist.training import batches
from skmnist.training.augmentation import distort


def small(**params):
    """Return an unfitted classifier that trains in no time, and repeatably."""
    return MNISTClassifier(**{"units": 8, "epochs": 1, "random_state": 0} | params)


def digest(arrays):
    return hashlib.sha256(b"".join(map(np.ndarray.tobytes, arrays))).hexdigest()


def bits(clf):
    """Return what all bits of a trained network come to, its optimizer's included."""
    variables = [*clf.model_.variables, *clf.model_.optimizer.variables]
    return digest([np.asarray(v.numpy()) for v in variables]), str(clf.history_)


def weights(clf):
    return digest(clf.model_.get_weights())


class TestAsAnEstimator:
    def test_it_is_a_scikeras_classifier_by_scikit_learns_tags(self):
        clf = MNISTClassifier()
        assert isinstance(clf, KerasClassifier)
        assert is_classifier(clf)
        tags = get_tags(clf)
        assert tags.estimator_type == "classifier"
        assert tags.classifier_tags.multi_class
        assert not tags.classifier_tags.multi_label
        assert tags.target_tags.required
        assert not tags.input_tags.sparse
        assert not tags.non_deterministic

    def test_an_integer_cv_gives_stratified_folds(self, rows):
        (_, y), _ = rows
        folds = check_cv(3, y, classifier=is_classifier(MNISTClassifier()))
        assert isinstance(folds, StratifiedKFold)

    def test_only_units_may_be_positional(self):
        assert MNISTClassifier(7).units == 7
        with pytest.raises(TypeError, match="positional"):
            MNISTClassifier(7, 2)

    def test_parameters_come_back_as_they_were_given(self):
        params = {
            "units": (3, 2),
            "callbacks": [keras.callbacks.EarlyStopping],
            "class_weight": {0: 2.0},
            "optimizer": keras.optimizers.SGD,
            "optimizer__learning_rate": 0.5,
            "fit__validation_freq": 2,
            "callbacks__0__patience": 3,
        }
        clf = MNISTClassifier(**params)
        defaults = MNISTClassifier().get_params()
        assert clf.get_params() == clone(clf).get_params() == defaults | params
        assert all(clf.get_params()[name] is params[name] for name in params)

    def test_set_params_takes_what_the_constructor_takes(self):
        clf = MNISTClassifier(optimizer__learning_rate=0.5)
        params = {
            "epochs": 2,
            "optimizer__learning_rate": 0.1,
            "loss__reduction": "sum",
        }
        assert clf.set_params(**params) is clf
        assert params.items() <= clf.get_params().items()
        with pytest.raises(ValueError, match="Invalid parameter 'epoch' for"):
            clf.set_params(epoch=2)

    def test_a_clone_is_not_fitted(self, rows):
        train, (X_test, _) = rows
        with pytest.raises(NotFittedError):
            clone(small().fit(*train)).predict(X_test)

    def test_it_is_shown_as_scikit_learn_shows_estimators(self, rows):
        clf = MNISTClassifier(16, dropout=0.5, optimizer__learning_rate=0.1)
        assert repr(MNISTClassifier()) == "MNISTClassifier()"
        assert re.sub(r"\s+", " ", repr(clf)) == (
            "MNISTClassifier(dropout=0.5, optimizer__learning_rate=0.1, units=16)"
        )
        assert "Not fitted" in clf._repr_html_()
        html = clf.fit(*rows[0])._repr_html_()
        assert "MNISTClassifier" in html
        assert "Not fitted" not in html

    def test_metadata_can_be_requested(self):
        with sklearn.config_context(enable_metadata_routing=True):
            clf = MNISTClassifier()
            clf.set_fit_request(sample_weight=True, X_val="images", y_val=False)
            clf.set_partial_fit_request(sample_weight=True)
            clf.set_score_request(sample_weight="weights")
            requests = clf.get_metadata_routing()
        assert requests.fit.requests == {
            "sample_weight": True,
            "X_val": "images",
            "y_val": False,
        }
        assert requests.partial_fit.requests == {"sample_weight": True, "classes": None}
        assert requests.score.requests == {"sample_weight": "weights"}

    def test_log_probabilities(self, rows):
        train, (X_test, _) = rows
        clf = small().fit(*train)
        log = clf.predict_log_proba(X_test)
        np.testing.assert_allclose(np.exp(log), clf.predict_proba(X_test), rtol=1e-5)
        assert log.dtype == np.float32

    def test_score_is_accuracy(self, rows):
        train, (X_test, y_test) = rows
        clf = small(epochs=3).fit(*train)
        weight = np.linspace(0, 1, len(y_test))
        predicted = clf.predict(X_test)
        assert clf.score(X_test, y_test) == accuracy_score(y_test, predicted)
        assert clf.score(X_test, y_test, weight) == accuracy_score(
            y_test, predicted, sample_weight=weight
        )


# Of the same black and white images.
CONTAINERS = {
    "float32": np.float32,
    "float64": np.float64,
    "uint8": np.uint8,
    "bool": np.bool_,
    "list": np.ndarray.tolist,
    "columns first": np.asfortranarray,
    "pandas": lambda X: pd.DataFrame(
        X, columns=[f"pixel{i}" for i in range(X.shape[1])]
    ),
    "polars": lambda X: pl.DataFrame(
        X, schema=[f"pixel{i}" for i in range(X.shape[1])]
    ),
}


class TestFeatures:
    # Of names in one of the two only.
    @pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
    @pytest.mark.parametrize("fitted_on", CONTAINERS)
    def test_any_mix_of_types_at_fit_and_predict(self, rows, fitted_on):
        (X, y), (X_test, _) = rows
        expected = small().fit(np.round(X), y).predict_proba(np.round(X_test))
        clf = small().fit(CONTAINERS[fitted_on](np.round(X)), y)
        for container in CONTAINERS.values():
            proba = clf.predict_proba(container(np.round(X_test)))
            np.testing.assert_array_equal(proba, expected)

    @pytest.mark.parametrize("container", ["pandas", "polars"])
    def test_feature_names_are_kept_and_checked(self, rows, container):
        X, y = rows[0]
        frame = CONTAINERS[container](X)
        clf = small().fit(frame, y)
        assert clf.feature_names_in_.tolist() == list(frame.columns)
        with pytest.raises(ValueError, match="feature names should match"):
            clf.predict(frame[list(frame.columns[::-1])])
        with pytest.raises(ValueError, match="feature names should match"):
            clf.partial_fit(frame[list(frame.columns[::-1])], y)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            clf.predict(X)
        assert not hasattr(clf.fit(X, y), "feature_names_in_")

    def test_width_and_number_of_classes_come_from_the_data(self):
        X = np.random.default_rng(0).normal(size=(40, 5))
        clf = small(units=(3, 4)).fit(X, np.arange(40) % 7)
        shapes = [weight.shape for weight in clf.model_.get_weights()[::2]]
        assert shapes == [(5, 3), (3, 4), (4, 7)]
        assert clf.n_features_in_ == 5
        assert clf.predict_proba(X).shape == (40, 7)

    @pytest.mark.parametrize("units", [(6, 6), [6, 6], np.array([6, 6]), np.int64(6)])
    def test_one_number_of_units_is_that_of_both_layers(self, rows, units):
        assert bits(small(units=units).fit(*rows[0])) == bits(
            small(units=6).fit(*rows[0])
        )

    def test_one_row_gives_one_row(self, rows):
        train, (X_test, _) = rows
        clf = small().fit(*train)
        proba = clf.predict_proba(X_test[:1])
        assert proba.shape == (1, 10)
        assert proba.dtype == np.float32
        np.testing.assert_allclose(proba, clf.predict_proba(X_test)[:1], atol=1e-6)
        assert clf.predict(X_test[:1]).shape == (1,)


LABELS = {
    "ints": np.arange(10) * 3 - 5,
    "uint8": np.arange(10, dtype=np.uint8),
    "whole floats": np.arange(10.0) - 2,
    "strings": np.array([f"digit {i}" for i in range(10)]),
    "objects": np.array([f"digit {i}" for i in range(10)], dtype=object),
    "bools": np.array([False] * 5 + [True] * 5),
    "two strings": np.array(["low"] * 5 + ["not low"] * 5),
    "two ints": np.array([1] * 5 + [2] * 5),
}


class TestLabels:
    @pytest.mark.parametrize("kind", LABELS)
    def test_labels_of_any_kind_come_out_as_they_went_in(self, rows, kind):
        (X, digits), (X_test, _) = rows
        y = LABELS[kind][digits]
        classes, numbers = np.unique(y, return_inverse=True)
        clf = small().fit(X, y)
        numbered = small().fit(X, numbers)

        assert clf.classes_.dtype == y.dtype
        assert clf.classes_.tolist() == classes.tolist()
        assert bits(clf) == bits(numbered)
        predicted = clf.predict(X_test)
        assert predicted.dtype == y.dtype
        expected = classes[numbered.predict(X_test)]
        assert predicted.tolist() == expected.tolist()
        assert len(np.unique(predicted)) > 1
        assert clf.predict_proba(X_test).shape == (len(X_test), len(classes))

    @pytest.mark.parametrize("container", [list, pd.Series, pl.Series, tuple])
    def test_labels_in_any_container(self, rows, container):
        (X, digits), (X_test, _) = rows
        y = LABELS["strings"][digits]
        predicted = small().fit(X, container(y.tolist())).predict(X_test)
        assert predicted.tolist() == small().fit(X, y).predict(X_test).tolist()

    @pytest.mark.parametrize("kind", LABELS)
    @pytest.mark.parametrize("sparse", [False, True])
    def test_targets_that_reach_the_training(self, rows, kind, sparse):
        (X, digits), _ = rows
        y = LABELS[kind][digits]
        numbers = np.unique(y, return_inverse=True)[1]
        seen = []

        def crossentropy(targets, outputs):
            seen.append(targets.numpy())
            if sparse:
                return keras.losses.sparse_categorical_crossentropy(targets, outputs)
            return keras.losses.categorical_crossentropy(targets, outputs)

        # What asks for class numbers is known by its name.
        crossentropy.__name__ = "sparse" * sparse + "crossentropy"
        small(loss=crossentropy, shuffle=False, compile__run_eagerly=True).fit(X, y)
        targets = np.concatenate(seen)
        if sparse:
            np.testing.assert_array_equal(targets.ravel(), numbers)
        else:
            np.testing.assert_array_equal(targets, keras.utils.to_categorical(numbers))

    def test_partial_fit_may_name_classes_it_has_not_seen_yet(self, rows):
        (X, y), _ = rows
        clf = small().partial_fit(X[y < 5], y[y < 5], classes=range(10))
        assert clf.classes_.tolist() == list(range(10))
        clf.partial_fit(X[y == 7], y[y == 7], classes=np.arange(10)[::-1])
        assert len(clf.history_["loss"]) == 2


class TestWeights:
    @pytest.mark.parametrize("kind", [*LABELS, "digits as strings"])
    @pytest.mark.parametrize("given", [False, True], ids=["alone", "with weights"])
    def test_class_weight_multiplies_sample_weight(self, rows, kind, given):
        (X, digits), _ = rows
        y = LABELS[kind][digits] if kind in LABELS else digits.astype(str)
        sample_weight = 1 + np.arange(len(y)) % 4 if given else None
        classes = np.unique(y)
        class_weight = dict(zip(classes.tolist(), np.arange(1, 11) / 4, strict=False))
        factors = np.array([class_weight[label] for label in y.tolist()])
        product = factors if sample_weight is None else sample_weight * factors
        assert bits(small(class_weight=class_weight).fit(X, y, sample_weight)) == bits(
            small().fit(X, y, product)
        )

    def test_a_part_of_the_data_need_not_have_all_weighted_classes(self, rows):
        X, y = rows[0]
        part = y != 8
        classes = np.arange(10)
        for class_weight in ({8: 2.0}, {3: 2.0, 8: 2.0}):
            clf, expected = small(class_weight=class_weight), small()
            clf.partial_fit(X[part], y[part], classes)
            factors = [class_weight.get(label, 1) for label in y[part]]
            expected.partial_fit(X[part], y[part], classes, sample_weight=factors)
            assert bits(clf) == bits(expected)

    def test_balanced_classes_weigh_the_same(self, rows):
        X, y = (a[:100] for a in rows[0])
        y = np.where(y < 2, "few", "many")
        factors = compute_sample_weight("balanced", y)
        assert factors[y == "few"].sum() == pytest.approx(factors[y == "many"].sum())
        assert bits(small(class_weight="balanced").fit(X, y)) == bits(
            small().fit(X, y, factors)
        )

    @pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
    def test_the_callers_weights_stay_as_they_are(self, rows, dtype):
        sample_weight = np.arange(300, dtype=dtype)
        small(class_weight="balanced").fit(*rows[0], sample_weight).partial_fit(
            *rows[0], sample_weight=sample_weight
        )
        np.testing.assert_array_equal(sample_weight, np.arange(300))

    @pytest.mark.parametrize("method", ["fit", "partial_fit"])
    @pytest.mark.parametrize("class_weight", [None, "balanced", {4: 2.0}])
    def test_samples_of_weight_0_are_left_out(self, rows, method, class_weight):
        X, y = rows[0]
        sample_weight = np.where((y == 3) | (np.arange(len(y)) < 50), 0, 1 + y)
        kept = sample_weight > 0
        clf, expected = (
            small(class_weight=class_weight).initialize(X, y) for _ in range(2)
        )
        getattr(clf, method)(X, y, sample_weight=sample_weight)
        expected.set_params(warm_start=True)
        getattr(expected, method)(X[kept], y[kept], sample_weight=sample_weight[kept])
        assert bits(clf) == bits(expected)

    def test_weights_matter_and_weights_of_1_do_not(self, rows):
        X, y = rows[0]
        clf, ones, weighted = (
            small().fit(X, y, w).predict_proba(X) for w in (None, np.ones(300), 1 + y)
        )
        np.testing.assert_allclose(clf, ones, atol=1e-5)
        assert np.abs(clf - weighted).max() > 1e-3


class TestTraining:
    def test_it_learns(self, rows):
        train, test = rows
        assert small(units=32, epochs=20).fit(*train).score(*test) > 0.85

    def test_history_has_one_value_an_epoch(self, rows):
        train, test = rows
        history = small(epochs=3).fit(*train).history_
        assert history.keys() == {"loss", "accuracy"}
        history = small(epochs=3).fit(*train, X_val=test[0], y_val=test[1]).history_
        assert history.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
        for values in history.values():
            assert len(values) == 3
            assert all(type(value) is float for value in values)

    @pytest.mark.parametrize("method", ["partial_fit", "warm fit"])
    def test_history_of_validation_is_kept_when_training_goes_on(self, rows, method):
        train, (X_val, y_val) = rows
        clf = small(epochs=2).fit(*train, X_val=X_val, y_val=y_val)
        before = dict(clf.history_)
        clf.set_params(warm_start=True, epochs=1)
        getattr(clf, method.removeprefix("warm "))(*train)
        assert clf.history_.keys() == before.keys()
        for name, values in before.items():
            assert clf.history_[name][:2] == values
        assert len(clf.history_["loss"]) == 3

    def test_history_of_validation_is_how_it_then_predicts(self, rows):
        train, (X_val, y_val) = rows
        clf = small(epochs=2).fit(*train, X_val=X_val, y_val=y_val)
        loss = log_loss(y_val, clf.predict_proba(X_val))
        assert clf.history_["val_loss"][-1] == pytest.approx(loss, rel=1e-4)
        accuracy = clf.score(X_val, y_val)
        assert clf.history_["val_accuracy"][-1] == pytest.approx(accuracy, abs=1e-6)

    def test_validation_data_are_not_trained_on(self, rows):
        train, (X_val, y_val) = rows
        for split in (0.0, 0.5):
            clf = small(validation_split=split).fit(*train, X_val=X_val, y_val=y_val)
            assert weights(clf) == weights(small().fit(*train))

    @pytest.mark.parametrize("given", ["X_val", "y_val"])
    def test_validation_data_come_in_pairs(self, rows, given):
        with pytest.raises(ValueError, match="both X_val and y_val, got only one"):
            small().fit(*rows[0], **{given: rows[1][given == "y_val"]})

    def test_validation_split_holds_out_a_stratified_random_part(self, rows):
        X, y = rows[0]
        seen = []

        def crossentropy(targets, outputs):
            seen.append(targets.numpy())
            return keras.losses.categorical_crossentropy(targets, outputs)

        clf = small(loss=crossentropy, compile__run_eagerly=True, validation_split=0.2)
        clf.fit(X, y)
        # Training comes first, then validation.
        trained, held_out = np.split(np.concatenate(seen), [240])
        np.testing.assert_allclose(trained.sum(axis=0), 0.8 * np.bincount(y), atol=1)
        np.testing.assert_allclose(held_out.sum(axis=0), 0.2 * np.bincount(y), atol=1)
        assert not np.array_equal(held_out, np.eye(10)[y[-60:]])
        assert clf.history_.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}

    @pytest.mark.parametrize("batch_size", [1, 32, 299, 300, 1000])
    def test_number_of_steps(self, rows, batch_size):
        clf = small(epochs=2, batch_size=batch_size).fit(*rows[0])
        assert int(clf.model_.optimizer.iterations) == 2 * -(-300 // batch_size)

    def test_shuffling(self, rows):
        X, y = rows[0]
        order = np.argsort(y)
        for shuffle in (False, True):
            clf, other = (
                small(shuffle=shuffle, batch_size=10).fit(X[o], y[o])
                for o in (slice(None), order)
            )
            assert weights(clf) != weights(other)
        whole = {"batch_size": 300, "optimizer": "sgd"}
        clf, shuffled = (small(shuffle=s, **whole).fit(X, y) for s in (False, True))
        np.testing.assert_allclose(
            clf.predict_proba(X), shuffled.predict_proba(X), atol=1e-6
        )

    @pytest.mark.parametrize(
        "params",
        [
            {"batch_size": 8},
            {"batch_size": 8, "optimizer": "adam", "dropout": 0.3},
            {"optimizer": "adam", "dropout": 0.3},
            {"batch_size": 8, "augmentation": 1.0},
            {
                "dropout": 0.3,
                "augmentation": 1.0,
                "callbacks": keras.callbacks.LambdaCallback(
                    on_train_batch_end=lambda batch, logs: None
                ),
            },
        ],
        ids=["RMSprop", "Adam, dropout", "few batches", "augmentation", "Keras' loop"],
    )
    @pytest.mark.parametrize("route", ["warm_start", "partial_fit", "initialize"])
    def test_two_epochs_and_one_are_three(self, rows, params, route):
        expected = bits(small(epochs=3, **params).fit(*rows[0]))
        clf = small(epochs=2, **params)
        if route == "warm_start":
            clf.fit(*rows[0]).set_params(epochs=1, warm_start=True).fit(*rows[0])
        elif route == "partial_fit":
            clf.fit(*rows[0]).partial_fit(*rows[0])
        else:
            clf.initialize(*rows[0])
            for _ in range(3):
                clf.partial_fit(*rows[0])
        assert bits(clf) == expected

    def test_without_warm_start_fit_starts_anew(self, rows):
        clf = small(optimizer="adam").fit(*rows[0])
        once = bits(clf)
        assert bits(clf.fit(*rows[0])) == once

    def test_initialize_builds_without_training(self, rows, capsys):
        X = np.zeros((10, 784))
        clf = MNISTClassifier(random_state=0).initialize(X, range(10))
        assert clf.history_ == {}
        assert clf.classes_.tolist() == list(range(10))
        np.testing.assert_allclose(clf.predict_proba(X), 0.1, atol=1e-6)
        clf.model_.summary()
        assert "669,706" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("verbose", "shown", "not_shown"),
        [(1, r"38/38.*ms/step", "xxx"), (2, r"38/38 - .*s - .*accuracy", "ms/step.*━")],
    )
    def test_progress_is_shown_while_training(
        self, rows, verbose, shown, not_shown, capsys
    ):
        (X, y), (X_val, y_val) = rows
        clf = small(epochs=2, batch_size=8, verbose=verbose)
        clf.fit(X, y, X_val=X_val, y_val=y_val)
        output = capsys.readouterr().out
        for pattern in (
            "Epoch 1/2",
            "Epoch 2/2",
            "val_accuracy: ",
            "val_loss: ",
            shown,
        ):
            assert re.search(pattern, output)
        assert not re.search(not_shown, output)

    def test_nothing_is_shown_by_default(self, rows, capsys):
        small().fit(*rows[0]).partial_fit(*rows[0]).predict(rows[0][0])
        assert capsys.readouterr() == ("", "")


class TestDistortion:
    def test_0_is_the_default_and_off(self, rows, monkeypatch):
        assert MNISTClassifier().augmentation == 0
        assert bits(small(augmentation=0).fit(*rows[0])) == bits(small().fit(*rows[0]))
        monkeypatch.setattr(batches, "distort", None)
        small(augmentation=0).fit(*rows[0])
        with pytest.raises(TypeError, match="not callable"):
            small(augmentation=0.1).fit(*rows[0])

    def test_training_images_are_distorted_anew_each_epoch(self, rows, monkeypatch):
        X, y = rows[0]
        epochs = []

        def spy(images, draws, strength):
            epochs.append(distort(images, draws, strength))
            return epochs[-1]

        monkeypatch.setattr(batches, "distort", spy)
        small(epochs=2, shuffle=False, augmentation=1, batch_size=len(X)).fit(X, y)
        first, second = epochs
        for images in epochs:
            assert (images != X).any(axis=1).all()
            assert np.corrcoef(images.sum(axis=1), X.sum(axis=1))[0, 1] > 0.6
        assert (first != second).any(axis=1).all()

    @pytest.mark.parametrize("given", ["X_val", "validation_split"])
    def test_neither_validation_nor_prediction_is_distorted(
        self, rows, given, monkeypatch
    ):
        (X, y), (X_val, y_val) = rows
        n_distorted = []

        def spy(images, draws, strength):
            n_distorted.append(len(images))
            return distort(images, draws, strength)

        monkeypatch.setattr(batches, "distort", spy)
        clf = small(augmentation=1.5, epochs=2)
        if given == "X_val":
            clf.fit(X, y, X_val=X_val, y_val=y_val)
            loss, accuracy = clf.model_.evaluate(X_val, np.eye(10)[y_val], verbose=0)
            assert clf.history_["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
            assert clf.history_["val_accuracy"][-1] == pytest.approx(accuracy, abs=1e-6)
        else:
            clf.set_params(validation_split=0.2).fit(X, y)
        np.testing.assert_allclose(
            clf.predict_proba(X_val), clf.model_.predict(X_val, verbose=0), atol=1e-6
        )
        clf.predict(X_val[:1])
        assert sum(n_distorted) == 2 * len(X) * (1 if given == "X_val" else 0.8)

    @pytest.mark.parametrize("backend", ["threading", "loky"])
    def test_elsewhere_it_is_the_same_to_the_bit(self, rows, backend):
        clf = small(augmentation=1.0, batch_size=8)
        expected = bits(clf.fit(*rows[0]))
        with joblib.parallel_config(backend, n_jobs=2):
            fits = joblib.Parallel()(
                joblib.delayed(clone(clf).fit)(*rows[0]) for _ in range(2)
            )
        assert [bits(fit) for fit in fits] == [expected] * 2

    def test_keras_loop_sees_the_same_images(self, rows):
        looks = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: None
        )
        params = {"augmentation": 1.0, "batch_size": 8, "activation": "tanh"}
        fits = [small(callbacks=c, **params).fit(*rows[0]) for c in (None, looks)]
        np.testing.assert_allclose(
            *(fit.predict_proba(rows[0][0]) for fit in fits), 1e-3
        )

    def test_stronger_is_harder(self, rows):
        X, y = rows[0]
        losses = [
            small(units=64, epochs=10, augmentation=strength).fit(X, y).history_["loss"]
            for strength in (0, 1, 2)
        ]
        assert losses[0][-1] < losses[1][-1] < losses[2][-1]

    def test_only_square_images(self, rows):
        X, y = rows[0]
        clf = small().fit(X[:, :783], y)
        before = bits(clf)
        with pytest.raises(ValueError, match=r"783 features.*square"):
            clf.set_params(augmentation=0.5).fit(X[:, :783], y)
        assert bits(clf) == before
        for n_features in (64, 784):
            clf.fit(X[:, :n_features], y)


class TestSchedules:
    COSINE = MappingProxyType(
        {
            "optimizer__learning_rate": keras.optimizers.schedules.CosineDecay,
            "optimizer__learning_rate__initial_learning_rate": 0.01,
        }
    )

    @pytest.mark.parametrize(
        "params",
        [{}, {"validation_split": 0.2}, {"batch_size": 7}, {"epochs": 2}],
        ids=str,
    )
    def test_one_given_as_a_class_lasts_as_long_as_training(self, rows, params):
        clf = small(epochs=3, **self.COSINE).set_params(**params).fit(*rows[0])
        optimizer = clf.model_.optimizer
        assert float(optimizer.learning_rate) == 0.0
        steps = int(optimizer.iterations)
        optimizer.iterations.assign(steps // 2)
        assert float(optimizer.learning_rate) == pytest.approx(0.005, abs=0.0005)

    def test_its_parameters_can_be_given(self, rows):
        params = {"optimizer__learning_rate__decay_steps": 1000}
        clf = small(epochs=3, **self.COSINE, **params).fit(*rows[0])
        assert float(clf.model_.optimizer.learning_rate) > 0.009

    def test_a_grid_searches_them(self, rows):
        name = "optimizer__learning_rate__initial_learning_rate"
        grid = {name: [0.0, 0.01], "epochs": [2, 4]}
        search = GridSearchCV(small(units=32, **self.COSINE), grid, cv=2).fit(*rows[0])
        assert search.best_params_ == {name: 0.01, "epochs": 4}

    def test_one_without_a_number_of_steps(self, rows):
        clf = small(
            optimizer__learning_rate=keras.optimizers.schedules.PiecewiseConstantDecay,
            optimizer__learning_rate__boundaries=[2],
            optimizer__learning_rate__values=[0.1, 0.25],
        ).fit(*rows[0])
        assert float(clf.model_.optimizer.learning_rate) == 0.25

    def test_the_parameters_stay_as_they_were_given(self, rows):
        clf = small(**self.COSINE)
        before = clf.get_params()
        assert clf.fit(*rows[0]).get_params() == before


class OwnOptimizer(keras.optimizers.RMSprop):
    """A user's own, which Keras is not told of."""


class OwnLoss(keras.losses.CategoricalCrossentropy):
    """A user's own, which Keras is not told of."""


class OwnMetric(keras.metrics.CategoricalAccuracy):
    """A user's own, which Keras is not told of."""


OWN = {
    "optimizer class": {"optimizer": OwnOptimizer},
    "optimizer": {"optimizer": OwnOptimizer()},
    "loss class": {"loss": OwnLoss},
    "loss": {"loss": OwnLoss()},
    "loss lambda": {"loss": lambda *args: keras.losses.categorical_crossentropy(*args)},
    "metric class": {"metrics": [OwnMetric]},
    "metric": {"metrics": [OwnMetric()]},
    "metric lambda": {
        "metrics": [lambda *args: keras.losses.mean_squared_error(*args)]
    },
    "activation lambda": {"activation": lambda x: keras.activations.relu(x)},
}
OPTIMIZERS = {
    "name": "adam",
    "class": keras.optimizers.Adam,
    "instance": keras.optimizers.Adam(),
}


class TestWhatScikerasPassesOn:
    @pytest.mark.parametrize("given_as", OPTIMIZERS)
    def test_optimizer(self, rows, given_as):
        expected = bits(small(optimizer="Adam").fit(*rows[0]))
        assert bits(small(optimizer=OPTIMIZERS[given_as]).fit(*rows[0])) == expected

    def test_an_optimizer_is_not_shared_between_fits(self, rows):
        optimizer = keras.optimizers.Adam(learning_rate=0.01)
        clf = small(optimizer=optimizer).fit(*rows[0])
        first = bits(clf)
        for other in (clf, clone(clf), small(optimizer=optimizer)):
            assert bits(other.fit(*rows[0])) == first
        assert not optimizer.built
        assert int(optimizer.iterations) == 0
        assert clf.optimizer is optimizer

    @pytest.mark.parametrize("optimizer", ["sgd", keras.optimizers.SGD])
    def test_parameters_of_the_optimizer(self, rows, optimizer):
        clf = small(optimizer=optimizer, optimizer__learning_rate=0.0).fit(*rows[0])
        assert weights(clf) == weights(small().initialize(*rows[0]))
        clf.set_params(optimizer__learning_rate=0.5).fit(*rows[0])
        assert float(clf.model_.optimizer.learning_rate) == 0.5

    @pytest.mark.parametrize(
        "params",
        [
            {"callbacks": keras.callbacks.EarlyStopping("loss", 100, 1)},
            {"callbacks": [keras.callbacks.EarlyStopping("loss", 100, 1)]},
            {"callbacks": {"stop": keras.callbacks.EarlyStopping("loss", 100, 1)}},
            {
                "callbacks": keras.callbacks.EarlyStopping,
                "callbacks__monitor": "loss",
                "callbacks__min_delta": 100,
                "callbacks__patience": 1,
            },
            {
                "callbacks": [keras.callbacks.EarlyStopping],
                "callbacks__0__monitor": "loss",
                "callbacks__0__min_delta": 100,
                "callbacks__0__patience": 1,
            },
        ],
        ids=["instance", "list", "dict", "class", "list of classes"],
    )
    def test_callbacks(self, rows, params):
        clf = small(epochs=5, **params)
        for _ in range(2):
            # No epoch is better than the first by 100.
            assert len(clf.fit(*rows[0]).history_["loss"]) == 2
        assert params.items() <= clf.get_params().items()

    @pytest.mark.parametrize(
        "loss",
        [
            keras.losses.CategoricalCrossentropy,
            keras.losses.CategoricalCrossentropy(),
            keras.losses.categorical_crossentropy,
            "sparse_categorical_crossentropy",
            keras.losses.SparseCategoricalCrossentropy,
            keras.losses.SparseCategoricalCrossentropy(),
            keras.losses.sparse_categorical_crossentropy,
        ],
    )
    @pytest.mark.parametrize("kind", ["strings", "bools"])
    def test_loss(self, rows, kind, loss):
        (X, digits), (X_test, _) = rows
        y = LABELS[kind][digits]
        clf, expected = small(loss=loss).fit(X, y), small().fit(X, y)
        np.testing.assert_allclose(
            clf.predict_proba(X_test), expected.predict_proba(X_test), atol=1e-4
        )
        for name, values in expected.history_.items():
            assert clf.history_[name] == pytest.approx(values, rel=1e-4)

    def test_parameters_of_the_loss(self, rows):
        loss = keras.losses.CategoricalCrossentropy
        clf = small(loss=loss, loss__label_smoothing=0.5).fit(*rows[0])
        assert bits(clf) == bits(small(loss=loss(label_smoothing=0.5)).fit(*rows[0]))
        assert bits(clf) != bits(small(loss=loss).fit(*rows[0]))

    @pytest.mark.parametrize(
        ("metrics", "names"),
        [
            (None, set()),
            ((), set()),
            (["accuracy"], {"accuracy"}),
            ("accuracy", {"accuracy"}),
            (("accuracy", keras.metrics.AUC(name="auc")), {"accuracy", "auc"}),
            ([keras.metrics.TopKCategoricalAccuracy], {"top_k_categorical_accuracy"}),
        ],
    )
    def test_metrics(self, rows, metrics, names):
        clf = small(metrics=metrics)
        for _ in range(2):
            assert clf.fit(*rows[0]).history_.keys() == {"loss"} | names

    @pytest.mark.parametrize("kind", OWN)
    def test_what_is_the_users_own(self, rows, kind):
        train, (X_test, _) = rows
        clf = small(**OWN[kind])
        for _ in range(2):
            proba = clf.fit(*train).predict_proba(X_test)
        expected = small().fit(*train).predict_proba(X_test)
        np.testing.assert_allclose(proba, expected, atol=1e-5)

    def test_parameters_of_keras_fit(self, rows):
        (X, y), (X_val, y_val) = rows
        clf = small(epochs=4, fit__validation_freq=2).fit(
            X, y, X_val=X_val, y_val=y_val
        )
        assert {name: len(values) for name, values in clf.history_.items()} == {
            "loss": 4,
            "accuracy": 4,
            "val_loss": 2,
            "val_accuracy": 2,
        }


class TestRandomState:
    @pytest.mark.parametrize("seed", [0, 7, np.int64(7), 2**32 - 1])
    def test_an_int_makes_fits_repeatable(self, rows, seed):
        clf = small(random_state=seed, dropout=0.3, validation_split=0.2, epochs=2)
        first = bits(clf.fit(*rows[0]))
        assert bits(clf.fit(*rows[0])) == first
        assert weights(clf) != weights(clf.set_params(random_state=1).fit(*rows[0]))

    def test_a_random_state_is_advanced(self, rows):
        state, same = np.random.RandomState(3), np.random.RandomState(3)
        clf, clf_of_same = small(random_state=state), small(random_state=same)
        first, second = bits(clf.fit(*rows[0])), bits(clf.fit(*rows[0]))
        assert first[0] != second[0]
        assert bits(clf_of_same.fit(*rows[0])) == first
        assert bits(clf_of_same.fit(*rows[0])) == second

    def test_none_differs_every_time(self, rows):
        fits = []
        for _ in range(2):
            keras.utils.set_random_seed(1)
            fits.append(weights(small(random_state=None).fit(*rows[0])))
        assert fits[0] != fits[1]

    @pytest.mark.parametrize("random_state", [0, None])
    def test_no_global_random_state_is_touched(self, rows, random_state):
        def draw():
            return (
                random.random(),
                np.random.random(),  # noqa: NPY002
                float(tf.random.uniform(())),
            )

        keras.utils.set_random_seed(1)
        draw()
        expected, environment = draw(), dict(os.environ)
        keras.utils.set_random_seed(1)
        draw()
        clf = small(random_state=random_state, dropout=0.5, validation_split=0.2)
        clf.fit(*rows[0]).partial_fit(*rows[0]).predict(rows[0][0])
        assert draw() == expected
        assert dict(os.environ) == environment

    def test_no_global_random_state_is_read(self, rows):
        fits = []
        for seed in (1, 2):
            keras.utils.set_random_seed(seed)
            fits.append(bits(small(dropout=0.5, validation_split=0.2).fit(*rows[0])))
        assert fits[0] == fits[1]


# There is room for the weights and the optimizer's variables, but not for gradients.
OUT_OF_MEMORY = """
import resource
import numpy as np
from skmnist import MNISTClassifier

rng = np.random.default_rng(0)
X, y = rng.random((64, 784), dtype=np.float32), np.arange(64) % 10
clf = MNISTClassifier(8, epochs=1, random_state=0).fit(X, y)
proba = clf.predict_proba(X)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 700 * 2**20, resource.RLIM_INFINITY))
try:
    clf.set_params(units=8_000).fit(X, y)
except MemoryError as error:
    print(error, bool((clf.predict_proba(X) == proba).all()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_fit_without_enough_memory_changes_nothing():
    process = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True
    )
    error = "There is not enough memory to train this network. Choose fewer units, or"
    assert process.stdout == f"{error} a smaller batch_size. True\n", process.stderr
