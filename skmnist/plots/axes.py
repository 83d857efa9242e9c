"""Colours and axes of the Displays."""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

# Both have contrast to white and to black, and differ without red-green vision.
BLUE, ORANGE = "#2b83c6", "#cf5b00"


def check_matplotlib(caller: str) -> None:
    """Raise an ImportError that says what to install if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} requires matplotlib. You can install it with"
            " `pip install 'skmnist[plot]'`."
        ) from error


def make_grid(
    ax: "Axes | None", shape: tuple[int, int], size: tuple[float, float]
) -> tuple["FigureBase", NDArray[Any]]:
    """Return a figure and its axes: a new figure, or the place of `ax` divided.

    `shape` is rows and columns, `size` the width and height of each axes in inches.
    """
    (rows, columns), (width, height) = shape, size
    if ax is None:
        import matplotlib.pyplot as plt

        return plt.subplots(
            rows,
            columns,
            figsize=(width * columns, height * rows),
            layout="constrained",
            squeeze=False,
        )
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            "ax must be from plt.subplots or another grid, got axes at a place of their"
            " own, which cannot be divided."
        )
    ax.set_axis_off()
    return ax.figure, place.subgridspec(rows, columns).subplots(squeeze=False)
