"""Train, search and predict from the command line: ``python -m skmnist``."""

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from skmnist import __version__
from skmnist.cli import commands

PORT = 8028
# Options that need no command.
_OF_ITS_OWN = ("-h", "--help", "--version")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors take one line, and whose options are whole."""

    def __init__(self, **options: Any):
        # What abbreviates one option today may abbreviate another tomorrow.
        super().__init__(allow_abbrev=False, **options)

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
    >>> main(["fit", "--epochs", "1", "--save", "no/such/folder/model.skops"])
    1
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or (argv[0].startswith("-") and argv[0] not in _OF_ITS_OWN):
        argv.insert(0, "fit")
    args = _make_parser().parse_args(argv)
    try:
        code: int = args.run(args) or 0
        sys.stdout.flush()
    except BrokenPipeError:  # `skmnist predict ... | head`
        # Else Python flushes at exit, and complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ImportError, MemoryError, OSError, TypeError, ValueError) as error:
        print(f"skmnist: error: {commands.one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _make_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = _Parser(
        prog="skmnist",
        description="Train a 784-512-512-10 network on MNIST, read pictures of digits. "
        "Without a command: fit.",
    )
    parser.add_argument("--version", action="version", version=f"skmnist {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    number: dict[str, Any] = {"type": _whole, "metavar": "N"}
    numbers: dict[str, Any] = {**number, "nargs": "+"}
    shared = _Parser(add_help=False)
    shared.add_argument(
        "--data",
        metavar="PATH",
        help="mnist.npz, or a folder holding it or the four IDX files (default: "
        "SKMNIST_DATA, else a download, else scikit-learn's bundled digits)",
    )
    shared.add_argument(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="another one gives other numbers, the same one the same (default: 0)",
    )
    shared.add_argument("--quiet", action="store_true", help="print the result only")

    fit = subparsers.add_parser("fit", parents=[shared], help="train, and test")
    fit.add_argument(
        "--epochs", default=5, help="passes over the images (default: 5)", **number
    )
    fit.add_argument(
        "--units",
        default=[512],
        help="width of both hidden layers, or of each (default: 512)",
        **numbers,
    )
    fit.add_argument(
        "--batch-size", default=32, help="images in a step (default: 32)", **number
    )
    fit.add_argument(
        "--optimizer", default="rmsprop", help="Keras' name of it (default: rmsprop)"
    )
    fit.add_argument(
        "--augmentation",
        type=float,
        default=0.0,
        metavar="S",
        help="distort images anew every epoch; 1 is meant for MNIST (default: 0)",
    )
    fit.add_argument(
        "--validation-split",
        type=float,
        default=0.0,
        metavar="P",
        help="validate on this part of the images to train on (default: on the test "
        "images)",
    )
    fit.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help="write the pipeline: .skops, .onnx to predict, .joblib to train on",
    )
    fit.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw what was learned, on one page"
    )
    fit.set_defaults(run=commands.fit)

    search = subparsers.add_parser("search", parents=[shared], help="search a grid")
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
    search.set_defaults(run=commands.search)

    predict = subparsers.add_parser(
        "predict",
        help="read pictures of digits",
        description="Print the digits of pictures (photos, scans, drawings) as they "
        "stand there, and a label for each image of .npy, .npz and IDX files.",
    )
    predict.add_argument("files", nargs="+", metavar="FILE", help="what to read")
    predict.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="from fit --save: .skops, .onnx, or .joblib if you trust it (default: the "
        "network that comes along)",
    )
    predict.add_argument(
        "--single", action="store_true", help="each picture holds one digit"
    )
    predict.add_argument(
        "--min-confidence",
        type=_share,
        default=0.5,
        metavar="P",
        help="print ? for a digit that is less probable (default: 0.5)",
    )
    predict.add_argument(
        "--json",
        action="store_true",
        help="print an object for each file: labels, lines, boxes, probabilities",
    )
    predict.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the picture and what was read"
    )
    predict.set_defaults(run=commands.predict)

    app = subparsers.add_parser(
        "app",
        help="open a page to write digits on",
        description="Serve a page on this machine, to write digits on or to give it "
        "pictures, which shows what was read and what the network sees.",
    )
    app.add_argument(
        "--model", type=Path, metavar="FILE", help="as of predict (default: the same)"
    )
    app.add_argument(
        "--port",
        type=_port,
        default=8000,
        metavar="N",
        help="0 takes any that is free (default: 8000)",
    )
    app.add_argument("--no-browser", action="store_true", help="print the address only")
    app.set_defaults(run=commands.app)
    return parser


def _whole(text: str, least: int = 1, most: int = 2**32 - 1) -> int:
    """Parse a whole number, by default no larger than the seeds NumPy takes."""
    if not (text.isdecimal() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least} to {most}, got {text!r}"
        )
    return int(text)


_seed = functools.partial(_whole, least=0)
_port = functools.partial(_whole, least=0, most=65535)


def _share(text: str) -> float:
    """Parse a number from 0 to 1."""
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return share
