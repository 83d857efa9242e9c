"""Epochs taken from where they were kept, instead of being trained again."""

import shutil
import threading

import joblib
import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skmnist import MNISTClassifier, make_pipeline
from skmnist.training import programs
from skmnist.training.variables import state_variables


@pytest.fixture
def trained_epochs(monkeypatch):
    """Return a list to which each epoch that is really trained adds its batches."""
    epochs = []
    run = programs.Program.run

    def counted(program, model, step, chunks, report=None):
        if step == "train_step":
            epochs.append(step)
        return run(program, model, step, chunks, report)

    monkeypatch.setattr(programs.Program, "run", counted)
    return epochs


def small(memory=None, **params):
    defaults = {"units": 8, "epochs": 2, "random_state": 0}
    return MNISTClassifier(memory=memory, **defaults | params)


def entries(folder):
    return sorted(folder.rglob("output.pkl"), key=lambda file: file.stat().st_mtime_ns)


def assert_same(one, other):
    for a, b in zip(
        state_variables(one.model_),
        state_variables(other.model_),
        strict=True,
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert one.history_ == other.history_


@pytest.mark.parametrize(
    "params",
    [
        {"batch_size": 8},
        {"batch_size": 8, "optimizer": "adam", "dropout": 0.3},
        {"validation_split": 0.2, "class_weight": "balanced"},
        {"optimizer": keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)},
        {"shuffle": False},
        {"batch_size": 8, "distortion": 1.0},
    ],
    ids=[
        "compiled",
        "dropout",
        "validation, weights",
        "average",
        "in order",
        "distortion",
    ],
)
def test_longer_and_shorter_fits_take_up_what_is_there(
    rows, tmp_path, trained_epochs, params
):
    for epochs, trained in [(2, 2), (5, 3), (3, 0), (5, 0), (6, 1)]:
        straight = small(epochs=epochs, **params).fit(*rows[0])
        del trained_epochs[:]
        clf = small(tmp_path, epochs=epochs, **params).fit(*rows[0])
        assert len(trained_epochs) == trained
        assert_same(clf, straight)
        clf.partial_fit(*rows[0])
        assert_same(clf, straight.partial_fit(*rows[0]))


@pytest.mark.parametrize("kind", ["str", "path", "joblib.Memory"])
def test_memory_is_given_as_to_a_pipeline_or_as_a_path(
    rows, tmp_path, trained_epochs, kind, capsys
):
    memory = {
        "str": str(tmp_path),
        "path": tmp_path,
        "joblib.Memory": joblib.Memory(tmp_path, verbose=0),
    }[kind]
    clf = small(memory)
    for _ in range(2):
        clone(clf).fit(*rows[0])
    assert len(trained_epochs) == 2
    assert capsys.readouterr() == ("", "")


def test_what_is_no_memory_is_refused(rows):
    with pytest.raises(ValueError, match=r"The 'memory' parameter .* Got 3"):
        small(3).fit(*rows[0])


OTHERS = {
    "seed": {"random_state": 1},
    "units": {"units": 9},
    "batch size": {"batch_size": 16},
    "activation": {"activation": "tanh"},
    "dropout": {"dropout": 0.1},
    "distortion": {"distortion": 1.0},
    "optimizer": {"optimizer": "adam"},
    "learning rate": {"optimizer__learning_rate": 0.01},
    "schedule": {
        "optimizer": keras.optimizers.RMSprop(
            keras.optimizers.schedules.CosineDecay(0.001, 100)
        )
    },
    "loss": {"loss": "kl_divergence"},
    "loss's parameter": {
        "loss": keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    },
    "order": {"shuffle": False},
    "metrics": {"metrics": ["accuracy", "mse"]},
    "class weights": {"class_weight": {3: 2.0}},
    "validation": {"validation_split": 0.1},
}


def test_parameters_may_be_numpys(rows, tmp_path, trained_epochs):
    numbers = {"units": 8, "batch_size": 16, "random_state": 3, "epochs": 2}
    numbers |= {"distortion": 1, "dropout": 0.25, "shuffle": True}
    numbers |= {"optimizer__learning_rate": 0.25, "optimizer__momentum": 0.5}
    small(tmp_path, **numbers).fit(*rows[0])
    kept = len(programs._programs)
    arrays = {name: np.array([value])[0] for name, value in numbers.items()}
    clf = small(tmp_path, **arrays).fit(*rows[0])
    assert len(trained_epochs) == 2
    assert len(programs._programs) == kept
    assert_same(clf, small(**numbers).fit(*rows[0]))


@pytest.mark.parametrize("name", OTHERS)
def test_other_parameters_are_another_training(rows, tmp_path, trained_epochs, name):
    small(tmp_path).fit(*rows[0])
    del trained_epochs[:]
    clf = small(tmp_path, **OTHERS[name]).fit(*rows[0])
    assert len(trained_epochs) == 2
    assert_same(clf, small(**OTHERS[name]).fit(*rows[0]))


@pytest.mark.parametrize("changed", ["pixel", "label", "weight", "order", "validation"])
def test_other_data_are_another_training(rows, tmp_path, trained_epochs, changed):
    (X, y), (X_val, y_val) = rows
    X, y, y_val = X.copy(), y.copy(), y_val.copy()
    weight = np.ones(len(X))

    def fit(memory):
        return small(memory).fit(X, y, weight, X_val=X_val, y_val=y_val)

    fit(tmp_path)
    del trained_epochs[:]
    if changed == "pixel":
        X[17, 300] += 0.5
    elif changed == "label":
        y[17] = (y[17] + 1) % 10
    elif changed == "weight":
        weight[17] = 2
    elif changed == "order":
        X, y = X[::-1], y[::-1]
    else:
        y_val[17] = (y_val[17] + 1) % 10
    clf = fit(tmp_path)
    assert len(trained_epochs) == 2
    assert_same(clf, fit(None))


@pytest.mark.parametrize(
    "params",
    [
        {"random_state": None},
        {"callbacks": keras.callbacks.ReduceLROnPlateau("loss", 0.1, 1, 0, "max")},
        {"loss": lambda *args: keras.losses.categorical_crossentropy(*args)},
        {"fit__validation_freq": 1},
        {"compile__run_eagerly": True},
    ],
    ids=["no seed", "callback", "own loss", "Keras' loop", "eager"],
)
def test_where_nothing_is_kept(rows, tmp_path, params):
    clf = small(tmp_path, **params).fit(*rows[0])
    assert len(clf.history_["loss"]) == 2
    assert not entries(tmp_path)


DAMAGES = {
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:-100]),
    "empty": lambda file: file.write_bytes(b""),
    "no pickle": lambda file: file.write_bytes(b"something else"),
    "flipped bits": lambda file: file.write_bytes(
        file.read_bytes()[:2000]
        + bytes(255 - byte for byte in file.read_bytes()[2000:2004])
        + file.read_bytes()[2004:]
    ),
    "missing": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_trained_and_kept_again(
    rows, tmp_path, trained_epochs, damage
):
    clf = small(tmp_path, epochs=4)
    straight = clone(clf).set_params(memory=None).fit(*rows[0])
    clf.fit(*rows[0])
    for file in entries(tmp_path)[1:3]:
        DAMAGES[damage](file)
    for trained in 2, 0:
        del trained_epochs[:]
        assert_same(clone(clf).fit(*rows[0]), straight)
        assert len(trained_epochs) == trained


def test_memory_that_is_deleted_during_a_fit(rows, tmp_path, monkeypatch):
    straight = small(epochs=4).fit(*rows[0])
    run = programs.Program.run

    def delete_first(*args):
        shutil.rmtree(tmp_path)
        return run(*args)

    small(tmp_path, epochs=2).fit(*rows[0])
    monkeypatch.setattr(programs.Program, "run", delete_first)
    clf = small(tmp_path, epochs=4).fit(*rows[0])
    assert_same(clf, straight)
    assert len(entries(tmp_path)) == 1


def test_threads_that_race_for_the_same_epochs(rows, tmp_path):
    straight = small(epochs=4).fit(*rows[0])
    fits = [small(tmp_path, epochs=4) for _ in range(2)]
    threads = [threading.Thread(target=clf.fit, args=rows[0]) for clf in fits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for clf in fits:
        assert_same(clf, straight)


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_a_search_scores_alike_with_and_without(digits, tmp_path, backend):
    grid = {"classifier__epochs": [3, 1, 2], "classifier__units": [4, 8]}
    scores = []
    for memory in None, tmp_path, tmp_path:
        pipe = make_pipeline(random_state=0)
        pipe.set_params(classifier__memory=memory)
        with joblib.parallel_config(backend, n_jobs=2):
            search = GridSearchCV(pipe, grid, cv=2).fit(*digits[0])
        scores.append(search.cv_results_["mean_test_score"].tolist())
    assert scores[0] == scores[1] == scores[2]
    # 2 widths and 2 folds of 3 epochs, and what the best one adds on all images.
    assert len(entries(tmp_path)) == 12 + search.best_params_["classifier__epochs"]
