"""Fixtures that several test files use."""

import contextlib
import os
import signal

# Set before NumPy and TensorFlow are imported: workers of pytest-xdist with a thread
# for each core would compete.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import numpy as np
import pytest

# Set before TensorFlow is imported: its log would hide the test report.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from skmnist import fetch_mnist, load_digits_28x28

# Otherwise tests, and the processes that they start, ignore interrupts if a shell runs
# them in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def digits():
    """Return 300 training and 100 test digits, each as (images, labels).

    All arrays are read-only: code that writes into its caller's data fails.
    """
    (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
    pairs = (X_train[:300], y_train[:300]), (X_test[:100], y_test[:100])
    for array in (*pairs[0], *pairs[1]):
        array.setflags(write=False)
    return pairs


@pytest.fixture(scope="session")
def rows(digits):
    """Return `digits` as read-only rows of 784 float32 values from 0 to 1."""
    pairs = []
    for images, labels in digits:
        X = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
        X.setflags(write=False)
        pairs.append((X, labels))
    return tuple(pairs)


@pytest.fixture(scope="session")
def mnist():
    """Return all of MNIST; skip the test if SKMNIST_DATA is not set."""
    if not os.environ.get("SKMNIST_DATA"):
        pytest.skip("needs MNIST: set SKMNIST_DATA to its file")
    return fetch_mnist()


@pytest.fixture(scope="session")
def data():
    """Return 1203 samples of 20 features, one-hot targets of 4 classes, and weights.

    1203 samples are 37 batches of 32, enough to compile the loop, and one batch of 19.
    """
    rng = np.random.default_rng(0)
    X = rng.random((1203, 20), dtype=np.float32)
    y = np.argsort(X[:, :4], axis=1)[:, 0]
    weights = rng.random(1203, dtype=np.float32) + 0.5
    return X, np.eye(4, dtype=np.float32)[y], weights


@pytest.fixture(scope="session")
def compiled():
    """Return a function that builds and compiles a network for `data`."""
    import keras

    from skmnist.network import build_network

    def make(optimizer="rmsprop", *, dropout=0.0, seed=1, **compile_options):
        # tanh, not ReLU: at ReLU's corner, RMSprop divides by a vanishing gradient and
        # amplifies rounding errors, in Keras' own loop as well.
        model = build_network(
            20, 4, units=(16, 8), activation="tanh", dropout=dropout, seed=seed
        )
        options = {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}
        model.compile(keras.optimizers.get(optimizer), **options | compile_options)
        model.optimizer.build(model.trainable_variables)
        return model

    return make


@pytest.fixture
def full_disk():
    """Return a context manager that limits files to 10,000 bytes, as on a full disk."""
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def full():
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return full
