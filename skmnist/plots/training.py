"""What came of a training, on one page."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmnist.plots.axes import check_matplotlib, make_grid
from skmnist.plots.digits import DigitsDisplay
from skmnist.plots.history import HistoryDisplay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Units of the first layer that are shown.
ROWS, COLUMNS = 6, 6


def draw_training(pipeline: Any, X: ArrayLike, y: ArrayLike) -> "Figure":
    """Draw history, confusions, the surest mistakes, and what units look for.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        What :func:`skmnist.make_pipeline` gives, fitted.
    X : array-like of shape (n_images, height, width)
        Images to test on.
    y : array-like of shape (n_images,)
        Their labels.

    Returns
    -------
    matplotlib.figure.Figure
        To show or to save.
    """
    check_matplotlib("draw_training")
    import matplotlib.pyplot as plt
    from sklearn.metrics import ConfusionMatrixDisplay

    clf = pipeline["classifier"]
    figure = plt.figure(figsize=(13, 12), layout="constrained")
    axes = figure.subplot_mosaic(
        [["history", "history"], ["confusion", "units"], ["digits", "digits"]],
        height_ratios=[3, 5, 4],
    )
    figure.suptitle(
        f"{clf.model_.count_params():,} weights,"
        f" test accuracy {pipeline.score(X, y):.4f}"
    )
    HistoryDisplay.from_estimator(pipeline, ax=axes["history"])
    predicted = pipeline.predict(X)
    matrix = ConfusionMatrixDisplay.from_predictions(
        y, predicted, ax=axes["confusion"], cmap="Blues", colorbar=False
    )
    matrix.ax_.set_title("Confusions")
    draw_units(clf, axes["units"])
    DigitsDisplay.from_estimator(pipeline, X, y, n_images=21, ax=axes["digits"])
    return figure


def draw_units(clf: Any, ax: "Axes") -> None:
    """Draw the weights of first-layer units as images of what each looks for.

    Those with the largest weights are shown: the others have hardly moved from the
    random numbers that they began with.
    """
    ax.set_title("What units of the first layer look for, blue, and avoid, red")
    kernel: NDArray[Any] = np.asarray(clf.model_.layers[0].get_weights()[0])
    side = round(np.sqrt(len(kernel)))
    if side**2 != len(kernel):
        ax.set_axis_off()
        return
    strongest = np.argsort(-np.linalg.norm(kernel, axis=0))[: ROWS * COLUMNS]
    _, grid = make_grid(ax, (ROWS, COLUMNS), (1, 1))
    for unit, panel in zip(strongest, grid.flat, strict=False):
        weights = kernel[:, unit].reshape(side, side)
        limit = np.abs(weights).max()
        panel.imshow(weights, cmap="RdBu", vmin=-limit, vmax=limit)
    for panel in grid.flat:
        panel.set_axis_off()
