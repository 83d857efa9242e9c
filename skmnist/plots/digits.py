"""Images of digits, the mistakes of a classifier foremost."""

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmnist.plots.axes import ORANGE, check_matplotlib, make_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class DigitsDisplay:
    """Images of digits, with what they are and what they were read as.

    Accuracy tells how often a classifier errs; its mistakes tell why, and whether the
    images or the network are to be mended. :meth:`from_estimator` puts them first.
    All parameters are stored as attributes.

    Parameters
    ----------
    images : array-like of shape (n_images, height, width), \
            (n_images, height, width, 1) or (n_images, n_features)
        Grey levels, ink above paper. Rows of features are taken for square images.
    labels : array-like of shape (n_images,), default=None
        What each image is.
    predicted : array-like of shape (n_images,), default=None
        What each was read as.
    confidence : array-like of shape (n_images,), default=None
        The probability, 0 to 1, that it was given to be that.

    Attributes
    ----------
    indices : ndarray of shape (n_images,), dtype int
        Where each image stood in `X`, if the images were sorted by
        :meth:`from_estimator` or :meth:`from_predictions`; else 0, 1, 2 and so on.
    axes_ : ndarray of matplotlib Axes
        One for each image shown.
    figure_ : matplotlib Figure
        What holds them.

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay : How often each label is read as each.

    Examples
    --------
    >>> from skmnist import DigitsDisplay, load_digits_28x28, make_pipeline
    >>> (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
    >>> display = DigitsDisplay(X_train, y_train).plot(n_images=10)
    >>> display.axes_[0].get_title() == str(y_train[0])
    True
    >>> pipe = make_pipeline(units=64, random_state=0).fit(X_train, y_train)
    >>> display = DigitsDisplay.from_estimator(pipe, X_test, y_test)
    >>> bool(display.labels[0] == display.predicted[0])
    False
    """

    def __init__(
        self,
        images: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        predicted: ArrayLike | None = None,
        confidence: ArrayLike | None = None,
    ):
        self.images = images
        self.labels = labels
        self.predicted = predicted
        self.confidence = confidence
        self.indices = np.arange(len(np.asarray(images)))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        n_images: int = 24,
        cmap: Any = "gray_r",
        ax: "Axes | None" = None,
    ) -> Self:
        """Read images, and show the mistakes first, the surest foremost.

        After the mistakes come the images read rightly, the least sure foremost.

        Parameters
        ----------
        estimator : classifier
            Fitted: any of scikit-learn's, or a pipeline or search with one. Without
            `predict_proba`, the order within the mistakes is that of `X`.
        X : array-like of shape (n_images, height, width), \
                (n_images, height, width, 1) or (n_images, n_features)
            Images, as `estimator` takes them.
        y : array-like of shape (n_images,)
            Their labels.
        n_images : int, default=24
            See :meth:`plot`.
        cmap : str or matplotlib Colormap, default='gray_r'
            See :meth:`plot`.
        ax : matplotlib Axes, default=None
            See :meth:`plot`.

        Returns
        -------
        DigitsDisplay
            Drawn. Its attributes hold all the images, in the order described.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If `estimator` is no classifier.

        See Also
        --------
        DigitsDisplay.from_predictions : The same of labels predicted already.
        """
        from sklearn.base import is_classifier

        check_matplotlib("DigitsDisplay.from_estimator")
        if not is_classifier(estimator):
            raise ValueError("DigitsDisplay.from_estimator only supports classifiers.")
        predicted, confidence = np.asarray(estimator.predict(X)), None
        if hasattr(estimator, "predict_proba"):
            columns = np.searchsorted(estimator.classes_, predicted)
            confidence = estimator.predict_proba(X)[np.arange(len(columns)), columns]
        return cls.from_predictions(
            X,
            y,
            predicted,
            confidence=confidence,
            n_images=n_images,
            cmap=cmap,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        confidence: ArrayLike | None = None,
        n_images: int = 24,
        cmap: Any = "gray_r",
        ax: "Axes | None" = None,
    ) -> Self:
        """Show images with predicted labels, the mistakes first, the surest foremost.

        Parameters
        ----------
        X : array-like of shape (n_images, height, width), \
                (n_images, height, width, 1) or (n_images, n_features)
            Images.
        y_true : array-like of shape (n_images,)
            What they are.
        y_pred : array-like of shape (n_images,)
            What they were read as.
        confidence : array-like of shape (n_images,), default=None
            The probability of `y_pred`, 0 to 1.
        n_images : int, default=24
            See :meth:`plot`.
        cmap : str or matplotlib Colormap, default='gray_r'
            See :meth:`plot`.
        ax : matplotlib Axes, default=None
            See :meth:`plot`.

        Returns
        -------
        DigitsDisplay
            Drawn. Its attributes hold all the images, in the order described.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If the lengths differ.

        See Also
        --------
        DigitsDisplay.from_estimator : The same of a classifier.
        """
        from sklearn.utils import check_consistent_length

        check_matplotlib("DigitsDisplay.from_predictions")
        check_consistent_length(X, y_true, y_pred, confidence)
        X, y_true, y_pred = map(np.asarray, (X, y_true, y_pred))
        wrong = y_true != y_pred
        sureness = np.zeros(len(X)) if confidence is None else np.asarray(confidence)
        # Stable, so that without a confidence the order stays.
        order = np.lexsort((np.where(wrong, -sureness, sureness), ~wrong))
        display = cls(
            X[order],
            y_true[order],
            predicted=y_pred[order],
            confidence=None if confidence is None else sureness[order],
        )
        display.indices = order
        return display.plot(n_images=n_images, cmap=cmap, ax=ax)

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        n_images: int = 24,
        cmap: Any = "gray_r",
    ) -> Self:
        """Draw the first images in a grid.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            One that ``plt.subplots`` made, whose place the images share. None makes a
            new figure.
        n_images : int, default=24
            How many images to show at most.
        cmap : str or matplotlib Colormap, default='gray_r'
            The colours of paper and ink.

        Returns
        -------
        DigitsDisplay
            This object, with what was drawn as attributes.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If the images have no such shape, or there are none.
        """
        check_matplotlib("DigitsDisplay.plot")
        images = _as_images(self.images)[:n_images]
        if not len(images):
            raise ValueError(f"There are no images to show, of n_images={n_images}.")
        rows = math.ceil(len(images) / (5 if len(images) <= 10 else 8))
        columns = math.ceil(len(images) / rows)
        self.figure_, grid = make_grid(ax, (rows, columns), (1.05, 1.4))
        self.axes_ = grid.ravel()[: len(images)]
        for panel in grid.ravel():
            panel.set(xticks=[], yticks=[], frame_on=False)
        for i, (panel, image) in enumerate(zip(self.axes_, images, strict=True)):
            panel.imshow(image, cmap=cmap)
            title, wrong = self._describe(i)
            panel.set_title(title, fontsize="small")
            if wrong:
                panel.title.set_color(ORANGE)
                panel.set_frame_on(True)
                panel.spines[:].set(color=ORANGE, linewidth=1.5)
        return self

    def _describe(self, i: int) -> tuple[str, bool]:
        """Return what to write above an image, and whether it was misread."""
        known = [
            str(np.asarray(labels)[i])
            for labels in (self.labels, self.predicted)
            if labels is not None
        ]
        wrong = len(set(known)) == 2
        text = " read as ".join(known if wrong else known[:1])
        if self.confidence is not None:
            text += f"\n{_percent(np.asarray(self.confidence)[i])}"
        return text, wrong


def _as_images(X: ArrayLike) -> NDArray[Any]:
    """Return images of shape (n_images, height, width)."""
    images = np.asarray(X)
    if images.ndim == 4 and images.shape[3] == 1:
        return images[..., 0]
    if images.ndim == 2 and (side := math.isqrt(images.shape[1])) ** 2 == len(images.T):
        return images.reshape(-1, side, side)
    if images.ndim != 3:
        raise ValueError(
            "The images must have shape (n_images, height, width),"
            " (n_images, height, width, 1) or (n_images, n_features) with a square"
            f" number of features, got {images.shape}. One image is image[np.newaxis]."
        )
    return images


def _percent(probability: float) -> str:
    """Return a probability as text that says 100 % of nothing but 1."""
    if probability == 1:
        return "100 %"
    return "> 99.9 %" if probability >= 0.9995 else f"{100 * probability:.1f} %"
