"""Tests of the command line, in this process and as a user starts it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import warnings

import joblib
import numpy as np
import pytest
from PIL import Image

from skmnist import load_digits_28x28, load_pipeline, read_digits
from skmnist.cli import main

# Left out on other Pythons.
pytestmark = pytest.mark.long

# The digits in the split of `fit`.
(X_TRAIN, Y_TRAIN), (X_TEST, Y_TEST) = load_digits_28x28(random_state=0)
EPOCH = re.compile(r"accuracy: \d\S* - loss: \d\S* - val_accuracy: \d\S* - val_loss")
ACCURACY = re.compile(r"test accuracy: ([01]\.\d{4})")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Return the environment of a machine that is offline and has no MNIST."""
    environment = {
        **os.environ,
        "KERAS_HOME": str(tmp_path_factory.mktemp("keras")),
        "https_proxy": "http://127.0.0.1:9",
    }
    environment.pop("SKMNIST_DATA", None)
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return environment


def start(environment, *args):
    return subprocess.Popen(
        [sys.executable, "-m", "skmnist", *map(str, args)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(environment, *args):
    """Run a command to its end: exit code, lines of output, standard error."""
    process = start(environment, *args)
    output, errors = process.communicate(timeout=600)
    assert "Traceback" not in errors
    return process.returncode, output.splitlines(), errors


def call(capsys, *args):
    """Run a command in this process: exit code, lines of output, lines of errors."""
    code = main([str(arg) for arg in args])
    output, errors = capsys.readouterr()
    return code, output.splitlines(), errors.splitlines()


def error_of(capsys, *args):
    """Return the one line that a command which fails prints."""
    code, lines, errors = call(capsys, *args)
    assert (code, lines, len(errors)) == (1, [], 1)
    assert errors[0].startswith("skmnist: error: ")
    return errors[0]


@pytest.fixture(scope="module")
def fitted(environment, tmp_path_factory):
    """Return what `fit` on the digits printed, and the file it saved."""
    file = tmp_path_factory.mktemp("model") / "digits.joblib"
    # Without the command's name, which is optional.
    options = ("--epochs", 3, "--units", 64, 32, "--seed", 1, "--save", file)
    return *run(environment, *options), file


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a picture of two text lines, 472 and 38, dark on light."""
    page = np.full((200, 260), 230, np.uint8)
    for row, line in ((30, "472"), (120, "38")):
        for i, digit in enumerate(line):
            image = X_TRAIN[np.flatnonzero(int(digit) == Y_TRAIN)[0]]
            large = np.kron(image, np.ones((2, 2)))
            place = page[row : row + 56, 30 + 70 * i : 86 + 70 * i]
            place -= (large * 0.8).astype(np.uint8)
    file = tmp_path_factory.mktemp("page") / "page.png"
    Image.fromarray(page).save(file)
    return file


@pytest.fixture
def images(tmp_path):
    np.save(tmp_path / "images.npy", X_TEST)
    return tmp_path / "images.npy"


# Usage


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train"], "invalid choice: 'train'"),
        (["--epochs", "0"], "--epochs: expected a whole number from 1"),
        (["fit", "--epochs", "-1"], "got '-1'"),
        (["fit", "--epochs", "1.5"], "got '1.5'"),
        (["--units", "64", "0"], "--units: expected"),
        (["--units"], "--units: expected at least one argument"),
        (["--seed", "-1"], "--seed: expected a whole number from 0"),
        (["--seed", str(2**32)], "--seed: expected"),
        (["--colour"], "unrecognized arguments: --colour"),
        (["search", "--images", "few"], "got 'few'"),
        (["search", "--save", "x"], "unrecognized arguments: --save"),
        (["predict", "--model", "x.skops"], "required: FILE"),
        (["predict", "--min-confidence", "2", "x.png"], "from 0 to 1, got '2'"),
        (["predict", "--min", "0.1", "x.png"], "unrecognized arguments: --min"),
        (["--epoch", "1"], "unrecognized arguments: --epoch"),
        (["--augmentation", "much"], "invalid float value: 'much'"),
        (["app", "--port", "65536"], "--port: expected a whole number from 0 to 65535"),
    ],
)
def test_main_wrong_usage_is_exit_code_2(argv, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("usage: skmnist")
    assert message in errors.splitlines()[-1]


def test_main_help_names_the_commands(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    output = capsys.readouterr().out
    for command in ("fit", "search", "predict", "app"):
        assert command in output


@pytest.mark.parametrize("command", ["fit", "search"])
def test_fit_missing_data_that_was_asked_for_fails(
    command, tmp_path, capsys, monkeypatch
):
    absent = tmp_path / "absent"
    assert "holds no mnist.npz" in error_of(capsys, command, "--data", tmp_path)
    error = error_of(capsys, command, "--data", absent)
    assert f"path={absent} does not exist" in error
    monkeypatch.setenv("SKMNIST_DATA", str(absent))
    assert f"SKMNIST_DATA={absent} does not exist" in error_of(capsys, command)


def test_fit_output_that_cannot_be_written_fails_before_training(tmp_path, capsys):
    missing = f"the folder {tmp_path / 'no'} does not exist"
    assert missing in error_of(capsys, "--save", tmp_path / "no" / "x.joblib")
    assert missing in error_of(capsys, "--plot", tmp_path / "no" / "x.png")
    error = error_of(capsys, "--save", tmp_path / "x.pkl")
    assert "the name must end in one of .joblib, .skops, .onnx" in error
    (tmp_path / "x.skops").mkdir()
    error = error_of(capsys, "--save", tmp_path / "x.skops")
    assert "exists, and is not a file" in error


# fit and search


def test_fit_prints_each_epoch_and_the_accuracy(fitted):
    code, lines, errors, file = fitted
    assert code == 0
    assert lines[:4] == [
        "data: scikit-learn's digits at 28x28, 1,437 images to train on, "
        "360 to test (and as validation data)",
        "network: 784-64-32-10",
        "compiling the first epoch ...",
        "Epoch 1/3",
    ]
    assert len([line for line in lines if EPOCH.search(line)]) == 3
    assert "parameters: 52,650" in lines
    assert float(ACCURACY.fullmatch(lines[-1])[1]) > 0.8
    # TensorFlow's log is not among them.
    looking, keras, instead, saved = errors.splitlines()
    assert looking.startswith("skmnist: loading TensorFlow, to get MNIST")
    assert "Downloading" in keras
    assert "using scikit-learn's bundled digits" in instead
    assert "--data or SKMNIST_DATA" in instead
    assert f"{file} was trained on scikit-learn's digits" in saved


def test_filter_stderr_drops_tensorflows_log_and_shows_a_crash(environment):
    code = """
import os, sys
from skmnist.cli.streams import filter_stderr
filter_stderr()
log = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written\\n"
    b"I0000 00:00:1795686338.859821   18172 port.cc:153] oneDNN custom operations\\n"
    b"2026-11-26 09:33:59.123456: I tensorflow/core/util/port.cc:153] oneDNN\\n"
    b"E0000 00:00:1795686347.1 18172 cuda.cc:52] failed call to cuInit: (303)\\n"
)
os.write(2, log + b"2026 is a year\\nI say: ")
print("from Python", file=sys.stderr)
os.write(2, b"the CPU lacks an instruction\\n")
os.abort()
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert sorted(done.stderr.splitlines()) == [
        "2026 is a year",
        "I say: the CPU lacks an instruction",
        "from Python",
    ]


def test_fit_saves_the_pipeline_and_nothing_else(fitted):
    file = fitted[-1]
    assert list(file.parent.iterdir()) == [file]
    accuracy = joblib.load(file).score(X_TEST, Y_TEST)
    assert fitted[1][-1] == f"test accuracy: {accuracy:.4f}"


@pytest.mark.process
def test_fit_quiet_draws_and_saves(environment, tmp_path, capsys):
    model, drawing = tmp_path / "my.onnx", tmp_path / "page.png"
    options = ("--epochs", 2, "--units", 16, "--seed", 0, "--augmentation", 0.5)
    more = ("--optimizer", "adam", "--batch-size", 16, "--validation-split", 0.2)
    files = ("--save", model, "--plot", drawing)
    code, lines, errors = run(environment, *options, *more, *files, "--quiet")
    assert (code, len(lines)) == (0, 1)
    (saved,) = errors.splitlines()
    assert saved.startswith(f"skmnist: {model} was trained on scikit-learn's digits")
    with Image.open(drawing) as page:
        assert min(page.size) > 800
    np.save(tmp_path / "images.npy", X_TEST)
    args = ("--min-confidence", 0, "--model", model, tmp_path / "images.npy")
    code, labels, complaints = call(capsys, "predict", *args)
    assert (code, complaints) == (0, [])
    accuracy = np.mean(np.array(labels) == Y_TEST.astype(str))
    assert lines[-1] == f"test accuracy: {accuracy:.4f}"


@pytest.mark.process
def test_fit_interrupted_saves_the_finished_epochs(environment, tmp_path):
    file = tmp_path / "model.joblib"
    with start(environment, "--epochs", 100_000, "--save", file) as process:
        while "loss" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    epochs = len(joblib.load(file)["classifier"].history_["loss"])
    saved = f"saved {file} after {epochs} of 100000 epochs"
    assert errors.endswith(f"skmnist: interrupted; {saved}\n")
    assert load_pipeline(file).score(X_TEST, Y_TEST) > 0.3


@pytest.mark.process
def test_search_ranks_the_candidates(environment):
    grid = ("--units", 4, 64, "--epochs", 1, 2)
    code, lines, errors = run(environment, "search", *grid, "--images", 300)
    assert code == 0
    assert "bundled digits" in errors
    assert "300 images in 3 folds" in lines[0]
    header = lines.index("rank  units  epochs  accuracy     std  fit time")
    rows = [line.split() for line in lines[header + 1 : -1]]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert {(row[1], row[2]) for row in rows} == {
        (units, epochs) for units in ("4", "64") for epochs in ("1", "2")
    }
    accuracies = [float(row[3]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert ACCURACY.fullmatch(lines[-1])


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("SKMNIST_DATA"), reason="needs MNIST")
def test_fit_mnist(environment):
    environment = {**environment, "SKMNIST_DATA": os.environ["SKMNIST_DATA"]}
    code, lines, errors = run(environment, "--epochs", 1, "--seed", 0)
    assert (code, errors) == (0, "")
    assert lines[1:3] == ["network: 784-512-512-10", "compiling the first epoch ..."]
    assert "parameters: 669,706" in lines
    assert float(ACCURACY.fullmatch(lines[-1])[1]) > 0.95


# app


def test_app_serves_until_interrupted(environment):
    with start(environment, "app", "--port", 0, "--no-browser") as process:
        address = re.search(r"http://127.0.0.1:(\d+)", process.stdout.readline())
        with urllib.request.urlopen(address[0]) as answer:
            assert b'id="draw"' in answer.read()
        again = run(environment, "app", "--port", address[1], "--no-browser")
        assert again[0] == 1
        assert f"('127.0.0.1', {address[1]})" in again[2]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


# predict, pictures


def test_predict_prints_a_line_for_each_text_line(page, environment):
    assert run(environment, "predict", page) == (0, ["472", "38"], "")


@pytest.mark.parametrize("descriptor", [1, 2])
def test_predict_closed_stream_is_ignored(page, environment, descriptor):
    done = subprocess.run(
        [sys.executable, "-m", "skmnist", "predict", page],
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.close(descriptor),
    )
    output = "" if descriptor == 1 else "472\n38\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, output, "")


def test_predict_several_files_have_names_in_front(page, tmp_path, capsys):
    blank = tmp_path / "blank.png"
    Image.new("L", (100, 80), 240).save(blank)
    expected = [f"{page}: 472", f"{page}: 38", f"{blank}: "]
    assert call(capsys, "predict", page, blank) == (0, expected, [])


def test_predict_bad_files_are_named_and_others_read(page, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "truncated.png").write_bytes(page.read_bytes()[:300])
    (tmp_path / "text.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{")
    bad = [tmp_path / "text.png", tmp_path / "truncated.png", tmp_path / "text.npy"]
    bad += [tmp_path, tmp_path / "a  b.png", "absent.png", "https://example.org/7.png"]
    code, lines, errors = call(capsys, "predict", *bad, page)
    assert (code, lines) == (1, [f"{page}: 472", f"{page}: 38"])
    for file, line in zip(bad, errors, strict=True):
        assert line.startswith("skmnist: error: ")
        assert line.count(str(file)) == 1
        assert "pickle" not in line


def test_predict_plot_draws_the_picture(page, tmp_path, capsys):
    file = tmp_path / "read.svg"
    assert call(capsys, "predict", "--plot", file, page) == (0, ["472", "38"], [])
    assert "<svg" in file.read_text()
    error = error_of(capsys, "predict", "--plot", file, page, page)
    assert "--plot draws one picture" in error


def test_predict_json_is_one_document_a_line(page, images, tmp_path, capsys):
    odd = tmp_path / "line\nbreak \u4e03.png"
    odd.write_bytes(page.read_bytes())
    args = ("--json", page, "absent.png", odd, images)
    code, lines, errors = call(capsys, "predict", *args)
    assert (code, len(errors)) == (1, 1)
    one, two, arrays = map(json.loads, lines)
    reading = read_digits(page).to_dict()
    assert one == {"file": str(page), **reading}
    assert two == {"file": str(odd), **reading}
    assert (arrays["width"], arrays["height"]) == (28, 28)
    assert len(arrays["digits"]) == len(X_TEST)


def test_predict_low_confidence_is_question_mark(page, capsys):
    reading = read_digits(page)
    least = sorted(reading.confidence.tolist())[1]
    args = ("--min-confidence", least, page)
    code, lines, errors = call(capsys, "predict", *args)
    assert (code, errors) == (0, [])
    assert "\n".join(lines) == reading.to_text(least)
    assert "?" in "".join(lines)


def test_predict_single_reads_one_digit(tmp_path, capsys):
    one, blank = tmp_path / "one.png", tmp_path / "blank.png"
    Image.fromarray(255 - X_TRAIN[0]).save(one)
    expected = (0, [str(Y_TRAIN[0])], [])
    assert call(capsys, "predict", "--single", one) == expected
    Image.new("L", (100, 80), 240).save(blank)
    assert str(blank) in error_of(capsys, "predict", "--single", blank)


def test_predict_names_that_cannot_be_printed(page, environment, tmp_path):
    names = ["a.png", os.fsdecode(b"\xe9.png"), "\u4e03.png", "z.png"]
    for name in names:
        (tmp_path / name).write_bytes(page.read_bytes())
    command = [sys.executable, "-m", "skmnist", "predict", "no\nfile.png", *names]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment | {"PYTHONIOENCODING": "cp1252:strict", "PYTHONUTF8": "1"},
        capture_output=True,
    )
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.count(b"no\\nfile.png") == 1
    assert done.stdout.splitlines() == [
        name + text
        for name in (b"a.png", b"\\udce9.png", b"\\u4e03.png", b"z.png")
        for text in (b": 472", b": 38")
    ]


def test_predict_closed_stderr_prints_results_only(page, environment):
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "skmnist"]
    command += ["predict", "absent.png", str(page)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"{page}: 472", f"{page}: 38"]


# predict, models


def test_predict_model_that_is_not_a_pipeline_fails(images, tmp_path, capsys):
    file = tmp_path / "model.joblib"
    for content in (b"", b"hello", b"PK\3\4"):
        file.write_bytes(content)
        error = error_of(capsys, "predict", "--model", file, images)
        assert f"{file} is not a saved pipeline, or is truncated or corrupt" in error
    file.unlink()
    error = error_of(capsys, "predict", "--model", file, images)
    assert f"No such file or directory: '{file}'" in error


def warn_and_fail():
    warnings.warn("written by other versions", stacklevel=1)
    raise AttributeError("no such thing in these")


class FromOtherVersions:
    def __reduce__(self):
        return warn_and_fail, ()


def test_predict_shows_warnings_of_a_model_that_cannot_be_loaded(
    images, tmp_path, capsys
):
    joblib.dump(FromOtherVersions(), tmp_path / "model.joblib")
    with pytest.warns(UserWarning, match="written by other versions"):
        error = error_of(
            capsys, "predict", "--model", tmp_path / "model.joblib", images
        )
    assert "no such thing in these" in error


# predict, arrays


def test_predict_arrays_prints_a_label_a_line(fitted, images, tmp_path, capsys):
    options = ("predict", "--min-confidence", 0, "--model", fitted[-1])
    expected = joblib.load(fitted[-1]).predict(X_TEST).astype(str).tolist()
    assert call(capsys, *options, images) == (0, expected, [])
    np.savez(tmp_path / "images.npz", X=X_TEST, labels=Y_TEST)
    assert call(capsys, *options, tmp_path / "images.npz") == (0, expected, [])


@pytest.mark.parametrize(
    "change",
    [
        lambda X: (X / 255).astype(np.float32),
        lambda X: X > 127,
        lambda X: X[..., np.newaxis],
        lambda X: 255 - X,
    ],
    ids=["in [0, 1]", "bool", "4-D", "dark on light"],
)
def test_predict_arrays_of_other_kinds_are_read(change, tmp_path, capsys):
    np.save(tmp_path / "images.npy", change(X_TEST[:100]))
    code, lines, errors = call(capsys, "predict", tmp_path / "images.npy")
    assert (code, errors) == (0, [])
    assert np.mean(np.array(lines) == Y_TEST[:100].astype(str)) > 0.9


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (X_TEST[:, :27, :27], "images must have 28x28 pixels, got an array of shape"),
        (X_TEST - 127.5, "grey levels must be from 0 to 255, or from 0 to 1"),
        (np.full((3, 28, 28), np.nan), "grey levels must be from 0 to 255"),
        (X_TEST.astype(str), "images must hold numbers"),
    ],
)
def test_predict_arrays_that_are_not_images_fail(images, message, tmp_path, capsys):
    np.save(tmp_path / "images.npy", images)
    error = error_of(capsys, "predict", tmp_path / "images.npy")
    assert f"{tmp_path / 'images.npy'}: {message}" in error


def test_predict_ends_quietly_if_its_reader_leaves(environment, images):
    with start(environment, "predict", images) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 1
    assert errors == ""
