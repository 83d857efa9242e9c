"""Epochs that were trained before, kept on disk."""

import hashlib
import json
import os
import pickle
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import joblib
import numpy as np
from numpy.typing import NDArray

from skmnist._io import replacing
from skmnist._keras import keras
from skmnist._version import __version__
from skmnist.training.batches import Batches
from skmnist.training.variables import assign, state_variables

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

# Bytes of an array that are hashed at once.
BLOCK = 2**21

Folder: TypeAlias = str | os.PathLike[str] | joblib.Memory
# What Keras reports of an epoch.
Logs = dict[str, float]
# The values of a model's variables, and the report.
State = tuple[list[NDArray[Any]], Logs]


def remember(
    run_epoch: Callable[[int], Logs],
    model: keras.Model,
    epoch_cache: Folder,
    configuration: str,
    batches: Batches,
    validation: Batches | None,
) -> Callable[[int], Logs]:
    """Return what trains only epochs that are not known yet, and keeps these.

    Parameters
    ----------
    run_epoch : callable
        Trains `model` for the epoch of a number and returns its report.
    model : keras.Model
        As it is before the first of these epochs.
    epoch_cache : str, path or joblib.Memory
        Where to keep them.
    configuration : str
        Tells the network and how it was compiled.
    batches, validation : Batches
        What it is trained and validated on.

    Returns
    -------
    callable
        For `run_epoch`: it leaves `model` in the same state, and returns the same.
    """
    if isinstance(epoch_cache, joblib.Memory):
        if epoch_cache.store_backend is None:  # `Memory(None)` keeps nothing
            return run_epoch
        if epoch_cache.backend != "local":
            raise ValueError(
                f"epoch_cache takes a joblib.Memory of a folder, got one of the backend"
                f" {epoch_cache.backend!r}."
            )
    cache = EpochCache(epoch_cache, _origin(model, configuration, batches, validation))

    def recall_or_run(epoch: int) -> Logs:
        if known := cache.recall(epoch):
            values, logs = known
            assign(state_variables(model), values)
        else:
            logs = run_epoch(epoch)
            values = [variable.numpy() for variable in state_variables(model)]
            cache.keep(epoch, (values, logs))
        return logs

    return recall_or_run


class EpochCache:
    """The states of one training, each known by the number of its epoch.

    Parameters
    ----------
    epoch_cache : str, path or joblib.Memory
        Where to keep them: as joblib would, so that its own methods bound and clear it.
    key : str
        Tells this training from every other: a :func:`fingerprint` of all that
        decides its states.
    """

    def __init__(self, epoch_cache: Folder, key: str):
        if isinstance(epoch_cache, joblib.Memory):
            location = Path(epoch_cache.store_backend.location)
        else:
            location = Path(epoch_cache, "joblib").expanduser()
        self.folder = location / "skmnist"
        self.key = key
        self.has_failed = False

    def file(self, epoch: int) -> Path:
        """Return where the state after an epoch is kept."""
        # joblib knows its own by a folder that is named by a digest, and this name.
        return self.folder / f"{self.key}-{epoch}" / "output.pkl"

    def recall(self, epoch: int) -> State | None:
        """Return the state after an epoch, or None if it is missing or damaged."""
        try:
            digest, data = pickle.loads(self.file(epoch).read_bytes())
            if hashlib.sha256(data).digest() == digest:
                state: State = pickle.loads(data)
                return state
        except Exception:
            # Unpickling what is damaged may raise anything.
            pass
        return None

    def keep(self, epoch: int, state: State) -> None:
        """Keep the state after an epoch, or warn, once, that it cannot be kept."""
        data = pickle.dumps(state)
        digested = hashlib.sha256(data).digest(), data
        file = self.file(epoch)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(file, self.folder) as temporary:
                temporary.write_bytes(pickle.dumps(digested))
                file.parent.mkdir(exist_ok=True)
        except OSError as error:
            if not self.has_failed:
                warnings.warn(
                    f"Epochs are trained but not kept in {self.folder}:"
                    f" {error.strerror or error}. Make room there, or give another"
                    " folder as epoch_cache.",
                    UserWarning,
                    stacklevel=2,
                )
            self.has_failed = True


def fingerprint(description: str, arrays: Iterable[NDArray[Any] | None]) -> str:
    """Return a digest of a description and of the bytes of arrays."""
    parts: list[Any] = [description.encode()]
    for array in arrays:
        if array is None:
            parts.append(b"none")
        else:
            parts.append(f"{array.shape}{array.dtype}".encode())
            data = np.ascontiguousarray(array).data.cast("B")
            # Blocks, for the processor's cores to share.
            parts += [data[i : i + BLOCK] for i in range(0, len(data), BLOCK)]
    with ThreadPoolExecutor() as pool:
        digests = pool.map(lambda part: hashlib.sha256(part).digest(), parts)
        return hashlib.sha256(b"".join(digests)).hexdigest()


def _origin(
    model: keras.Model, configuration: str, batches: Batches, validation: Batches | None
) -> str:
    """Return a digest of all that decides what comes of training."""
    versions = [np.__version__, tf.__version__, keras.__version__, __version__]
    choices = [batches.seed, bool(batches.shuffle), float(batches.augmentation)]
    arrays = [variable.numpy() for variable in state_variables(model)]
    for part in (batches, validation):
        arrays += [] if part is None else [*part.arrays, part.samples, None]
    return fingerprint(json.dumps([configuration, *choices, *versions]), arrays)
