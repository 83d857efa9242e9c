"""Parameters: which are passed on, and what all may be."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any, NoReturn, TypedDict

import numpy as np
from sklearn.utils import check_random_state

# Prefixes of those that scikeras passes on. Those of building and predicting are
# missing: a classifier builds its network, and predicts, without scikeras.
ROUTES = ("callbacks", "compile", "fit", "loss", "metrics", "optimizer")
# Options of Keras' `fit` that decide which batches an epoch has, or how it is counted.
NOT_ROUTED = (
    "fit__x",
    "fit__y",
    "fit__initial_epoch",
    "fit__steps_per_epoch",
    "fit__validation_data",
)


class Routed(TypedDict, total=False):
    """Those passed on that a type checker knows: the options of Keras' own objects.

    There is no end of others, which depend on the object, such as ``loss__gamma`` of
    a loss of one's own. They work as well; `set_params` takes them past the checker.
    """

    callbacks__monitor: str
    callbacks__patience: int
    callbacks__restore_best_weights: bool
    compile__jit_compile: bool | str
    compile__run_eagerly: bool
    compile__weighted_metrics: Any
    fit__callbacks: Any
    fit__validation_batch_size: int
    fit__validation_freq: int
    loss__from_logits: bool
    loss__label_smoothing: float
    optimizer__amsgrad: bool
    optimizer__beta_1: float
    optimizer__beta_2: float
    optimizer__centered: bool
    optimizer__clipnorm: float
    optimizer__clipvalue: float
    optimizer__ema_momentum: float
    optimizer__epsilon: float
    optimizer__global_clipnorm: float
    optimizer__learning_rate: Any
    optimizer__learning_rate__alpha: float
    optimizer__learning_rate__decay_rate: float
    optimizer__learning_rate__decay_steps: int
    optimizer__learning_rate__initial_learning_rate: float
    optimizer__momentum: float
    optimizer__nesterov: bool
    optimizer__rho: float
    optimizer__use_ema: bool
    optimizer__weight_decay: float


def to_python(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with Python's numbers for NumPy's, as grids have them."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in params.items()
    }


def is_routed(name: str) -> bool:
    """Whether a parameter is one to pass on."""
    return name.split("__")[0] in ROUTES and "__" in name


def check_routed(function: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse keyword arguments of a function that cannot be passed on.

    `known` are its own parameters, of which the nearest is named.
    """
    for name in given:
        if name in NOT_ROUTED:
            raise TypeError(
                f"{name} cannot be passed on: which batches an epoch has is for the"
                " classifier to decide."
            )
        if not is_routed(name):
            refuse_keyword(function, name, known)


def refuse_keyword(function: str, name: str, known: Iterable[str]) -> NoReturn:
    """Refuse a keyword argument as Python does, with the nearest name."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def check_known(
    name: str, value: Any, get: Callable[[Any], Any], examples: str
) -> None:
    """Refuse what Keras' own look-up does not know."""
    problem = None
    try:
        known = inspect.isclass(value) or get(value) is not None
    except (TypeError, ValueError) as error:
        known, problem = False, error
    if not known:
        raise ValueError(
            f"{name}={value!r} is not one that Keras knows, such as {examples}."
        ) from problem


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed as scikit-learn understands `random_state`."""
    # scikeras 0.13 seeds all global generators instead.
    if random_state is None:
        # Not NumPy's global random state, which is scikit-learn's default.
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
