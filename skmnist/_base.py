"""A scikeras ``KerasClassifier`` that follows scikit-learn's current conventions.

docs/scikeras.rst says what is replaced, and why. Private members of scikeras 0.13, its
last release, are used in `compile_options` and `_make_callbacks` only.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import ClassifierTags, Tags, check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, validate_data

from skmnist._keras import (
    assign,
    check_threads,
    keras,
    state_variables,
    take_over,
    wrappers,
)
from skmnist._pickling import PicklingMixin, pack, unpack
from skmnist.network import build_network
from skmnist.training.batches import Batches

# Prefixes of parameters that scikeras passes on to Keras, except "model", "predict".
PREFIXES = ("callbacks", "compile", "fit", "loss", "metrics", "optimizer")
# Parameters that decide which network is built.
NETWORK = ("units", "activation", "dropout")


class Samples(NamedTuple):
    """Features, class numbers and weights of samples, and the rows to use."""

    X: NDArray[np.float32]
    y: NDArray[np.intp]
    rows: NDArray[np.intp]
    # With those of the classes, which count in training only. None: equal weights.
    weights: NDArray[Any] | None = None
    # Without those of the classes.
    given: NDArray[Any] | None = None

    def split(self, share: float, seed: int) -> tuple["Samples", "Samples"]:
        """Hold out a stratified random share for validation."""
        rows, held_out = train_test_split(
            self.rows, test_size=share, stratify=self.y[self.rows], random_state=seed
        )
        validation = self._replace(rows=held_out, weights=self.given)
        return self._replace(rows=rows), validation


class KerasClassifier(PicklingMixin, wrappers.KerasClassifier):
    """Parameters, data checks and the model of a classifier."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the constructor, routed ones included."""
        names, takes_routed = parameters_of(type(self))
        routed = [name for name in vars(self) if is_routed(name) and takes_routed]
        return {name: getattr(self, name) for name in sorted([*names, *routed])}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, routed ones such as `optimizer__learning_rate` included."""
        names, takes_routed = parameters_of(type(self))
        for name in params.keys() - names:
            if not (takes_routed and is_routed(name)):
                problem = f"Invalid parameter {name!r} for {type(self).__name__}"
                raise ValueError(f"{problem}{nearest(name, names)}")
        self.__dict__.update(params)
        return self

    def _routed(self, *prefixes: str) -> dict[str, Any]:
        """Return routed parameters by their prefixes."""
        names = [name for name in vars(self) if name.split("__")[0] in prefixes]
        return {name: getattr(self, name) for name in names if is_routed(name)}

    def __sklearn_tags__(self) -> Tags:
        tags = BaseEstimator.__sklearn_tags__(self)
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags()
        tags.target_tags.required = True
        return tags

    __repr__ = BaseEstimator.__repr__
    score = ClassifierMixin.score

    def _validate(self, X: Any, y: Any = "no_validation", *, reset: bool) -> Any:
        """Check data with scikit-learn, and add a remedy to its error message."""
        try:
            return validate_data(self, X, y, dtype=np.float32, order="C", reset=reset)
        except ValueError as error:
            shape = getattr(X, "shape", ())
            if len(shape) > 2:
                remedy = "Flatten images with flatten_and_scale, or use make_pipeline."
            elif not reset and shape and np.prod(shape) == self.n_features_in_:
                remedy = "To predict one image, pass X[np.newaxis]."
            else:
                raise
            raise ValueError(f"{error} {remedy}") from error

    def _check_labelled(
        self, X: Any, y: Any, classes: ArrayLike | None = None, *, new: bool
    ) -> Samples:
        """Check features and labels, for a new model or for the existing one."""
        X, y = self._validate(X, y, reset=new)
        check_classification_targets(y)
        encoder = LabelEncoder()
        if new:
            self.classes_ = encoder.fit(y if classes is None else classes).classes_
        elif classes is not None and list(np.unique(classes)) != list(self.classes_):
            expected = f"those of the first call, {self.classes_!r}"
            raise ValueError(f"classes must be {expected}, got {classes!r}.")
        encoder.classes_ = self.classes_
        return Samples(X, encoder.transform(y), np.arange(len(y)))

    def _check_training(
        self, X: Any, y: Any, weight: Any = None, classes: Any = None, *, new: bool
    ) -> Samples:
        """Check and weigh data to train on, and draw the seed of a new model."""
        samples = self._check_labelled(X, y, classes, new=new)
        labels = self.classes_.tolist()
        weights, given = weigh(samples.y, weight, self.class_weight, labels)
        rows = samples.rows if weights is None else np.flatnonzero(weights)
        if new:
            if classes is None:
                labels = [labels[number] for number in np.unique(samples.y[rows])]
            if len(labels) < 2:
                raise ValueError(f"y must have more than one class, got {labels}.")
            self._seed = draw_seed(self.random_state)
        if new or not hasattr(self, "_mean_weight"):
            # Weights are relative to it, so that a constant factor has no effect.
            self._mean_weight = 1.0
            if weights is not None:
                self._mean_weight = float(weights.mean(where=weights > 0))
        if weights is not None:
            weights = (weights / self._mean_weight).astype(np.float32)
        if given is not None:
            given = (given / given.mean(where=given > 0)).astype(np.float32)
        return samples._replace(rows=rows, weights=weights, given=given)

    def _batches(self, samples: Samples, model: keras.Model, **options: Any) -> Batches:
        """Return batches, with targets for the loss of a model."""
        n_classes = len(self.classes_)
        targets: NDArray[Any] = samples.y
        if not takes_numbers(keras.losses.get(model.loss), n_classes):
            targets = np.eye(n_classes, dtype=np.float32)[targets]
        weights = () if samples.weights is None else (samples.weights,)
        return Batches((samples.X, targets, *weights), samples.rows, **options)

    def _recipe(self) -> dict[str, Any]:
        """Return the parameters by which a model is built and compiled."""
        names = (*NETWORK, "optimizer", "loss", "metrics")
        own = {name: getattr(self, name) for name in names}
        return to_python(own | self._routed("compile", "loss", "metrics", "optimizer"))

    def _make_callbacks(self) -> list[keras.callbacks.Callback]:
        """Make Keras callbacks of classes and routed parameters."""
        params = {"callbacks": self.callbacks} | self._routed("callbacks", "fit")
        maker = wrappers.KerasClassifier(**params)
        # Private in scikeras 0.13, and its result, too.
        maker._initialize_callbacks()
        return keras.tree.flatten(maker._fit_callbacks)

    def _model(self, options: Any, n_samples: int, *, new: bool) -> keras.Model:
        """Return a new model, or the existing one with the current parameters."""
        recipe = self._recipe()
        if new:
            n_steps = math.ceil(n_samples / options["batch_size"])
            self._made_of, self._n_steps = recipe, options["epochs"] * n_steps
            return self._make_model(keras.config.dtype_policy().name)
        old: Any = self._made_of
        changed = {n for n, v in recipe.items() if not np.array_equal(v, old.get(n))}
        for name in changed.intersection(NETWORK):
            raise ValueError(
                f"{name} must be {old[name]!r} to continue training, got"
                f" {recipe[name]!r}. Set it back, or fit with warm_start=False."
            )
        if not changed:
            return self.model_
        self._made_of = recipe
        model = self._make_model(self.model_.dtype_policy.name)
        take_over(model, self.model_)
        return model

    def _make_model(self, dtype: str) -> keras.Model:
        """Build and compile a model under a dtype policy."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)  # of this thread
        try:
            model = self._build_network()
            model.compile(**compile_options(self._made_of, self._n_steps))
            model.optimizer.build(model.trainable_variables)
        finally:
            keras.config.set_dtype_policy(before)
        return model

    def _build_network(self) -> keras.Model:
        """Build a network with initial weights."""
        options = {name: self._made_of[name] for name in NETWORK}
        width, n_classes = self.n_features_in_, len(self.classes_)
        return build_network(width, n_classes, seed=self._seed, **options)

    @contextmanager
    def _unchanged_on_error(self, *, new: bool) -> Iterator[None]:
        """Restore attributes, and variables of a model that is not new, on errors."""
        check_threads()
        before = vars(self).copy()
        variables = [] if new else state_variables(self.model_)
        values = [variable.numpy() for variable in variables]
        try:
            yield
        except BaseException as error:
            # An interrupt after a finished epoch keeps that epoch.
            finished = vars(self).get("history_") is not before.get("history_")
            if not (finished and isinstance(error, KeyboardInterrupt)):
                self.__dict__.clear()
                self.__dict__.update(before)
                assign(variables, values)
            raise


def parameters_of(kind: type) -> tuple[list[str], bool]:
    """Return names of a constructor's parameters, and whether it takes routed ones.

    Keyword arguments of a subclass are parameters of the next constructor.
    """
    names: set[str] = set()
    for base in kind.__mro__[: kind.__mro__.index(KerasClassifier)]:
        if "__init__" in vars(base):
            parameters = inspect.signature(base).parameters.values()
            own = {p.name for p in parameters if p.kind != p.VAR_KEYWORD}
            names |= own
            if len(own) == len(parameters):
                return sorted(names), False
    return sorted(names), True


def is_routed(name: str) -> bool:
    """Return whether scikeras passes a parameter on to Keras."""
    # scikit-learn's checks pass the name of **routed like that of a parameter.
    return name == "routed" or ("__" in name and name.split("__")[0] in PREFIXES)


def check_routed(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise a TypeError if keyword arguments of a function cannot be passed on."""
    for name in given:
        if not is_routed(name):
            problem = f"got an unexpected keyword argument {name!r}"
            raise TypeError(f"{function}() {problem}{nearest(name, known)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a question for the nearest known name, if there is one."""
    prefix, _, rest = name.partition("__")
    prefixes = difflib.get_close_matches(prefix, PREFIXES) if rest else []
    routed = [f"{prefix}__{rest}" for prefix in prefixes]
    found = difflib.get_close_matches(name, [*known, *routed], n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def to_python(params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with Python's numbers for NumPy's."""
    numbers = {n: v.item() for n, v in params.items() if isinstance(v, np.generic)}
    return params | numbers


def compile_options(recipe: dict[str, Any], n_steps: int) -> dict[str, Any]:
    """Return arguments of ``Model.compile``, with copies of Keras objects."""
    params = unpack(pack(recipe))
    rate = "optimizer__learning_rate"
    if inspect.isclass(schedule := params.get(rate)):
        own = [name for name in params if name.startswith(f"{rate}__")]
        options = {name.removeprefix(f"{rate}__"): params[name] for name in own}
        if "decay_steps" in inspect.signature(schedule).parameters:
            options = {"decay_steps": n_steps} | options
        params[rate] = schedule(**options)
    if isinstance(params["metrics"], tuple):
        params["metrics"] = list(params["metrics"])
    # Private in scikeras 0.13: makes optimizer, loss and metrics of routed parameters.
    options = wrappers.KerasClassifier(**params)._get_compile_kwargs()
    # scikeras 0.13 replaces the name of a loss by its function. The name shows that the
    # loss is Keras' own, so that a compiled program can be used again.
    if isinstance(params["loss"], str):
        options["loss"] = params["loss"]
    return options


def weigh(
    y: NDArray[np.intp],
    sample_weight: ArrayLike | None,
    class_weight: Mapping[Any, float] | str | None,
    labels: list[Any],
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Return the weights of samples with and without those of their classes."""
    weights = given = None
    if sample_weight is not None:
        options = {"dtype": np.float64, "input_name": "sample_weight"}
        weights = given = check_array(sample_weight, ensure_2d=False, **options)
        if given.shape != y.shape or (given < 0).any() or not given.any():
            raise ValueError(
                f"sample_weight must be a number of at least 0 for each of {len(y)}"
                f" samples, not zero for all, got {sample_weight!r}."
            )
    if class_weight is not None:
        if isinstance(class_weight, Mapping):
            if unknown := [key for key in class_weight if key not in labels]:
                raise ValueError(f"class_weight must be for {labels}, got {unknown}.")
            factors = np.array([float(class_weight.get(k, 1)) for k in labels])[y]
        else:
            rows = None if given is None else np.flatnonzero(given)
            factors = compute_sample_weight(class_weight, y, indices=rows)
        weights = factors if given is None else given * factors
        if not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
            raise ValueError(
                "class_weight must be finite, at least 0, and not zero for all samples,"
                f" got {class_weight}."
            )
    return weights, given


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed as scikit-learn understands `random_state`."""
    if isinstance(random_state, Integral):
        return int(random_state)
    # None is not the global state, which fits in threads would share.
    generator = check_random_state(random_state or np.random.RandomState())
    return int(generator.randint(2**31 - 1))


def takes_numbers(loss: Callable[..., Any], n_classes: int) -> bool:
    """Return whether a loss takes class numbers instead of one-hot encoded targets."""
    if loss is keras.losses.categorical_crossentropy:
        return False  # the default loss
    numbers = np.arange(n_classes + 1) % n_classes
    one_hot = np.eye(n_classes, dtype=np.float32)[numbers]
    outputs = keras.ops.full(one_hot.shape, 1 / n_classes)

    def works(targets: NDArray[Any]) -> bool:
        try:
            value = loss(keras.ops.convert_to_tensor(targets), outputs)
        except Exception:
            return False
        return np.shape(value) in ((), numbers.shape)

    return not works(one_hot) and works(numbers)
