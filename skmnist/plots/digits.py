"""Images of digits, with a classifier's errors first."""

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skmnist.plots.axes import ORANGE, make_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class DigitsDisplay:
    """Images of digits, with their labels and predictions.

    :meth:`from_estimator` and :meth:`from_predictions` show a classifier's errors
    first, by decreasing confidence, then the other images, by increasing confidence.
    All parameters are stored as attributes.

    Parameters
    ----------
    images : array-like of shape (n_images, height, width), \
            (n_images, height, width, 1) or (n_images, n_features)
        Grey levels, ink above paper. Rows of features are reshaped to squares.
    labels : array-like of shape (n_images,), default=None
        True label of each image.
    predicted : array-like of shape (n_images,), default=None
        Predicted label of each image.
    confidence : array-like of shape (n_images,), default=None
        Probability of the predicted label, 0 to 1.

    Attributes
    ----------
    indices : ndarray of shape (n_images,), dtype int
        Index of each image in `X` before sorting; 0, 1, 2 ... if not sorted.
    axes_, figure_ : ndarray of matplotlib Axes, and Figure
        Axes of each image shown.

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
        cls, estimator: Any, X: ArrayLike, y: ArrayLike, **options: Any
    ) -> Self:
        """Predict labels of images, and show errors first.

        Parameters
        ----------
        estimator : fitted classifier
            Without `predict_proba`, errors are in the order of `X`. Other estimators
            raise TypeError.
        X, y : array-like
            Images, as `estimator` takes them, and their labels.
        **options
            Parameters of :meth:`plot`.
        """
        from sklearn.base import is_classifier

        if not is_classifier(estimator):
            kind = type(estimator).__name__
            raise TypeError(f"DigitsDisplay takes a fitted classifier, got {kind}.")
        predicted, confidence = np.asarray(estimator.predict(X)), None
        if hasattr(estimator, "predict_proba"):
            columns = np.searchsorted(estimator.classes_, predicted)
            confidence = estimator.predict_proba(X)[np.arange(len(columns)), columns]
        return cls.from_predictions(X, y, predicted, confidence=confidence, **options)

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        confidence: ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Show images with predicted labels, errors first.

        Parameters
        ----------
        X : array-like
            Images.
        y_true, y_pred : array-like of shape (n_images,)
            True and predicted labels.
        confidence : array-like of shape (n_images,), default=None
            Probability of `y_pred`, 0 to 1.
        **options
            Parameters of :meth:`plot`.
        """
        from sklearn.utils import check_consistent_length

        check_consistent_length(X, y_true, y_pred, confidence)
        X, y_true, y_pred = map(np.asarray, (X, y_true, y_pred))
        wrong = y_true != y_pred
        sureness = np.zeros(len(X)) if confidence is None else np.asarray(confidence)
        # Stable, so that images without confidence keep their order.
        order = np.lexsort((np.where(wrong, -sureness, sureness), ~wrong))
        display = cls(X[order], y_true[order], predicted=y_pred[order])
        display.indices = order
        if confidence is not None:
            display.confidence = sureness[order]
        return display.plot(**options)

    def plot(
        self, ax: "Axes | None" = None, *, n_images: int = 24, cmap: Any = "gray_r"
    ) -> Self:
        """Draw the first images in a grid.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes from ``plt.subplots``, whose place is divided. None makes a new figure.
        n_images : int, default=24
            Maximum number of images.
        cmap : str or matplotlib Colormap, default='gray_r'
            Colours of paper and ink.
        """
        images = np.asarray(self.images)[:n_images]
        if images.ndim == 2:
            side = math.isqrt(images.shape[1])
            images = images.reshape(-1, side, side)
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
        """Return the title of an image, and whether its prediction is wrong."""
        both = self.labels, self.predicted
        known = [str(np.asarray(labels)[i]) for labels in both if labels is not None]
        wrong = len(set(known)) == 2
        text = " read as ".join(known if wrong else known[:1])
        if self.confidence is not None:
            text += f"\n{np.asarray(self.confidence)[i]:.1%}"
        return text, wrong
