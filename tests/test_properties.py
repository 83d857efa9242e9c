"""Property tests of any input of a kind, and of any order of calls.

``HYPOTHESIS_PROFILE=long`` runs 5,000 examples of each instead of 50.
"""

import gzip
import io
import os
import pickle
import struct
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import pandas as pd
import pytest
from estimators import assert_same_state, small_classifier
from PIL import Image
from sklearn.base import clone

from skmnist import (
    find_digits,
    flatten_and_scale,
    load_pipeline,
    make_pipeline,
    save_pipeline,
    to_sklearn,
)
from skmnist.datasets import read_images

pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

# Left out on other Pythons.
pytestmark = pytest.mark.long

# The first call of a kind compiles, so a single example has no deadline.
quiet = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("default", max_examples=50, **quiet)
settings.register_profile("long", max_examples=5000, **quiet)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

N, WIDTH = 24, 4
rng = np.random.default_rng(0)
X, Y = rng.integers(0, 200, (N, WIDTH)), np.arange(N) % 3

CONTAINERS = {
    "array": np.asarray,
    "list": np.ndarray.tolist,
    "columns first": np.asfortranarray,
    "every other": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed twice": lambda x: x[::-1].copy()[::-1],
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "memmap": lambda x: np.ascontiguousarray(x).view(np.memmap),
    "frame": lambda x: pd.DataFrame(x).rename(columns=str),
    "mixed frame": lambda x: pd.DataFrame(x).astype({0: np.float64}),
    "objects": lambda x: x.astype(object),
}
DTYPES = ["u1", "u2", "u4", "u8", "i2", "i4", "i8", "f2", "f4", "f8"]


@given(
    st.sampled_from(DTYPES),
    st.sampled_from(sorted(CONTAINERS)),
    arrays.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6),
    st.data(),
)
def test_flatten_and_scale_accepts_any_container_and_dtype(
    dtype, container, shape, data
):
    values = data.draw(arrays.arrays("u1", shape))
    if values.ndim == 3 and "frame" in container:
        values = values.reshape(len(values), -1)
    given_images = CONTAINERS[container](values.astype(dtype))
    with warnings.catch_warnings():
        # Warnings of images that look scaled or inverted.
        warnings.simplefilter("ignore", UserWarning)
        result = flatten_and_scale(given_images)
    expected = values.reshape(len(values), -1).astype(np.float32) / np.float32(255)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, expected)


def tiny(**params):
    return small_classifier(**{"units": 4, "batch_size": 8} | params)


@pytest.fixture(scope="module")
def expected():
    return tiny().fit(X, Y).predict_proba(X)


@given(st.sampled_from(DTYPES), st.sampled_from(sorted(CONTAINERS)), st.data())
def test_fit_accepts_any_container_dtype_and_labels(expected, dtype, container, data):
    x = CONTAINERS[container](X.astype(dtype))
    labels = data.draw(
        st.lists(
            st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=5),
            min_size=3,
            max_size=3,
            unique=True,
        )
        | st.lists(st.integers(-(2**40), 2**40), min_size=3, max_size=3, unique=True)
    )
    labels = np.array(sorted(labels))
    clf = tiny().fit(x, labels[Y])
    assert clf.classes_.tolist() == labels.tolist()
    np.testing.assert_array_equal(clf.predict_proba(x), expected)
    assert clf.predict(x).tolist() == labels[expected.argmax(axis=1)].tolist()


@pytest.fixture(scope="module")
def clf():
    return tiny().fit(X, Y)


@given(st.lists(st.integers(0, N - 1), min_size=2, max_size=600))
def test_predict_proba_of_a_row_is_the_same_in_any_batch(clf, expected, rows):
    np.testing.assert_array_equal(clf.predict_proba(X[rows]), expected[rows])


IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
PIPE = make_pipeline(units=4, epochs=1, random_state=0).fit(IMAGES, [0, 1, 2])


def as_bytes(write, *args, **options):
    write(stream := io.BytesIO(), *args, **options)
    return stream.getvalue()


def saved(ending):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"model{ending}")
        # A pipeline without TensorFlow is read in less time.
        save_pipeline(to_sklearn(PIPE) if ending == ".joblib" else PIPE, file)
        return file.read_bytes()


IDX = struct.pack(">4I", 0x0803, *IMAGES.shape) + IMAGES.tobytes()
PAPER = Image.fromarray(np.kron(IMAGES[0] // 128 * 255, np.ones((3, 3), np.uint8)))
# Content, reader, and whether a checksum finds each change of the data.
FILES = {
    ".npy": (as_bytes(np.save, IMAGES), read_images, False),
    ".npz": (as_bytes(np.savez, IMAGES), read_images, True),
    ".idx": (IDX, read_images, False),
    ".gz": (gzip.compress(IDX), read_images, True),
    ".joblib": (saved(".joblib"), load_pipeline, False),
    ".skops": (saved(".skops"), load_pipeline, True),
    ".onnx": (saved(".onnx"), load_pipeline, False),
    ".png": (as_bytes(PAPER.save, format="PNG"), find_digits, False),
    ".jpg": (as_bytes(PAPER.save, format="JPEG"), find_digits, False),
    ".gif": (as_bytes(PAPER.save, format="GIF"), find_digits, False),
}


def values(read):
    return read.predict_proba(IMAGES) if hasattr(read, "predict_proba") else read


@pytest.mark.parametrize("ending", FILES)
@given(
    keep=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255))),
    more=st.binary(max_size=64),
)
def test_readers_reject_corrupt_files_or_read_them_correctly(ending, keep, flips, more):
    whole, read, has_checksum = FILES[ending]
    content = bytearray(whole[: round(len(whole) * keep)] + more)
    for place, change in flips if content else ():
        content[int(place * len(content))] ^= change
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's and NumPy's
        file = Path(folder, f"file{ending}")
        file.write_bytes(content)
        error = None
        try:
            result = read(file)
        except (OSError, ValueError) as raised:
            error = str(raised)
    assert error is None or str(file) in error
    if has_checksum and error is None:
        np.testing.assert_array_equal(values(result), values(read_whole(ending)))


@cache
def read_whole(ending):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"file{ending}")
        file.write_bytes(FILES[ending][0])
        return FILES[ending][1](file)


class Interrupt(keras.callbacks.Callback):
    """Interrupt training after a number of epochs."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        self.epochs -= 1
        if self.epochs < 0:
            raise KeyboardInterrupt


class Calls(RuleBasedStateMachine):
    """Any order of calls, and a list of the learning rates of the epochs they train.

    The classifier must equal one that was trained these epochs one by one.
    """

    known: ClassVar[dict] = {}

    def __init__(self):
        super().__init__()
        self.clf = tiny().set_params(**rate(0.01))
        self.epochs, self.warm, self.rate, self.rates = 1, False, 0.01, None

    def check(self):
        """Compare with a classifier trained one epoch for each rate."""
        if self.rates is None:
            assert not hasattr(self.clf, "model_")
            return
        key = tuple(self.rates)
        if key not in self.known:
            oracle = tiny().set_params(**rate(key[0])).initialize(X, Y)
            for value in key:
                oracle.set_params(**rate(value)).partial_fit(X, Y)
            self.known[key] = oracle
        assert_same_state(self.clf, self.known[key])

    @rule()
    def fit(self):
        self.clf.fit(X, Y)
        new = [self.rate] * self.epochs
        self.rates = [*self.rates, *new] if self.warm and self.rates else new
        self.check()

    @rule()
    def partial_fit(self):
        self.clf.partial_fit(X, Y)
        self.rates = [*(self.rates or []), self.rate]
        self.check()

    @rule(value=st.sampled_from([0.01, 0.1]))
    def set_rate(self, value):
        self.rate = value
        self.clf.set_params(**rate(value))

    @rule(epochs=st.integers(1, 2), warm=st.booleans())
    def set_course(self, epochs, warm):
        self.epochs, self.warm = epochs, warm
        self.clf.set_params(epochs=np.int64(epochs), warm_start=warm)

    @rule()
    def pickle(self):
        self.clf = pickle.loads(pickle.dumps(self.clf))
        self.check()

    @rule()
    def clone(self):
        other = clone(self.clf)
        assert not hasattr(other, "model_")
        assert other.get_params() == self.clf.get_params()

    @rule()
    def start_over_from_a_clone(self):
        self.clf, self.rates = clone(self.clf), None
        self.check()

    @rule(
        method=st.sampled_from(["fit", "partial_fit"]),
        bad=st.sampled_from(["y", "X", "epochs", "interrupt", "diverge"]),
    )
    def rejected(self, method, bad):
        before = self.clf.get_params()
        changed = {
            "epochs": {"epochs": 0, "batch_size": 0},
            "interrupt": {"callbacks": Interrupt(0)},
            # A finite rate may leave finite weights, and all units without effect.
            "diverge": rate(np.inf),
        }.get(bad, {})
        self.clf.set_params(**changed)
        x = X * np.nan if bad == "X" else X
        with pytest.raises((ValueError, KeyboardInterrupt)):
            getattr(self.clf, method)(x, Y[1:] if bad == "y" else Y)
        self.clf.set_params(
            **{name: before[name] for name in changed if name in before}
        )
        if bad == "diverge":
            self.clf.set_params(**rate(self.rate))
        self.check()

    @rule()
    def interrupted_after_an_epoch(self):
        self.clf.set_params(epochs=3, callbacks=Interrupt(1))
        with pytest.raises(KeyboardInterrupt):
            self.clf.fit(X, Y)
        self.clf.set_params(epochs=self.epochs, callbacks=None)
        self.rates = [*(self.rates or []), self.rate] if self.warm else [self.rate]
        self.check()

    @precondition(lambda self: self.rates)
    @rule()
    def another_network(self):
        self.clf.set_params(units=5)
        with pytest.raises(ValueError, match="units must be 4 to continue training"):
            self.clf.partial_fit(X, Y)
        self.clf.set_params(units=4)
        self.check()


def rate(value):
    return {"optimizer": "sgd", "optimizer__learning_rate": value}


TestCalls = Calls.TestCase
TestCalls.settings = settings(stateful_step_count=8)
