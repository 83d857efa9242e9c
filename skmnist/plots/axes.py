"""Colours and axes of the Displays."""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

# White text on both is legible, both are visible on black, and they differ without
# red-green vision.
BLUE, ORANGE = "#0066a6", "#a84400"


def import_pyplot() -> Any:
    """Import matplotlib, or raise an ImportError that says what to install."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Drawing requires matplotlib. You can install it with"
            " `pip install 'skmnist[plot]'`."
        ) from error
    return plt


def make_grid(
    ax: "Axes | None", shape: tuple[int, int], size: tuple[float, float]
) -> tuple["FigureBase", NDArray[Any]]:
    """Return a figure and its axes: a new figure, or the place of `ax` divided.

    `shape` is rows and columns, `size` the width and height of each axes in inches.
    """
    (rows, columns), (width, height) = shape, size
    if ax is None:
        size = (width * columns, height * rows)
        return import_pyplot().subplots(
            rows, columns, figsize=size, layout="constrained", squeeze=False
        )
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            "ax must be from plt.subplots or another grid, got axes at a place of their"
            " own, which cannot be divided."
        )
    ax.set_axis_off()
    return ax.figure, place.subgridspec(rows, columns).subplots(squeeze=False)
