"""Configuration of the documentation, for Sphinx. Nothing is fetched."""

import doctest
import os

from skmnist import __version__

# TensorFlow's remarks on the hardware would bury Sphinx' own messages.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "skmnist"
author = "The skmnist developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = f"skmnist {release}"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say more
maximum_signature_line_length = 80

numpydoc_show_class_members = False  # the template lists them
numpydoc_validation_checks = {
    "all",
    "ES01",  # an extended summary, where the first line says it all
    "EX01",  # an example for each method
    "GL01",  # the summary on a line of its own
    "RT02",  # results without names: scikit-learn names them
    "SA01",  # "See Also" for each method
    "SA03",  # descriptions that begin with a capital, as scikit-learn's name does not
}

plot_formats = ["png"]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_rcparams = {"savefig.bbox": "tight"}

doctest_default_flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# Blocks that need MNIST run where SKMNIST_DATA names it.
doctest_global_setup = """
import os
from importlib.util import find_spec

no_mnist = not os.environ.get("SKMNIST_DATA")
no_callbacks = find_spec("sklearn.callback") is None
"""
