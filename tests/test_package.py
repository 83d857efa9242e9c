"""Tests of the package's public names and metadata."""

from importlib import metadata, resources

import pytest

import skmnist


def test_all_is_sorted_and_listed_by_dir():
    assert skmnist.__all__ == sorted(skmnist.__all__)
    assert set(skmnist.__all__) <= set(dir(skmnist))


@pytest.mark.parametrize("name", skmnist.__all__)
def test_public_names_are_documented_with_an_example(name):
    public = getattr(skmnist, name)
    assert public.__name__ == name
    assert public.__module__.startswith("skmnist.")
    assert ">>>" in public.__doc__


def test_other_names_raise_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'fetch_mnsit'"):
        skmnist.fetch_mnsit  # noqa: B018


def test_package_is_typed():
    assert resources.files("skmnist").joinpath("py.typed").is_file()


def test_version_is_that_of_the_distribution():
    assert metadata.version("skmnist") == skmnist.__version__
