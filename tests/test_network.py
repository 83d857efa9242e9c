"""Tests of the network and of its forward pass in NumPy."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from scipy.special import erf

from skmnist.network import build_network, predict_proba

# Written down from their definitions, in double precision.
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


def test_the_first_lessons_network_has_669706_parameters():
    assert build_network(784, 10).count_params() == 669_706


@pytest.mark.parametrize("units", [(5,), (8, 3), (4, 6, 5), ()])
def test_one_layer_for_each_number_of_units(units):
    pairs = pairwise((49, *units, 7))
    shapes = [shape for pair in pairs for shape in (pair, pair[1:])]
    weights = build_network(49, 7, units=units).get_weights()
    assert [weight.shape for weight in weights] == shapes


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_pass_is_that_of_the_definition(activation):
    model, X = make_network(activation)
    expected = forward(model.get_weights(), X, ACTIVATIONS[activation])
    assert_predicts(model, X, expected)
    assert_close(model.predict(X, verbose=0), expected)


@pytest.mark.parametrize("units", [(5,), (4, 6, 5), ()])
def test_forward_pass_through_any_number_of_layers(units):
    model, X = make_network(units=units)
    expected = forward(model.get_weights(), X, ACTIVATIONS["relu"])
    assert_predicts(model, X, expected)


def test_a_function_may_be_the_activation():
    model, X = make_network(lambda x: keras.ops.sin(x))
    assert_predicts(model, X, forward(model.get_weights(), X, np.sin))


def test_every_hidden_layer_has_its_dropout():
    model, _ = make_network(units=(4, 6, 5), dropout=0.25)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == [*["Dense", "Dropout"] * 3, "Dense"]
    assert [layer.rate for layer in model.layers[1::2]] == [0.25] * 3
    assert len({layer.seed for layer in model.layers[1::2]}) == 3


def test_dropout_drops_nothing_when_predicting():
    model, X = make_network(dropout=0.9)
    expected = forward(model.get_weights(), X, ACTIVATIONS["relu"])
    assert_predicts(model, X, expected)


@pytest.mark.parametrize("rows", [1, 2, 7, 100, 101, 102])
def test_pieces_give_what_the_whole_gives(rows):
    model, X = make_network()
    whole = forward(model.get_weights(), X, ACTIVATIONS["relu"])
    assert_close(predict_proba(model, X, rows=rows), whole)


def test_rows_do_not_depend_on_the_others():
    model, X = make_network()
    whole = predict_proba(model, X)
    assert_predicts(model, X, whole)
    order = np.random.default_rng(1).permutation(len(X))
    assert_close(predict_proba(model, X[order]), whole[order])


def test_no_rows_give_no_rows():
    model, X = make_network()
    assert predict_proba(model, X[:0]).shape == (0, 7)


def test_large_inputs_do_not_overflow():
    model, X = make_network()
    X = X * np.float32(1e4)
    expected = forward(model.get_weights(), X, ACTIVATIONS["relu"])
    assert_predicts(model, X, expected)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "linear"])
def test_predicting_leaves_the_weights_alone(activation):
    model, X = make_network(activation)
    before = [weight.copy() for weight in model.get_weights()]
    assert_predicts(model, X, predict_proba(model, X))
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_changed_weights_count_at_once():
    model, X = make_network()
    assert_predicts(model, X, forward(model.get_weights(), X, ACTIVATIONS["relu"]))
    model.set_weights([2 * weight for weight in model.get_weights()])
    expected = forward(model.get_weights(), X, ACTIVATIONS["relu"])
    assert_predicts(model, X, expected)


class TestInitialWeights:
    @pytest.mark.parametrize(("seed", "same"), [(3, True), (4, False)])
    def test_they_follow_from_the_seed(self, seed, same):
        one, other = (
            build_network(49, 7, units=(8, 8), seed=seed).get_weights()
            for seed in (3, seed)
        )
        for kernel in (0, 2, 4):
            assert np.array_equal(one[kernel], other[kernel]) == same

    def test_every_layer_has_its_own(self):
        first, second, third = build_network(8, 8, units=(8, 8)).get_weights()[::2]
        assert not np.array_equal(first, second)
        assert not np.array_equal(second, third)
        assert not np.array_equal(first, third)

    def test_they_are_those_of_glorot_and_bengio(self):
        for weight in build_network(784, 10, units=(256, 64)).get_weights():
            if weight.ndim == 1:
                np.testing.assert_array_equal(weight, 0)
            else:
                # Uniform between plus and minus the limit.
                limit = np.sqrt(6 / sum(weight.shape))
                assert 0.98 * limit < np.abs(weight).max() <= limit
                assert weight.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)
