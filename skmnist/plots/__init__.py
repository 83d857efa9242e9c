"""Drawings of data, training and readings, made like scikit-learn's own Displays."""

from skmnist.plots.digits import DigitsDisplay
from skmnist.plots.history import HistoryDisplay
from skmnist.plots.picture import PictureDisplay

__all__ = ["DigitsDisplay", "HistoryDisplay", "PictureDisplay"]
