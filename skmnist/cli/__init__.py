"""Train, search and predict from the command line: ``python -m skmnist``."""

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from skmnist import __version__
from skmnist.cli import commands
from skmnist.cli.streams import complain, filter_stderr, one_line

# Options that need no command.
_GLOBAL = ("-h", "--help", "--version")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take one line, and whose options are not abbreviated."""

    def __init__(self, **options: Any):
        # An abbreviation may become ambiguous when an option is added.
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
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # Closed; print would use the other stream.
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    owns_process, argv = argv is None, list(sys.argv[1:] if argv is None else argv)
    if not argv or (argv[0].startswith("-") and argv[0] not in _GLOBAL):
        argv.insert(0, "fit")
    args = _make_parser().parse_args(argv)
    if owns_process and commands.needs_tensorflow(args):
        filter_stderr()
    try:
        code: int = args.run(args) or 0
        sys.stdout.flush()
    except BrokenPipeError:  # `skmnist predict ... | head`
        with contextlib.suppress(OSError):
            sys.stdout.close()  # Else Python flushes it at exit, and complains.
        return 1
    except (ImportError, MemoryError, OSError, TypeError, ValueError) as error:
        complain(f"error: {one_line(error)}")
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _make_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = _Parser(
        prog="skmnist",
        description="Train a 784-512-512-10 network on MNIST; read digits in pictures. "
        "Without a command: fit.",
    )
    parser.add_argument("--version", action="version", version=f"skmnist {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    shared = _Parser(add_help=False)
    add = shared.add_argument
    add(
        "--data",
        metavar="PATH",
        help="mnist.npz, or a folder holding it or the four IDX files (default: "
        "SKMNIST_DATA, else a download, else scikit-learn's bundled digits)",
    )
    add(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="seed of all random numbers; results are repeatable (default: 0)",
    )
    add("--quiet", action="store_true", help="print the result only")
    _add_fit(subparsers.add_parser("fit", parents=[shared], help="train, and test"))
    _add_search(subparsers.add_parser("search", parents=[shared], help="search a grid"))
    _add_predict(
        subparsers.add_parser(
            "predict",
            help="read digits in pictures",
            description="Print the digits of pictures (photos, scans, drawings), a line"
            " of output for each text line, and a label for each image of .npy, .npz"
            " and IDX files.",
        )
    )
    _add_app(
        subparsers.add_parser(
            "app",
            help="open a page to write digits on",
            description="Serve a web page on this machine that reads digits written"
            " on it, or pictures, and shows the images that the network sees.",
        )
    )
    return parser


def _add_fit(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    number: dict[str, Any] = {"type": _whole, "metavar": "N"}
    add("--epochs", default=5, help="passes over the images (default: 5)", **number)
    add(
        "--units",
        default=[512],
        nargs="+",
        help="units of each of two hidden layers, or of each layer (default: 512)",
        **number,
    )
    add("--batch-size", default=32, help="images per step (default: 32)", **number)
    add("--optimizer", default="rmsprop", help="name in Keras (default: rmsprop)")
    add(
        "--augmentation",
        type=float,
        default=0.0,
        metavar="S",
        help="strength of data augmentation; 1 suits MNIST (default: 0)",
    )
    add(
        "--validation-split",
        type=float,
        default=0.0,
        metavar="P",
        help="fraction of the training images to validate on (default: validate on "
        "the test images)",
    )
    add(
        "--save",
        type=Path,
        metavar="FILE",
        help="write the pipeline: .skops or .onnx to predict, .joblib to train further;"
        " Ctrl-C saves the finished epochs",
    )
    add("--plot", type=Path, metavar="FILE", help="draw the result of the training")
    parser.set_defaults(run=commands.fit)


def _add_search(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    number: dict[str, Any] = {"type": _whole, "metavar": "N"}
    for name, default in (("epochs", [2, 5]), ("units", [128, 256, 512])):
        values = " ".join(map(str, default))
        text = f"{name} to try (default: {values})"
        add(f"--{name}", default=default, nargs="+", help=text, **number)
    text = "images to search over (default: 10000)"
    add("--images", default=10000, help=text, **number)
    parser.set_defaults(run=commands.search)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="picture, or file of images")
    add(
        "--model",
        type=Path,
        metavar="FILE",
        help="from fit --save: .skops, .onnx, or .joblib if you trust it, since it runs"
        " code (default: the bundled model)",
    )
    add("--single", action="store_true", help="each picture holds one digit")
    add(
        "--min-confidence",
        type=_share,
        default=0.5,
        metavar="P",
        help="print ? for a digit with less confidence (default: 0.5)",
    )
    text = "print a JSON document on one line for each file"
    add("--json", action="store_true", help=text)
    text = "draw the picture with the digits read"
    add("--plot", type=Path, metavar="FILE", help=text)
    parser.set_defaults(run=commands.predict)


def _add_app(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=Path, metavar="FILE", help="as of predict")
    text = "0 chooses a free port (default: 8000)"
    add("--port", type=_port, default=8000, metavar="N", help=text)
    add("--no-browser", action="store_true", help="print the address only")
    parser.set_defaults(run=commands.app)


def _whole(text: str, least: int = 1, most: int = 2**32 - 1) -> int:
    """Parse a whole number, by default no larger than NumPy's seeds."""
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
