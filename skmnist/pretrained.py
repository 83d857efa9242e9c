"""The bundled pretrained model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmnist.preprocessing import flatten_and_scale

# Importing scikit-learn takes longer than reading a picture, and TensorFlow far longer,
# so both are imported where they are used.
if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Floats = NDArray[np.float32]

# Written by examples/train_pretrained.py.
FILE = Path(__file__).with_name("pretrained.npz")


def load_pretrained(*, trainable: bool = False) -> "Pipeline":
    """Load the bundled pretrained model, to read digits or to fine-tune it.

    :doc:`/model_card` describes its training data, accuracy and limitations.

    Parameters
    ----------
    trainable : bool, default=False
        False gives a pipeline of scikit-learn alone, which loads without TensorFlow.
        True gives the same weights in a pipeline of :func:`~skmnist.make_pipeline`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Fitted, with the steps ``preprocess`` and ``classifier``. It takes images in
        MNIST's format, of shape (n_images, 28, 28) or (n_images, 784), ink 255 on 0,
        and predicts the labels 0 to 9, of dtype uint8.

        The classifier is an :class:`~sklearn.neural_network.MLPClassifier` or, if
        trainable, an :class:`~skmnist.MNISTClassifier` with parameters for fine-tuning:
        data augmentation, a small learning rate, and ``warm_start=True``, so that `fit`
        continues from these weights. A clone has no weights.

    See Also
    --------
    skmnist.read_digits : Read a picture with this model.

    Examples
    --------
    >>> from skmnist import load_pretrained
    >>> pipe = load_pretrained()
    >>> pipe["classifier"].hidden_layer_sizes
    (512, 512)
    """
    network = read_bundled()
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


@dataclass(frozen=True, eq=False)
class DenseNetwork:
    """The bundled model in NumPy alone, which needs no import of scikit-learn.

    ReLU is between layers, softmax at the end; `loss_curve` has the loss of each epoch.
    """

    coefs: list[Floats]
    intercepts: list[Floats]
    classes_: NDArray[Any]
    loss_curve: list[float]

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Predict the probability of each class of images in MNIST's format."""
        x = flatten_and_scale(X)
        *hidden, (weights, biases) = zip(self.coefs, self.intercepts, strict=True)
        for kernel, bias in hidden:
            x = np.maximum(x @ kernel + bias, 0)
        x = x @ weights + biases
        x = np.exp(x - x.max(axis=1, keepdims=True))
        return np.asarray(x / x.sum(axis=1, keepdims=True))


def read_bundled() -> DenseNetwork:
    """Read the bundled model."""
    coefs, intercepts, (classes, losses) = read_layers(FILE, "classes", "loss_curve")
    return DenseNetwork(coefs, intercepts, classes, losses.tolist())


def read_layers(
    file: Path, *others: str
) -> tuple[list[Floats], list[Floats], list[NDArray[Any]]]:
    """Read weights and biases as float32, and other arrays by name."""
    with np.load(file) as arrays:
        n_layers = sum(name.startswith("coefs_") for name in arrays)
        coefs, intercepts = (
            [arrays[f"{kind}_{n + 1}"].astype(np.float32) for n in range(n_layers)]
            for kind in ("coefs", "intercepts")
        )
        return coefs, intercepts, [arrays[name] for name in others]


def _make_trainable(network: DenseNetwork) -> "Pipeline":
    """Return a pipeline of make_pipeline with the weights of `network`."""
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
