"""Tests of copies, clones and pickles, with Keras objects given as instances."""

import copy
import json
import pickle

import joblib
import keras
import numpy as np
import pytest
from estimators import assert_same_state, small_classifier, small_pipeline
from processes import run_python
from sklearn.base import clone
from sklearn.model_selection import cross_validate

from skmnist import MNISTClassifier
from skmnist._pickling import Packed, pack, unpack

# Left out on other Pythons.
pytestmark = pytest.mark.long


class Focal(keras.losses.Loss):
    """A loss without `get_config`, which needs none: it has no variables."""

    def __init__(self, gamma, **options):
        super().__init__(**options)
        self.gamma = gamma

    def call(self, y_true, y_pred):
        log = keras.ops.log(y_pred + 1e-7)
        return -keras.ops.sum(y_true * (1 - y_pred) ** self.gamma * log, -1)


class Above(keras.metrics.Metric):
    """A metric with a variable, a metric inside and a complete configuration."""

    def __init__(self, level, name="above", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.level = level
        self.count = self.add_weight(shape=(), initializer="zeros", name="count")
        self.parts = [keras.metrics.Mean()]

    def update_state(self, y_true, y_pred, sample_weight=None):
        above = keras.ops.cast(keras.ops.max(y_pred, -1) > self.level, "float32")
        self.count.assign_add(keras.ops.sum(above))
        self.parts[0].update_state(above)

    def result(self):
        return self.count + 0 * self.parts[0].result()

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype, "level": self.level}


class Slower(keras.optimizers.SGD):
    """An optimizer with a complete configuration."""

    def __init__(self, factor, learning_rate=0.1, **options):
        super().__init__(learning_rate, **options)
        self.factor = factor

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate / self.factor)

    def get_config(self):
        return super().get_config() | {"factor": self.factor}


class Warm(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that Keras does not find by its name."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, step):
        return 0.1 * keras.ops.minimum(keras.ops.cast(step, "float32") / self.steps, 1)

    def get_config(self):
        return {"steps": self.steps}


# Found by Keras only if its class is registered.
Warm.__module__ = "somewhere"


class NoConfiguration(keras.optimizers.SGD):
    """An optimizer that Keras cannot make again."""

    def __init__(self, factor):
        super().__init__(0.1 / factor)


class Forgetful(keras.optimizers.SGD):
    """An optimizer that Keras makes again with another parameter."""

    def __init__(self, learning_rate=0.1, factor=1, **options):
        super().__init__(learning_rate, **options)
        self.factor = factor


class Secretive(keras.metrics.CategoricalAccuracy):
    """A metric that Keras makes again with another parameter, without a trace."""

    def __init__(self, **options):
        self.level = options.pop("level", 0)
        super().__init__(**options)


class Shrinking(keras.optimizers.SGD):
    """An optimizer that differs more with each copy."""

    def __init__(self, learning_rate=0.1, **options):
        super().__init__(learning_rate / 2, **options)


class NoSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule without a configuration."""

    def __call__(self, step):
        return 0.1


def double(x):
    return 2 * keras.ops.relu(x)


GIVEN = {
    "loss": {"loss": Focal(5.0)},
    "loss class": {"loss": Focal, "loss__gamma": 5.0},
    "metric": {"metrics": ["accuracy", Above(0.3)]},
    "metric class": {"metrics": [Above], "metrics__0__level": 0.3},
    "optimizer": {"optimizer": Slower(4, momentum=0.5)},
    "optimizer class": {"optimizer": Slower, "optimizer__factor": 4},
    "schedule": {"optimizer": "sgd", "optimizer__learning_rate": NoSchedule()},
    "schedule inside": {"optimizer": keras.optimizers.SGD(Warm(5))},
    "activation": {"activation": double},
}
COPIES = {
    "clone": clone,
    "deepcopy": copy.deepcopy,
    "pickle": lambda clf: pickle.loads(pickle.dumps(clf)),
}


def assert_trained_as_given(clf):
    """Check the parameters of the model's loss, optimizer and metrics."""
    assert getattr(clf.model_.loss, "gamma", 5.0) == 5.0
    assert getattr(clf.model_.optimizer, "factor", 4) == 4
    for metric in clf.model_.metrics:
        assert getattr(metric, "level", 0.3) == 0.3


@pytest.fixture
def importable(monkeypatch):
    """Let pickle find `Warm`, which Keras does not find."""
    monkeypatch.setattr(Warm, "__module__", __name__)


@pytest.mark.parametrize("name", GIVEN)
def test_copies_of_unfitted_and_fitted_classifiers_train_as_given(
    rows, importable, name
):
    (X, y), (X_test, _) = rows
    clf = small_classifier(**GIVEN[name])
    # Copies of copies, since each fit of a user's own class is traced again.
    copied = pickle.loads(pickle.dumps(copy.deepcopy(clone(clf))))
    clf.fit(X, y)
    assert_trained_as_given(clf)
    fitted = pickle.loads(pickle.dumps(copy.deepcopy(clf)))
    first = clf.predict_proba(X_test)
    clf.partial_fit(X, y)
    np.testing.assert_array_equal(fitted.predict_proba(X_test), first)
    assert_same_state(fitted.partial_fit(X, y), clf)
    for other in (copied, clone(fitted)):
        np.testing.assert_array_equal(other.fit(X, y).predict_proba(X_test), first)
        assert_trained_as_given(other)


def test_fit_does_not_modify_instances(rows):
    given = {
        "optimizer": keras.optimizers.Adam(0.01),
        "loss": Focal(2.0),
        "metrics": [Above(0.3)],
    }
    clf = small_classifier(**given)
    before = {"loss": dict(vars(given["loss"]))}
    first = clf.fit(*rows[0])
    for other in (clone(clf), small_classifier(**given)):
        assert_same_state(other.fit(*rows[0]), first)
    assert all(getattr(clf, name) is given[name] for name in given)
    assert not given["optimizer"].built
    assert int(given["optimizer"].iterations) == 0
    assert vars(given["loss"]) == before["loss"]
    assert float(given["metrics"][0].count) == 0


def test_fit_depends_on_the_parameters_of_a_loss_instance(rows):
    fits = [small_classifier(loss=Focal(gamma)).fit(*rows[0]) for gamma in (0.0, 5.0)]
    one, two = (fit.predict_proba(rows[0][0]) for fit in fits)
    assert np.abs(one - two).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "item", "problem"),
    [
        ("optimizer", NoConfiguration(4), "no factor|TypeError"),
        ("optimizer", Forgetful(0.1, factor=2), "no factor"),
        ("optimizer", Shrinking(), r"'learning_rate': 0\.02.* from .*0\.05"),
        ("optimizer", keras.optimizers.SGD(NoSchedule()), "NotImplementedError"),
        ("metrics", [Secretive(level=3)], "level=0 instead of 3"),
        ("metrics", [keras.metrics.CosineSimilarity(axis=0)], "'axis': -1.*'axis': 0"),
    ],
    ids=lambda value: getattr(value, "__class__", value).__name__,
)
def test_fit_instance_that_cannot_be_copied_raises(rows, name, item, problem):
    kind = type(item[0] if isinstance(item, list) else item).__name__
    clf = small_classifier(**{name: item})
    message = (
        rf"(?s){kind}\.get_config must return all parameters.*got: .*({problem}).*"
        rf"Define get_config, or give .* by prefix: {name}={kind}, {name}__x="
    )
    for call in (lambda: clf.fit(*rows[0]), lambda: clone(clf), lambda: pack(item)):
        with pytest.raises(ValueError, match=message):
            call()
    assert not hasattr(clf, "model_")


KERAS = {
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
    "crossentropy": lambda: keras.losses.CategoricalCrossentropy(label_smoothing=0.3),
}


@pytest.mark.parametrize("name", KERAS)
def test_packed_keras_object_trains_like_the_first(name, rows):
    item = KERAS[name]()
    if isinstance(item, keras.optimizers.Optimizer):
        role = "optimizer"
    else:
        role = "loss" if isinstance(item, keras.losses.Loss) else "metrics"
    X, y = rows[0]
    results = []
    for made in (unpack(pickle.loads(pickle.dumps(pack(item)))), item):
        assert (type(made), made.name) == (type(item), item.name)
        model = small_classifier().initialize(X, y).model_
        options = {"optimizer": "sgd", "loss": "categorical_crossentropy"}
        options["run_eagerly"] = True  # nothing to compile
        model.compile(**options | {role: [made] if role == "metrics" else made})
        model.fit(X, np.eye(10)[y], verbose=0, shuffle=False)
        results.append([*model.get_weights(), *model.history.history.values()])
    for one, two in zip(*results, strict=True):
        # Keras' loop may add up in any order.
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_pack_keeps_identities_and_other_values():
    loss, shared = Focal(2.0), [1, 2]
    packed = pickle.loads(pickle.dumps(pack({"a": loss, "b": (loss, shared)})))
    assert type(packed["a"]) is Packed
    whole = unpack(packed)
    assert whole["a"] is whole["b"][0]
    assert whole["a"].gamma == 2.0
    assert whole["b"][1] == shared


def test_worker_processes_train_with_instances(rows):
    clf = small_classifier(
        loss=Focal(5.0), metrics=[Above(0.3)], optimizer=Slower(4), activation=double
    )
    results = cross_validate(
        clf, *rows[0], cv=2, n_jobs=2, return_estimator=True, error_score="raise"
    )
    for fitted in results["estimator"]:
        assert_trained_as_given(fitted)


def test_pickle_of_a_lambda_raises_and_deepcopy_works(rows):
    clf = small_classifier(activation=lambda x: keras.ops.relu(x)).fit(*rows[0])
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(clf)
    assert_same_state(copy.deepcopy(clf), clf)


def test_fit_function_without_source_trains(rows):
    without = eval("lambda x: keras.ops.relu(x)", {"keras": keras})
    X, y = rows[0]
    proba = small_classifier(activation=without).fit(X, y).predict_proba(X)
    expected = small_classifier().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(proba, expected, atol=1e-5)


PIPELINES = {
    "RMSprop": {},
    "Adam, dropout": {"optimizer": "adam", "dropout": 0.3},
    "SGD, momentum": {"optimizer": "sgd", "optimizer__momentum": 0.9},
    "RandomState": {"dropout": 0.3, "random_state": np.random.RandomState(0)},
    "callback": {"callbacks": [keras.callbacks.TerminateOnNaN()]},
}
LOAD_AND_CONTINUE = """
import json, sys, joblib, numpy as np
folder = sys.argv[1]
data = np.load(f"{folder}/digits.npz")
history = []
for i in range(int(sys.argv[2])):
    pipe = joblib.load(f"{folder}/{i}.joblib")
    loaded = pipe.predict_proba(data["X_test"])
    X = pipe["preprocess"].transform(data["X"])
    pipe["classifier"].partial_fit(X, data["y"])
    np.savez(f"{folder}/{i}.npz", loaded, pipe.predict_proba(data["X_test"]))
    history.append(pipe["classifier"].history_)
print(json.dumps(history))
"""


@pytest.mark.process
def test_joblib_file_in_a_fresh_process_predicts_and_continues(digits, tmp_path):
    (X, y), (X_test, _) = digits
    np.savez(tmp_path / "digits.npz", X=X, y=y, X_test=X_test)
    expected, histories = [], []
    for number, params in enumerate(PIPELINES.values()):
        # Batches of 8 are enough for the compiled loop.
        pipe = small_pipeline(epochs=2, batch_size=8, **params).fit(X, y)
        joblib.dump(pipe, tmp_path / f"{number}.joblib")
        before = pipe.predict_proba(X_test)
        clf = pipe["classifier"].partial_fit(pipe["preprocess"].transform(X), y)
        expected.append((before, pipe.predict_proba(X_test)))
        histories.append(clf.history_)
    done = run_python(LOAD_AND_CONTINUE, tmp_path, len(PIPELINES))
    assert json.loads(done.stdout.splitlines()[-1]) == histories
    for number, (before, after) in enumerate(expected):
        with np.load(tmp_path / f"{number}.npz") as found:
            np.testing.assert_array_equal(found["arr_0"], before)
            np.testing.assert_array_equal(found["arr_1"], after)
        assert np.abs(after - before).max() > 1e-4


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_copy_has_all_attributes_and_is_independent(rows, how):
    train, (X_test, _) = rows
    clf = small_classifier(dropout=0.3).fit(*train)
    clf.set_params(optimizer__learning_rate=0.01, callbacks=[])
    other = COPIES[how](clf)
    assert repr(other) == repr(clf)
    assert other.get_params() == clf.get_params()
    assert other.classes_.dtype == clf.classes_.dtype
    assert other.classes_.tolist() == clf.classes_.tolist()
    assert other.n_features_in_ == clf.n_features_in_ == 784
    assert_same_state(other, clf)
    before = clf.predict_proba(X_test)
    other.partial_fit(*train)
    np.testing.assert_array_equal(clf.predict_proba(X_test), before)
    assert_same_state(clf.partial_fit(*train), other)
    assert not hasattr(COPIES[how](MNISTClassifier()), "model_")


def test_pickle_keeps_callbacks(rows):
    stop = keras.callbacks.EarlyStopping("loss", 100, 1)
    clf = small_classifier(epochs=5, callbacks=stop).fit(*rows[0])
    other = pickle.loads(pickle.dumps(clf))
    # No epoch is better than the first by 100.
    assert len(other.fit(*rows[0]).history_["loss"]) == 2


def test_shallow_copy_shares_callbacks_and_model(rows):
    clf = small_classifier().fit(*rows[0])
    clf.set_params(callbacks=[keras.callbacks.LambdaCallback(print)])
    other = copy.copy(clf)
    assert other.callbacks is clf.callbacks
    assert other.model_ is clf.model_
