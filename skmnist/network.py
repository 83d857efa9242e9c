"""The Keras network, and its forward pass."""

import itertools
import math
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmnist._keras import keras, start_tensorflow

# Rows that are predicted at once: enough for fast matrix products, few enough that
# filling up a block for two rows costs little.
BLOCK_ROWS = 256
# Shapes of networks whose compiled forward pass is kept.
MAX_SHAPES = 32


def build_network(
    n_features: int,
    n_classes: int,
    *,
    units: int | Sequence[int] = 512,
    activation: str | Callable[..., Any] = "relu",
    dropout: float = 0.0,
    seed: int = 0,
) -> keras.Model:
    """Build the network: dense hidden layers, then a softmax.

    784-512-512-10 has 669,706 parameters.

    Parameters
    ----------
    n_features : int
        Width of the input, 784 for an image of 28x28 pixels.
    n_classes : int
        Number of classes, which is the width of the output.
    units : int or sequence of int, default=512
        Width of both hidden layers, or the width of each hidden layer.
    activation : str or callable, default="relu"
        Activation of the hidden layers, as Keras takes it.
    dropout : float in [0, 1), default=0.0
        Share of each hidden layer's outputs that training sets to zero.
    seed : int, default=0
        Decides the initial weights and what dropout drops.

    Returns
    -------
    keras.Model
        Built but not compiled. Its input is float32 of shape
        (batch, n_features), its output of shape (batch, n_classes).

    Raises
    ------
    MemoryError
        If the weights and their gradients take more memory than the machine has.

    Notes
    -----
    Every initialiser and every dropout layer has a seed of its own, so nothing is
    drawn from, or left behind in, a global random state.
    """
    start_tensorflow()
    widths = list(units) if isinstance(units, Iterable) else [units] * 2
    _check_memory([n_features, *widths, n_classes])
    seeds = iter(np.random.SeedSequence(seed).generate_state(2 * len(widths) + 1) >> 1)

    def dense(width: int, name: str, **options: Any) -> keras.layers.Dense:
        glorot = keras.initializers.GlorotUniform(seed=int(next(seeds)))
        return keras.layers.Dense(
            int(width), name=name, kernel_initializer=glorot, **options
        )

    layers: list[keras.layers.Layer] = [keras.Input((n_features,), name="image")]
    for number, width in enumerate(widths, start=1):
        layers.append(dense(width, f"hidden_{number}", activation=activation))
        if dropout:
            layers.append(
                keras.layers.Dropout(
                    dropout, seed=int(next(seeds)), name=f"dropout_{number}"
                )
            )
    # Under mixed precision, probabilities would be float16, and hardly sum to 1.
    layers.append(dense(n_classes, "output", activation="softmax", dtype="float32"))
    return keras.Sequential(layers, name="skmnist")


def _check_memory(widths: Sequence[int]) -> None:
    """Refuse a network for which the system would end the process."""
    # Many systems give more memory than there is, and kill who then uses it.
    pairs = itertools.pairwise(map(int, widths))
    parameters = sum((inputs + 1) * outputs for inputs, outputs in pairs)
    # float32 values, and a gradient of each.
    needed, there_is = 8 * parameters, _physical_memory()
    if needed > there_is:
        raise MemoryError(
            f"A network of {parameters:,} parameters takes {needed / 1e9:,.0f} GB or"
            f" more to train, and this machine has {there_is / 1e9:,.0f} GB. Choose"
            " fewer units."
        )


def _physical_memory() -> float:
    """Return the bytes of memory of this machine; not every system can be asked."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return math.inf


def predict_proba(model: keras.Model, X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the forward pass, without what ``Model.predict`` spends around it.

    Parameters
    ----------
    model : keras.Model
        A network made by :func:`build_network`.
    X : ndarray of shape (n_samples, n_features), dtype float32
        Input.

    Returns
    -------
    ndarray of shape (n_samples, n_classes), dtype float32
        The network's output, that of ``model.predict`` within rounding.

    Notes
    -----
    Rows run in blocks of always the same shape, in a program that XLA compiles once for
    all networks of a shape. What comes of a row then depends, to the bit, on the row
    alone. It does not where BLAS or oneDNN see the number of rows: they may sum up the
    last ones of an array in another order.

    A single row is computed in NumPy, since entering the program takes longer than the
    products of one row. It may differ by rounding from the same row among others.

    The memory that is needed beside the result does not grow with the number of rows.
    """
    if len(X) == 1:
        return _predict_one(model, X)
    proba = np.empty((len(X), model.output_shape[-1]), np.float32)
    forward = _forward(model)
    for start in range(0, len(X), BLOCK_ROWS):
        block = X[start : start + BLOCK_ROWS]
        missing = BLOCK_ROWS - len(block)
        if missing:
            block = np.pad(block, ((0, missing), (0, 0)))
        proba[start : start + BLOCK_ROWS] = forward(block)[: BLOCK_ROWS - missing]
    return proba


def _predict_one(model: keras.Model, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the forward pass in NumPy."""
    for layer in _dense_layers(model):
        activate = _NUMPY_ACTIVATIONS.get(layer.activation)
        if activate is None:
            activate = _through_keras(layer.activation)
        kernel = np.asarray(_value(layer.kernel))
        x = x.astype(kernel.dtype, copy=False) @ kernel
        x += np.asarray(_value(layer.bias))
        x = activate(x)
    return x


def _dense_layers(model: keras.Model) -> list[keras.layers.Dense]:
    """Return the layers that do something in prediction."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]


if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    def _value(variable: keras.Variable) -> "tf.Tensor":
        """Read a variable without copying it, where it is on the CPU."""
        # The operation itself: `numpy()` copies, and `read_value()` takes three
        # times as long, which would be half of what predicting one image takes.
        value = variable.value
        return tf.raw_ops.ReadVariableOp(resource=value.handle, dtype=value.dtype)

    def _forward(model: keras.Model) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """Return the forward pass of a block, compiled."""
        layers = _dense_layers(model)
        weights = [_value(v) for layer in layers for v in (layer.kernel, layer.bias)]
        specs = tuple(tf.TensorSpec(w.shape, w.dtype) for w in weights)
        with _compiling:
            program = _compile(tuple(layer.activation for layer in layers), specs)
        return lambda block: program(tf.constant(block), *weights).numpy()

    _compiling = threading.Lock()

    @lru_cache(MAX_SHAPES)
    def _compile(activations: tuple[Any, ...], weights: tuple[Any, ...]) -> Any:
        """Compile the forward pass of all networks of a shape."""

        def forward(x: "tf.Tensor", *weights: "tf.Tensor") -> "tf.Tensor":
            pairs = zip(weights[::2], weights[1::2], strict=True)
            for activation, (kernel, bias) in zip(activations, pairs, strict=True):
                x = activation(tf.matmul(tf.cast(x, kernel.dtype), kernel) + bias)
            return x

        rows = tf.TensorSpec((BLOCK_ROWS, weights[0].shape[0]), tf.float32)
        # The weights are arguments: a program that held a model's would be its own.
        return tf.function(
            forward, jit_compile=True, autograph=False
        ).get_concrete_function(rows, *weights)

else:

    def _value(variable: keras.Variable) -> Any:
        """Read a variable."""
        return variable.numpy()

    def _forward(model: keras.Model) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """Return the forward pass of a block, through Keras' layers."""
        return lambda block: keras.ops.convert_to_numpy(model(block, training=False))


def _through_keras(
    activation: Callable[..., Any],
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda x: np.asarray(keras.ops.convert_to_numpy(activation(x)))


def _relu(x: NDArray[Any]) -> NDArray[Any]:
    return np.maximum(x, 0, out=x)


def _tanh(x: NDArray[Any]) -> NDArray[Any]:
    return np.tanh(x, out=x)


def _softmax(x: NDArray[Any]) -> NDArray[Any]:
    x -= x.max(axis=1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=1, keepdims=True)
    return x


# Others are applied through Keras.
_NUMPY_ACTIVATIONS: dict[Any, Callable[[NDArray[Any]], NDArray[Any]]] = {
    keras.activations.relu: _relu,
    keras.activations.softmax: _softmax,
    keras.activations.tanh: _tanh,
}
