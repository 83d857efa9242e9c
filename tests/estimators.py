"""Small estimators that train in a fraction of a second, and their whole state."""

import numpy as np

from skmnist import MNISTClassifier, make_pipeline

SMALL = {"units": 8, "epochs": 1, "random_state": 0}


def small_classifier(**params):
    """Return an unfitted classifier of two layers of 8 units, one epoch, seed 0."""
    return MNISTClassifier(**SMALL | params)


def small_pipeline(**params):
    """Return an unfitted pipeline with the classifier of `small_classifier`."""
    return make_pipeline(**SMALL | params)


def state(clf):
    """Return the bytes of all variables of model and optimizer, and the history."""
    variables = [*clf.model_.variables, *clf.model_.optimizer.variables]
    return [np.asarray(v.numpy()).tobytes() for v in variables], str(clf.history_)


def assert_same_state(one, other):
    """Check that two fitted classifiers agree to the bit, optimizers included."""
    # Not in the assertion: pytest would print each byte that differs.
    same = state(one) == state(other)
    assert same, "weights, optimizer state or history differ"
