"""Tests of parameters, weights, continued training and the model of a classifier."""

import pickle

import keras
import numpy as np
import pytest
from estimators import assert_same_state, small_classifier
from scikeras import wrappers
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier
from sklearn.model_selection import GridSearchCV

from skmnist import MNISTClassifier, make_pipeline
from skmnist._base import takes_numbers


@pytest.mark.parametrize(
    ("function", "name", "hint"),
    [
        (MNISTClassifier, "unitz", "; did you mean 'units'?"),
        (
            MNISTClassifier,
            "optimiser__learning_rate",
            "; did you mean 'optimizer__learn",
        ),
        (MNISTClassifier, "model", ""),
        (MNISTClassifier, "optimizer_", "; did you mean 'optimizer'?"),
        (MNISTClassifier, "predict__batch_size", "; did you mean 'batch_size'?"),
        (make_pipeline, "epoch", "; did you mean 'epochs'?"),
        (make_pipeline, "scal", "; did you mean 'scale'?"),
        (make_pipeline, "dropuot", "; did you mean 'dropout'?"),
    ],
)
def test_constructor_unknown_name_raises_with_nearest_name(function, name, hint):
    with pytest.raises(TypeError) as caught:
        function(**{name: 3})
    expected = f"{function.__name__}() got an unexpected keyword argument {name!r}"
    assert str(caught.value).startswith(expected + hint)
    assert ("did you mean" in str(caught.value)) == bool(hint)


def test_set_params_unknown_name_raises_and_sets_nothing():
    clf = MNISTClassifier()
    before = clf.get_params()
    message = "Invalid parameter 'unitz' for MNISTClassifier; did you mean 'units'?"
    with pytest.raises(ValueError, match=message):
        clf.set_params(epochs=3, unitz=3)
    assert clf.get_params() == before


def test_get_params_returns_routed_parameters_after_clone_and_set_params():
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
    expected = MNISTClassifier().get_params() | params
    assert clf.get_params() == clone(clf).get_params() == expected
    assert all(clf.get_params()[name] is params[name] for name in params)
    more = {"epochs": 2, "optimizer__learning_rate": 0.1, "loss__reduction": "sum"}
    assert clf.set_params(**more) is clf
    assert clf.get_params() == expected | more
    assert clone(make_pipeline(optimizer__momentum=0.9))[-1].optimizer__momentum == 0.9


class Narrow(MNISTClassifier):
    """A subclass that offers two parameters and adds one."""

    def __init__(self, units=8, *, epochs=1, threshold=0.5):
        super().__init__(units, epochs=epochs, random_state=0, optimizer__rho=0.8)
        self.threshold = threshold


class Wide(MNISTClassifier):
    """A subclass that offers all parameters and adds one."""

    def __init__(self, factor=2, **params):
        super().__init__(**params)
        self.factor = factor


def test_subclass_with_fewer_parameters_clones_searches_and_pickles(rows):
    clf = Narrow(epochs=2, threshold=0.1)
    assert clf.get_params() == {"units": 8, "epochs": 2, "threshold": 0.1}
    for name in ("dropout", "optimizer__momentum"):
        with pytest.raises(ValueError, match=f"Invalid parameter '{name}' for Narrow"):
            clf.set_params(**{name: 0.5})
    search = GridSearchCV(clf, {"units": [8]}, cv=2, error_score="raise").fit(*rows[0])
    best = search.best_estimator_
    assert_same_state(
        best, small_classifier(epochs=2, optimizer__rho=0.8).fit(*rows[0])
    )
    assert_same_state(pickle.loads(pickle.dumps(best)), best)


def test_subclass_with_keyword_arguments_has_all_parameters():
    clf = clone(Wide(factor=3, units=8, loss__from_logits=False))
    assert (clf.factor, clf.units, clf.loss__from_logits) == (3, 8, False)
    assert clf.get_params().keys() >= MNISTClassifier().get_params().keys()
    with pytest.raises(TypeError, match=r"Wide\(\) got .* 'unit'; did you mean 'units"):
        Wide(unit=8)


def test_scikeras_has_the_private_members_that_are_used():
    clf = wrappers.KerasClassifier(
        optimizer="sgd",
        optimizer__learning_rate=0.5,
        loss="mse",
        metrics=["accuracy"],
        callbacks=keras.callbacks.EarlyStopping,
        callbacks__patience=3,
    )
    options = clf._get_compile_kwargs()
    assert float(options["optimizer"].learning_rate) == 0.5
    assert options.keys() == {"optimizer", "loss", "metrics", "run_eagerly"}
    clf._initialize_callbacks()
    assert [callback.patience for callback in clf._fit_callbacks] == [3]


LOSSES = {
    "categorical_crossentropy": False,
    "CategoricalFocalCrossentropy": False,
    "mean_squared_error": False,
    "kl_divergence": False,
    "categorical_hinge": False,
    "sparse_categorical_crossentropy": True,
    "SparseCategoricalCrossentropy": True,
}


def gather(targets, outputs):
    """A cross-entropy of class numbers whose name does not say so."""
    targets = keras.ops.expand_dims(keras.ops.cast(targets, "int32"), -1)
    return -keras.ops.log(keras.ops.take_along_axis(outputs, targets, axis=-1))[:, 0]


@pytest.mark.parametrize("n_classes", [2, 10])
def test_takes_numbers_depends_on_the_loss_and_not_its_name(n_classes):
    for name, expected in LOSSES.items():
        assert takes_numbers(keras.losses.get(name), n_classes) == expected
    assert takes_numbers(gather, n_classes)

    def sparse(targets, outputs):
        return keras.losses.categorical_crossentropy(targets, outputs)

    assert not takes_numbers(sparse, n_classes)


def test_fit_loss_of_class_numbers_equals_cross_entropy(rows):
    (X, y), (X_test, _) = rows
    expected = small_classifier().fit(X, y).predict_proba(X_test)
    proba = small_classifier(loss=gather).fit(X, y).predict_proba(X_test)
    np.testing.assert_allclose(proba, expected, atol=1e-4)


@pytest.mark.parametrize("constant", [1e-300, 3, 1e300])
@pytest.mark.parametrize("way", ["fit", "partial_fit", "some zero"])
def test_sample_weight_constant_factor_has_no_effect(rows, constant, way):
    X, y = rows[0]
    weights = 1.0 + np.arange(len(y)) % 3
    if way == "some zero":
        weights[:50] = 0
    fits = [small_classifier(), small_classifier()]
    for clf, sample_weight in zip(fits, (weights, constant * weights), strict=True):
        if way == "partial_fit":
            clf.partial_fit(X, y, sample_weight=sample_weight)
            clf.partial_fit(X, y, sample_weight=sample_weight)
        else:
            clf.fit(X, y, sample_weight)
    one, other = (clf.predict_proba(X) for clf in fits)
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_class_weight_constant_factor_has_no_effect(rows):
    X, y = rows[0]
    one, other = (
        small_classifier(class_weight={k: c * (1 + k % 2) for k in range(10)})
        .fit(X, y)
        .predict_proba(X)
        for c in (1, 1000)
    )
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_sample_weight_loss_is_a_weighted_mean(rows):
    X, y = rows[0]
    weights = 1.0 + np.arange(len(y)) % 3
    clf = small_classifier(optimizer="sgd", optimizer__learning_rate=0.0)
    reported = clf.fit(X, y, 7 * weights).history_["loss"][-1]
    losses = -np.log(clf.predict_proba(X)[np.arange(len(y)), y])
    assert reported == pytest.approx(np.average(losses, weights=weights), rel=1e-3)


def test_partial_fit_weights_are_relative_to_the_first_call(rows):
    X, y = rows[0]

    def step(weight):
        clf = small_classifier(optimizer="sgd", batch_size=300)
        clf.partial_fit(X, y, sample_weight=np.ones(len(y)))
        before = clf.model_.get_weights()[0]
        clf.partial_fit(X, y, sample_weight=np.full(len(y), weight))
        return clf.model_.get_weights()[0] - before

    np.testing.assert_allclose(step(3.0), 3 * step(1.0), atol=1e-6)


def test_partial_fit_with_weights_continues_fit(rows):
    X, y = rows[0]
    weights = 10.0 + np.arange(len(y)) % 3
    whole = small_classifier(epochs=3).fit(X, y, weights)
    parts = small_classifier(epochs=2).fit(X, y, weights)
    assert_same_state(whole, parts.partial_fit(X, y, sample_weight=weights))


def test_adaboost_learns(rows):
    (X, y), (X_test, y_test) = rows
    clf = small_classifier(units=64, epochs=10)
    boosted = AdaBoostClassifier(clf, n_estimators=2, random_state=0).fit(X, y)
    # 0.1 if weights of 1 / 300 made small gradients.
    assert boosted.score(X_test, y_test) > 0.5


def test_class_weight_has_no_effect_on_val_loss(rows):
    still = {"optimizer": "sgd", "optimizer__learning_rate": 0.0}
    losses = [
        small_classifier(validation_split=0.3, class_weight=weight, **still)
        .fit(*rows[0])
        .history_["val_loss"][-1]
        for weight in (None, {8: 100.0}, "balanced")
    ]
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-6)


WAYS = {
    "warm fit": lambda clf, X, y: clf.set_params(warm_start=True).fit(X, y),
    "partial_fit": lambda clf, X, y: clf.partial_fit(X, y),
    "loaded": lambda clf, X, y: pickle.loads(pickle.dumps(clf)).partial_fit(X, y),
}


@pytest.mark.parametrize("way", WAYS)
def test_continued_training_uses_a_changed_learning_rate(rows, way):
    X, y = rows[0]
    clf = small_classifier(optimizer="adam", optimizer__learning_rate=0.01).fit(X, y)
    before = clf.predict_proba(X)
    clf = WAYS[way](clf.set_params(optimizer__learning_rate=0.0), X, y)
    assert float(clf.model_.optimizer.learning_rate) == 0.0
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    # Adam's moments and its count of steps are kept.
    assert int(clf.model_.optimizer.iterations) == 20


@pytest.mark.parametrize("way", WAYS)
def test_continued_training_uses_another_optimizer_loss_and_metric(rows, way):
    X, y = rows[0]
    clf = small_classifier().fit(X, y)
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


@pytest.mark.parametrize(
    ("way", "params"),
    [
        ("warm fit", {"units": 9}),
        ("partial_fit", {"activation": "tanh"}),
        ("loaded", {"dropout": 0.5}),
    ],
)
def test_continued_training_of_another_network_raises(rows, way, params):
    X, y = rows[0]
    clf = small_classifier().fit(X, y)
    ((name, value),) = params.items()
    was = getattr(clf, name)
    before = clf.predict_proba(X)
    clf.set_params(**params)
    message = f"{name} must be {was!r} to continue training, got {value!r}. Set it back"
    with pytest.raises(ValueError, match=message):
        WAYS[way](clf, X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    WAYS[way](clf.set_params(**{name: was}), X, y)


def test_failed_partial_fit_keeps_the_optimizer(rows):
    X, y = rows[0]
    clf = small_classifier(optimizer="adam").fit(X, y)
    optimizer = clf.model_.optimizer
    clf.set_params(optimizer="sgd", optimizer__learning_rate=1e30)
    with pytest.raises(ValueError, match="diverged"):
        clf.partial_fit(X, y)
    assert clf.model_.optimizer is optimizer


def test_continued_training_keeps_layers_that_are_not_trained(rows):
    X, y = rows[0]
    clf = small_classifier(batch_size=8).fit(X, y)
    clf.model_.layers[0].trainable = False
    before = clf.model_.get_weights()
    for one in (clf, pickle.loads(pickle.dumps(clf))):
        after = one.partial_fit(X, y).model_.get_weights()
        np.testing.assert_array_equal(before[0], after[0])
        assert not np.array_equal(before[2], after[2])


def test_numpy_numbers_equal_python_numbers(rows):
    numbers = {"units": 8, "epochs": 2, "batch_size": 8}
    expected = small_classifier(**numbers, dropout=0.5).fit(*rows[0])
    for kind in (np.int64, np.uint8):
        numpy = {name: kind(value) for name, value in numbers.items()}
        clf = small_classifier(**numpy, dropout=np.float64(0.5), shuffle=np.bool_(True))
        assert_same_state(clf.fit(*rows[0]), expected)


def test_diverging_training_raises_and_a_search_goes_on(rows):
    grid = {"optimizer__learning_rate": [1e30, 0.1]}
    search = GridSearchCV(small_classifier(optimizer="sgd"), grid, cv=2, error_score=0)
    with pytest.warns(Warning, match="Training has diverged"):
        search.fit(*rows[0])
    assert search.best_params_ == {"optimizer__learning_rate": 0.1}


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16", "float64"])
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def test_predict_proba_is_float32_under_any_policy(rows, policy):
    (X, y), (X_test, _) = rows
    clf = small_classifier(batch_size=8).fit(X, y)
    proba = clf.predict_proba(X_test)
    for part in (proba, clf.predict_proba(X_test[:1])):
        assert part.dtype == np.float32
        np.testing.assert_allclose(part.sum(axis=1), 1, atol=1e-6)
    CalibratedClassifierCV(small_classifier(), cv=2).fit(X, y)
    saved = pickle.dumps(clf)
    keras.config.set_dtype_policy("float32")
    other = pickle.loads(saved)
    np.testing.assert_array_equal(other.predict_proba(X_test), proba)
    assert other.partial_fit(X, y).model_.dtype_policy.name == policy
    assert keras.config.dtype_policy().name == "float32"
