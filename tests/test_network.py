"""Tests of the network and of its forward pass."""

import resource
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import keras
import numpy as np
import pytest
from joblib import parallel_config
from scipy.special import erf
from sklearn.model_selection import GridSearchCV

from skmnist import MNISTClassifier, network
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


@pytest.mark.parametrize("rows", [2, 255, 256, 257, 700])
def test_any_number_of_rows(rows):
    model, X = make_network()
    X = np.tile(X, (7, 1))[:rows]
    expected = forward(model.get_weights(), X, ACTIVATIONS["relu"])
    assert_close(predict_proba(model, X), expected)


@pytest.mark.bits
# Widths that are and are not multiples of what a processor adds up at once.
@pytest.mark.parametrize(
    "shape", [(784, 512, 512, 10), (784, 64, 64, 10), (20, 17, 33, 3), (49, 7)]
)
def test_a_row_has_the_same_bits_in_any_company(shape):
    n_features, *units, n_classes = shape
    model = build_network(n_features, n_classes, units=units)
    rng = np.random.default_rng(0)
    X = rng.random((2000, n_features), dtype=np.float32)
    whole = predict_proba(model, X)
    for n_rows in [2, 3, 31, 255, 256, 257, *rng.integers(2, 2000, 12)]:
        rows = rng.integers(0, 2000, n_rows)
        np.testing.assert_array_equal(predict_proba(model, X[rows]), whole[rows])


def test_one_row_is_that_of_many_within_rounding():
    model, X = make_network()
    assert_predicts(model, X, predict_proba(model, X))


needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="others are not compiled"
)


@needs_tensorflow
def test_networks_of_a_shape_share_a_program():
    network._compile.cache_clear()
    for seed in range(5):
        model, X = make_network(seed=seed)
        expected = forward(model.get_weights(), X, ACTIVATIONS["relu"])
        assert_close(predict_proba(model, X), expected)
    assert network._compile.cache_info().misses == 1
    predict_proba(*make_network("tanh"))
    predict_proba(*make_network(units=(32, 25)))
    assert network._compile.cache_info().misses == 3


@needs_tensorflow
def test_a_search_compiles_the_forward_pass_once_for_each_width(rows):
    network._compile.cache_clear()
    grid = {"units": [8, 9], "epochs": [1, 2], "dropout": [0.0, 0.1]}
    with parallel_config("threading"):
        search = GridSearchCV(MNISTClassifier(random_state=0), grid, cv=2, n_jobs=2)
        search.fit(*rows[0])
    assert network._compile.cache_info().misses == 2


def test_threads_give_what_one_gives():
    models = [make_network(units=(width, 8)) for width in (32, 33)]
    alone = [predict_proba(*model) for model in models]
    if keras.backend.backend() == "tensorflow":
        network._compile.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: predict_proba(*models[i % 2]), range(40)))
    for i, proba in enumerate(together):
        np.testing.assert_array_equal(proba, alone[i % 2])


def test_a_million_rows_need_little_more_than_their_result():
    model, _ = make_network(units=(4,))
    X = np.zeros((1_000_000, 49), np.float32)
    predict_proba(model, X[:1000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    proba = predict_proba(model, X)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert used < proba.nbytes / 1024 + 20_000  # in KiB


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
