"""Epochs taken from where they were kept, instead of being trained again."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skmnist import MNISTClassifier, make_pipeline
from skmnist.training import compiled as programs
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


def small(epoch_cache=None, **params):
    defaults = {"units": 8, "epochs": 2, "random_state": 0}
    return MNISTClassifier(epoch_cache=epoch_cache, **defaults | params)


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
        {"batch_size": 8, "augmentation": 1.0},
    ],
    ids=[
        "compiled",
        "dropout",
        "validation, weights",
        "average",
        "in order",
        "augmentation",
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
    epoch_cache = {
        "str": str(tmp_path),
        "path": tmp_path,
        "joblib.Memory": joblib.Memory(tmp_path, verbose=0),
    }[kind]
    clf = small(epoch_cache)
    for _ in range(2):
        clone(clf).fit(*rows[0])
    assert len(trained_epochs) == 2
    assert capsys.readouterr() == ("", "")


def test_joblib_bounds_and_clears_what_is_kept(rows, tmp_path, trained_epochs):
    epoch_cache = joblib.Memory(tmp_path, verbose=0)
    small(epoch_cache, epochs=4).fit(*rows[0])
    last = entries(tmp_path)[-1]
    epoch_cache.reduce_size(bytes_limit=last.stat().st_size)
    assert entries(tmp_path) == [last]
    epoch_cache.clear(warn=False)
    assert not entries(tmp_path)
    small(epoch_cache, epochs=4).fit(*rows[0])
    assert len(trained_epochs) == 8


def test_a_memory_without_a_folder_keeps_nothing(rows, trained_epochs):
    for _ in range(2):
        small(joblib.Memory(None)).fit(*rows[0])
    assert len(trained_epochs) == 4


def test_a_memory_that_is_elsewhere_is_refused(rows, tmp_path):
    epoch_cache = joblib.Memory(tmp_path, verbose=0)
    epoch_cache.backend = "elsewhere"
    with pytest.raises(ValueError, match="of a folder, got one of the backend 'elsewh"):
        small(epoch_cache).fit(*rows[0])


def test_what_is_no_memory_is_refused(rows):
    with pytest.raises(ValueError, match=r"The 'epoch_cache' parameter .* Got 3"):
        small(3).fit(*rows[0])


OTHERS = {
    "seed": {"random_state": 1},
    "units": {"units": 9},
    "batch size": {"batch_size": 16},
    "activation": {"activation": "tanh"},
    "dropout": {"dropout": 0.1},
    "augmentation": {"augmentation": 1.0},
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
    numbers |= {"augmentation": 1, "dropout": 0.25, "shuffle": True}
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

    def fit(epoch_cache):
        return small(epoch_cache).fit(X, y, weight, X_val=X_val, y_val=y_val)

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
    straight = clone(clf).set_params(epoch_cache=None).fit(*rows[0])
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


@pytest.mark.parametrize("trouble", ["full disk", "no folder"])
def test_trouble_is_said_once_and_training_goes_on(
    rows, tmp_path, full_disk, trained_epochs, trouble
):
    straight = small(epochs=4).fit(*rows[0])
    small(tmp_path, epochs=1).fit(*rows[0])
    before = sorted(tmp_path.rglob("*"))
    del trained_epochs[:]
    if trouble == "full disk":
        epoch_cache, reason, trained = tmp_path, "File too large", 3
    else:
        epoch_cache, reason, trained = entries(tmp_path)[0], "Not a directory", 4
    with full_disk(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf = small(epoch_cache, epochs=4).fit(*rows[0])
    (warning,) = caught
    assert str(warning.message).startswith("Epochs are trained but not kept in ")
    assert f"{reason}. Make room there, or give another" in str(warning.message)
    assert_same(clf, straight)
    assert len(trained_epochs) == trained
    assert sorted(tmp_path.rglob("*")) == before
    small(tmp_path, epochs=4).fit(*rows[0])
    assert len(entries(tmp_path)) == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_whenever_a_process_is_killed_no_half_epoch_is_read():
    script = Path(__file__).parents[1] / "examples" / "benchmarks" / "kills.py"
    killing = subprocess.run(
        [sys.executable, script, "epoch_cache", "--kills", "4"],
        capture_output=True,
        text=True,
    )
    assert killing.returncode == 0, killing.stderr
    assert "all was whole" in killing.stdout


def test_what_a_killed_process_left_is_removed_by_a_later_one(rows, tmp_path):
    small(tmp_path, epochs=1).fit(*rows[0])
    folder = entries(tmp_path)[0].parents[1]
    left, being_written = folder / ".skmnist-a.pkl", folder / ".skmnist-b.pkl"
    for file in left, being_written:
        file.write_bytes(b"half")
    os.utime(left, (time.time() - 100,) * 2)
    small(tmp_path, epochs=2).fit(*rows[0])
    assert [*folder.glob(".*")] == [being_written]


SHARE = """
import json, sys, threading
from sklearn.model_selection import GridSearchCV
from skmnist import load_digits_28x28, make_pipeline

(X, y), _ = load_digits_28x28(random_state=0)
grid = {"classifier__epochs": [3, 1, 2], "classifier__units": [4, 8]}

def search(epoch_cache):
    pipe = make_pipeline(random_state=0).set_params(classifier__epoch_cache=epoch_cache)
    scores = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X[:300], y[:300])
    found.append(scores.cv_results_["mean_test_score"].tolist())

found = []
threads = [threading.Thread(target=search, args=sys.argv[1:]) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
search(None)
print(json.dumps(found))
"""


def test_processes_and_threads_that_search_at_the_same_time(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "always", "-c", SHARE, tmp_path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        output, errors = process.communicate(timeout=600)
        first, second, without = json.loads(output)
        assert first == second == without
        assert "Warning" not in errors
        assert "Error" not in errors
    # 2 widths and 2 folds of 3 epochs, and what the best one adds on all images.
    assert 12 < len(entries(tmp_path)) <= 15


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
    for epoch_cache in None, tmp_path, tmp_path:
        pipe = make_pipeline(random_state=0)
        pipe.set_params(classifier__epoch_cache=epoch_cache)
        with joblib.parallel_config(backend, n_jobs=2):
            search = GridSearchCV(pipe, grid, cv=2).fit(*digits[0])
        scores.append(search.cv_results_["mean_test_score"].tolist())
    assert scores[0] == scores[1] == scores[2]
    # 2 widths and 2 folds of 3 epochs, and what the best one adds on all images.
    assert len(entries(tmp_path)) == 12 + search.best_params_["classifier__epochs"]
