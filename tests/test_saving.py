"""Tests of fitted pipelines in files."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pytest

from skmnist import make_pipeline
from skmnist.saving import check_savable, load, save

ENDINGS = [".joblib", ".skops", ".onnx"]


@pytest.fixture(scope="module")
def pipe(digits):
    """Return a fitted pipeline with labels that are not numbers from 0 on."""
    X, y = digits[0]
    return make_pipeline(16, 3, random_state=0).fit(X, np.array(list("abcdefghij"))[y])


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_loaded_predicts_alike(digits, pipe, tmp_path, ending):
    X_test, _ = digits[1]
    file = tmp_path / f"model{ending}"
    check_savable(file)
    save(pipe, file)
    assert list(tmp_path.iterdir()) == [file]
    loaded = load(file)
    assert loaded.classes_.tolist() == list("abcdefghij")
    np.testing.assert_array_equal(loaded.predict(X_test), pipe.predict(X_test))
    np.testing.assert_allclose(
        loaded.predict_proba(X_test), pipe.predict_proba(X_test), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("scale", [1.0, 16.0])
def test_onnx_knows_the_scale(digits, tmp_path, scale):
    X, y = digits[0]
    X = X / 255 * scale
    pipe = make_pipeline(16, 3, scale=scale, random_state=0).fit(X, y)
    save(pipe, tmp_path / "model.onnx")
    loaded = load(tmp_path / "model.onnx")
    np.testing.assert_array_equal(loaded.predict(X), pipe.predict(X))


def test_an_onnx_file_without_notes_has_labels_from_0(digits, tmp_path):
    from skl2onnx import to_onnx

    from skmnist import to_sklearn

    pipe = make_pipeline(16, 3, random_state=0).fit(*digits[0])
    rows = np.zeros((1, 784), np.float32)
    model = to_onnx(to_sklearn(pipe)["classifier"], rows, options={"zipmap": False})
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    loaded = load(tmp_path / "model.onnx")
    X_test, _ = digits[1]
    np.testing.assert_array_equal(loaded.predict(X_test), pipe.predict(X_test))


def test_joblib_goes_on_training(digits, pipe, tmp_path):
    save(pipe, tmp_path / "model.joblib")
    X, _ = digits[0]
    labels = pipe.predict(X)
    loaded = load(tmp_path / "model.joblib")
    loaded["classifier"].partial_fit(loaded["preprocess"].transform(X), labels)
    assert len(loaded["classifier"].history_["loss"]) == 4


def test_another_ending_is_refused(pipe, tmp_path):
    message = r"expected a name that ends in .joblib, .skops or .onnx"
    for call in check_savable, load, lambda file: save(pipe, file):
        for name in "model.pkl", "model", "joblib":
            with pytest.raises(ValueError, match=message):
                call(tmp_path / name)


def test_where_nothing_can_be_saved(tmp_path):
    with pytest.raises(OSError, match=r"the folder .*no does not exist"):
        check_savable(tmp_path / "no" / "model.skops")
    (tmp_path / "folder.skops").mkdir()
    with pytest.raises(OSError, match="exists, and is not a file"):
        check_savable(tmp_path / "folder.skops")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_missing_package_is_named_with_how_to_get_it(
    pipe, tmp_path, monkeypatch, ending
):
    monkeypatch.setattr("skmnist.saving.find_spec", lambda name: None)
    for call in check_savable, load, lambda file: save(pipe, file):
        with pytest.raises(ImportError, match=r"pip install 'skmnist\[ship\]'"):
            call(tmp_path / f"model{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_save_that_fails_leaves_the_old_file(tmp_path, ending):
    file = tmp_path / f"model{ending}"
    file.write_bytes(b"old")
    with pytest.raises(Exception, match=r"lambda|to_sklearn takes"):
        save([np.zeros(1000), lambda: 0], file)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_leaves_the_old_file(pipe, tmp_path, full_disk, ending):
    file = tmp_path / f"model{ending}"
    save(pipe, file)
    old = file.read_bytes()
    message = rf"cannot save .*model{ending}: File too large; make room there, or save"
    with full_disk(), pytest.raises(OSError, match=message):
        save(pipe, file)
    assert file.read_bytes() == old
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_folder_that_is_deleted_meanwhile(pipe, tmp_path, ending):
    file = tmp_path / "gone" / f"model{ending}"
    with pytest.raises(OSError, match=rf"cannot save .*{ending}: No such file or dire"):
        save(pipe, file)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_whenever_a_process_is_killed_the_file_is_whole():
    script = Path(__file__).parents[1] / "examples" / "benchmarks" / "kills.py"
    killing = subprocess.run(
        [sys.executable, script, *ENDINGS, "--kills", "6"],
        capture_output=True,
        text=True,
    )
    assert killing.returncode == 0, killing.stderr
    assert killing.stdout.count("all was whole") == 3


def test_what_a_killed_process_left_is_removed_by_a_later_one(pipe, tmp_path):
    file = tmp_path / "model.joblib"
    left, being_written = (tmp_path / f".skmnist-{name}.joblib" for name in "ab")
    for other in left, being_written, tmp_path / "mine":
        other.write_bytes(b"half")
    os.utime(left, (time.time() - 100,) * 2)
    os.utime(tmp_path / "mine", (0, 0))
    save(pipe, file)
    assert {*tmp_path.iterdir()} == {file, being_written, tmp_path / "mine"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_threads_that_save_over_each_other(pipe, tmp_path, ending):
    file = tmp_path / f"model{ending}"
    errors = []

    def save_often():
        try:
            for _ in range(5):
                save(pipe, file)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=save_often) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert load(file).classes_.tolist() == list("abcdefghij")
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_is_followed(pipe, tmp_path):
    (tmp_path / "to").mkdir()
    link, file = tmp_path / "link.joblib", tmp_path / "to" / "model.joblib"
    link.symlink_to(file)
    save(pipe, link)
    assert link.is_symlink()
    assert joblib.load(file)["classifier"].epochs == 3


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_no_pipeline_is_refused(pipe, tmp_path, ending):
    file = tmp_path / f"model{ending}"
    save(pipe, file)
    content = file.read_bytes()
    for damaged in (b"", b"hello", content[: len(content) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match="is not a pipeline written by --save, or"):
            load(file)


def test_something_else_than_a_pipeline(tmp_path):
    joblib.dump({"a": 1}, tmp_path / "model.joblib")
    with pytest.raises(ValueError, match="is not a pipeline"):
        load(tmp_path / "model.joblib")


def test_skops_runs_nothing_that_is_not_ours(tmp_path):
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(np.save), tmp_path / "model.skops")
    with pytest.raises(ValueError, match="numpy"):
        load(tmp_path / "model.skops")


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("ending", ENDINGS)
def test_code_runs_only_from_a_file_that_is_called_joblib(ending, tmp_path):
    ran, file = tmp_path / "ran", tmp_path / f"model{ending}"
    joblib.dump(Payload(ran), file)
    with pytest.raises(ValueError, match="is not a pipeline"):
        load(file)
    assert ran.exists() == (ending == ".joblib")
