"""The first lesson in deep learning as a scikit-learn estimator.

``make_pipeline`` gives a plain scikit-learn ``Pipeline``: images are flattened
and scaled, then classified by ``MNISTClassifier``, a scikeras
``KerasClassifier`` around the 784-512-512-10 softmax network.
"""

import importlib
from typing import TYPE_CHECKING

from skmnist._version import __version__ as __version__
from skmnist.datasets import fetch_mnist, load_digits_28x28
from skmnist.preprocessing import flatten_and_scale

if TYPE_CHECKING:
    from skmnist.classifier import MNISTClassifier
    from skmnist.export import to_sklearn
    from skmnist.pictures import Digits, find_digits, load_pictures, to_mnist_format
    from skmnist.pipeline import make_pipeline
    from skmnist.plots import DigitsDisplay, HistoryDisplay, PictureDisplay
    from skmnist.pretrained import load_pretrained
    from skmnist.reading import Reading, read_digits
    from skmnist.saving import load_pipeline, save_pipeline

__all__ = [
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
    "load_pipeline",
    "load_pretrained",
    "make_pipeline",
    "read_digits",
    "save_pipeline",
    "to_mnist_format",
    "to_sklearn",
]

# Importing TensorFlow takes seconds, scikit-learn's networks half a second and Pillow a
# tenth of one, so what needs them is imported on first use.
_LAZY = {
    "Digits": "skmnist.pictures",
    "DigitsDisplay": "skmnist.plots",
    "HistoryDisplay": "skmnist.plots",
    "MNISTClassifier": "skmnist.classifier",
    "PictureDisplay": "skmnist.plots",
    "Reading": "skmnist.reading",
    "find_digits": "skmnist.pictures",
    "load_pictures": "skmnist.pictures",
    "load_pipeline": "skmnist.saving",
    "load_pretrained": "skmnist.pretrained",
    "make_pipeline": "skmnist.pipeline",
    "read_digits": "skmnist.reading",
    "save_pipeline": "skmnist.saving",
    "to_mnist_format": "skmnist.pictures",
    "to_sklearn": "skmnist.export",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
