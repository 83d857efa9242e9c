"""The Keras network, and its forward pass."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

# Rows that are predicted at once: enough for fast matrix products, few enough
# that a million images need no more memory than these.
PREDICT_ROWS = 4096


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

    Notes
    -----
    Every initialiser and every dropout layer has a seed of its own, so nothing is
    drawn from, or left behind in, a global random state.
    """
    widths = list(units) if isinstance(units, Iterable) else [units] * 2
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
    layers.append(dense(n_classes, "output", activation="softmax"))
    return keras.Sequential(layers, name="skmnist")


def predict_proba(
    model: keras.Model, X: NDArray[np.float32], rows: int = PREDICT_ROWS
) -> NDArray[np.float32]:
    """Run the forward pass, without what ``Model.predict`` spends around it.

    Parameters
    ----------
    model : keras.Model
        A network made by :func:`build_network`.
    X : ndarray of shape (n_samples, n_features), dtype float32
        Input.
    rows : int, default=4096
        Rows that are computed at once, which bounds the memory that is needed.

    Returns
    -------
    ndarray of shape (n_samples, n_classes), dtype float32
        The network's output, that of ``model.predict`` within rounding.

    Notes
    -----
    Many rows are given to the layers as they are. For one, calling Keras' layers takes
    ten times longer than their matrix products, so these are done in NumPy.
    """
    if len(X) == 1:
        return _predict_one(model, X)
    # Equal pieces, none of which is a single row: products of one row round differently
    # from those of many. With AVX-512, oneDNN computes a row alike among any others.
    pieces = np.array_split(X, max(1, math.ceil(len(X) / rows)))
    outputs = [model(piece, training=False) for piece in pieces]
    return np.concatenate([keras.ops.convert_to_numpy(output) for output in outputs])


def _predict_one(model: keras.Model, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the forward pass in NumPy."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            activate = _NUMPY_ACTIVATIONS.get(layer.activation)
            if activate is None:
                activate = _through_keras(layer.activation)
            x = x @ _as_numpy(layer.kernel)
            x += _as_numpy(layer.bias)
            x = activate(x)
    return x


if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    def _as_numpy(variable: keras.Variable) -> NDArray[np.float32]:
        """Read a variable's value without copying it, where it is on the CPU."""
        # The operation itself: `numpy()` copies, and `read_value()` takes three
        # times as long, which would be half of what predicting one image takes.
        value = variable.value
        return np.asarray(
            tf.raw_ops.ReadVariableOp(resource=value.handle, dtype=value.dtype)
        )

else:

    def _as_numpy(variable: keras.Variable) -> NDArray[np.float32]:
        """Read a variable's value."""
        return np.asarray(variable.numpy())


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
