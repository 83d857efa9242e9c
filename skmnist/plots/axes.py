"""Where the Displays draw, and in which colours."""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

# Each stands out from white and from black alike, and from the other without seeing
# red and green apart.
BLUE, ORANGE = "#2b83c6", "#cf5b00"


def check_matplotlib(caller: str) -> None:
    """Say what to install, before anything is computed in vain."""
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
    """Return a figure and its axes: a new one, or in place of `ax`.

    `shape` is rows and columns, `size` the width and height of each in inches.
    """
    import matplotlib.pyplot as plt

    (rows, columns), (width, height) = shape, size
    if ax is None:
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
            "ax is to be in a grid, as those of plt.subplots are; these axes were"
            " placed freely, so their place cannot be divided."
        )
    ax.set_axis_off()
    return ax.figure, place.subgridspec(rows, columns).subplots(squeeze=False)
