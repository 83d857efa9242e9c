"""Tests of the package's structure: direction of imports, public API, sizes."""

import ast
from pathlib import Path

import pytest

import skmnist

PACKAGE = Path(skmnist.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# Files and folders of the package. Each imports only what stands after it.
ROOMS = [
    *("__main__", "cli", "app", "__init__", "plots", "saving", "reading", "datasets"),
    *("pictures", "pretrained", "export", "pipeline", "classifier", "_base"),
    *("_pickling", "network", "training", "_keras", "preprocessing", "_io"),
    "_version",
]
INTERNALS = ("keras.src.", "tensorflow.python.")


def room_of(file):
    """Return the first part of a file's path inside the package, without `.py`."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file):
    """Yield the full dotted names that a file imports, inside functions too."""
    package = ["skmnist", *file.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join(filter(None, [*parents, node.module]))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_rooms_are_those_of_the_list():
    assert {room_of(file) for file in FILES} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_rooms_after_it(room):
    for file in (file for file in FILES if room_of(file) == room):
        for name in imports(file):
            if name.startswith("skmnist."):
                target = name.split(".")[1]
                target = target if target in ROOMS else "__init__"
                assert ROOMS.index(room) <= ROOMS.index(target), f"{file}: {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_file_imports_public_names_and_has_at_most_400_lines(file):
    for name in imports(file):
        if not name.startswith(("skmnist", "__future__")):
            private = any(part.startswith("_") for part in name.split("."))
            assert not private, name
            assert not name.startswith(INTERNALS), name
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400
