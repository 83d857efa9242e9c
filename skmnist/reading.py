"""Read the digits of a picture in one call."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmnist.pictures import Digits, find_on_page, find_single
from skmnist.pictures.decoding import Picture, Size, read_picture
from skmnist.pretrained import read_bundled

_bundled_model = cache(read_bundled)  # whose arrays are not handed out
# Logistic regression on the log odds of the confidence (Platt 1999), fitted to
# development pictures by `examples/benchmarks/pictures.py`.
SLOPE, OFFSET = 1.41, 1.36


@dataclass(frozen=True, eq=False)
class Reading:
    """Digits read from a picture, in reading order; as ``str``, their text.

    Attributes
    ----------
    labels : ndarray of shape (n,)
        Most probable class of each digit.
    probabilities : ndarray of shape (n, n_classes), dtype float32
        Probability of each class, in the order of `classes`.
    confidence : ndarray of shape (n,), dtype float32
        Estimated probability, 0 to 1, that the label is right.
    boxes : ndarray of shape (n, 4), dtype int
        Left, top, right and bottom of each digit, in pixels of a picture of `size`.
    lines : ndarray of shape (n,), dtype int
        Text line of each digit, counted from 0.
    images : ndarray of shape (n, 28, 28), dtype uint8
        Each digit in MNIST's format: ink 255 on 0.
    size : tuple of int
        Width and height of the picture, in pixels, turned as its EXIF tag says.
    classes : ndarray of shape (n_classes,)
        Labels that the classifier knows, sorted.

    Examples
    --------
    >>> import numpy as np
    >>> from skmnist import read_digits
    >>> reading = read_digits(np.zeros((100, 200), dtype=np.uint8))  # a black frame
    >>> len(reading), reading.text, reading.size
    (0, '', (200, 100))
    >>> sorted(reading.to_dict())
    ['classes', 'digits', 'height', 'text', 'width']
    """

    labels: NDArray[Any]
    probabilities: NDArray[np.float32]
    confidence: NDArray[np.float32]
    boxes: NDArray[np.int64]
    lines: NDArray[np.int64]
    images: NDArray[np.uint8]
    size: tuple[int, int]
    classes: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """Return the labels, one line of text for each text line of the picture."""
        return self.to_text()

    def to_text(self, min_confidence: float = 0.0) -> str:
        """Return the text with ``?`` for each digit of less than `min_confidence`.

        Spaces separate the labels if a class has a name of several characters.
        """
        separator = " " if any(len(str(name)) > 1 for name in self.classes) else ""
        lines: dict[int, list[str]] = {}
        columns = self.labels, self.lines.tolist(), self.confidence >= min_confidence
        for label, number, sure in zip(*columns, strict=True):
            lines.setdefault(number, []).append(str(label) if sure else "?")
        return "\n".join(separator.join(labels) for labels in lines.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the reading as a dictionary that JSON can hold.

        Returns
        -------
        dict
            ``text`` : str, as the attribute.
            ``width``, ``height`` : int, pixels of the upright picture.
            ``classes`` : list of labels.
            ``digits`` : list with a dict for each digit: ``label``, ``confidence``
            (float), ``line`` (int), ``box`` (left, top, right, bottom),
            ``probabilities`` (in the order of ``classes``) and ``image`` (28 lists of
            28 grey levels, 0 to 255). Floats are rounded to five decimals.
        """
        columns = {
            "label": self.labels.tolist(),
            "confidence": self.confidence.astype(float).round(5).tolist(),
            "line": self.lines.tolist(),
            "box": self.boxes.tolist(),
            "probabilities": self.probabilities.astype(float).round(5).tolist(),
            "image": self.images.tolist(),
        }
        rows = zip(*columns.values(), strict=True)
        return {
            "text": self.text,
            "width": self.size[0],
            "height": self.size[1],
            "classes": self.classes.tolist(),
            "digits": [dict(zip(columns, row, strict=True)) for row in rows],
        }


def read_digits(
    picture: Picture, *, estimator: Any = None, single: bool = False
) -> Reading:
    """Read the digits of a picture.

    Parameters
    ----------
    picture : path, binary file, Pillow image or ndarray
        A photo, scan or drawing with digits in any number of text lines, upright or on
        its side, in a form that :func:`~skmnist.to_mnist_format` takes.
    estimator : fitted classifier, default=None
        Classifier with ``classes_`` and a ``predict_proba`` of images of shape
        (n, 28, 28) in MNIST's format. None means the bundled models, evaluated in NumPy
        alone: neither TensorFlow nor scikit-learn is imported.
    single : bool, default=False
        Whether the picture holds exactly one digit: its most prominent mark is read.

    Returns
    -------
    Reading
        Labels, confidence and place of each digit. Of a blank page, a reading of
        length 0 with an empty text.

    Raises
    ------
    TypeError, ValueError, OSError
        If `picture` is not a picture, as :func:`~skmnist.to_mnist_format` raises them;
        if ``single=True`` and it is blank; or if `estimator` is not a classifier with
        probabilities.

    Warns
    -----
    UserWarning
        If more than 250 digits were detected: the least certain ones are left out.

    Examples
    --------
    >>> import numpy as np
    >>> from skmnist import read_digits
    >>> paper = np.full((200, 300), 230, dtype=np.uint8)
    >>> paper[40:160, 220:226] = paper[50:150, 100:107] = 30
    >>> reading = read_digits(paper)
    >>> print(reading)
    11
    >>> reading.boxes.tolist()
    [[100, 50, 107, 150], [220, 40, 226, 160]]
    """
    if single or estimator is not None:
        estimator = check_estimator(estimator)
    upright = read_picture(picture)
    if single:
        return classify_digits(find_single(upright), estimator, upright.size)
    digits, detected = find_on_page(upright)
    is_digit = 1 - detected[:, 10]
    if estimator is not None:
        reading = classify_digits(digits, estimator, upright.size)
        return replace(reading, confidence=reading.confidence * is_digit)
    classes = np.arange(10, dtype=np.uint8)
    probabilities = detected[:, :10] / is_digit[:, None]
    reading = as_reading(digits, classes, probabilities, upright.size)
    return replace(reading, confidence=calibrated(reading.confidence * is_digit))


def calibrated(confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of right labels to expect of digits of a confidence."""
    odds = confidence / np.maximum(1 - confidence, 1e-6)
    share = 1 / (1 + np.exp(-OFFSET) * np.maximum(odds, 1e-6) ** -SLOPE)
    return share.astype(np.float32)


def read_image_array(images: NDArray[Any], estimator: Any = None) -> Reading:
    """Classify images of one digit each, in MNIST's format, one on each text line."""
    height, width = images.shape[1:3]
    boxes = np.tile(np.array([0, 0, width, height]), (len(images), 1))
    digits = Digits(images, boxes, np.arange(len(images)))
    return classify_digits(digits, check_estimator(estimator), (width, height))


def classify_digits(digits: Digits, estimator: Any, size: Size) -> Reading:
    """Classify the digits of a picture of `size`."""
    classes = np.asarray(estimator.classes_)
    probabilities = np.empty((0, len(classes)), np.float32)
    if len(digits):
        probabilities = np.asarray(estimator.predict_proba(digits.images), np.float32)
    return as_reading(digits, classes, probabilities, size)


def as_reading(
    digits: Digits, classes: NDArray[Any], probabilities: NDArray[Any], size: Size
) -> Reading:
    """Label each digit by its most probable class."""
    return Reading(
        labels=classes[probabilities.argmax(axis=1)],
        probabilities=probabilities,
        confidence=probabilities.max(axis=1),
        size=size,
        classes=classes,
        **vars(digits),
    )


def check_estimator(estimator: Any) -> Any:
    """Return the estimator if it has probabilities, for None the bundled model."""
    if estimator is None:
        return _bundled_model()
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            "estimator must be a classifier with predict_proba, got"
            f" {type(estimator).__name__}."
        )
    return estimator
