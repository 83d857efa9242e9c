"""Epochs that are read from disk instead of trained again."""

import subprocess
import sys
import threading
import warnings
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest
from estimators import assert_same_state, small_classifier
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skmnist import make_pipeline
from skmnist.training import epoch_cache


def small(cache=None, **params):
    return small_classifier(epoch_cache=cache, **{"epochs": 2} | params)


def entries(folder):
    """Return the files of stored epochs, the last one written last."""
    files = folder.glob("skmnist-epochs/*")
    return sorted(files, key=lambda file: file.stat().st_mtime_ns)


def written(folder):
    """Return which files there are; a file that is written again counts as another."""
    return {
        (file, file.stat().st_ino, file.stat().st_mtime_ns) for file in entries(folder)
    }


@pytest.mark.parametrize(
    "params",
    [
        {"batch_size": 8, "optimizer": "adam", "dropout": 0.3},
        {"validation_split": 0.2, "class_weight": "balanced"},
        {"optimizer": keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)},
        {"shuffle": False, "batch_size": 8, "augmentation": 1.0},
    ],
    ids=["compiled, dropout", "validation, weights", "average", "augmentation"],
)
def test_fit_epoch_cache_equals_fit_without(rows, tmp_path, params):
    for epochs, trained in [(2, 2), (4, 2), (3, 0)]:
        before = written(tmp_path)
        clf = small(tmp_path, epochs=epochs, **params).fit(*rows[0])
        assert len(written(tmp_path) - before) == trained
        straight = small(epochs=epochs, **params).fit(*rows[0])
        assert_same_state(clf, straight)
    assert_same_state(clf.partial_fit(*rows[0]), straight.partial_fit(*rows[0]))


def test_fit_epoch_cache_reads_stored_epochs(rows, tmp_path):
    small(tmp_path).fit(*rows[0])
    second = entries(tmp_path)[1]
    values, logs = epoch_cache.read(second)
    epoch_cache.write(second, (values, logs | {"loss": 42.0}))
    assert small(tmp_path).fit(*rows[0]).history_["loss"][1] == 42


@pytest.mark.parametrize("make", [str, Path, lambda f: joblib.Memory(f, verbose=0)])
def test_epoch_cache_may_be_str_path_or_memory(rows, tmp_path, make, capsys):
    clf = small(make(tmp_path))
    clf.fit(*rows[0])
    before = written(tmp_path)
    assert len(before) == 2
    clone(clf).fit(*rows[0])
    assert written(tmp_path) == before
    assert capsys.readouterr() == ("", "")


def test_epoch_cache_memory_without_folder_stores_nothing(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small(joblib.Memory(None)).fit(*rows[0])
    assert not [*tmp_path.iterdir()]


def test_fit_invalid_epoch_cache_raises(rows):
    with pytest.raises((TypeError, ValueError), match="epoch_cache"):
        small(3).fit(*rows[0])


OTHER_PARAMETERS = {
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


def test_fit_other_parameters_trains_again(rows, tmp_path):
    small(tmp_path, epochs=1).fit(*rows[0])
    for name, params in OTHER_PARAMETERS.items():
        before = written(tmp_path)
        clf = small(tmp_path, epochs=1, **params).fit(*rows[0])
        assert len(written(tmp_path) - before) == 1, name
        assert_same_state(clf, small(epochs=1, **params).fit(*rows[0]))


def test_fit_other_data_trains_again(rows, tmp_path):
    (X, y), (X_val, y_val) = rows
    weight = np.ones(len(X))
    other = X.copy(), y.copy(), weight.copy(), y_val.copy()
    other[0][17, 300] += 0.5
    other[1][17] = (y[17] + 1) % 10
    other[2][17] = 2
    other[3][17] = (y_val[17] + 1) % 10
    variants = {
        "same": (X, y, weight, X_val, y_val),
        "pixel": (other[0], y, weight, X_val, y_val),
        "label": (X, other[1], weight, X_val, y_val),
        "weight": (X, y, other[2], X_val, y_val),
        "order": (X[::-1], y[::-1], weight, X_val, y_val),
        "validation": (X, y, weight, X_val, other[3]),
        "no validation": (X, y, weight),
    }
    for name, data in variants.items():
        before = written(tmp_path)
        clf = small(tmp_path, epochs=1).fit(*data)
        assert len(written(tmp_path) - before) == 1, name
        assert_same_state(clf, small(epochs=1).fit(*data))


def test_fit_numpy_parameters_reads_the_same_epochs(rows, tmp_path):
    params = {"units": 8, "batch_size": 16, "random_state": 3, "epochs": 2}
    params |= {"augmentation": 1, "dropout": 0.25, "shuffle": True}
    params |= {"optimizer__learning_rate": 0.25, "optimizer__momentum": 0.5}
    clf = small(tmp_path, **params).fit(*rows[0])
    before = written(tmp_path)
    scalars = {name: np.array([value])[0] for name, value in params.items()}
    assert_same_state(small(tmp_path, **scalars).fit(*rows[0]), clf)
    assert written(tmp_path) == before


@pytest.mark.parametrize(
    "params",
    [
        {"random_state": None},
        {"callbacks": keras.callbacks.ReduceLROnPlateau("loss", 0.1, 1, 0, "max")},
        {"loss": lambda *args: keras.losses.categorical_crossentropy(*args)},
        {"fit__validation_freq": 1},
    ],
    ids=["no seed", "callback", "own loss", "Keras' loop"],
)
def test_fit_unrepeatable_stores_nothing(rows, tmp_path, params):
    clf = small(tmp_path, **params).fit(*rows[0])
    assert len(clf.history_["loss"]) == 2
    assert not entries(tmp_path)


def flip_bits(content):
    return (
        content[:2000]
        + bytes(255 - byte for byte in content[2000:2004])
        + content[2004:]
    )


@pytest.mark.parametrize(
    "corrupt",
    [lambda content: content[:-100], lambda content: b"", flip_bits],
    ids=["truncated", "empty", "flipped bits"],
)
def test_fit_corrupt_epoch_is_trained_and_stored_again(rows, tmp_path, corrupt):
    straight = small(tmp_path, epochs=4).fit(*rows[0])
    for file in entries(tmp_path)[1:3]:
        file.write_bytes(corrupt(file.read_bytes()))
    for trained in 2, 0:
        before = written(tmp_path)
        assert_same_state(small(tmp_path, epochs=4).fit(*rows[0]), straight)
        assert len(written(tmp_path) - before) == trained


@pytest.mark.parametrize("trouble", ["full disk", "not a folder"])
def test_fit_unwritable_epoch_cache_warns_once_and_trains(
    rows, tmp_path, full_disk, trouble
):
    straight = small(epochs=3).fit(*rows[0])
    small(tmp_path, epochs=1).fit(*rows[0])
    before = sorted(tmp_path.rglob("*"))
    cache, reason = tmp_path, "File too large"
    if trouble == "not a folder":
        cache, reason = entries(tmp_path)[0], "Not a directory"
    with full_disk(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        clf = small(cache, epochs=3).fit(*rows[0])
    (warning,) = caught
    assert str(warning.message).startswith("Epochs are trained but not stored in ")
    assert f"{reason}. Free space there, or set" in str(warning.message)
    assert_same_state(clf, straight)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_fit_killed_leaves_no_incomplete_epoch():
    script = Path(__file__).parents[1] / "examples" / "benchmarks" / "kills.py"
    killing = subprocess.run(
        [sys.executable, script, "epoch_cache", "--kills", "4"],
        capture_output=True,
        text=True,
    )
    assert killing.returncode == 0, killing.stderr
    assert "all was whole" in killing.stdout


GRID = {"classifier__epochs": [3, 1, 2], "classifier__units": [4, 8]}


def search(digits, cache):
    pipe = make_pipeline(random_state=0, epoch_cache=cache)
    return GridSearchCV(pipe, GRID, cv=2, error_score="raise").fit(*digits[0])


@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.process)]
)
def test_search_epoch_cache_gives_the_same_scores(digits, tmp_path, backend):
    expected = search(digits, None)
    for _ in range(2):
        with joblib.parallel_config(backend, n_jobs=2):
            found = search(digits, tmp_path)
        for fold in "split0_test_score", "split1_test_score":
            np.testing.assert_array_equal(
                found.cv_results_[fold], expected.cv_results_[fold]
            )
        # 2 widths and 2 folds of 3 epochs, and the refit on all images.
        refit = found.best_params_["classifier__epochs"]
        assert len(entries(tmp_path)) == 12 + refit


def test_fits_in_threads_share_an_epoch_cache(rows, tmp_path):
    straight = small(epochs=3).fit(*rows[0])
    fits = [small(tmp_path, epochs=3) for _ in range(2)]
    threads = [threading.Thread(target=clf.fit, args=rows[0]) for clf in fits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for clf in fits:
        assert_same_state(clf, straight)
