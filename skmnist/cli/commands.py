"""The commands of the command line."""

import argparse
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from skmnist.cli.streams import complain, one_line, say, shown
from skmnist.datasets import (
    Pair,
    fetch_mnist,
    holds_arrays,
    load_digits_28x28,
    read_images,
    to_grey_levels,
)
from skmnist.saving import check_savable, check_writable, load_pipeline, save_pipeline

# Slow imports (TensorFlow, scikit-learn, Pillow) are made where they are used.

# The data that replaces MNIST offline.
DIGITS = "scikit-learn's digits at 28x28"
# Errors that are reported in one line.
ERRORS = (ImportError, MemoryError, OSError, TypeError, ValueError)


def needs_tensorflow(args: argparse.Namespace) -> bool:
    """Return whether a command imports TensorFlow."""
    return args.run in (fit, search) or Path(args.model or "").suffix == ".joblib"


def fit(args: argparse.Namespace) -> int:
    """Train, print what Keras reports of each epoch, and test."""
    if args.save:
        check_savable(args.save)
    _check_plot(args.plot)
    name, (X_train, y_train), (X_test, y_test) = _load(args)
    units = args.units[0] if len(args.units) == 1 else tuple(args.units)
    if not args.quiet:
        layers = [units, units] if isinstance(units, int) else units
        shape = "-".join(map(str, (X_train[0].size, *layers, len(np.unique(y_train)))))
        print(f"data: {name}, {len(X_train):,} images to train on", end=", ")
        validated = "" if args.validation_split else " (and as validation data)"
        print(f"{len(X_test):,} to test{validated}\nnetwork: {shape}")
        print("compiling the first epoch ...", flush=True)
    from skmnist.pipeline import make_pipeline

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
    try:
        pipe.fit(X_train, y_train, **validation)
    except KeyboardInterrupt:
        epochs = len(getattr(pipe["classifier"], "history_", {}).get("loss", ()))
        if not (args.save and epochs):
            raise
        save_pipeline(pipe, args.save)
        saved = f"saved {shown(str(args.save))} after {epochs} of {args.epochs} epochs"
        complain(f"interrupted; {saved}")
        return 130
    if not args.quiet:
        print(f"parameters: {pipe['classifier'].model_.count_params():,}")
    print(f"test accuracy: {pipe.score(X_test, y_test):.4f}")
    if args.save:
        save_pipeline(pipe, args.save)
        if name == DIGITS:  # Even if quiet: the file outlives what was printed.
            complain(f"{shown(str(args.save))} was trained on {DIGITS}, not on MNIST")
    if args.plot:
        _draw_training(pipe, X_test, y_test).savefig(args.plot)
    return 0


def search(args: argparse.Namespace) -> None:
    """Cross-validate a grid, print the candidates by rank, and test the best."""
    name, (X, y), (X_test, y_test) = _load(args)
    from sklearn.model_selection import GridSearchCV
    from sklearn.utils import resample

    from skmnist.pipeline import make_pipeline

    if args.images < len(X):
        n, seed = args.images, args.seed
        X, y = resample(X, y, replace=False, n_samples=n, stratify=y, random_state=seed)
    if not args.quiet:
        print(f"data: {name}, {len(X):,} images in 3 folds")
        print("compiling the first epoch ...", flush=True)
    search = GridSearchCV(
        make_pipeline(random_state=args.seed),
        {"classifier__units": args.units, "classifier__epochs": args.epochs},
        cv=3,
        error_score="raise",
        verbose=0 if args.quiet else 3,
    ).fit(X, y)
    columns = "rank_test_score param_classifier__units param_classifier__epochs"
    columns += " mean_test_score std_test_score mean_fit_time"
    print("rank  units  epochs  accuracy     std  fit time")
    for row in sorted(zip(*map(search.cv_results_.get, columns.split()), strict=True)):
        print("{:4d}  {:5d}  {:6d}  {:8.4f}  {:6.4f}  {:6.1f} s".format(*row))
    print(f"test accuracy: {search.score(X_test, y_test):.4f}")


def predict(args: argparse.Namespace) -> int:
    """Print the digits of pictures, and the labels of images in arrays."""
    if args.plot and (args.single or len(args.files) > 1):
        raise ValueError("--plot draws one picture, with all its digits")
    _check_plot(args.plot)
    model = load_pipeline(args.model) if args.model else None
    failed = 0
    for file in args.files:
        try:
            reading = _read(file, model, args.single)
        except ERRORS as error:
            complain(f"error: {one_line(error, file)}")
            failed = 1
            continue
        if args.json:
            print(json.dumps({"file": file, **reading.to_dict()}))
            continue
        for line in reading.to_text(args.min_confidence).split("\n"):
            say(f"{shown(file)}: {line}" if len(args.files) > 1 else line)
    if args.plot and not failed:
        from matplotlib.figure import Figure

        from skmnist.plots import PictureDisplay

        figure = Figure(layout="constrained")
        options = {"ax": figure.subplots(), "min_confidence": args.min_confidence}
        PictureDisplay.from_reading(reading, file, **options)
        figure.savefig(args.plot, bbox_inches="tight", dpi=150)
    return failed


def _read(file: str, model: Any, single: bool) -> Any:
    """Read a picture, or classify the images of a file of arrays."""
    from skmnist.reading import read_digits, read_image_array

    # read_digits has the messages for a folder, an address and a missing file.
    if os.path.isfile(file) and holds_arrays(file):
        return read_image_array(to_grey_levels(read_images(file)), model)
    return read_digits(file, estimator=model, single=single)


def app(args: argparse.Namespace) -> None:
    """Serve the page to write digits on."""
    from skmnist.app import serve

    model = load_pipeline(args.model) if args.model else None
    serve(model, port=args.port, open_browser=not args.no_browser)


def _check_plot(file: Path | None) -> None:
    """Raise an error if a drawing is wanted that cannot be made or saved."""
    if file is not None:
        from skmnist.plots.axes import import_pyplot

        check_writable(file)
        import_pyplot()


def _draw_training(pipe: Any, X: Any, y: Any) -> Any:
    """Draw history, confusion matrix, errors and first-layer weights on one page."""
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    from skmnist.plots import DigitsDisplay, HistoryDisplay

    figure = Figure(figsize=(13, 12), layout="constrained")
    axes: Any = figure.subplot_mosaic(
        [["history", "history"], ["confusion", "units"], ["digits", "digits"]],
        height_ratios=[3, 5, 4],
    )
    accuracy = f"Test accuracy {pipe.score(X, y):.4f}"
    figure.suptitle(f"{accuracy}; on the right, weights of first-layer units")
    HistoryDisplay.from_estimator(pipe, ax=axes["history"])
    matrix = ConfusionMatrixDisplay.from_predictions(
        y, pipe.predict(X), ax=axes["confusion"], cmap="Blues", colorbar=False
    )
    matrix.ax_.set_title("Confusion matrix")
    # Units with small weights have hardly changed from their random initialization.
    weights = pipe["classifier"].model_.layers[0].get_weights()[0]
    largest = np.argsort(-np.linalg.norm(weights, axis=0))[:40]
    units = DigitsDisplay(weights[:, largest].T)
    units.plot(axes["units"], n_images=len(largest), cmap="RdBu")
    DigitsDisplay.from_estimator(pipe, X, y, n_images=21, ax=axes["digits"])
    return figure


def _load(args: argparse.Namespace) -> tuple[str, Pair, Pair]:
    """Read MNIST or, if it was not asked for and cannot be downloaded, the digits."""
    if args.data or os.environ.get("SKMNIST_DATA"):
        return "MNIST", *fetch_mnist(args.data)
    if not args.quiet:
        complain("loading TensorFlow, to get MNIST from Keras' cache or download ...")
    try:
        # Keras prints its progress to standard output, which is for results here.
        report = io.StringIO() if args.quiet else sys.stderr
        with contextlib.redirect_stdout(report):
            return "MNIST", *fetch_mnist()
    except OSError as error:
        if not args.quiet:
            complain(
                "using scikit-learn's bundled digits, since MNIST cannot be downloaded"
                f" ({error.__cause__}); --data or SKMNIST_DATA names its files"
            )
    # The same split for each seed, as of MNIST, so that seeds can be compared.
    return DIGITS, *load_digits_28x28(random_state=0)
