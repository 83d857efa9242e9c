"""Tests of save_pipeline and load_pipeline."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skmnist import (
    MNISTClassifier,
    flatten_and_scale,
    load_pipeline,
    make_pipeline,
    save_pipeline,
)
from skmnist.saving import check_savable

ENDINGS = [".joblib", ".skops", ".onnx"]


@pytest.fixture(scope="module")
def pipe(digits):
    """Return a fitted pipeline whose labels are letters."""
    X, y = digits[0]
    return make_pipeline(16, 3, random_state=0).fit(X, np.array(list("abcdefghij"))[y])


@pytest.mark.parametrize("ending", ENDINGS)
def test_load_pipeline_predicts_as_saved(digits, pipe, tmp_path, ending):
    X_test, _ = digits[1]
    file = tmp_path / f"model{ending}"
    check_savable(file)
    save_pipeline(pipe, file)
    assert list(tmp_path.iterdir()) == [file]
    loaded = load_pipeline(file)
    assert loaded.classes_.tolist() == list("abcdefghij")
    np.testing.assert_array_equal(loaded.predict(X_test), pipe.predict(X_test))
    np.testing.assert_allclose(
        loaded.predict_proba(X_test), pipe.predict_proba(X_test), rtol=0, atol=1e-5
    )


def test_save_pipeline_onnx_keeps_scale(digits, tmp_path):
    X, y = digits[0]
    X = X / 255 * 16
    pipe = make_pipeline(16, 3, scale=16, random_state=0).fit(X, y)
    save_pipeline(pipe, tmp_path / "model.onnx")
    loaded = load_pipeline(tmp_path / "model.onnx")
    np.testing.assert_array_equal(loaded.predict(X), pipe.predict(X))


def test_save_pipeline_onnx_other_steps_raise(digits, tmp_path):
    X, y = digits[0]
    steps = [("flatten", FunctionTransformer(flatten_and_scale)), ("pca", PCA(9))]
    pipe = Pipeline([*steps, ("net", MNISTClassifier(8, epochs=1))]).fit(X, y)
    with pytest.raises(ValueError, match=r"use \.skops"):
        save_pipeline(pipe, tmp_path / "model.onnx")
    save_pipeline(pipe, str(tmp_path / "model.joblib"))
    loaded = load_pipeline(str(tmp_path / "model.joblib"))
    np.testing.assert_array_equal(loaded.predict(X), pipe.predict(X))


def test_load_pipeline_joblib_trains_further(digits, pipe, tmp_path):
    save_pipeline(pipe, tmp_path / "model.joblib")
    X, _ = digits[0]
    labels = pipe.predict(X)
    loaded = load_pipeline(tmp_path / "model.joblib")
    loaded["classifier"].partial_fit(loaded["preprocess"].transform(X), labels)
    assert len(loaded["classifier"].history_["loss"]) == 4


def test_save_pipeline_other_ending_raises(pipe, tmp_path):
    message = "the name must end in one of .joblib, .skops, .onnx"
    for call in check_savable, load_pipeline, lambda file: save_pipeline(pipe, file):
        for name in "model.pkl", "model", "joblib":
            with pytest.raises(ValueError, match=message):
                call(tmp_path / name)


def test_check_savable_missing_folder_or_folder_raises(tmp_path):
    with pytest.raises(OSError, match=r"the folder .*no does not exist"):
        check_savable(tmp_path / "no" / "model.skops")
    (tmp_path / "folder.skops").mkdir()
    with pytest.raises(OSError, match="exists, and is not a file"):
        check_savable(tmp_path / "folder.skops")


@pytest.mark.parametrize("ending", ENDINGS)
def test_save_pipeline_missing_package_says_how_to_install(
    pipe, tmp_path, monkeypatch, ending
):
    monkeypatch.setattr("skmnist.saving.find_spec", lambda name: None)
    for call in check_savable, load_pipeline, lambda file: save_pipeline(pipe, file):
        with pytest.raises(ImportError, match=r"pip install 'skmnist\[ship\]'"):
            call(tmp_path / f"model{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_save_pipeline_full_disk_keeps_old_file(pipe, tmp_path, full_disk, ending):
    file = tmp_path / f"model{ending}"
    save_pipeline(pipe, file)
    old = file.read_bytes()
    with full_disk(), pytest.raises(OSError, match="File too large"):
        save_pipeline(pipe, file)
    assert file.read_bytes() == old
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("ending", ENDINGS)
def test_save_pipeline_missing_folder_raises(pipe, tmp_path, ending):
    file = tmp_path / "gone" / f"model{ending}"
    with pytest.raises(OSError, match=r"No such file .*gone"):
        save_pipeline(pipe, file)


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_save_pipeline_killed_process_leaves_whole_file():
    script = Path(__file__).parents[1] / "examples" / "benchmarks" / "kills.py"
    killing = subprocess.run(
        [sys.executable, script, *ENDINGS, "--kills", "6"],
        capture_output=True,
        text=True,
    )
    assert killing.returncode == 0, killing.stderr
    assert killing.stdout.count("all was whole") == 3


@pytest.mark.parametrize("ending", ENDINGS)
def test_save_pipeline_threads_leave_whole_file(pipe, tmp_path, ending):
    file = tmp_path / f"model{ending}"
    errors = []

    def save_often():
        try:
            for _ in range(5):
                save_pipeline(pipe, file)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=save_often) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert load_pipeline(file).classes_.tolist() == list("abcdefghij")
    assert list(tmp_path.iterdir()) == [file]


def test_save_pipeline_follows_link(pipe, tmp_path):
    (tmp_path / "to").mkdir()
    link, file = tmp_path / "link.joblib", tmp_path / "to" / "model.joblib"
    link.symlink_to(file)
    save_pipeline(pipe, link)
    assert link.is_symlink()
    assert joblib.load(file)["classifier"].epochs == 3


@pytest.mark.parametrize("ending", ENDINGS)
def test_load_pipeline_other_content_raises(tmp_path, ending):
    file = tmp_path / f"model{ending}"
    file.write_bytes(b"hello")
    with pytest.raises(ValueError, match="is not a saved pipeline, or is truncated"):
        load_pipeline(file)
    joblib.dump({"a": 1}, file)
    with pytest.raises(ValueError, match="is not a saved pipeline"):
        load_pipeline(file)
    with pytest.raises(FileNotFoundError, match="absent"):
        load_pipeline(tmp_path / f"absent{ending}")


def test_load_pipeline_skops_other_functions_raise(tmp_path):
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(np.save), tmp_path / "model.skops")
    with pytest.raises(ValueError, match="numpy"):
        load_pipeline(tmp_path / "model.skops")


class Payload:
    """Create a folder when unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("ending", ENDINGS)
def test_load_pipeline_runs_code_only_of_joblib_files(ending, tmp_path):
    ran, file = tmp_path / "ran", tmp_path / f"model{ending}"
    joblib.dump(Payload(ran), file)
    with pytest.raises(ValueError, match="is not a saved pipeline"):
        load_pipeline(file)
    assert ran.exists() == (ending == ".joblib")
