"""A picture of handwriting, with what was read in it."""

import io
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmnist.pictures import find_digits
from skmnist.pictures.decoding import Picture, read_colours
from skmnist.plots.axes import check_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# White on either can be read, whatever the picture around it.
_SURE, _UNSURE = "#0066a6", "#a84400"


class PictureDisplay:
    """A picture with a box around each digit, and what it was read as.

    It shows at a glance whether a wrong number was written badly, cut out badly or
    read badly. It is recommended to use :meth:`from_estimator` to create one. All
    parameters are stored as attributes.

    Parameters
    ----------
    image : ndarray of shape (height, width) or (height, width, 3 or 4)
        The upright picture, of uint8 or of floats in [0, 1].
    boxes : array-like of shape (n_digits, 4)
        Left, top, right and bottom of each digit, in pixels of a picture of `size`.
    labels : array-like of shape (n_digits,)
        What each was read as.
    confidence : array-like of shape (n_digits,), default=None
        The probability, 0 to 1, that it was given to be that.
    size : tuple of int, default=None
        Width and height in pixels, if `image` is a reduced copy; None means its own.

    Attributes
    ----------
    boxes_ : list of matplotlib Rectangle
        The box of each digit.
    texts_ : list of matplotlib Annotation
        What is written above each box.
    im_ : matplotlib AxesImage
        The picture.
    ax_ : matplotlib Axes
        What it is drawn on.
    figure_ : matplotlib Figure
        What holds that.

    See Also
    --------
    skmnist.find_digits : The digits alone.
    skmnist.DigitsDisplay : Images of one digit each.

    Examples
    --------
    Three digits, pasted in a row:

    >>> import numpy as np
    >>> from skmnist import PictureDisplay, load_digits_28x28, make_pipeline
    >>> (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
    >>> pipe = make_pipeline(units=64, random_state=0).fit(X_train, y_train)
    >>> display = PictureDisplay.from_estimator(pipe, np.hstack(X_test[:3]))
    >>> display.boxes.shape, len(display.texts_)
    ((3, 4), 3)
    """

    def __init__(
        self,
        image: NDArray[Any],
        boxes: ArrayLike,
        labels: ArrayLike,
        *,
        confidence: ArrayLike | None = None,
        size: tuple[int, int] | None = None,
    ):
        self.image = image
        self.boxes = boxes
        self.labels = labels
        self.confidence = confidence
        self.size = size

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        picture: Picture,
        *,
        min_confidence: float = 0.5,
        ax: "Axes | None" = None,
    ) -> Self:
        """Find the digits of a picture, read and show them.

        Parameters
        ----------
        estimator : classifier
            Fitted: any that takes images of shape (n_images, 28, 28) and has
            `predict_proba`.
        picture : path, file, Pillow image or ndarray
            What :func:`~skmnist.find_digits` takes.
        min_confidence : float, default=0.5
            See :meth:`plot`.
        ax : matplotlib Axes, default=None
            See :meth:`plot`.

        Returns
        -------
        PictureDisplay
            Drawn. Without a digit in the picture, its boxes are none.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError, ValueError, OSError
            If `picture` is none, as :func:`~skmnist.find_digits` raises them.
        """
        check_matplotlib("PictureDisplay.from_estimator")
        if hasattr(picture, "read"):
            # It is read twice.
            picture = io.BytesIO(picture.read())
        digits = find_digits(picture, estimator=estimator)
        if isinstance(picture, io.BytesIO):
            picture.seek(0)
        colours = read_colours(picture)
        labels, confidence = np.asarray(estimator.classes_)[:0], np.empty(0)
        if len(digits):
            probabilities = estimator.predict_proba(digits.images)
            labels = np.asarray(estimator.classes_)[probabilities.argmax(axis=1)]
            confidence = probabilities.max(axis=1)
        return cls(
            colours.values,
            digits.boxes,
            labels,
            confidence=confidence,
            size=colours.size,
        ).plot(ax, min_confidence=min_confidence)

    def plot(self, ax: "Axes | None" = None, *, min_confidence: float = 0.5) -> Self:
        """Draw the picture and the boxes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure in the shape of the picture.
        min_confidence : float, default=0.5
            Of a digit with less than that, the box is dashed and the label followed by
            a question mark.

        Returns
        -------
        PictureDisplay
            This object, with what was drawn as attributes.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib("PictureDisplay.plot")
        import matplotlib.pyplot as plt
        from matplotlib.patches import Rectangle

        image, boxes = np.asarray(self.image), np.asarray(self.boxes).reshape(-1, 4)
        labels = [str(label) for label in np.asarray(self.labels)]
        width, height = self.size or image.shape[1::-1]
        if ax is None:
            inches = 7 / max(width, height)
            figsize = (max(2, width * inches), max(2, height * inches))
            _, ax = plt.subplots(figsize=figsize, layout="constrained")
        self.im_ = ax.imshow(
            image,
            cmap="gray",
            vmin=0,
            vmax=255 if image.dtype == np.uint8 else 1,
            extent=(0, width, height, 0),
        )
        ax.set(xticks=[], yticks=[])
        sure = np.ones(len(boxes), dtype=bool)
        if self.confidence is not None:
            sure = np.asarray(self.confidence) >= min_confidence
        self.ax_, self.figure_ = ax, ax.figure
        self.boxes_, self.texts_ = [], []
        fontsize = _fit_font(ax, boxes, (width, height))
        for (left, top, right, bottom), label, is_sure in zip(
            boxes, labels, sure, strict=True
        ):
            colour = _SURE if is_sure else _UNSURE
            box = Rectangle(
                (left, top),
                right - left,
                bottom - top,
                fill=False,
                color=colour,
                linewidth=1.5,
                linestyle="-" if is_sure else "--",
            )
            self.boxes_.append(ax.add_patch(box))
            self.texts_.append(
                ax.annotate(
                    label if is_sure else f"{label}?",
                    (left, top),
                    xytext=(2, 2),
                    textcoords="offset points",
                    color="white",
                    fontsize=fontsize,
                    bbox={"facecolor": colour, "edgecolor": "none", "pad": 2},
                )
            )
        return self


def _fit_font(ax: "Axes", boxes: NDArray[Any], size: tuple[int, int]) -> float:
    """Return a size in points at which labels leave the lines above legible."""
    if not len(boxes):
        return 10.0
    extent = ax.get_window_extent()
    points = 72 / ax.figure.dpi * min(extent.width / size[0], extent.height / size[1])
    return float(np.clip(0.4 * points * np.median(boxes[:, 3] - boxes[:, 1]), 5, 12))
