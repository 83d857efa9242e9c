"""The result of a training, on one page."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmnist.plots.axes import check_matplotlib, make_grid
from skmnist.plots.digits import DigitsDisplay
from skmnist.plots.history import HistoryDisplay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Rows and columns of units of the first layer that are shown.
GRID = (6, 6)


def draw_training(pipeline: Any, X: ArrayLike, y: ArrayLike) -> "Figure":
    """Draw the history, confusion matrix, errors and first-layer weights.

    `pipeline` is a fitted one of :func:`skmnist.make_pipeline`, `X` and `y` are test
    images and labels. The figure is not managed by pyplot: to save, not to show.
    """
    check_matplotlib("draw_training")
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    clf = pipeline["classifier"]
    figure = Figure(figsize=(13, 12), layout="constrained")
    axes: dict[str, Axes] = figure.subplot_mosaic(
        [["history", "history"], ["confusion", "units"], ["digits", "digits"]],
        height_ratios=[3, 5, 4],
    )
    figure.suptitle(
        f"{clf.model_.count_params():,} weights,"
        f" test accuracy {pipeline.score(X, y):.4f}"
    )
    HistoryDisplay.from_estimator(pipeline, ax=axes["history"])
    matrix = ConfusionMatrixDisplay.from_predictions(
        y, pipeline.predict(X), ax=axes["confusion"], cmap="Blues", colorbar=False
    )
    matrix.ax_.set_title("Confusion matrix")
    _draw_units(clf, axes["units"])
    DigitsDisplay.from_estimator(pipeline, X, y, n_images=21, ax=axes["digits"])
    return figure


def _draw_units(clf: Any, ax: "Axes") -> None:
    """Draw the largest weight vectors of the first layer as images.

    Units with small weights have hardly changed from their random initialization.
    """
    ax.set_title("Weights of first-layer units: positive blue, negative red")
    kernel: NDArray[Any] = np.asarray(clf.model_.layers[0].get_weights()[0])
    side = round(np.sqrt(len(kernel)))
    if side**2 != len(kernel):
        ax.set_axis_off()
        return
    largest = np.argsort(-np.linalg.norm(kernel, axis=0))
    _, grid = make_grid(ax, GRID, (1, 1))
    for unit, panel in zip(largest, grid.flat, strict=False):
        weights = kernel[:, unit].reshape(side, side)
        limit = np.abs(weights).max()
        panel.imshow(weights, cmap="RdBu", vmin=-limit, vmax=limit)
    for panel in grid.flat:
        panel.set_axis_off()
