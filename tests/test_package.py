"""Tests of what the package says about itself, and of what importing it costs."""

import subprocess
import sys
from importlib import metadata, resources

import pytest

import skmnist

PUBLIC = [
    "Digits",
    "DigitsDisplay",
    "HistoryDisplay",
    "MNISTClassifier",
    "PictureDisplay",
    "Reading",
    "fetch_mnist",
    "find_digits",
    "flatten_and_scale",
    "load_digits_28x28",
    "load_pictures",
    "load_pretrained",
    "make_pipeline",
    "read_digits",
    "to_mnist_format",
    "to_sklearn",
]


def test_the_public_names_are_these():
    assert skmnist.__all__ == sorted(PUBLIC)
    assert set(PUBLIC) <= set(dir(skmnist))


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_what_they_say_and_documented(name):
    public = getattr(skmnist, name)
    assert public.__name__ == name
    assert public.__module__.startswith("skmnist.")
    assert ">>>" in public.__doc__


def test_other_names_do_not_exist():
    with pytest.raises(
        AttributeError, match="'skmnist' has no attribute 'fetch_mnsit'"
    ):
        skmnist.fetch_mnsit  # noqa: B018


def test_import_takes_neither_tensorflow_nor_sklearn_nor_pillow():
    # In a fresh process, since this one has imported everything.
    code = (
        "import sys, skmnist, skmnist.cli\n"
        "print({'PIL', 'keras', 'sklearn', 'tensorflow'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("none\n", 0), done.stderr


def test_it_is_marked_as_typed():
    assert resources.files("skmnist").joinpath("py.typed").is_file()


def test_version_is_that_of_the_distribution():
    assert metadata.version("skmnist") == skmnist.__version__
