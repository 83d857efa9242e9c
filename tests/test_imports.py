"""Tests of what is imported, each in a fresh process."""

import numpy as np
import pytest
from PIL import Image
from processes import run_python

TENSORFLOW = ("tensorflow", "keras", "scikeras")
# Code to run, and the modules that it must not import.
CASES = {
    "package": ("import skmnist, skmnist.cli", (*TENSORFLOW, "sklearn", "PIL")),
    "plots": ("import skmnist.plots", (*TENSORFLOW, "sklearn", "matplotlib")),
    "export": ("from skmnist import to_sklearn", TENSORFLOW),
    "load_pretrained": ("import skmnist; skmnist.load_pretrained()", TENSORFLOW),
    "fetch_mnist": (
        "import skmnist\ntry: skmnist.fetch_mnist('no/such')\nexcept OSError: pass",
        (*TENSORFLOW, "sklearn"),
    ),
    "help": (
        "from skmnist.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        (*TENSORFLOW, "sklearn", "PIL"),
    ),
    "read_digits": (
        "from skmnist import read_digits; assert read_digits({page!r}).text == '1'",
        (*TENSORFLOW, "sklearn", "matplotlib"),
    ),
    "predict": (
        "from skmnist.cli import main; assert main(['predict', {page!r}]) == 0",
        (*TENSORFLOW, "sklearn", "matplotlib"),
    ),
    "app": (
        "from skmnist.app import make_app; make_app(None)",
        (*TENSORFLOW, "sklearn", "matplotlib"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_import_leaves_out_slow_modules(name, tmp_path):
    page = np.full((120, 100), 230, np.uint8)
    page[20:100, 48:54] = 30
    Image.fromarray(page).save(tmp_path / "page.png")
    code, excluded = CASES[name]
    code = code.format(page=str(tmp_path / "page.png"))
    done = run_python(f"{code}\nimport sys; print(*sys.modules)")
    imported = set(done.stdout.splitlines()[-1].split())
    assert "skmnist" in imported
    assert imported.isdisjoint(excluded)
