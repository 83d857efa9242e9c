"""Configuration of Sphinx. Nothing is downloaded."""

import doctest
import os
import sys
from pathlib import Path

from skmnist import __version__

# TensorFlow's messages about the hardware would hide Sphinx' own.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "skmnist"
author = "The skmnist developers"
copyright = f"2026, {author}"
version = release = __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for diagrams and mathml
extensions = [
    "diagrams",
    "mathml",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = f"skmnist {release}"
html_static_path = ["_static"]
html_css_files = ["skmnist.css"]
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have more detail
maximum_signature_line_length = 80

numpydoc_show_class_members = False  # the template lists them
numpydoc_validation_checks = {
    "all",
    "ES01",  # an extended summary, where the first line is enough
    "EX01",  # an example for each method
    "GL01",  # the summary on a line of its own
    "RT02",  # results without names: scikit-learn names them
    "SA01",  # "See Also" for each method
    "SA03",  # descriptions that begin with a capital, as scikit-learn's name does not
}
numpydoc_validation_exclude = {
    r"skmnist\.(Digits|Reading)$",  # dataclasses: their parameters are their attributes
    r"Display\.(plot|from_reading)$",  # one sentence is enough
    r"Reading\.to_text$",
}

# In reading order.
STORIES = [
    "plot_lesson.py",
    "plot_mistakes.py",
    "plot_units.py",
    "plot_read_page.py",
    "plot_own_hand.py",
    "plot_grid_search.py",
    "plot_ship.py",
]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    # The others train for minutes or need a cluster, so they are scripts only.
    "ignore_pattern": r"^(?!plot_)",
    "within_subsection_order": STORIES.index,
    "capture_repr": (),
    "doc_module": ("skmnist",),
    "reference_url": {"skmnist": None},
    "backreferences_dir": "gallery/backreferences",
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

plot_formats = ["png"]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_working_directory = str(HERE)
plot_rcparams = {"savefig.bbox": "tight"}

doctest_default_flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# Blocks that need MNIST are run if SKMNIST_DATA is set.
doctest_global_setup = (
    f"images = {str(HERE / 'images')!r}"
    + """
import os
from importlib.util import find_spec

no_mnist = not os.environ.get("SKMNIST_DATA")
no_callbacks = find_spec("sklearn.callback") is None
"""
)
