"""The Keras network, and its forward pass."""

from collections.abc import Callable, Sequence
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
    units: Sequence[int] = (512, 512),
    activation: str | Callable[..., Any] = "relu",
    dropout: float = 0.0,
    seed: int = 0,
) -> keras.Model:
    """Build the network: a dense layer for each of `units`, then a softmax.

    784-512-512-10 has 669,706 parameters.

    Parameters
    ----------
    n_features : int
        Width of the input, 784 for an image of 28x28 pixels.
    n_classes : int
        Number of classes, which is the width of the output.
    units : sequence of int, default=(512, 512)
        Width of each hidden layer.
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
    seeds = iter(np.random.SeedSequence(seed).generate_state(2 * len(units) + 1) >> 1)

    def dense(width: int, name: str, **options: Any) -> keras.layers.Dense:
        glorot = keras.initializers.GlorotUniform(seed=int(next(seeds)))
        return keras.layers.Dense(
            int(width), name=name, kernel_initializer=glorot, **options
        )

    layers: list[keras.layers.Layer] = [keras.Input((n_features,), name="image")]
    for number, width in enumerate(units, start=1):
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
    """Run the forward pass in NumPy.

    For one image ``Model.predict`` spends a thousand times longer around the
    three matrix products than in them; here they are all there is.

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
    """
    dense = [
        (
            _as_numpy(layer.kernel),
            _as_numpy(layer.bias),
            _NUMPY_ACTIVATIONS.get(layer.activation)
            or _through_keras(layer.activation),
        )
        for layer in model.layers
        if isinstance(layer, keras.layers.Dense)
    ]
    proba = np.empty((len(X), dense[-1][0].shape[1]), dtype=np.float32)
    for start in range(0, len(X), rows):
        outputs = piece = X[start : start + rows]
        if len(X) > 1:
            outputs = _fill_up(piece)
        for kernel, bias, activation in dense:
            outputs = outputs @ kernel
            outputs += bias
            outputs = activation(outputs)
        proba[start : start + rows] = outputs[: len(piece)]
    return proba


def _fill_up(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Append rows until they fill blocks of 16.

    In rows that fill no block, BLAS sums up in another order. With blocks filled, and
    AVX-512, a sample's probabilities do not change with its place among others.
    """
    if (missing := -len(X) % 16) == 0:
        return X
    return np.concatenate([X, np.zeros((missing, X.shape[1]), X.dtype)])


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
