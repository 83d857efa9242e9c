"""The Keras network and its forward pass."""

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from skmnist._keras import keras, tf
from skmnist.training.compiled import read_variable

# Rows predicted at once: enough for fast matrix products, few enough to pad a block.
BLOCK_ROWS = 256


def build_network(
    n_features: int,
    n_classes: int,
    *,
    units: int | Sequence[int] = 512,
    activation: str | Callable[..., Any] = "relu",
    dropout: float = 0.0,
    seed: int = 0,
) -> keras.Model:
    """Build a network of dense hidden layers and a softmax output, not compiled.

    Each initializer and each dropout layer gets a seed of its own, derived from `seed`.
    """
    widths = list(units) if isinstance(units, Iterable) else [units] * 2
    states = np.random.SeedSequence(seed).generate_state(2 * len(widths) + 1)
    seeds = iter((states >> 1).tolist())

    def dense(width: int, name: str, **options: Any) -> keras.layers.Dense:
        options["kernel_initializer"] = keras.initializers.GlorotUniform(next(seeds))
        return keras.layers.Dense(int(width), name=name, **options)

    layers: list[keras.layers.Layer] = [keras.Input((n_features,), name="image")]
    for number, width in enumerate(widths, start=1):
        layers.append(dense(width, f"hidden_{number}", activation=activation))
        if dropout:
            options = {"seed": next(seeds), "name": f"dropout_{number}"}
            layers.append(keras.layers.Dropout(dropout, **options))
    # float32 also under mixed precision: float16 probabilities hardly sum to 1.
    layers.append(dense(n_classes, "output", activation="softmax", dtype="float32"))
    return keras.Sequential(layers, name="skmnist")


def predict_proba(model: keras.Model, X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the forward pass without the overhead of ``Model.predict``.

    Rows are computed in blocks of one shape, in a program that XLA compiles once for
    all networks of a shape: the result for a row is the same to the bit in any batch,
    and memory does not grow with the rows. A single row is computed in NumPy, which is
    faster than a call of the program, and may differ from it by rounding.
    """
    if len(X) == 1:
        return _predict_one(model, X)
    proba = np.empty((len(X), model.output_shape[-1]), np.float32)
    forward = _forward(model)
    for start in range(0, len(X), BLOCK_ROWS):
        block = X[start : start + BLOCK_ROWS]
        if missing := BLOCK_ROWS - len(block):
            block = np.pad(block, ((0, missing), (0, 0)))
        proba[start : start + BLOCK_ROWS] = forward(block)[: BLOCK_ROWS - missing]
    return proba


def _predict_one(model: keras.Model, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the forward pass of one row in NumPy."""
    for layer in _dense_layers(model):
        kernel = np.asarray(read_variable(layer.kernel))
        x = x.astype(kernel.dtype, copy=False) @ kernel
        x += np.asarray(read_variable(layer.bias))
        if layer.activation in _NUMPY_ACTIVATIONS:
            x = _NUMPY_ACTIVATIONS[layer.activation](x)
        else:
            x = np.asarray(keras.ops.convert_to_numpy(layer.activation(x)))
    return x


def _dense_layers(model: keras.Model) -> list[keras.layers.Dense]:
    """Return the layers that prediction uses: all except dropout."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def _forward(model: keras.Model) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return a function that computes one block, on TensorFlow a compiled one."""
    if keras.backend.backend() != "tensorflow":
        return lambda block: keras.ops.convert_to_numpy(model(block, training=False))
    layers = _dense_layers(model)
    variables = [v for layer in layers for v in (layer.kernel, layer.bias)]
    weights = [read_variable(variable) for variable in variables]
    specs = tuple(tf.TensorSpec(w.shape, w.dtype) for w in weights)
    with _compiling:
        program = _compile(tuple(layer.activation for layer in layers), specs)
    return lambda block: program(tf.constant(block), *weights).numpy()


# Otherwise two threads may compile the same program.
_compiling = threading.Lock()


@lru_cache(32)
def _compile(activations: tuple[Any, ...], weights: tuple[Any, ...]) -> Any:
    """Compile the forward pass of all networks of a shape."""

    def forward(x: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
        pairs = zip(weights[::2], weights[1::2], strict=True)
        for activation, (kernel, bias) in zip(activations, pairs, strict=True):
            x = activation(tf.matmul(tf.cast(x, kernel.dtype), kernel) + bias)
        return x

    rows = tf.TensorSpec((BLOCK_ROWS, weights[0].shape[0]), tf.float32)
    # Weights are arguments, so that one program serves all models of the shape.
    compiled = tf.function(forward, jit_compile=True, autograph=False)
    return compiled.get_concrete_function(rows, *weights)


# Other activations are computed by Keras.
_NUMPY_ACTIVATIONS: dict[Any, Callable[[NDArray[Any]], NDArray[Any]]] = {
    keras.activations.relu: lambda x: np.maximum(x, 0, out=x),
    keras.activations.softmax: lambda x: softmax(x, axis=1),
}
