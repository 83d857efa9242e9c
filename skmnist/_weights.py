"""Weights of samples and of classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight

Weights = NDArray[np.float64]


def weigh(
    y: NDArray[Any],
    sample_weight: ArrayLike | None,
    class_weight: Mapping[Any, float] | str | None,
    classes: NDArray[Any],
) -> tuple[Weights | None, Weights | None]:
    """Return the weight of each sample, with that of its class and as it was given.

    None says that all weigh the same.
    """
    if sample_weight is None and class_weight is None:
        return None, None
    # As float64: what is small or large for float32 may be neither beside the others.
    given = _check_sample_weight(
        sample_weight, y, dtype=np.float64, ensure_non_negative=True
    )
    weights = given
    if class_weight is not None and given.any():
        # Not in place, as in scikeras 0.13: the array may be the caller's.
        weights = given * _of_classes(y, np.flatnonzero(given), class_weight, classes)
        if not (np.isfinite(weights) & (weights >= 0)).all():
            raise ValueError(
                f"class_weight must be finite and not negative, got {class_weight}."
            )
    if not weights.any():
        raise ValueError("All samples have weight 0: there is nothing to train on.")
    return weights, None if sample_weight is None else given


def mean_weight(weights: Weights) -> float:
    """Return the mean of those that are not 0."""
    most = weights.max()  # the sum itself may be too large
    return float(most * (weights[weights > 0] / most).mean())


def _of_classes(
    y: NDArray[Any],
    rows: NDArray[np.intp],
    class_weight: Mapping[Any, float] | str,
    classes: NDArray[Any],
) -> Weights:
    """Return the weight of each sample's class; `rows` are those that count."""
    if not isinstance(class_weight, Mapping):
        return compute_sample_weight(class_weight, y, indices=rows)
    # scikit-learn 1.9 looks the label "3" up as a number, and refuses the weight of a
    # class that `y`, which may be a part of the data, lacks.
    labels = classes.tolist()
    if unknown := [key for key in class_weight if key not in labels]:
        raise ValueError(f"class_weight has {unknown}, but the labels are {labels}.")
    weights = [float(class_weight.get(label, 1)) for label in labels]
    return np.array(weights)[np.searchsorted(classes, y)]
