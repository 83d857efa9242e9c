"""What the commands of the command line do."""

import argparse
import contextlib
import io
import json
import os
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skmnist.datasets import Pair, fetch_mnist, load_digits_28x28
from skmnist.images import holds_arrays, read_images
from skmnist.pretrained import read_network
from skmnist.saving import check_savable, check_writable, load, save

# What is slow to import (TensorFlow, scikit-learn) is imported where it is used.

# What is trained on where MNIST cannot be had.
DIGITS = "scikit-learn's digits at 28x28"


def fit(args: argparse.Namespace) -> int:
    """Train, print what Keras reports of each epoch, and test."""
    if args.save:
        check_savable(args.save)
    if args.plot:
        _check_plot(args.plot)
    name, (X_train, y_train), (X_test, y_test) = _load(args)
    units = args.units[0] if len(args.units) == 1 else tuple(args.units)
    if not args.quiet:
        layers = [units, units] if isinstance(units, int) else units
        shape = "-".join(map(str, (X_train[0].size, *layers, len(np.unique(y_train)))))
        print(f"data: {name}, {len(X_train):,} images to train on", end=", ")
        validated = "" if args.validation_split else " (and as validation data)"
        print(f"{len(X_test):,} to test{validated}\nnetwork: {shape}")
        _say_what_takes_time()
    from skmnist import make_pipeline

    pipe = make_pipeline(
        units,
        args.epochs,
        batch_size=args.batch_size,
        optimizer=args.optimizer,
        augmentation=args.augmentation,
        validation_split=args.validation_split,
        random_state=args.seed,
        verbose=0 if args.quiet else 2,
    )
    validation = {}
    if not args.validation_split:
        validation["classifier__X_val"] = pipe["preprocess"].transform(X_test)
        validation["classifier__y_val"] = y_test
    with _stopping_after_an_epoch(pipe["classifier"], args.save) as interrupted:
        pipe.fit(X_train, y_train, **validation)
    if not args.quiet:
        print(f"parameters: {pipe['classifier'].model_.count_params():,}")
    print(f"test accuracy: {pipe.score(X_test, y_test):.4f}")
    # First what took long.
    if args.save:
        save(pipe, args.save)
        if name == DIGITS:  # even if quiet: the file will outlive what was printed
            problem = f"{args.save} learned from {DIGITS}, not from MNIST"
            print(f"skmnist: {problem}", file=sys.stderr)
    if args.plot:
        from skmnist.plots.training import draw_training

        draw_training(pipe, X_test, y_test).savefig(args.plot)
    if interrupted:
        epochs = len(pipe["classifier"].history_["loss"])
        print(f"skmnist: interrupted; saved after {epochs} epochs", file=sys.stderr)
        return 130
    if not args.quiet:
        _say_what_next(args)
    return 0


@contextlib.contextmanager
def _stopping_after_an_epoch(clf: Any, file: Path | None) -> Iterator[list[int]]:
    """Let an interrupt end training after the epoch, if what it gave is to be saved.

    A second interrupt ends it at once, as without a file.
    """
    interrupted: list[int] = []
    if file is None:
        yield interrupted
        return

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, before)
        if not clf.initialized_:  # there is nothing to keep yet
            raise KeyboardInterrupt
        interrupted.append(number)
        clf.model_.stop_training = True
        print(
            "skmnist: interrupted; ends after this epoch, if interrupted again at once",
            file=sys.stderr,
        )

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _say_what_next(args: argparse.Namespace) -> None:
    """End a training with what can be done with it."""
    if args.save:
        file = shlex.quote(str(args.save))
        print(
            f"next: skmnist predict --model {file} photo.jpg,"
            f" or skmnist app --model {file}"
        )
    else:
        print(
            "next: --save digits.skops keeps the network, for skmnist predict and"
            " skmnist app"
        )


def search(args: argparse.Namespace) -> None:
    """Cross-validate a grid, print the candidates by rank, and test the best."""
    name, (X, y), (X_test, y_test) = _load(args)
    from sklearn.model_selection import GridSearchCV
    from sklearn.utils import resample

    from skmnist import make_pipeline

    if args.images < len(X):
        n, seed = args.images, args.seed
        X, y = resample(X, y, replace=False, n_samples=n, stratify=y, random_state=seed)
    if not args.quiet:
        print(f"data: {name}, {len(X):,} images in 3 folds")
        _say_what_takes_time()
    search = GridSearchCV(
        make_pipeline(random_state=args.seed),
        {"classifier__units": args.units, "classifier__epochs": args.epochs},
        cv=3,
        error_score="raise",
        verbose=0 if args.quiet else 3,
    ).fit(X, y)
    columns = (
        "rank_test_score",
        "param_classifier__units",
        "param_classifier__epochs",
        "mean_test_score",
        "std_test_score",
        "mean_fit_time",
    )
    print("rank  units  epochs  accuracy     std  fit time")
    for row in sorted(zip(*map(search.cv_results_.get, columns), strict=True)):
        print("{:4d}  {:5d}  {:6d}  {:8.4f}  {:6.4f}  {:6.1f} s".format(*row))
    print(f"test accuracy: {search.score(X_test, y_test):.4f}")


def predict(args: argparse.Namespace) -> int:
    """Print what is written on pictures, and the labels of images in arrays."""
    if args.plot and (args.single or len(args.files) > 1):
        raise ValueError("--plot draws one picture, and all the digits that are on it")
    if args.plot:
        _check_plot(args.plot)
    model = load(args.model) if args.model else read_network()
    failed = 0
    for file in args.files:
        try:
            read = _read(file, model, args.single)
        except (OSError, TypeError, ValueError) as error:
            problem = one_line(error)
            named = problem if file in problem else f"{file}: {problem}"
            print(f"skmnist: error: {named}", file=sys.stderr)
            failed = 1
            continue
        if args.json:
            print(json.dumps({"file": file, "digits": read}))
        else:
            for line in _lines(read, args.min_confidence) or [""]:
                print(f"{file}: {line}" if len(args.files) > 1 else line)
    if args.plot and not failed:
        import matplotlib.pyplot as plt

        from skmnist.plots import PictureDisplay

        PictureDisplay.from_estimator(
            model, args.files[0], min_confidence=args.min_confidence
        )
        plt.savefig(args.plot)
    return failed


def app(args: argparse.Namespace) -> None:
    """Serve the page to write digits on."""
    from skmnist.app import serve

    model = load(args.model) if args.model else read_network()
    serve(model, port=args.port, open_browser=not args.no_browser)


def _read(file: str, model: Any, single: bool) -> list[dict[str, Any]]:
    """Return the digits of a file: label, line, box and probabilities of each."""
    from skmnist import find_digits, to_mnist_format

    boxes = None
    # A folder, an address or nothing at all is for the reader of pictures to refuse.
    if os.path.isfile(file) and holds_arrays(file):
        images = read_images(file)
        lines = np.arange(len(images))
    elif single:
        images, lines = to_mnist_format(file)[np.newaxis], np.zeros(1, int)
    else:
        digits = find_digits(file, estimator=model)
        images, lines, boxes = digits.images, digits.lines, digits.boxes.tolist()
    if not len(images):
        return []
    labels = model.classes_.tolist()
    return [
        {
            "label": labels[row.argmax()],
            "line": int(line),
            "box": None if boxes is None else boxes[i],
            "probabilities": dict(zip(map(str, labels), row.tolist(), strict=True)),
        }
        for i, (line, row) in enumerate(
            zip(lines, model.predict_proba(images), strict=True)
        )
    ]


def _lines(digits: list[dict[str, Any]], min_confidence: float) -> list[str]:
    """Return a string for each line of writing."""
    lines: dict[int, list[str]] = {}
    for digit in digits:
        sure = max(digit["probabilities"].values()) >= min_confidence
        label = str(digit["label"]) if sure else "?"
        lines.setdefault(digit["line"], []).append(label)
    return [
        ("" if all(len(label) == 1 for label in line) else " ").join(line)
        for line in lines.values()
    ]


def _check_plot(file: Path) -> None:
    """Refuse what cannot be drawn, and have matplotlib draw into files only."""
    check_writable(file)
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "--plot takes matplotlib: pip install 'skmnist[plot]'"
        ) from error
    matplotlib.use("agg")


def _load(args: argparse.Namespace) -> tuple[str, Pair, Pair]:
    """Read MNIST, or where it was not asked for and cannot be had, the digits."""
    if args.data is not None:
        try:
            return "MNIST", *fetch_mnist(args.data)
        except (OSError, ValueError) as error:
            problem = str(error).removeprefix("path=")
            raise OSError(f"--data: {problem}") from error
    if os.environ.get("SKMNIST_DATA"):
        return "MNIST", *fetch_mnist()
    # In seconds. Without it, a firewall that drops packets holds the download for many
    # minutes; Keras offers no way to say so.
    socket.setdefaulttimeout(20)
    if not args.quiet:
        where = "in Keras' cache or by a download"
        print(
            f"skmnist: loading TensorFlow, to look for MNIST {where} ...",
            file=sys.stderr,
        )
    try:
        # Keras reports its download on standard output, which is for results here.
        report = io.StringIO() if args.quiet else sys.stderr
        with contextlib.redirect_stdout(report):
            return "MNIST", *fetch_mnist()
    except OSError as error:
        if not args.quiet:
            # What the system says of it follows Keras' own words.
            reason = one_line(error.__cause__ or error).rpartition(" -- ")[-1]
            print(
                "skmnist: using scikit-learn's bundled digits, since MNIST cannot be "
                f"downloaded ({reason}); --data or SKMNIST_DATA says where it is",
                file=sys.stderr,
            )
    # Always the same split, as in MNIST, so that seeds can be compared.
    return DIGITS, *load_digits_28x28(random_state=0)


def _say_what_takes_time() -> None:
    """Tell of the seconds in which nothing seems to happen."""
    first = "" if "tensorflow" in sys.modules else "loading TensorFlow, then "
    print(f"{first}compiling the first epoch ...", flush=True)


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__
