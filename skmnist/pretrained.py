"""A trained network that comes with the package."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmnist._dense import forward, read_layers, write_layers
from skmnist.preprocessing import flatten_and_scale

# scikit-learn takes longer to import than reading a picture takes in all, and
# TensorFlow far longer, so both are imported where they are used.
if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# Written by examples/train_pretrained.py.
FILE = Path(__file__).with_name("pretrained.npz")
N_LAYERS = 3


def load_pretrained(*, trainable: bool = False) -> "Pipeline":
    """Load a trained network, to read digits at once or to go on training.

    The network of the lesson, 784-512-512-10, trained for long on MNIST and on variants
    of it as people write elsewhere. It comes with the package: nothing is trained or
    downloaded. :doc:`/model_card` says what it was trained on, what it gets right, and
    what it cannot do.

    Parameters
    ----------
    trainable : bool, default=False
        False gives a pipeline of scikit-learn alone, which loads without TensorFlow.
        True gives the same weights in what :func:`~skmnist.make_pipeline` gives.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Fitted, with the steps ``preprocess`` and ``classifier``. It takes images in
        MNIST's format, of shape (n_images, 28, 28) or (n_images, 784), ink 255 on 0,
        and predicts the labels 0 to 9, of dtype uint8.

        The classifier is an :class:`~sklearn.neural_network.MLPClassifier` or, if
        trainable, an :class:`~skmnist.MNISTClassifier` without a history, whose
        parameters are meant for going on: distorted images, a small learning rate, and
        ``warm_start=True``, so that `fit` too goes on from these weights. A clone of it
        has no weights, as clones do, and starts anew.

    Raises
    ------
    FileNotFoundError
        If the file of the weights, a part of the package, is missing.
    ValueError
        If it is cut short or damaged.

    See Also
    --------
    skmnist.to_sklearn : Turn a network of your own into one of scikit-learn alone.

    Notes
    -----
    The file holds numbers only, so reading it runs no code. It has them as float16,
    half the size of the float32 that they were trained and are used as.

    Every call reads the file: what becomes of one pipeline changes no other.

    Examples
    --------
    >>> from skmnist import load_pretrained
    >>> pipe = load_pretrained()
    >>> pipe["classifier"].hidden_layer_sizes
    (512, 512)
    """
    network = read_network()
    if trainable:
        return _make_trainable(network)
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    from skmnist.export import make_mlp

    mlp = make_mlp(
        network.coefs,
        network.intercepts,
        network.classes_,
        loss_curve=network.loss_curve,
        max_iter=len(network.loss_curve),
        random_state=0,
    )
    scale = FunctionTransformer(flatten_and_scale, kw_args={"scale": 255.0})
    return Pipeline([("preprocess", scale), ("classifier", mlp)])


@dataclass(frozen=True)
class DenseNetwork:
    """The trained network in NumPy alone: to read digits at once, where time counts.

    Attributes
    ----------
    coefs, intercepts : list of ndarray of float32
        Weights and biases of each layer. ReLU is between layers, a softmax at the end.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    loss_curve : list of float
        Loss of each epoch of its training.
    """

    coefs: list[NDArray[np.float32]]
    intercepts: list[NDArray[np.float32]]
    classes_: NDArray[Any]
    loss_curve: list[float]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Predict the probability of each class of images in MNIST's format."""
        x = forward(self.coefs, self.intercepts, flatten_and_scale(X))
        x = np.exp(x - x.max(axis=1, keepdims=True))
        return np.asarray(x / x.sum(axis=1, keepdims=True))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the labels of images in MNIST's format."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


def save_pretrained(pipeline: "Pipeline", file: str | os.PathLike[str] = FILE) -> None:
    """Write the file that :func:`load_pretrained` reads.

    Parameters
    ----------
    pipeline : Pipeline
        What :func:`~skmnist.to_sklearn` gives of a network with two hidden layers.
    file : str or path-like, default=the package's own
        Written as an ``.npz`` file, whole or not at all.
    """
    mlp = pipeline["classifier"]
    write_layers(
        file,
        N_LAYERS,
        mlp.coefs_,
        mlp.intercepts_,
        classes=mlp.classes_,
        loss_curve=np.asarray(mlp.loss_curve_, dtype=np.float32),
    )


def read_network() -> DenseNetwork:
    """Read the trained network, and see that the file is whole."""
    coefs, intercepts, others = read_layers(FILE, N_LAYERS, "classes", "loss_curve")
    classes, loss_curve = others
    return DenseNetwork(coefs, intercepts, classes, loss_curve.tolist())


def _make_trainable(network: DenseNetwork) -> "Pipeline":
    """Put the weights into what make_pipeline gives."""
    from skmnist.pipeline import make_pipeline

    pipe = make_pipeline(
        augmentation=1.0,
        optimizer="adam",
        optimizer__learning_rate=1e-4,
        warm_start=True,
        random_state=0,
    )
    clf = pipe["classifier"]
    classes, n_features = network.classes_, len(network.coefs[0])
    clf.initialize(np.zeros((len(classes), n_features), np.float32), classes)
    layers = zip(network.coefs, network.intercepts, strict=True)
    clf.model_.set_weights([array for layer in layers for array in layer])
    return pipe
