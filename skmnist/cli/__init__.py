"""Train, search and predict from the command line: ``python -m skmnist``."""

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skmnist import __version__
from skmnist.cli import commands
from skmnist.cli.streams import complain, filter_stderr, one_line

# Options that need no command.
_GLOBAL = ("-h", "--help", "--version")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, by default ``fit`` with the arguments of the process.

    Returns the exit code: 0, 1 if something failed, 130 if interrupted. Wrong usage
    raises SystemExit with code 2, ``--help`` with code 0.
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
    except commands.ERRORS as error:
        complain(f"error: {one_line(error)}")
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _make_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = argparse.ArgumentParser(
        prog="skmnist",
        description="Train a 784-512-512-10 network on MNIST; read digits in pictures. "
        "Without a command: fit.",
    )
    parser.add_argument("--version", action="version", version=f"skmnist {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    data = argparse.ArgumentParser(add_help=False)
    model = argparse.ArgumentParser(add_help=False)
    text = (
        "mnist.npz, or a folder with it or the four IDX files (default: SKMNIST_DATA,"
        " else a download, else scikit-learn's bundled digits)"
    )
    data.add_argument("--data", metavar="PATH", help=text)
    text = "seed of all random numbers; results are repeatable (default: 0)"
    data.add_argument("--seed", type=_seed, default=0, metavar="N", help=text)
    data.add_argument("--quiet", action="store_true", help="print the result only")
    text = (
        "from fit --save: .skops, .onnx, or .joblib if you trust it, since it runs code"
        " (default: the bundled model)"
    )
    model.add_argument("--model", type=Path, metavar="FILE", help=text)

    def add_command(name: str, parent: argparse.ArgumentParser, text: str) -> Any:
        command = subparsers.add_parser(
            name,
            parents=[parent],
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            # An abbreviation may become ambiguous when an option is added.
            allow_abbrev=False,
        )
        command.set_defaults(run=getattr(commands, name))
        return command.add_argument

    add = add_command("fit", data, "train, and test")
    add("--epochs", default=5, help="passes over the images (default: 5)", **_NUMBER)
    text = "units of each of two hidden layers, or of each layer (default: 512)"
    add("--units", default=[512], nargs="+", help=text, **_NUMBER)
    add("--batch-size", default=32, help="images per step (default: 32)", **_NUMBER)
    add("--optimizer", default="rmsprop", help="name in Keras (default: rmsprop)")
    text = "strength of data augmentation; 1 suits MNIST (default: 0)"
    add("--augmentation", type=float, default=0.0, metavar="S", help=text)
    text = "share of the training images to validate on (default: use the test images)"
    add("--validation-split", type=float, default=0.0, metavar="P", help=text)
    text = (
        "write the pipeline: .skops or .onnx to predict, .joblib to train further;"
        " Ctrl-C saves the finished epochs"
    )
    add("--save", type=Path, metavar="FILE", help=text)
    add("--plot", type=Path, metavar="FILE", help="draw the result of the training")
    add = add_command("search", data, "search a grid of units and epochs")
    for name, default in (("epochs", [2, 5]), ("units", [128, 256, 512])):
        text = f"{name} to try (default: {' '.join(map(str, default))})"
        add(f"--{name}", default=default, nargs="+", help=text, **_NUMBER)
    text = "images to search over (default: 10000)"
    add("--images", default=10000, help=text, **_NUMBER)
    text = "read digits in pictures, .npy, .npz or IDX files"
    add = add_command("predict", model, text)
    add("files", nargs="+", metavar="FILE", help="picture, or file of images")
    add("--single", action="store_true", help="each picture holds one digit")
    text = "print ? for a digit with less confidence (default: 0.5)"
    add("--min-confidence", type=_fraction, default=0.5, metavar="P", help=text)
    add("--json", action="store_true", help="print a line of JSON for each file")
    text = "draw the picture with the digits read"
    add("--plot", type=Path, metavar="FILE", help=text)
    add = add_command("app", model, "open a page to write digits on")
    text = "0 chooses a free port (default: 8000)"
    add("--port", type=_port, default=8000, metavar="N", help=text)
    add("--no-browser", action="store_true", help="print the address only")
    return parser


def _whole(text: str, least: int = 1, most: int = 2**32 - 1) -> int:
    """Parse a whole number, by default no larger than NumPy's seeds."""
    if not (text.isdecimal() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least} to {most}, got {text!r}"
        )
    return int(text)


_NUMBER: dict[str, Any] = {"type": _whole, "metavar": "N"}
_seed = functools.partial(_whole, least=0)
_port = functools.partial(_whole, least=0, most=65535)


def _fraction(text: str) -> float:
    """Parse a number from 0 to 1."""
    with contextlib.suppress(ValueError):
        if 0 <= (fraction := float(text)) <= 1:
            return fraction
    raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
