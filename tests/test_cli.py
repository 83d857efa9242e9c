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

from skmnist import load_digits_28x28
from skmnist.cli import main

# Of the digits, as `fit` splits them.
(_, _), (X_TEST, Y_TEST) = load_digits_28x28(random_state=0)
PRINTED_EPOCH = re.compile(
    r"accuracy: \d\S* - loss: \d\S* - val_accuracy: \d\S* - val_loss: \d"
)
# Labels only, however sure.
READ = ("predict", "--min-confidence", "0", "--model")
ACCURACY = re.compile(r"test accuracy: ([01]\.\d{4})")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Return the environment of a machine without MNIST and without a network."""
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
        # Where these tests run in the background, a shell may have them ignore
        # interrupts, and processes that they start would, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(environment, *args):
    """Run a command to its end: exit code, lines of output, standard error."""
    process = start(environment, *args)
    output, errors = process.communicate(timeout=600)
    assert "Traceback" not in errors
    return process.returncode, output.splitlines(), errors


@pytest.fixture(scope="module")
def fitted(environment, tmp_path_factory):
    """Return what `fit` on the digits printed, and the file it saved."""
    file = tmp_path_factory.mktemp("model") / "digits.joblib"
    # Without the command's name, which may be left out.
    options = ("--epochs", 3, "--units", 64, 32, "--seed", 1, "--save", file)
    return *run(environment, *options), file


class TestUsage:
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
            (
                ["predict", "--min-confidence", "2", "x.png"],
                "number from 0 to 1, got '2'",
            ),
            (["predict", "--min", "0.1", "x.png"], "unrecognized arguments: --min"),
            (["--epoch", "1"], "unrecognized arguments: --epoch"),
            (["--augmentation", "much"], "invalid float value: 'much'"),
        ],
    )
    def test_wrong_usage_is_one_line_and_code_2(self, argv, message, capsys):
        with pytest.raises(SystemExit) as caught:
            main(argv)
        assert caught.value.code == 2
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.count("\n") == 1
        assert errors.startswith("skmnist")
        assert message in errors

    def test_help_needs_no_tensorflow(self):
        code = "import sys\nfrom skmnist.cli import main\ntry: main(['--help'])\n"
        code += (
            "finally: assert not {'tensorflow', 'keras', 'sklearn'} & {*sys.modules}"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True
        )
        assert done.returncode == 0
        assert done.stderr == ""
        assert done.stdout.startswith("usage: skmnist")
        assert all(command in done.stdout for command in ("fit", "search", "predict"))


class TestRefusal:
    """What fails ends in one line and exit code 1, before anything is trained."""

    @staticmethod
    def refuse(argv, capsys):
        assert main([str(arg) for arg in argv]) == 1
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.startswith("skmnist: error: ")
        assert errors.count("\n") == 1
        return errors

    @pytest.mark.parametrize("command", ["fit", "search"])
    def test_data_that_was_asked_for(self, command, tmp_path, capsys, monkeypatch):
        # No fallback on the digits: the user said what to train on.
        errors = self.refuse([command, "--data", tmp_path], capsys)
        assert "holds no mnist.npz" in errors
        errors = self.refuse([command, "--data", tmp_path / "absent"], capsys)
        assert f"--data: {tmp_path / 'absent'} does not exist" in errors
        monkeypatch.setenv("SKMNIST_DATA", str(tmp_path / "absent"))
        errors = self.refuse([command], capsys)
        assert f"SKMNIST_DATA={tmp_path / 'absent'} does not exist" in errors

    def test_where_nothing_can_be_saved(self, tmp_path, capsys):
        errors = self.refuse(["--save", tmp_path / "no" / "x.joblib"], capsys)
        assert f"the folder {tmp_path / 'no'} does not exist" in errors
        errors = self.refuse(["--save", tmp_path / "x.pkl"], capsys)
        assert "expected a name that ends in .joblib, .skops or .onnx" in errors
        (tmp_path / "x.skops").mkdir()
        errors = self.refuse(["--save", tmp_path / "x.skops"], capsys)
        assert "exists, and is not a file" in errors
        errors = self.refuse(["--plot", tmp_path / "no" / "x.png"], capsys)
        assert f"the folder {tmp_path / 'no'} does not exist" in errors

    @pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04\x95half", b"PK\3\4"])
    def test_no_pipeline(self, content, images, tmp_path, capsys):
        file = tmp_path / "model.joblib"
        file.write_bytes(content)
        errors = self.refuse(["predict", "--model", file, images], capsys)
        assert f"{file} is not a pipeline written by --save, or is cut short" in errors

    def test_something_else_than_a_pipeline(self, images, tmp_path, capsys):
        joblib.dump({"a": 1}, tmp_path / "model.joblib")
        errors = self.refuse(
            ["predict", "--model", tmp_path / "model.joblib", images], capsys
        )
        assert "is not a pipeline" in errors

    def test_missing_files(self, images, tmp_path, capsys):
        model = tmp_path / "absent.joblib"
        for argv in (("--model", model, images), (model,)):
            errors = self.refuse(["predict", *argv], capsys)
            assert f"No such file or directory: '{model}'" in errors

    def test_a_pipeline_cut_short(self, fitted, images, tmp_path, capsys):
        content = fitted[-1].read_bytes()
        file = tmp_path / "model.joblib"
        file.write_bytes(content[: len(content) // 2])
        assert "cut short" in self.refuse(["predict", "--model", file, images], capsys)

    def test_no_images(self, tmp_path, capsys):
        file = tmp_path / "images.npz"
        refusals = [b"", b"text", b"PK\3\4 half", b"\x93NUMPY\x01\x00v\x00{"]
        for content in refusals:
            file.write_bytes(content)
            errors = self.refuse(["predict", file], capsys)
            assert str(file) in errors
            assert "pickle" not in errors

    @pytest.mark.parametrize(
        "names", [("a", "b"), ("x_train", "y_train"), ("images", "X"), ()]
    )
    def test_ambiguous_names(self, names, tmp_path, capsys):
        np.savez(tmp_path / "images.npz", **dict.fromkeys(names, X_TEST))
        errors = self.refuse(["predict", tmp_path / "images.npz"], capsys)
        assert "expected one array, or one that is named x_test, images or X" in errors
        assert f"it holds {', '.join(names) or 'none'}" in errors

    def test_images_of_another_size(self, fitted, tmp_path, capsys):
        np.save(tmp_path / "images.npy", X_TEST[:, :27, :27])
        errors = self.refuse(
            ["predict", "--model", fitted[-1], tmp_path / "images.npy"], capsys
        )
        assert "729" in errors


@pytest.fixture
def images(tmp_path):
    np.save(tmp_path / "images.npy", X_TEST)
    return tmp_path / "images.npy"


def warn_and_fail():
    warnings.warn("written by other versions", stacklevel=1)
    raise AttributeError("no such thing in these")


class FromOtherVersions:
    def __reduce__(self):
        return warn_and_fail, ()


def test_a_warning_is_shown_though_loading_fails(tmp_path, capsys):
    model, images = tmp_path / "model.joblib", tmp_path / "images.npy"
    joblib.dump(FromOtherVersions(), model)
    np.save(images, X_TEST)
    with pytest.warns(UserWarning, match="written by other versions"):
        assert main(["predict", "--model", str(model), str(images)]) == 1
    assert "no such thing in these" in capsys.readouterr().err


class TestFit:
    def test_it_prints_each_epoch_and_the_accuracy(self, fitted):
        code, lines, errors, _ = fitted
        assert code == 0
        assert lines[:4] == [
            "data: scikit-learn's digits at 28x28, 1,437 images to train on, "
            "360 to test (and as validation data)",
            "network: 784-64-32-10",
            "compiling the first epoch ...",
            "Epoch 1/3",
        ]
        assert len([line for line in lines if PRINTED_EPOCH.search(line)]) == 3
        assert "parameters: 52,650" in lines
        assert float(ACCURACY.fullmatch(lines[-2])[1]) > 0.8
        looking, keras, instead, saved = errors.splitlines()
        assert looking.startswith("skmnist: loading TensorFlow, to look for MNIST")
        assert "Downloading" in keras
        assert "using scikit-learn's bundled digits" in instead
        assert "--data or SKMNIST_DATA" in instead
        assert "path=" not in errors
        assert f"{fitted[-1]} learned from scikit-learn's digits" in saved

    def test_quiet_prints_the_accuracy_only(self, fitted, environment):
        # The same seed, so the same accuracy.
        options = ("--epochs", 3, "--units", 64, 32, "--seed", 1, "--quiet")
        code, lines, errors = run(environment, "fit", *options)
        assert (code, lines, errors) == (0, fitted[1][-2:-1], "")

    def test_it_is_repeatable_without_a_seed(self, environment):
        options = ("fit", "--epochs", 1, "--units", 16, "--quiet")
        first, again, zero, other = (
            run(environment, *options, *more)[1]
            for more in ((), (), ("--seed", 0), ("--seed", 3))
        )
        assert first == again == zero != other

    def test_it_saves_the_pipeline_and_nothing_else(self, fitted):
        file = fitted[-1]
        assert list(file.parent.iterdir()) == [file]
        accuracy = joblib.load(file).score(X_TEST, Y_TEST)
        assert fitted[1][-2] == f"test accuracy: {accuracy:.4f}"

    def test_a_full_disk_leaves_the_old_file(self, environment, tmp_path, full_disk):
        file = tmp_path / "model.joblib"
        file.write_bytes(b"old")
        with full_disk():
            code, lines, errors = run(environment, "--epochs", 1, "--save", file)
        assert code == 1
        assert lines[-1].startswith("test accuracy: ")
        error = f"cannot save {file}: File too large; make room there, or save to"
        assert f"\nskmnist: error: {error} another folder\n" in errors
        assert file.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [file]

    def test_a_network_larger_than_memory(self, environment):
        code, lines, errors = run(environment, "--units", 100_000_000)
        assert code == 1
        assert "network: 784-100000000-100000000-10" in lines
        error = "A network of 10,000,079,600,000,010 parameters takes"
        assert f"\nskmnist: error: {error} 80,000,637 GB or more to train" in errors
        assert errors.endswith("Choose fewer units.\n")

    def test_interrupted(self, environment):
        with start(environment, "--epochs", 100_000) as process:
            self.interrupt(process)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in errors

    @staticmethod
    def interrupt(process):
        while "loss" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)

    def test_interrupted_it_keeps_the_epochs_that_ended(self, environment, tmp_path):
        file = tmp_path / "model.joblib"
        with start(environment, "--epochs", 100_000, "--save", file) as process:
            self.interrupt(process)
            output, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in errors
        epochs = len(joblib.load(file)["classifier"].history_["loss"])
        assert errors.endswith(f"interrupted; saved after {epochs} epochs\n")
        accuracy = joblib.load(file).score(X_TEST, Y_TEST)
        assert f"test accuracy: {accuracy:.4f}" in output

    def test_interrupted_twice_it_keeps_nothing(self, environment, tmp_path):
        file = tmp_path / "model.joblib"
        # An epoch that takes long.
        options = ("--epochs", 2, "--units", 4096, "--batch-size", 1)
        with start(environment, *options, "--save", file) as process:
            while "Epoch 1/" not in process.stdout.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            while "interrupted; ends after this epoch" not in process.stderr.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in errors
        assert not list(tmp_path.iterdir())

    def test_it_draws_a_page_and_says_what_next(self, environment, tmp_path):
        options = ("--epochs", 2, "--units", 16, "--seed", 0, "--augmentation", 0.5)
        more = ("--optimizer", "adam", "--batch-size", 16, "--validation-split", 0.2)
        files = ("--save", tmp_path / "my.skops", "--plot", tmp_path / "page.png")
        code, lines, errors = run(environment, *options, *more, *files)
        assert code == 0
        assert lines[0].endswith("1,437 images to train on, 360 to test")
        assert lines[-1].startswith(f"next: skmnist predict --model {files[1]} ")
        assert lines[-1].endswith(f" or skmnist app --model {files[1]}")
        with Image.open(tmp_path / "page.png") as page:
            assert min(page.size) > 800
        assert "Traceback" not in errors

    @pytest.mark.slow
    @pytest.mark.skipif(not os.environ.get("SKMNIST_DATA"), reason="reads MNIST")
    def test_mnist(self):
        code, lines, errors = run(os.environ, "--epochs", 1, "--seed", 0)
        assert (code, errors) == (0, "")
        assert lines[1:3] == [
            "network: 784-512-512-10",
            "loading TensorFlow, then compiling the first epoch ...",
        ]
        assert "parameters: 669,706" in lines
        assert float(ACCURACY.fullmatch(lines[-2])[1]) > 0.95


def test_the_page_is_served_until_interrupted(environment, tmp_path):
    with start(environment, "app", "--port", 0, "--no-browser") as process:
        address = re.search(r"http://127.0.0.1:(\d+)", process.stdout.readline())
        with urllib.request.urlopen(address[0]) as answer:
            assert b'id="draw"' in answer.read()
        again = run(environment, "app", "--port", address[1], "--no-browser")
        assert again[0] == 1
        assert f"Port {address[1]} on 127.0.0.1 cannot be used" in again[2]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


class TestSearch:
    def test_it_ranks_the_candidates(self, environment):
        grid = ("--units", 4, 64, "--epochs", 1, 2)
        code, lines, errors = run(
            environment, "search", *grid, "--images", 300, "--seed", 0
        )
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


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a picture of two lines, 472 and 38, dark on light."""
    (X, y), _ = load_digits_28x28(random_state=0)
    page = np.full((200, 260), 230, np.uint8)
    for row, line in ((30, "472"), (120, "38")):
        for i, digit in enumerate(line):
            image = np.kron(X[np.flatnonzero(y == int(digit))[0]], np.ones((2, 2)))
            place = page[row : row + 56, 30 + 70 * i : 86 + 70 * i]
            place -= (image * 0.8).astype(np.uint8)
    file = tmp_path_factory.mktemp("page") / "page.png"
    Image.fromarray(page).save(file)
    return file


class TestPredictPictures:
    def test_digits_come_out_as_they_stand(self, page, environment):
        assert run(environment, "predict", page) == (0, ["472", "38"], "")

    def test_no_tensorflow_and_no_scikit_learn_is_imported(self, page):
        code = (
            "import sys; from skmnist.cli import main;"
            f"main(['predict', {str(page)!r}]);"
            "print({'tensorflow', 'keras', 'sklearn', 'matplotlib'} & {*sys.modules})"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True
        )
        assert done.stdout.splitlines() == ["472", "38", "set()"], done.stderr

    def test_several_files_have_their_names_in_front(self, page, tmp_path, capsys):
        blank = tmp_path / "blank.png"
        Image.new("L", (100, 80), 240).save(blank)
        assert main(["predict", str(page), str(blank)]) == 0
        output, errors = capsys.readouterr()
        assert output.splitlines() == [f"{page}: 472", f"{page}: 38", f"{blank}: "]
        assert errors == ""

    def test_what_cannot_be_read_is_said_and_the_others_are_read(
        self, page, tmp_path, capsys
    ):
        (tmp_path / "text.png").write_text("no picture")
        (tmp_path / "cut.png").write_bytes(page.read_bytes()[:300])
        bad = [tmp_path / "text.png", tmp_path / "cut.png", tmp_path, "absent.png"]
        bad += ["https://example.org/7.png"]
        assert main(["predict", *map(str, bad), str(page)]) == 1
        output, errors = capsys.readouterr()
        assert output.splitlines() == [f"{page}: 472", f"{page}: 38"]
        for file, line in zip(bad, errors.splitlines(), strict=True):
            assert line.startswith("skmnist: error: ")
            assert str(file) in line

    def test_plot_draws_the_picture(self, page, environment, tmp_path):
        file = tmp_path / "read.svg"
        done = run(environment, "predict", "--plot", file, page)
        assert done == (0, ["472", "38"], "")
        assert "<svg" in file.read_text()
        code, _, errors = run(environment, "predict", "--plot", file, page, page)
        assert code == 1
        assert "--plot draws one picture" in errors

    def test_json_tells_all(self, page, capsys):
        assert main(["predict", "--json", str(page)]) == 0
        read = json.loads(capsys.readouterr().out)
        digits = read["digits"]
        assert read["file"] == str(page)
        assert [digit["label"] for digit in digits] == [4, 7, 2, 3, 8]
        assert [digit["line"] for digit in digits] == [0, 0, 0, 1, 1]
        for i, digit in enumerate(digits):
            left, top, right, bottom = digit["box"]
            row, column = divmod(i, 3)
            assert 28 + 70 * column <= left < right <= 88 + 70 * column
            assert 28 + 90 * row <= top < bottom <= 178 - 90 * (1 - row)
            assert sum(digit["probabilities"].values()) == pytest.approx(1)
            best = max(digit["probabilities"], key=digit["probabilities"].get)
            assert best == str(digit["label"])

    def test_a_digit_that_is_not_sure_is_a_question_mark(self, page, capsys):
        main(["predict", "--json", str(page)])
        digits = json.loads(capsys.readouterr().out)["digits"]
        sure = [max(digit["probabilities"].values()) for digit in digits]
        least = sorted(sure)[1]
        assert main(["predict", "--min-confidence", str(least), str(page)]) == 0
        read = "".join(capsys.readouterr().out.split())
        expected = "".join(
            c if p >= least else "?" for c, p in zip("47238", sure, strict=True)
        )
        assert read == expected
        assert "?" in read

    def test_single_takes_a_picture_for_one_digit(self, tmp_path, capsys):
        (X, y), _ = load_digits_28x28(random_state=0)
        Image.fromarray(255 - X[0]).save(tmp_path / "one.png")
        assert main(["predict", "--single", str(tmp_path / "one.png")]) == 0
        assert capsys.readouterr().out == f"{y[0]}\n"
        Image.new("L", (100, 80), 240).save(tmp_path / "blank.png")
        assert main(["predict", "--single", str(tmp_path / "blank.png")]) == 1
        assert "blank.png" in capsys.readouterr().err

    @pytest.mark.parametrize("ending", [".joblib", ".skops", ".onnx"])
    def test_a_model_of_ones_own(self, page, environment, tmp_path, ending):
        model = tmp_path / f"model{ending}"
        options = ("--units", 64, "--epochs", 3, "--seed", 0, "--quiet")
        code, lines, _ = run(environment, "fit", *options, "--save", model)
        assert code == 0
        images = tmp_path / "images.npy"
        np.save(images, X_TEST)
        code, labels, errors = run(environment, *READ, model, images)
        assert (code, errors) == (0, "")
        accuracy = np.mean(np.array(labels) == Y_TEST.astype(str))
        assert lines[-1] == f"test accuracy: {accuracy:.4f}"
        code, lines, errors = run(environment, *READ, model, page)
        assert (code, errors) == (0, "")
        assert [len(line) for line in lines] == [3, 2]


class TestPredict:
    @pytest.mark.parametrize(
        "names", [("some",), ("x_test", "y_test"), ("X", "labels")]
    )
    def test_npz(self, fitted, names, tmp_path, capsys):
        arrays = dict.fromkeys(names, Y_TEST) | {names[0]: X_TEST}
        np.savez(tmp_path / "images.npz", **arrays)
        assert main([*READ, str(fitted[-1]), str(tmp_path / "images.npz")]) == 0
        self.check(capsys, fitted[-1])

    def test_npy(self, fitted, images, capsys):
        assert main([*READ, str(fitted[-1]), str(images)]) == 0
        self.check(capsys, fitted[-1])

    @staticmethod
    def check(capsys, file):
        output, errors = capsys.readouterr()
        labels = joblib.load(file).predict(X_TEST)
        assert output.splitlines() == [str(label) for label in labels]
        assert errors == ""

    def test_one_image(self, fitted, tmp_path, capsys):
        np.save(tmp_path / "image.npy", X_TEST[0])
        assert main([*READ, str(fitted[-1]), str(tmp_path / "image.npy")]) == 0
        label = joblib.load(fitted[-1]).predict(X_TEST[:1])[0]
        assert capsys.readouterr().out == f"{label}\n"

    def test_a_reader_that_leaves(self, fitted, environment, images):
        with start(environment, "predict", "--model", fitted[-1], images) as process:
            process.stdout.close()
            errors = process.stderr.read()
        assert process.returncode == 1
        assert errors == ""
