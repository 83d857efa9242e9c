"""Epochs that were trained before, kept on disk."""

import hashlib
import pickle
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

# Bytes of an array that are hashed at once.
BLOCK = 2**21

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
