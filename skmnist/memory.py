"""Epochs that were trained before, kept on disk."""

import hashlib
import pickle
from collections.abc import Iterable
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

# The values of a model's variables, and what Keras reports of the epoch.
State = tuple[list[NDArray[Any]], dict[str, float]]


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
    digest = hashlib.sha256(description.encode())
    for array in arrays:
        if array is None:
            digest.update(b"none")
        else:
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data.cast("B"))
    return digest.hexdigest()
