"""Tests of the network and of its forward pass."""

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.special import erf

from skmnist.network import build_network, predict_proba

# Left out on other Pythons.
pytestmark = pytest.mark.long

# From their definitions, in double precision.
ACTIVATIONS = {
    "relu": lambda x: np.where(x > 0, x, 0),
    "tanh": lambda x: 1 - 2 / (np.exp(2 * x) + 1),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "softmax": lambda x: softmax(x),
    "linear": lambda x: x,
}


def softmax(x):
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def forward(weights, X, activation):
    """Compute the network's output from its weights, in double precision."""
    *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
    for hidden_kernel, hidden_bias in hidden:
        X = activation(X @ hidden_kernel.astype(np.float64) + hidden_bias)
    return softmax(X @ kernel.astype(np.float64) + bias)


def make_network(activation="relu", units=(32, 24), seed=0, **options):
    """Return a network of random weights, biases included, and rows to predict."""
    model = build_network(49, 7, units=units, activation=activation, **options)
    rng = np.random.default_rng(seed)
    shapes = [weight.shape for weight in model.get_weights()]
    model.set_weights([rng.normal(size=shape, scale=0.3) for shape in shapes])
    X = rng.uniform(size=(101, 49)).astype(np.float32)
    X.setflags(write=False)
    return model, X


def assert_close(proba, expected):
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba, expected, rtol=1e-4, atol=1e-6)


def assert_predicts(model, X, expected):
    """Compare rows that are predicted together, and one by one."""
    assert_close(predict_proba(model, X), expected)
    alone = [predict_proba(model, row[np.newaxis]) for row in X]
    assert_close(np.concatenate(alone), expected)


def test_build_network_default_has_669706_parameters():
    assert build_network(784, 10).count_params() == 669_706


@pytest.mark.parametrize("units", [(5,), (4, 6, 5), ()])
def test_build_network_has_a_layer_for_each_width(units):
    pairs = pairwise((49, *units, 7))
    shapes = [shape for pair in pairs for shape in (pair, pair[1:])]
    weights = build_network(49, 7, units=units).get_weights()
    assert [weight.shape for weight in weights] == shapes
    model, X = make_network(units=units)
    assert_predicts(model, X, forward(model.get_weights(), X, ACTIVATIONS["relu"]))


def test_build_network_dropout_follows_each_hidden_layer():
    model, X = make_network(units=(4, 6, 5), dropout=0.25)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == [*["Dense", "Dropout"] * 3, "Dense"]
    assert [layer.rate for layer in model.layers[1::2]] == [0.25] * 3
    assert len({layer.seed for layer in model.layers[1::2]}) == 3
    # Prediction drops nothing.
    assert_predicts(model, X, forward(model.get_weights(), X, ACTIVATIONS["relu"]))


def test_build_network_initial_weights_follow_from_the_seed():
    one, same, other = (
        build_network(49, 7, units=(8, 8), seed=seed).get_weights()[::2]
        for seed in (3, 3, 4)
    )
    for i in range(3):
        np.testing.assert_array_equal(one[i], same[i])
        assert not np.array_equal(one[i], other[i])


def test_build_network_initial_weights_are_glorot_uniform():
    weights = build_network(784, 10, units=(256, 256)).get_weights()
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        np.testing.assert_array_equal(bias, 0)
        limit = np.sqrt(6 / sum(kernel.shape))
        assert 0.98 * limit < np.abs(kernel).max() <= limit
        assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)
    first, second = (build_network(8, 8, units=(8,)).get_weights()[i] for i in (0, 2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_predict_proba_equals_the_definition(activation):
    model, X = make_network(activation)
    expected = forward(model.get_weights(), X, ACTIVATIONS[activation])
    assert_predicts(model, X, expected)
    assert_close(model.predict(X, verbose=0), expected)


def test_predict_proba_activation_may_be_a_function():
    model, X = make_network(lambda x: keras.ops.sin(x))
    assert_predicts(model, X, forward(model.get_weights(), X, np.sin))


@pytest.mark.parametrize("n_rows", [0, 2, 255, 256, 257, 700])
def test_predict_proba_any_number_of_rows(n_rows):
    model, X = make_network()
    X = np.tile(X, (7, 1))[:n_rows]
    expected = forward(model.get_weights(), X, ACTIVATIONS["relu"])
    assert_close(predict_proba(model, X), expected)


# Widths that are and are not multiples of a SIMD register.
@pytest.mark.bits
@pytest.mark.parametrize(
    "shape", [(784, 512, 512, 10), (784, 64, 64, 10), (20, 17, 33, 3), (49, 7)]
)
def test_predict_proba_row_has_the_same_bits_in_any_batch(shape):
    n_features, *units, n_classes = shape
    model = build_network(n_features, n_classes, units=units)
    rng = np.random.default_rng(0)
    X = rng.random((2000, n_features), dtype=np.float32)
    whole = predict_proba(model, X)
    for n_rows in [2, 3, 31, 255, 256, 257, *rng.integers(2, 2000, 12)]:
        rows = rng.integers(0, 2000, n_rows)
        np.testing.assert_array_equal(predict_proba(model, X[rows]), whole[rows])


def test_predict_proba_in_threads_equals_one_thread():
    # Widths of no other test: the threads compile the programs.
    models = [make_network(units=(width, 11)) for width in (32, 33)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: predict_proba(*models[i % 2]), range(40)))
    for i, proba in enumerate(together):
        np.testing.assert_array_equal(proba, predict_proba(*models[i % 2]))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_predict_proba_memory_does_not_grow_with_rows():
    model, _ = make_network(units=(64,))
    X = np.zeros((500_000, 49), np.float32)
    predict_proba(model, X[:1000])

    def peak():
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])

    # Reset the peak to the current value, whatever tests before this one used.
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    proba = predict_proba(model, X)
    # The hidden layer of all rows at once would take 128 MB, which the measure sees.
    assert peak() - before < proba.nbytes + 50e6
    np.ones((len(X), 64), np.float32)
    assert peak() - before > 100e6


def test_predict_proba_large_inputs_do_not_overflow():
    model, X = make_network()
    X = X * np.float32(1e4)
    expected = forward(model.get_weights(), X, ACTIVATIONS["relu"])
    assert_predicts(model, X, expected)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "linear"])
def test_predict_proba_leaves_the_weights_unchanged(activation):
    model, X = make_network(activation)
    before = [weight.copy() for weight in model.get_weights()]
    assert_predicts(model, X, predict_proba(model, X))
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_predict_proba_follows_changed_weights_and_the_model():
    """Models of one shape share a program, which must not keep any model's weights."""
    for seed in range(2):
        model, X = make_network(seed=seed)
        for factor in 1, 2:
            model.set_weights([factor * weight for weight in model.get_weights()])
            expected = forward(model.get_weights(), X, ACTIVATIONS["relu"])
            assert_predicts(model, X, expected)
