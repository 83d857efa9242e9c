"""A picture with the digits read from it."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmnist.pictures.decoding import Picture, read_picture
from skmnist.plots.axes import BLUE, ORANGE, import_pyplot
from skmnist.reading import Reading, read_digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class PictureDisplay:
    """A picture with a box and a label for each digit.

    Use :meth:`from_estimator` or :meth:`from_reading` to create one. All parameters are
    stored as attributes.

    Parameters
    ----------
    image : ndarray of shape (height, width) or (height, width, 3 or 4)
        The upright picture, of uint8 or of floats in [0, 1].
    boxes : array-like of shape (n_digits, 4)
        Left, top, right and bottom of each digit, in pixels of a picture of `size`.
    labels : array-like of shape (n_digits,)
        Label of each digit.
    confidence : array-like of shape (n_digits,), default=None
        Confidence in each label, 0 to 1.
    size : tuple of int, default=None
        Width and height in pixels, if `image` is a reduced copy; None means its own.

    Attributes
    ----------
    im_, boxes_, texts_ : matplotlib AxesImage, list of Rectangle, list of Annotation
        The picture, the box and the label of each digit.
    ax_, figure_ : matplotlib Axes and Figure
        Where they are drawn.

    Examples
    --------
    Three digits in a row, read with the bundled model:

    >>> import numpy as np
    >>> from skmnist import PictureDisplay, load_digits_28x28
    >>> _, (X, _) = load_digits_28x28(random_state=0)
    >>> display = PictureDisplay.from_estimator(None, np.hstack(X[:3]))
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
    def from_estimator(cls, estimator: Any, picture: Picture, **options: Any) -> Self:
        """Read and show the digits of a picture.

        Parameters
        ----------
        estimator : fitted classifier or None
            As of :func:`~skmnist.read_digits`; None means the bundled model.
        picture : path, binary file, Pillow image or ndarray
            As of :func:`~skmnist.read_digits`, which raises the same errors.
        **options
            Parameters of :meth:`plot`.
        """
        upright = read_picture(picture)
        reading = read_digits(upright, estimator=estimator)
        return cls.from_reading(reading, upright, **options)

    @classmethod
    def from_reading(cls, reading: Reading, picture: Picture, **options: Any) -> Self:
        """Show a picture with the `reading` that :func:`~skmnist.read_digits` made.

        The parameters are those of :meth:`from_estimator` otherwise.
        """
        return cls(
            read_picture(picture).colours(),
            reading.boxes,
            reading.labels,
            confidence=reading.confidence,
            size=reading.size,
        ).plot(**options)

    def plot(self, ax: "Axes | None" = None, *, min_confidence: float = 0.5) -> Self:
        """Draw the picture and the boxes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure in the shape of the picture.
        min_confidence : float, default=0.5
            Digits with less confidence get a dashed box and a question mark.
        """
        image, boxes = np.asarray(self.image), np.asarray(self.boxes).reshape(-1, 4)
        width, height = self.size or image.shape[1::-1]
        if ax is None:
            inches = 7 / max(width, height)
            figsize = (max(2, width * inches), max(2, height * inches))
            _, ax = import_pyplot().subplots(figsize=figsize, layout="constrained")
        from matplotlib.patches import Rectangle

        self.im_ = ax.imshow(
            image,
            cmap="gray",
            vmin=0,
            vmax=255 if image.dtype == np.uint8 else 1,
            extent=(0, width, height, 0),
        )
        ax.set(xticks=[], yticks=[])
        self.ax_, self.figure_ = ax, ax.figure
        self.boxes_: list[Any] = []
        self.texts_: list[Any] = []
        # A font that leaves the text line above legible.
        extent, heights = ax.get_window_extent(), [0, *(boxes[:, 3] - boxes[:, 1])]
        points = 72 / ax.figure.dpi * min(extent.width / width, extent.height / height)
        fontsize = float(np.clip(0.4 * points * np.median(heights), 5, 12))
        confidence = np.inf if self.confidence is None else self.confidence
        sure = np.broadcast_to(confidence, len(boxes)) >= min_confidence
        labels = np.asarray(self.labels)
        for box, label, certain in zip(boxes, labels, sure, strict=True):
            left, top, right, bottom = box
            colour = BLUE if certain else ORANGE
            frame = Rectangle((left, top), right - left, bottom - top, fill=False)
            frame.set(color=colour, linestyle="-" if certain else "--", linewidth=1.5)
            self.boxes_.append(ax.add_patch(frame))
            text = ax.annotate(
                str(label) if certain else f"{label}?",
                (left, top),
                xytext=(2, 2),
                textcoords="offset points",
                color="white",
                fontsize=fontsize,
                bbox={"facecolor": colour, "edgecolor": "none", "pad": 2},
            )
            self.texts_.append(text)
        return self
