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
    from skmnist.classifier import MNISTClassifier as MNISTClassifier
    from skmnist.export import to_sklearn as to_sklearn
    from skmnist.pictures import Digits as Digits
    from skmnist.pictures import find_digits as find_digits
    from skmnist.pictures import load_pictures as load_pictures
    from skmnist.pictures import to_mnist_format as to_mnist_format
    from skmnist.pipeline import make_pipeline as make_pipeline
    from skmnist.plots import DigitsDisplay as DigitsDisplay
    from skmnist.plots import HistoryDisplay as HistoryDisplay
    from skmnist.plots import PictureDisplay as PictureDisplay
    from skmnist.pretrained import load_pretrained as load_pretrained
    from skmnist.reading import Reading as Reading
    from skmnist.reading import read_digits as read_digits
    from skmnist.saving import load_pipeline as load_pipeline
    from skmnist.saving import save_pipeline as save_pipeline

# Imported on first use: TensorFlow takes seconds, scikit-learn half a second.
_LAZY = {
    "classifier": ("MNISTClassifier",),
    "export": ("to_sklearn",),
    "pictures": ("Digits", "find_digits", "load_pictures", "to_mnist_format"),
    "pipeline": ("make_pipeline",),
    "plots": ("DigitsDisplay", "HistoryDisplay", "PictureDisplay"),
    "pretrained": ("load_pretrained",),
    "reading": ("Reading", "read_digits"),
    "saving": ("load_pipeline", "save_pipeline"),
}
__all__ = ["fetch_mnist", "flatten_and_scale", "load_digits_28x28"]
__all__ = sorted(sum(_LAZY.values(), (*__all__,)))


def __getattr__(name: str) -> object:
    for module, names in _LAZY.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
