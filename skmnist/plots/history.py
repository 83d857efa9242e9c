"""Loss and metrics of a training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from skmnist.plots.axes import BLUE, ORANGE, make_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class HistoryDisplay:
    """Loss and metrics of each epoch, of training and validation data.

    While both losses fall, more epochs help; if only the training loss still falls, the
    network is overfitting. Use :meth:`from_estimator` to create one. All parameters are
    stored as attributes.

    Parameters
    ----------
    history : mapping of str to sequence of float
        One value per epoch, such as the ``history_`` of an
        :class:`~skmnist.MNISTClassifier`. Names that begin with ``val_`` belong to
        validation data.
    validation_freq : int, default=1
        Number of epochs between validations.

    Attributes
    ----------
    lines_ : dict of str to matplotlib Line2D
        The curve of each item of `history`.
    axes_, figure_ : ndarray of matplotlib Axes, and Figure
        Axes of the loss and of each metric.

    Examples
    --------
    >>> from skmnist import HistoryDisplay, load_digits_28x28, make_pipeline
    >>> (X, y), _ = load_digits_28x28(random_state=0)
    >>> pipe = make_pipeline(units=64, epochs=5, validation_split=0.2).fit(X, y)
    >>> display = HistoryDisplay.from_estimator(pipe)
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['loss', 'accuracy']
    """

    def __init__(
        self, history: Mapping[str, Sequence[float]], *, validation_freq: int = 1
    ):
        self.history = history
        self.validation_freq = validation_freq

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: "Axes | None" = None) -> Self:
        """Show the history of a fitted classifier.

        Parameters
        ----------
        estimator : MNISTClassifier, MLPClassifier or Pipeline
            Fitted; a pipeline that ends in one of these. Others raise TypeError.
        ax : matplotlib Axes, default=None
            See :meth:`plot`.
        """
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import Pipeline
        from sklearn.utils.validation import check_is_fitted

        last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
        check_is_fitted(last)
        if isinstance(last, MLPClassifier):
            names = {"loss": "loss_curve_", "val_accuracy": "validation_scores_"}
            history: Any = {n: getattr(last, a, None) for n, a in names.items()}
        elif hasattr(last, "history_"):
            history = last.history_
        else:
            raise TypeError(
                "HistoryDisplay takes a fitted MNISTClassifier or MLPClassifier, or a"
                f" pipeline that ends in one, got {type(last).__name__}; of a search,"
                " pass best_estimator_."
            )
        frequency = last.get_params().get("fit__validation_freq", 1)
        history = {name: values for name, values in history.items() if values}
        return cls(history, validation_freq=frequency).plot(ax)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw axes for the loss and for each metric.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes from ``plt.subplots``, whose place is divided. None makes a new figure.
        """
        if not any(map(len, self.history.values())):
            raise ValueError(
                "The history is empty: the network was not trained for an epoch, or was"
                " loaded without its history."
            )
        names = list(dict.fromkeys(key.removeprefix("val_") for key in self.history))
        names.sort(key=lambda name: name != "loss")
        self.figure_, grid = make_grid(ax, (1, len(names)), (4.2, 3.2))
        from matplotlib.ticker import MaxNLocator

        self.axes_, self.lines_ = grid[0], {}
        for key, values in self.history.items():
            validation = key.startswith("val_")
            panel = self.axes_[names.index(key.removeprefix("val_"))]
            (self.lines_[key],) = panel.plot(
                self._epochs(key),
                values,
                color=ORANGE if validation else BLUE,
                linestyle="-" if validation else "--",
                # A line of one point is invisible.
                marker="o" if len(values) < 20 else None,
                markersize=4,
                label="validation" if validation else "training",
            )
        for panel, name in zip(self.axes_, names, strict=True):
            panel.set(xlabel="epoch", ylabel=name.replace("_", " "))
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            panel.spines[["top", "right"]].set_visible(False)
            panel.grid(alpha=0.25)
            panel.legend(frameon=False)
        return self

    def _epochs(self, key: str) -> list[int]:
        """Return the epoch of each value, counted from 1."""
        count, last = len(self.history[key]), max(map(len, self.history.values()))
        step = self.validation_freq if key.startswith("val_") else 1
        return list(range(step, last + 1, step))[-count:]
