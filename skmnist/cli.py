"""Train, search and predict from the command line: ``python -m skmnist``."""

import argparse
import contextlib
import functools
import os
import socket
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from skmnist.datasets import Pair, fetch_mnist, load_digits_28x28

# What is slow to import (TensorFlow, scikit-learn) is imported where it is used: --help
# and wrong usage answer at once.


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (try {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; None means those of the process. Without a command, ``fit``.

    Returns
    -------
    int
        Exit code: 0, 1 if something failed, 130 if interrupted.

    Raises
    ------
    SystemExit
        With code 2 on wrong usage, with code 0 after ``--help``.

    Examples
    --------
    >>> from skmnist.cli import main
    >>> main(["fit", "--epochs", "1", "--save", "no/such/folder/model.joblib"])
    1
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        argv.insert(0, "fit")
    args = _make_parser().parse_args(argv)
    # TensorFlow's remarks on a missing GPU, an error by its own rating, would bury what
    # is printed here. This is an application, so it may decide; failures still raise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # `skmnist predict ... | head`
        # Else Python flushes at exit, and complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, TypeError, ValueError) as error:
        print(f"skmnist: error: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _make_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = _Parser(
        prog="skmnist",
        description="Train a 784-512-512-10 network on MNIST. Without a command: fit.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    number: dict[str, Any] = {"type": _whole, "metavar": "N"}
    numbers: dict[str, Any] = {**number, "nargs": "+"}
    shared = _Parser(add_help=False)
    shared.add_argument(
        "--data",
        metavar="PATH",
        help="mnist.npz, or a folder holding it or the four IDX files (default: "
        "SKMNIST_DATA, else a download, else scikit-learn's bundled digits)",
    )
    shared.add_argument("--seed", type=_seed, metavar="N", help="make it repeatable")
    shared.add_argument("--quiet", action="store_true", help="print the result only")

    fit = commands.add_parser("fit", parents=[shared], help="train, and test")
    fit.add_argument(
        "--epochs", default=5, help="passes over the images (default: 5)", **number
    )
    fit.add_argument(
        "--units",
        default=[512],
        help="width of both hidden layers, or of each (default: 512)",
        **numbers,
    )
    fit.add_argument("--save", type=Path, metavar="FILE", help="write the pipeline")
    fit.set_defaults(run=_fit)

    search = commands.add_parser("search", parents=[shared], help="search a grid")
    search.add_argument(
        "--epochs", default=[2, 5], help="epochs to try (default: 2 5)", **numbers
    )
    search.add_argument(
        "--units",
        default=[128, 256, 512],
        help="widths to try (default: 128 256 512)",
        **numbers,
    )
    search.add_argument(
        "--images",
        default=10000,
        help="images to search over (default: 10000)",
        **number,
    )
    search.set_defaults(run=_search)

    predict = commands.add_parser("predict", help="print one label per image")
    predict.add_argument(
        "model", metavar="FILE.joblib", help="from fit --save; load only what you trust"
    )
    predict.add_argument("images", metavar="IMAGES", help="an .npz or .npy file")
    predict.set_defaults(run=_predict)
    return parser


def _whole(text: str, least: int = 1) -> int:
    """Parse a whole number, no larger than the seeds NumPy takes."""
    if not (text.isdecimal() and least <= int(text) < 2**32):
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least} to {2**32 - 1}, got {text!r}"
        )
    return int(text)


_seed = functools.partial(_whole, least=0)


def _fit(args: argparse.Namespace) -> None:
    """Train, print what Keras reports of each epoch, and test."""
    if args.save:
        _check_writable(args.save)
    name, (X_train, y_train), (X_test, y_test) = _load(args.data)
    units = args.units[0] if len(args.units) == 1 else tuple(args.units)
    if not args.quiet:
        layers = [units, units] if isinstance(units, int) else units
        shape = "-".join(map(str, (X_train[0].size, *layers, len(np.unique(y_train)))))
        print(f"data: {name}, {len(X_train):,} images to train on", end=", ")
        print(f"{len(X_test):,} to test (and as validation data)\nnetwork: {shape}")
        sys.stdout.flush()
    _import_tensorflow()
    from skmnist import make_pipeline

    pipe = make_pipeline(
        units, args.epochs, random_state=args.seed, verbose=0 if args.quiet else 2
    )
    pipe.fit(
        X_train,
        y_train,
        classifier__X_val=pipe["preprocess"].transform(X_test),
        classifier__y_val=y_test,
    )
    if not args.quiet:
        print(f"parameters: {pipe['classifier'].model_.count_params():,}")
    print(f"test accuracy: {pipe.score(X_test, y_test):.4f}")
    if args.save:
        _save(pipe, args.save)


def _search(args: argparse.Namespace) -> None:
    """Cross-validate a grid, print the candidates by rank, and test the best."""
    name, (X, y), (X_test, y_test) = _load(args.data)
    _import_tensorflow()
    from sklearn.model_selection import GridSearchCV
    from sklearn.utils import resample

    from skmnist import make_pipeline

    if args.images < len(X):
        n, seed = args.images, args.seed
        X, y = resample(X, y, replace=False, n_samples=n, stratify=y, random_state=seed)
    if not args.quiet:
        print(f"data: {name}, {len(X):,} images in 3 folds", flush=True)
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


def _predict(args: argparse.Namespace) -> None:
    """Print the label of each image."""
    images = _read_images(args.images)
    import joblib

    try:
        # TensorFlow is imported if what was saved needs it.
        with _quiet_tensorflow():
            model = joblib.load(args.model)
        predict = model.predict
    except OSError:
        raise
    except Exception as error:  # unpickling what is no pickle may raise anything
        raise ValueError(
            f"{args.model} is not a pipeline written by --save, or is cut short "
            f"({type(error).__name__}: {error})"
        ) from error
    print(*predict(images), sep="\n")


@contextlib.contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Drop what TensorFlow prints when it is imported, but no warning."""
    # As of 2.21 it reports on oneDNN and CUDA whatever TF_CPP_MIN_LOG_LEVEL says, from
    # C++, so past `sys.stderr`. May go when that is heeded.
    stderr = os.dup(2)
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 2)
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        # Those that came before a failure may say why.
        for warning in caught:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def _import_tensorflow() -> None:
    with _quiet_tensorflow():
        import tensorflow  # noqa: F401


def _load(path: str | None) -> tuple[str, Pair, Pair]:
    """Read MNIST, or where it was not asked for and cannot be had, the digits."""
    if path is not None or os.environ.get("SKMNIST_DATA"):
        return "MNIST", *fetch_mnist(path)
    # In seconds. Without it, a firewall that drops packets holds the download for many
    # minutes; Keras offers no way to say so.
    socket.setdefaulttimeout(20)
    _import_tensorflow()
    try:
        # Keras reports its download on standard output, which is for results here.
        with contextlib.redirect_stdout(sys.stderr):
            return "MNIST", *fetch_mnist()
    except OSError as error:
        print(
            "skmnist: using scikit-learn's bundled digits (1,797 images) instead of "
            f"MNIST: {_one_line(error)}",
            file=sys.stderr,
        )
    # Always the same split, as in MNIST, so that seeds can be compared.
    return "scikit-learn's digits at 28x28", *load_digits_28x28(random_state=0)


def _read_images(file: str) -> Any:
    """Read the images from an .npy or .npz file."""
    with open(file, "rb") as stream:
        # NumPy takes anything else for a pickle, and says how to load it unsafely.
        if stream.read(2) not in (b"\x93N", b"PK"):
            raise ValueError(f"{file} is neither an .npy nor an .npz file")
        stream.seek(0)
        try:
            images = np.load(stream, allow_pickle=False)
            if not isinstance(images, np.ndarray):
                images = images[_choose(images.files)]
        except (EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"no images can be read from {file}: {error}") from error
    return images[np.newaxis] if images.shape == (28, 28) else images


def _choose(names: list[str]) -> str:
    """Decide which array of an .npz file holds the images."""
    known = [name for name in ("x_test", "images", "X") if name in names]
    if len(names) > 1 and len(known) == 1:
        return known[0]
    if len(names) != 1:
        raise ValueError(
            "expected one array, or one that is named x_test, images or X, but it "
            f"holds {', '.join(names) or 'none'}"
        )
    return names[0]


def _check_writable(file: Path) -> None:
    """Refuse a file that cannot be written, before anything is trained."""
    if file.exists() and not file.is_file():
        raise OSError(f"--save {file}: exists, and is not a file")
    try:
        tempfile.TemporaryFile(dir=file.resolve().parent).close()
    except OSError as error:
        raise OSError(
            f"--save {file}: cannot write in {file.resolve().parent}: {error.strerror}"
        ) from error


def _save(pipe: Any, file: Path) -> None:
    """Write with joblib beside the file, then put it in its place in one step."""
    import joblib

    file = file.resolve()  # of a link, what it points to
    # The name's end is kept: joblib compresses by it.
    temporary = file.with_name(f".{os.getpid()}-{file.name}")
    try:
        joblib.dump(pipe, temporary)
        os.replace(temporary, file)
    except OSError as error:
        raise OSError(f"cannot save {file}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
