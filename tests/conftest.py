"""Data that several test files use."""

import os

import numpy as np
import pytest

# Before anything imports TensorFlow, whose remarks would bury what pytest reports.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from skmnist import fetch_mnist, load_digits_28x28


@pytest.fixture(scope="session")
def digits():
    """Return a few hundred real digits, (images, labels) to train on and to test.

    All arrays are read-only: whoever writes into what belongs to the caller fails.
    """
    (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
    pairs = (X_train[:300], y_train[:300]), (X_test[:100], y_test[:100])
    for array in (*pairs[0], *pairs[1]):
        array.setflags(write=False)
    return pairs


@pytest.fixture(scope="session")
def rows(digits):
    """Return the same as flat float32 rows from 0 to 1, read-only."""
    pairs = []
    for images, labels in digits:
        X = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
        X.setflags(write=False)
        pairs.append((X, labels))
    return tuple(pairs)


@pytest.fixture(scope="session")
def mnist():
    """Return all of MNIST."""
    if not os.environ.get("SKMNIST_DATA"):
        pytest.skip("reads MNIST from where SKMNIST_DATA says, and that is unset")
    return fetch_mnist()
