"""Epochs that were trained before, kept on disk."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import joblib
import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_memory

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
    memory: Folder,
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
    memory : str, path or joblib.Memory
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
    if isinstance(memory, os.PathLike):
        memory = os.fspath(memory)
    cache = EpochCache(
        check_memory(memory), _origin(model, configuration, batches, validation)
    )

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
    memory : joblib.Memory
        Where to keep them.
    key : str
        Tells this training from every other: a :func:`fingerprint` of all that
        decides its states.
    """

    def __init__(self, memory: joblib.Memory, key: str):
        self.key = key
        self.after_epoch = memory.cache(_after_epoch, ignore=["packed"])

    def recall(self, epoch: int) -> State | None:
        """Return the state after an epoch, or None if it is missing or damaged."""
        if not self.after_epoch.check_call_in_cache(self.key, epoch):
            return None
        kept = None
        try:
            kept = self.after_epoch.call_and_shelve(self.key, epoch)
            data, digest = kept.get()
            if hashlib.sha256(data).digest() == digest:
                return pickle.loads(data)
        except Exception:
            # Unpickling what is damaged may raise anything, and another process may
            # have removed it meanwhile.
            pass
        if kept is not None:
            kept.clear()
        return None

    def keep(self, epoch: int, state: State) -> None:
        """Keep the state after an epoch."""
        data = pickle.dumps(state)
        self.after_epoch(self.key, epoch, (data, hashlib.sha256(data).digest()))


def _after_epoch(
    key: str, epoch: int, packed: tuple[bytes, bytes] | None = None
) -> tuple[bytes, bytes]:
    """Return what is to be kept, so that joblib keeps it."""
    if packed is None:
        raise LookupError(f"Epoch {epoch} of {key} is not kept, or no longer.")
    return packed


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
    choices = [batches.seed, bool(batches.shuffle), float(batches.distortion)]
    arrays = [variable.numpy() for variable in state_variables(model)]
    for part in (batches, validation):
        arrays += [] if part is None else [*part.arrays, part.samples, None]
    return fingerprint(json.dumps([configuration, *choices, *versions]), arrays)
