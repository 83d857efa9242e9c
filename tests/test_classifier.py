"""Tests of the classifier: its promises as an estimator, and of training."""

import os
import random
import re
import signal
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
from estimators import assert_same_state, small_classifier, state
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

# Keras' own loop serves callbacks for batches.
LOOK = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)


class TestEstimator:
    def test_tags_are_those_of_a_classifier(self, rows):
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
        folds = check_cv(3, rows[0][1], classifier=is_classifier(clf))
        assert isinstance(folds, StratifiedKFold)

    def test_init_takes_only_units_by_position(self):
        assert MNISTClassifier(7).units == 7
        with pytest.raises(TypeError, match="positional"):
            MNISTClassifier(7, 2)

    def test_clone_of_a_fitted_classifier_is_not_fitted(self, rows):
        train, (X_test, _) = rows
        with pytest.raises(NotFittedError):
            clone(small_classifier().fit(*train)).predict(X_test)

    def test_repr_shows_changed_parameters(self):
        clf = MNISTClassifier(16, dropout=0.5, optimizer__learning_rate=0.1)
        assert repr(MNISTClassifier()) == "MNISTClassifier()"
        assert re.sub(r"\s+", " ", repr(clf)) == (
            "MNISTClassifier(dropout=0.5, optimizer__learning_rate=0.1, units=16)"
        )

    def test_metadata_routing_knows_requests(self):
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

    def test_predict_log_proba_and_score_follow_predict_proba(self, rows):
        train, (X_test, y_test) = rows
        clf = small_classifier(epochs=3).fit(*train)
        log = clf.predict_log_proba(X_test)
        np.testing.assert_allclose(np.exp(log), clf.predict_proba(X_test), rtol=1e-5)
        assert log.dtype == np.float32
        weight = np.linspace(0, 1, len(y_test))
        predicted = clf.predict(X_test)
        assert clf.score(X_test, y_test) == accuracy_score(y_test, predicted)
        assert clf.score(X_test, y_test, weight) == accuracy_score(
            y_test, predicted, sample_weight=weight
        )


NAMES = [f"pixel{i}" for i in range(784)]
# Containers of the same black and white images.
CONTAINERS = {
    "float32": np.float32,
    "float64": np.float64,
    "uint8": np.uint8,
    "bool": np.bool_,
    "list": np.ndarray.tolist,
    "columns first": np.asfortranarray,
    "pandas": lambda X: pd.DataFrame(X, columns=NAMES),
    "polars": lambda X: pl.DataFrame(X, schema=NAMES),
}


class TestFeatures:
    # Of names in one of the two only.
    @pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
    @pytest.mark.parametrize("fitted_on", CONTAINERS)
    def test_fit_and_predict_accept_any_mix_of_types(self, rows, fitted_on):
        (X, y), (X_test, _) = rows
        expected = small_classifier().fit(np.round(X), y)
        clf = small_classifier().fit(CONTAINERS[fitted_on](np.round(X)), y)
        assert_same_state(clf, expected)
        proba = expected.predict_proba(np.round(X_test))
        found = clf.predict_proba(CONTAINERS[fitted_on](np.round(X_test)))
        np.testing.assert_array_equal(found, proba)

    @pytest.mark.parametrize("container", ["pandas", "polars"])
    def test_feature_names_are_kept_and_checked(self, rows, container):
        X, y = rows[0]
        frame = CONTAINERS[container](X)
        clf = small_classifier().fit(frame, y)
        assert clf.feature_names_in_.tolist() == list(frame.columns)
        with pytest.raises(ValueError, match="feature names should match"):
            clf.predict(frame[list(frame.columns[::-1])])
        with pytest.raises(ValueError, match="feature names should match"):
            clf.partial_fit(frame[list(frame.columns[::-1])], y)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            clf.predict(X)
        assert not hasattr(clf.fit(X, y), "feature_names_in_")

    def test_fit_takes_widths_from_the_data(self):
        X = np.random.default_rng(0).normal(size=(40, 5))
        clf = small_classifier(units=(3, 4)).fit(X, np.arange(40) % 7)
        shapes = [weight.shape for weight in clf.model_.get_weights()[::2]]
        assert shapes == [(5, 3), (3, 4), (4, 7)]
        assert clf.n_features_in_ == 5
        assert clf.predict_proba(X).shape == (40, 7)

    @pytest.mark.parametrize("units", [(6, 6), [6, 6], np.array([6, 6]), np.int64(6)])
    def test_units_number_is_the_width_of_both_layers(self, rows, units):
        expected = small_classifier(units=6).fit(*rows[0])
        assert_same_state(small_classifier(units=units).fit(*rows[0]), expected)

    def test_predict_one_row_returns_one_row(self, rows):
        train, (X_test, _) = rows
        clf = small_classifier().fit(*train)
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
    "digits": np.arange(10).astype(str),
}


class TestLabels:
    @pytest.mark.parametrize("kind", LABELS)
    def test_predict_returns_labels_as_given_to_fit(self, rows, kind):
        (X, digits), (X_test, _) = rows
        y = LABELS[kind][digits]
        classes, numbers = np.unique(y, return_inverse=True)
        clf = small_classifier().fit(X, y)
        numbered = small_classifier().fit(X, numbers)

        assert clf.classes_.dtype == y.dtype
        assert clf.classes_.tolist() == classes.tolist()
        assert_same_state(clf, numbered)
        predicted = clf.predict(X_test)
        assert predicted.dtype == y.dtype
        expected = classes[numbered.predict(X_test)]
        assert predicted.tolist() == expected.tolist()
        assert len(np.unique(predicted)) > 1
        assert clf.predict_proba(X_test).shape == (len(X_test), len(classes))

    @pytest.mark.parametrize("container", [list, pd.Series, pl.Series, tuple])
    def test_fit_accepts_labels_in_any_container(self, rows, container):
        X, digits = rows[0]
        y = LABELS["strings"][digits]
        clf = small_classifier().fit(X, container(y.tolist()))
        assert_same_state(clf, small_classifier().fit(X, y))

    @pytest.mark.parametrize("kind", ["strings", "bools"])
    @pytest.mark.parametrize("numbers", [False, True])
    def test_fit_gives_the_loss_its_kind_of_targets(self, rows, kind, numbers):
        X, digits = rows[0]
        y = LABELS[kind][digits]
        seen = []

        def crossentropy(targets, outputs):
            seen.append(targets.numpy())
            if numbers:
                return keras.losses.sparse_categorical_crossentropy(targets, outputs)
            return keras.losses.categorical_crossentropy(targets, outputs)

        params = {"shuffle": False, "compile__run_eagerly": True}
        small_classifier(loss=crossentropy, **params).fit(X, y)
        # The first calls try which kind the loss takes.
        targets = np.concatenate([t for t in seen if len(t) >= 12]).squeeze()
        expected = np.unique(y, return_inverse=True)[1]
        if not numbers:
            expected = keras.utils.to_categorical(expected)
        np.testing.assert_array_equal(targets[-len(y) :], expected)

    def test_partial_fit_accepts_classes_without_samples(self, rows):
        (X, y), _ = rows
        clf = small_classifier().partial_fit(X[y < 5], y[y < 5], classes=range(10))
        assert clf.classes_.tolist() == list(range(10))
        clf.partial_fit(X[y == 7], y[y == 7], classes=np.arange(10)[::-1])
        assert len(clf.history_["loss"]) == 2


class TestWeights:
    @pytest.mark.parametrize("kind", LABELS)
    def test_class_weight_multiplies_sample_weight(self, rows, kind):
        X, digits = rows[0]
        y = LABELS[kind][digits]
        classes = np.unique(y)
        class_weight = dict(zip(classes.tolist(), np.arange(1, 11) / 4, strict=False))
        factors = np.array([class_weight[label] for label in y.tolist()])
        clf = small_classifier(class_weight=class_weight)
        for weight in (None, 1 + np.arange(len(y)) % 4):
            product = factors if weight is None else weight * factors
            expected = small_classifier().fit(X, y, product)
            assert_same_state(clf.fit(X, y, weight), expected)

    def test_class_weight_may_have_labels_that_are_not_in_the_data(self, rows):
        X, y = rows[0]
        part, classes = y != 8, np.arange(10)
        for class_weight in ({8: 2.0}, {3: 2.0, 8: 2.0}):
            clf, expected = (
                small_classifier(class_weight=class_weight),
                small_classifier(),
            )
            clf.partial_fit(X[part], y[part], classes)
            factors = [class_weight.get(label, 1) for label in y[part]]
            expected.partial_fit(X[part], y[part], classes, sample_weight=factors)
            assert_same_state(clf, expected)

    def test_class_weight_balanced_gives_classes_equal_weight(self, rows):
        X, y = (a[:100] for a in rows[0])
        y = np.where(y < 2, "few", "many")
        factors = compute_sample_weight("balanced", y)
        assert factors[y == "few"].sum() == pytest.approx(factors[y == "many"].sum())
        clf = small_classifier(class_weight="balanced").fit(X, y)
        assert_same_state(clf, small_classifier().fit(X, y, factors))

    @pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
    def test_sample_weight_of_the_caller_is_not_changed(self, rows, dtype):
        sample_weight = np.arange(300, dtype=dtype)
        clf = small_classifier(class_weight="balanced").fit(*rows[0], sample_weight)
        clf.partial_fit(*rows[0], sample_weight=sample_weight)
        np.testing.assert_array_equal(sample_weight, np.arange(300))

    @pytest.mark.parametrize("method", ["fit", "partial_fit"])
    @pytest.mark.parametrize("class_weight", [None, "balanced", {4: 2.0}])
    def test_sample_weight_0_ignores_the_sample(self, rows, method, class_weight):
        X, y = rows[0]
        sample_weight = np.where((y == 3) | (np.arange(len(y)) < 50), 0, 1 + y)
        kept = sample_weight > 0
        clf, expected = (
            small_classifier(class_weight=class_weight, warm_start=True).initialize(
                X, y
            )
            for _ in range(2)
        )
        getattr(clf, method)(X, y, sample_weight=sample_weight)
        getattr(expected, method)(X[kept], y[kept], sample_weight=sample_weight[kept])
        assert_same_state(clf, expected)

    def test_sample_weight_has_an_effect_unless_it_is_constant(self, rows):
        X, y = rows[0]
        clf, constant, weighted = (
            small_classifier().fit(X, y, weight).predict_proba(X)
            for weight in (None, np.full(300, 0.25), 1 + y)
        )
        np.testing.assert_allclose(clf, constant, atol=1e-5)
        assert np.abs(clf - weighted).max() > 1e-3


class TestTraining:
    def test_fit_learns(self, rows):
        train, test = rows
        assert small_classifier(units=32, epochs=20).fit(*train).score(*test) > 0.85

    @pytest.mark.parametrize("method", ["partial_fit", "warm fit"])
    def test_history_has_one_value_for_each_epoch(self, rows, method):
        train, (X_val, y_val) = rows
        assert small_classifier().fit(*train).history_.keys() == {"loss", "accuracy"}
        clf = small_classifier(epochs=2).fit(*train, X_val=X_val, y_val=y_val)
        before = dict(clf.history_)
        assert before.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
        for values in before.values():
            assert [type(value) for value in values] == [float, float]
        loss = log_loss(y_val, clf.predict_proba(X_val))
        assert before["val_loss"][-1] == pytest.approx(loss, rel=1e-4)
        accuracy = clf.score(X_val, y_val)
        assert before["val_accuracy"][-1] == pytest.approx(accuracy, abs=1e-6)
        clf.set_params(warm_start=True, epochs=1)
        getattr(clf, method.removeprefix("warm "))(*train)
        assert clf.history_.keys() == before.keys()
        for name, values in before.items():
            assert clf.history_[name][:2] == values
        assert len(clf.history_["loss"]) == 3

    @pytest.mark.parametrize("split", [0.0, 0.5])
    def test_validation_data_are_not_trained_on(self, rows, split):
        train, (X_val, y_val) = rows
        clf = small_classifier(validation_split=split)
        clf.fit(*train, X_val=X_val, y_val=y_val)
        expected = small_classifier().fit(*train)
        assert state(clf)[0] == state(expected)[0]

    def test_validation_split_holds_out_a_stratified_random_part(self, rows):
        X, y = rows[0]
        seen = []

        def crossentropy(targets, outputs):
            seen.append(targets.numpy())
            return keras.losses.categorical_crossentropy(targets, outputs)

        params = {"compile__run_eagerly": True, "validation_split": 0.2}
        clf = small_classifier(loss=crossentropy, **params).fit(X, y)
        # Training comes first, then validation.
        trained, held_out = np.split(np.concatenate(seen)[-300:], [240])
        np.testing.assert_allclose(trained.sum(axis=0), 0.8 * np.bincount(y), atol=1)
        np.testing.assert_allclose(held_out.sum(axis=0), 0.2 * np.bincount(y), atol=1)
        assert not np.array_equal(held_out, np.eye(10)[y[-60:]])
        assert clf.history_.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}

    @pytest.mark.parametrize("batch_size", [32, 299, 300, 1000])
    def test_batch_size_decides_the_number_of_steps(self, rows, batch_size):
        clf = small_classifier(epochs=2, batch_size=batch_size).fit(*rows[0])
        assert int(clf.model_.optimizer.iterations) == 2 * -(-300 // batch_size)

    def test_shuffle_changes_the_order_of_samples_only(self, rows):
        X, y = rows[0]
        clf, shuffled, reordered = (
            small_classifier(shuffle=shuffle, batch_size=10).fit(X[order], y[order])
            for shuffle, order in [(False, ...), (True, ...), (False, np.argsort(y))]
        )
        assert state(clf)[0] != state(shuffled)[0]
        assert state(clf)[0] != state(reordered)[0]
        whole = {"batch_size": 300, "optimizer": "sgd"}
        clf, shuffled = (
            small_classifier(shuffle=shuffle, **whole).fit(X, y).predict_proba(X)
            for shuffle in (False, True)
        )
        np.testing.assert_allclose(clf, shuffled, atol=1e-6)

    @pytest.mark.parametrize(
        "params",
        [
            {"batch_size": 8},
            {"batch_size": 8, "optimizer": "adam", "dropout": 0.3},
            {"optimizer": "adam", "dropout": 0.3},
            {"batch_size": 8, "augmentation": 1.0},
            {"dropout": 0.3, "augmentation": 1.0, "callbacks": LOOK},
        ],
        ids=["RMSprop", "Adam, dropout", "few batches", "augmentation", "Keras' loop"],
    )
    def test_continued_training_equals_training_in_one_go(self, rows, params):
        expected = small_classifier(epochs=3, **params).fit(*rows[0])
        warm = small_classifier(epochs=2, **params).fit(*rows[0])
        warm.set_params(epochs=1, warm_start=True).fit(*rows[0])
        partial = small_classifier(epochs=2, **params).fit(*rows[0])
        partial.partial_fit(*rows[0])
        initialized = small_classifier(**params).initialize(*rows[0])
        for _ in range(3):
            initialized.partial_fit(*rows[0])
        for clf in (warm, partial, initialized):
            assert_same_state(clf, expected)

    def test_fit_without_warm_start_trains_from_scratch(self, rows):
        clf = small_classifier(optimizer="adam").fit(*rows[0])
        once = state(clf)
        assert state(clf.fit(*rows[0])) == once

    def test_initialize_builds_without_training(self, capsys):
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
    def test_verbose_shows_progress(self, rows, verbose, shown, not_shown, capsys):
        (X, y), (X_val, y_val) = rows
        clf = small_classifier(epochs=2, batch_size=8, verbose=verbose)
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
        small_classifier().fit(X, y).partial_fit(X, y).predict(X)
        assert capsys.readouterr() == ("", "")


# Prints the number of epochs, and whether the classifier is one of that many epochs.
INTERRUPTED = """
from estimators import small_classifier, state
from skmnist import flatten_and_scale, load_digits_28x28

(X, y), _ = load_digits_28x28(random_state=0)
X, y = flatten_and_scale(X[:300]), y[:300]
params = {"batch_size": 8, "optimizer": "adam", "dropout": 0.3}
clf = small_classifier(epochs=100_000, verbose=2, **params)
try:
    clf.fit(X, y)
except KeyboardInterrupt:
    epochs = len(clf.history_["loss"])
    expected = small_classifier(epochs=epochs, **params).fit(X, y)
    same = state(clf) == state(expected)
    same &= bool((clf.predict(X) == expected.predict(X)).all())
    print("interrupted", epochs, same, flush=True)
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_fit_keyboard_interrupt_keeps_finished_epochs():
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        for line in process.stdout:
            if line.startswith("Epoch 4/"):
                process.send_signal(signal.SIGINT)
                break
        last = process.stdout.read().splitlines()[-1].split()
    assert last[0] == "interrupted"
    assert int(last[1]) >= 3
    assert last[2] == "True"


class Interrupt(keras.callbacks.Callback):
    """Count fits, and interrupt the first one in its third epoch."""

    def __init__(self, hook):
        super().__init__()
        self.fits = 0
        self.hook = hook

    def on_train_begin(self, logs=None):
        self.fits += 1

    def on_epoch_begin(self, epoch, logs=None):
        if (epoch, self.hook) == (2, "begin"):
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, self.hook) == (2, "end"):
            raise KeyboardInterrupt


@pytest.mark.parametrize("hook", ["begin", "end"])
@pytest.mark.parametrize("loop", ["compiled", "Keras"])
def test_fit_interrupt_in_a_callback_keeps_finished_epochs(rows, hook, loop):
    others = [LOOK] if loop == "Keras" else []
    callbacks = [Interrupt(hook), *others]
    clf = small_classifier(epochs=5, batch_size=8, callbacks=callbacks)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(*rows[0])
    params = {"batch_size": 8, "callbacks": others}
    expected = small_classifier(epochs=2, **params).fit(*rows[0])
    assert_same_state(clf, expected)
    clf.set_params(callbacks=others).partial_fit(*rows[0])
    assert_same_state(clf, expected.partial_fit(*rows[0]))


def test_grid_search_stops_at_an_interrupt(rows):
    fits = []

    def stop(epoch, logs):
        fits.append(epoch)
        raise KeyboardInterrupt

    clf = small_classifier(callbacks=keras.callbacks.LambdaCallback(on_epoch_end=stop))
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(clf, {"units": [4, 8]}, cv=2, error_score=0).fit(*rows[0])
    assert fits == [0]


class TestAugmentation:
    def test_augmentation_changes_training_images_in_each_epoch(
        self, rows, monkeypatch
    ):
        (X, y), (X_val, y_val) = rows
        epochs = []

        def spy(images, draws, strength):
            epochs.append(distort(images, draws, strength))
            return epochs[-1]

        monkeypatch.setattr(batches, "distort", spy)
        params = {"epochs": 2, "shuffle": False, "batch_size": len(X)}
        clf = small_classifier(augmentation=1, **params)
        clf.fit(X, y, X_val=X_val, y_val=y_val)
        # Validation and prediction use the images as they are.
        loss, accuracy = clf.model_.evaluate(X_val, np.eye(10)[y_val], verbose=0)
        assert clf.history_["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
        assert clf.history_["val_accuracy"][-1] == pytest.approx(accuracy, abs=1e-6)
        expected = clf.model_.predict(X_val, verbose=0)
        np.testing.assert_allclose(clf.predict_proba(X_val), expected, atol=1e-6)
        clf.predict(X_val[:1])
        first, second = epochs
        for images in epochs:
            assert (images != X).any(axis=1).all()
            assert np.corrcoef(images.sum(axis=1), X.sum(axis=1))[0, 1] > 0.6
        assert (first != second).any(axis=1).all()
        small_classifier(augmentation=0, validation_split=0.2).fit(X, y)
        assert len(epochs) == 2
        small_classifier(augmentation=1, validation_split=0.2).fit(X, y)
        assert sum(map(len, epochs[2:])) == 240

    @pytest.mark.parametrize(
        "backend", ["threading", pytest.param("loky", marks=pytest.mark.process)]
    )
    def test_augmentation_in_workers_is_the_same_to_the_bit(self, rows, backend):
        clf = small_classifier(augmentation=1.0, batch_size=8)
        expected = state(clf.fit(*rows[0]))
        with joblib.parallel_config(backend, n_jobs=2):
            fits = joblib.Parallel()(
                joblib.delayed(clone(clf).fit)(*rows[0]) for _ in range(2)
            )
        assert all(state(fit) == expected for fit in fits)

    def test_augmentation_in_keras_loop_uses_the_same_images(self, rows):
        params = {"augmentation": 1.0, "batch_size": 8, "activation": "tanh"}
        fits = [
            small_classifier(callbacks=callbacks, **params).fit(*rows[0])
            for callbacks in (None, LOOK)
        ]
        one, other = (fit.predict_proba(rows[0][0]) for fit in fits)
        np.testing.assert_allclose(one, other, 1e-3)

    def test_augmentation_increases_the_loss_with_its_strength(self, rows):
        losses = [
            small_classifier(units=64, epochs=10, augmentation=strength)
            .fit(*rows[0])
            .history_["loss"][-1]
            for strength in (0, 1, 2)
        ]
        assert losses == sorted(losses)

    def test_augmentation_of_images_that_are_not_square_raises(self, rows):
        X, y = rows[0]
        clf = small_classifier().fit(X[:, :783], y)
        before = state(clf)
        with pytest.raises(ValueError, match=r"783 features.*square"):
            clf.set_params(augmentation=0.5).fit(X[:, :783], y)
        assert state(clf) == before
        clf.fit(X[:, :64], y)


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
    def test_schedule_class_lasts_as_long_as_training(self, rows, params):
        clf = small_classifier(**{"epochs": 3, **self.COSINE} | params)
        before = clf.get_params()
        optimizer = clf.fit(*rows[0]).model_.optimizer
        assert clf.get_params() == before
        assert float(optimizer.learning_rate) == 0.0
        steps = int(optimizer.iterations)
        optimizer.iterations.assign(steps // 2)
        assert float(optimizer.learning_rate) == pytest.approx(0.005, abs=0.0005)

    def test_schedule_class_takes_parameters_by_prefix(self, rows):
        params = {"optimizer__learning_rate__decay_steps": 1000}
        clf = small_classifier(epochs=3, **self.COSINE, **params).fit(*rows[0])
        assert float(clf.model_.optimizer.learning_rate) > 0.009
        clf = small_classifier(
            optimizer__learning_rate=keras.optimizers.schedules.PiecewiseConstantDecay,
            optimizer__learning_rate__boundaries=[2],
            optimizer__learning_rate__values=[0.1, 0.25],
        ).fit(*rows[0])
        assert float(clf.model_.optimizer.learning_rate) == 0.25

    def test_schedule_parameters_can_be_searched(self, rows):
        name = "optimizer__learning_rate__initial_learning_rate"
        grid = {name: [0.0, 0.01], "epochs": [2, 4]}
        search = GridSearchCV(small_classifier(units=32, **self.COSINE), grid, cv=2)
        assert search.fit(*rows[0]).best_params_ == {name: 0.01, "epochs": 4}


class OwnOptimizer(keras.optimizers.RMSprop):
    """A class that is not registered with Keras."""


class OwnLoss(keras.losses.CategoricalCrossentropy):
    """A class that is not registered with Keras."""


class OwnMetric(keras.metrics.CategoricalAccuracy):
    """A class that is not registered with Keras."""


OWN = {
    "optimizer": {"optimizer": OwnOptimizer},
    "loss": {"loss": OwnLoss},
    "loss lambda": {"loss": lambda *args: keras.losses.categorical_crossentropy(*args)},
    "metrics": {
        "metrics": [OwnMetric, lambda *args: keras.losses.mean_squared_error(*args)]
    },
    "activation lambda": {"activation": lambda x: keras.activations.relu(x)},
}
STOP = {"monitor": "loss", "min_delta": 100, "patience": 1}
# No epoch is better than the first one by 100.
STOPPING = {
    "instance": {"callbacks": keras.callbacks.EarlyStopping(**STOP)},
    "dict": {"callbacks": {"stop": keras.callbacks.EarlyStopping(**STOP)}},
    "class": {
        "callbacks": keras.callbacks.EarlyStopping,
        **{f"callbacks__{name}": value for name, value in STOP.items()},
    },
    "classes": {
        "callbacks": [keras.callbacks.EarlyStopping],
        **{f"callbacks__0__{name}": value for name, value in STOP.items()},
    },
}


class TestScikerasParameters:
    def test_optimizer_may_be_name_class_or_instance(self, rows):
        expected = small_classifier(optimizer="Adam").fit(*rows[0])
        for optimizer in ("adam", keras.optimizers.Adam, keras.optimizers.Adam()):
            clf = small_classifier(optimizer=optimizer).fit(*rows[0])
            assert_same_state(clf, expected)

    @pytest.mark.parametrize("optimizer", ["sgd", keras.optimizers.SGD])
    def test_optimizer_parameters_are_routed(self, rows, optimizer):
        clf = small_classifier(optimizer=optimizer, optimizer__learning_rate=0.0)
        trained = clf.fit(*rows[0]).model_.get_weights()
        initial = small_classifier().initialize(*rows[0]).model_.get_weights()
        for one, other in zip(trained, initial, strict=True):
            np.testing.assert_array_equal(one, other)
        clf.set_params(optimizer__learning_rate=0.5).fit(*rows[0])
        assert float(clf.model_.optimizer.learning_rate) == 0.5

    @pytest.mark.parametrize("kind", STOPPING)
    def test_callbacks_may_be_class_or_instance_and_fit_twice(self, rows, kind):
        clf = small_classifier(epochs=5, **STOPPING[kind])
        for _ in range(2):
            assert len(clf.fit(*rows[0]).history_["loss"]) == 2
        assert STOPPING[kind].items() <= clf.get_params().items()

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
    def test_loss_may_be_name_class_instance_or_function(self, rows, loss):
        (X, digits), (X_test, _) = rows
        y = LABELS["bools"][digits]
        clf, expected = (
            small_classifier(loss=loss).fit(X, y),
            small_classifier().fit(X, y),
        )
        np.testing.assert_allclose(
            clf.predict_proba(X_test), expected.predict_proba(X_test), atol=1e-4
        )
        for name, values in expected.history_.items():
            assert clf.history_[name] == pytest.approx(values, rel=1e-4)

    def test_loss_parameters_are_routed(self, rows):
        loss = keras.losses.CategoricalCrossentropy
        clf = small_classifier(loss=loss, loss__label_smoothing=0.5).fit(*rows[0])
        same = small_classifier(loss=loss(label_smoothing=0.5)).fit(*rows[0])
        assert_same_state(clf, same)
        assert state(clf) != state(small_classifier(loss=loss).fit(*rows[0]))

    @pytest.mark.parametrize(
        ("metrics", "names"),
        [
            (None, set()),
            ((), set()),
            ("accuracy", {"accuracy"}),
            (("accuracy", keras.metrics.AUC(name="auc")), {"accuracy", "auc"}),
            ([keras.metrics.TopKCategoricalAccuracy], {"top_k_categorical_accuracy"}),
            ([keras.metrics.Recall([0.3, 0.6], name="recall")], {"recall"}),
        ],
    )
    def test_metrics_are_reported_in_each_fit(self, rows, metrics, names):
        clf = small_classifier(metrics=metrics)
        for _ in range(2):
            history = clf.fit(*rows[0]).history_
            assert history.keys() == {"loss"} | names
        if "recall" in names:
            assert np.shape(history["recall"]) == (1, 2)

    @pytest.mark.parametrize("kind", OWN)
    def test_classes_and_functions_of_the_user_are_trained_with(self, rows, kind):
        train, (X_test, _) = rows
        clf = small_classifier(**OWN[kind])
        for _ in range(2):
            proba = clf.fit(*train).predict_proba(X_test)
        expected = small_classifier().fit(*train).predict_proba(X_test)
        np.testing.assert_allclose(proba, expected, atol=1e-5)

    def test_fit_parameters_are_routed(self, rows):
        (X, y), (X_val, y_val) = rows
        clf = small_classifier(fit__epochs=4, fit__validation_freq=2)
        history = clf.fit(X, y, X_val=X_val, y_val=y_val).history_
        assert {name: len(values) for name, values in history.items()} == {
            "loss": 4,
            "accuracy": 4,
            "val_loss": 2,
            "val_accuracy": 2,
        }


class TestRandomState:
    @pytest.mark.parametrize("seed", [0, np.int64(7), 2**32 - 1])
    def test_random_state_int_makes_fit_repeatable(self, rows, seed):
        params = {"dropout": 0.3, "validation_split": 0.2, "epochs": 2}
        clf = small_classifier(random_state=seed, **params)
        first = state(clf.fit(*rows[0]))
        assert state(clf.fit(*rows[0])) == first
        assert state(clf.set_params(random_state=1).fit(*rows[0])) != first

    def test_random_state_instance_is_advanced(self, rows):
        generators = [np.random.RandomState(3) for _ in range(2)]
        clf, other = (small_classifier(random_state=g) for g in generators)
        first, second = (state(clf.fit(*rows[0])) for _ in range(2))
        assert first != second
        assert [state(other.fit(*rows[0])) for _ in range(2)] == [first, second]

    @pytest.mark.parametrize("random_state", [0, None])
    def test_random_state_leaves_global_state_alone(self, rows, random_state):
        def draw():
            return (
                random.random(),
                np.random.random(),  # noqa: NPY002
                float(tf.random.uniform(())),
            )

        params = {"dropout": 0.5, "validation_split": 0.2}
        clf = small_classifier(random_state=random_state, **params)
        fits, environment = [], dict(os.environ)
        for seed in (1, 1, 2):
            keras.utils.set_random_seed(seed)
            expected = draw(), draw()
            keras.utils.set_random_seed(seed)
            before = draw()
            fits.append(state(clf.fit(*rows[0])))
            clf.partial_fit(*rows[0]).predict(rows[0][0])
            assert (before, draw()) == expected
        assert dict(os.environ) == environment
        # Nor is it read.
        assert (fits[0] == fits[1] == fits[2]) == (random_state == 0)
