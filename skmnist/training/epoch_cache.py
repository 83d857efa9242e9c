"""Trained epochs, stored on disk."""

import hashlib
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import joblib
import numpy as np
from numpy.typing import NDArray

from skmnist._io import replacing
from skmnist._keras import assign, keras, state_variables, tf
from skmnist._version import __version__
from skmnist.training.batches import Batches

Folder: TypeAlias = str | os.PathLike[str] | joblib.Memory
# Loss and metrics of an epoch.
Logs = dict[str, float]
# Values of a model's variables after an epoch, and the epoch's logs.
State = tuple[list[NDArray[Any]], Logs]


def cached(
    run_epoch: Callable[[int], Logs],
    model: keras.Model,
    epoch_cache: Folder,
    configuration: str,
    batches: Batches,
    validation: Batches | None,
) -> Callable[[int], Logs]:
    """Return a function like `run_epoch` that reads epochs that were trained before.

    Called with the number of an epoch, both train `model`, which is now in its state
    before the first epoch, and return the logs.
    """
    if isinstance(epoch_cache, joblib.Memory):
        epoch_cache = epoch_cache.location
    if epoch_cache is None:  # `Memory(None)` stores nothing
        return run_epoch
    folder = Path(epoch_cache).expanduser() / "skmnist-epochs"
    key = _key(model, configuration, batches, validation)

    def read_or_run(epoch: int) -> Logs:
        file = folder / f"{key}-{epoch}"
        if state := read(file):
            values, logs = state
            assign(state_variables(model), values)
            return logs
        logs = run_epoch(epoch)
        try:
            write(file, ([v.numpy() for v in state_variables(model)], logs))
        except OSError as error:
            warnings.warn(
                f"Epochs are trained but not stored in {folder}:"
                f" {error.strerror or error}. Free space there, or set epoch_cache to"
                " another folder.",
                UserWarning,
                stacklevel=2,
            )
        return logs

    return read_or_run


def read(file: Path) -> State | None:
    """Return the state in a file, or None if the file is missing or corrupt."""
    try:
        content = memoryview(file.read_bytes())
    except OSError:
        return None
    digest, data = content[:32], content[32:]
    if hashlib.sha256(data).digest() != digest:
        return None
    state: State = pickle.loads(data)
    return state


def write(file: Path, state: State) -> None:
    """Write a state to a file, after a digest of its bytes."""
    data = pickle.dumps(state)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        temporary.write_bytes(hashlib.sha256(data).digest() + data)


def _key(
    model: keras.Model, configuration: str, batches: Batches, validation: Batches | None
) -> str:
    """Return a digest of everything that decides the result of training."""
    versions = [np.__version__, tf.__version__, keras.__version__, __version__]
    choices = [batches.seed, bool(batches.shuffle), float(batches.augmentation)]
    state = [variable.numpy() for variable in state_variables(model)]
    data = [(part.arrays, part.samples) for part in (batches, validation) if part]
    everything = [configuration, *choices, *versions, state, data]
    return str(joblib.hash(everything, hash_name="sha1", coerce_mmap=True))
