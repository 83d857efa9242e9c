"""Tests of Keras' objects, the user's own among them, as values."""

import copy
import pickle

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_validate

from skmnist import MNISTClassifier
from skmnist._objects import put_together, take_apart


class Focal(keras.losses.Loss):
    """A loss whose parameter has no place in its configuration."""

    def __init__(self, gamma, **options):
        super().__init__(**options)
        self.gamma = gamma

    def call(self, y_true, y_pred):
        log = keras.ops.log(y_pred + 1e-7)
        return -keras.ops.sum(y_true * (1 - y_pred) ** self.gamma * log, -1)


class Above(keras.metrics.Metric):
    """A metric of the same kind, with variables of its own and a metric inside."""

    def __init__(self, level):
        super().__init__(name="above")
        self.level = level
        self.count = self.add_weight(shape=(), initializer="zeros", name="count")
        self.parts = [keras.metrics.Mean(), keras.metrics.Mean()]

    def update_state(self, y_true, y_pred, sample_weight=None):
        above = keras.ops.cast(keras.ops.max(y_pred, -1) > self.level, "float32")
        self.count.assign_add(keras.ops.sum(above))
        self.parts[0].update_state(above)

    def result(self):
        return self.count + 0 * self.parts[0].result()


class Slower(keras.optimizers.SGD):
    """An optimizer of the same kind."""

    def __init__(self, factor):
        super().__init__(0.1 / factor, momentum=0.9)
        self.factor = factor


class Warm(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule without a configuration."""

    def __call__(self, step):
        return 1e-3 * keras.ops.minimum(keras.ops.cast(step, "float32") / 100, 1.0)


def double(x):
    return 2 * keras.ops.relu(x)


GIVEN = {
    "loss": {"loss": Focal(5.0)},
    "loss class": {"loss": Focal, "loss__gamma": 5.0},
    "metric": {"metrics": ["accuracy", Above(0.3)]},
    "metric class": {"metrics": [Above], "metrics__0__level": 0.3},
    "optimizer": {"optimizer": Slower(4)},
    "optimizer class": {"optimizer": Slower, "optimizer__factor": 4},
    "schedule": {"optimizer": "adam", "optimizer__learning_rate": Warm()},
    "schedule inside": {"optimizer": keras.optimizers.Adam(Warm())},
    "activation": {"activation": double},
}


def small(**params):
    params = {"units": 8, "epochs": 1, "random_state": 0} | params
    return MNISTClassifier(**params)


def check(clf):
    """Check that it was trained with what it was given."""
    model = clf.model_
    assert getattr(model.loss, "gamma", 5.0) == 5.0
    assert getattr(model.optimizer, "factor", 4) == 4
    for metric in model.metrics:
        assert getattr(metric, "level", 0.3) == 0.3


COPIES = {
    "clone": clone,
    "deepcopy": copy.deepcopy,
    "pickle": lambda clf: pickle.loads(pickle.dumps(clf)),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", GIVEN)
def test_what_is_the_users_own_keeps_its_parameters(rows, name, how):
    (X, y), (X_test, _) = rows
    clf = small(**GIVEN[name])
    unfitted = COPIES[how](clf)
    clf.fit(X, y)
    other = COPIES[how](clf)
    before = clf.predict_proba(X_test)
    if how != "clone":
        np.testing.assert_array_equal(other.predict_proba(X_test), before)
        one, two = (c.partial_fit(X, y).predict_proba(X_test) for c in (clf, other))
        np.testing.assert_array_equal(one, two)
    for again in (clf, other, unfitted):
        again.fit(X, y)
        check(again)
        np.testing.assert_array_equal(again.predict_proba(X_test), before)


def test_parameters_of_a_loss_change_what_is_trained(rows):
    fits = [small(loss=Focal(gamma)).fit(*rows[0]) for gamma in (0.0, 5.0)]
    one, two = (fit.predict_proba(rows[0][0]) for fit in fits)
    assert np.abs(one - two).max() > 1e-3


def test_worker_processes_find_what_is_the_users_own(rows):
    clf = small(
        loss=Focal(5.0),
        metrics=[Above(0.3)],
        optimizer=Slower(4),
        activation=double,
    )
    results = cross_validate(
        clf, *rows[0], cv=2, n_jobs=2, return_estimator=True, error_score="raise"
    )
    for fitted in results["estimator"]:
        check(fitted)


def test_what_cannot_be_found_again_is_refused_when_it_is_saved(rows):
    clf = small(activation=lambda x: keras.ops.relu(x)).fit(*rows[0])
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(clf)
    # A copy in this process needs no name.
    copy.deepcopy(clf).partial_fit(*rows[0])


def test_code_without_source(rows):
    without = eval("lambda x: keras.ops.relu(x)", {"keras": keras})
    X, y = rows[0]
    proba = small(activation=without).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(proba, small().fit(X, y).predict_proba(X), atol=1e-5)


OBJECTS = {
    "SGD": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "AdamW": lambda: keras.optimizers.AdamW(0.01, use_ema=True),
    "Adafactor": lambda: keras.optimizers.Adafactor(0.1),
    "loss scaling": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1, momentum=0.9)
    ),
    "schedule": lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(0.1, 10)
    ),
    "AUC": keras.metrics.AUC,
    "recall": lambda: keras.metrics.Recall(thresholds=[0.3, 0.6]),
    "F1": keras.metrics.F1Score,
    "function": lambda: keras.metrics.MeanMetricWrapper(lambda t, p: p),
    "crossentropy": lambda: keras.losses.CategoricalCrossentropy(label_smoothing=0.3),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_made_anew_works_as_the_first(name, rows):
    item = OBJECTS[name]()
    other = put_together(take_apart(item))
    assert type(other) is type(item)
    assert other.name == item.name
    X, y = rows[0]
    results = []
    # The first is trained with before the last copy is made.
    for make in (lambda: other, lambda: item, lambda: put_together(take_apart(item))):
        made = make()
        model = small(units=4).initialize(X, y).model_
        kinds = {keras.optimizers.Optimizer: "optimizer", keras.losses.Loss: "loss"}
        role = next((r for k, r in kinds.items() if isinstance(made, k)), "metrics")
        options = {"optimizer": "sgd", "loss": "categorical_crossentropy"}
        options[role] = [made] if role == "metrics" else made
        model.compile(**options)
        model.fit(X, np.eye(10)[y], verbose=0, shuffle=False)
        results.append([*model.get_weights(), *model.history.history.values()])
    for result in results[1:]:
        for one, two in zip(results[0], result, strict=True):
            # Keras' loop may add up in any order.
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_the_same_object_stays_the_same():
    loss, shared = Focal(2.0), [1, 2]
    apart = pickle.loads(pickle.dumps(take_apart({"a": loss, "b": (loss, shared)})))
    whole = put_together(apart)
    assert whole["a"] is whole["b"][0]
    assert whole["a"].gamma == 2.0
    assert whole["b"][1] == shared
