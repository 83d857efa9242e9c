"""The samples of an epoch, in batches."""

import math
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmnist._keras import keras
from skmnist.training.augmentation import distort, draw

Arrays = tuple[NDArray[Any], ...]

# Rows of a chunk of batches, few enough to stay in the processor's cache.
CHUNK_ROWS = 2048

# Kept, because the heap of a thread may not be freed with the thread.
_pool = ThreadPoolExecutor(thread_name_prefix="skmnist")


class Chunk(NamedTuple):
    """A number of successive batches, from batch `first`."""

    first: int
    number: int
    # Whether arrays have shape (steps, batch_size, ...), steps after `number` being
    # empty. Otherwise they are a single batch.
    stacked: bool
    arrays: tuple[Any, ...]


@dataclass(eq=False, repr=False)
class Batches(keras.utils.PyDataset):
    """The batches of an epoch. Only seed and epoch decide what is random in them."""

    # Features, targets and, optionally, sample weights; not copied.
    arrays: Arrays
    # The samples to use, in order; all by default.
    rows: NDArray[np.intp] | None = None
    batch_size: int = 32
    # Without a seed, there is neither shuffling nor augmentation.
    seed: int | None = None
    shuffle: bool = True
    # Strength of the augmentation of the features, which are images.
    augmentation: float = 0.0

    def __post_init__(self) -> None:
        super().__init__()
        every = np.arange(len(self.arrays[0]))
        self.samples = every if self.rows is None else self.rows
        self.order = self.samples
        self.epoch = 0

    def start_epoch(self, epoch: int) -> None:
        """Put the samples in the order of an epoch, counted from 0."""
        self.epoch = epoch
        if self.seed is not None and self.shuffle:
            rng = np.random.default_rng([self.seed, epoch])
            self.order = rng.permutation(self.samples)

    def __len__(self) -> int:
        return math.ceil(len(self.samples) / self.batch_size)

    def __getitem__(self, index: int) -> Arrays:
        return self.take(index, 1)

    def take(self, first: int, number: int) -> Arrays:
        """Return a number of successive batches as one."""
        rows = self.order[first * self.batch_size :][: number * self.batch_size]
        X, *others = (array[rows] for array in self.arrays)
        if self.seed is not None and self.augmentation:
            # A generator for each batch, since Keras reads the first one twice. They
            # count from 1, because [seed, epoch, 0] equals [seed, epoch].
            draws = [
                draw(
                    np.random.default_rng([self.seed, self.epoch, batch + 1]),
                    min(self.batch_size, len(self.samples) - batch * self.batch_size),
                )
                for batch in range(first, first + number)
            ]
            X = distort(X, np.concatenate(draws), self.augmentation)
        return X, *others

    def chunks(
        self, least: int, convert: Callable[[NDArray[Any]], Any]
    ) -> Generator[Chunk, None, None]:
        """Yield all batches, each chunk gathered while the one before is in use.

        `least` or more full batches are stacked, in chunks of one shape; others come
        one by one. `convert` is applied to each array.
        """
        full = len(self.samples) // self.batch_size
        stacked = full if full >= least else 0
        steps = max(1, CHUNK_ROWS // self.batch_size)
        starts = [*range(0, stacked, steps), *range(stacked, len(self))]

        def gather(first: int) -> Chunk:
            stack = first < stacked
            number = min(steps, stacked - first) if stack else 1
            arrays = self.take(first, number)
            if stack:
                arrays = tuple(_stack(a, steps, self.batch_size) for a in arrays)
            return Chunk(first, number, stack, tuple(map(convert, arrays)))

        coming = _pool.submit(gather, starts[0])
        try:
            for first in starts[1:]:
                chunk, coming = coming, _pool.submit(gather, first)
                yield chunk.result()
            yield coming.result()
        finally:
            # If closed early, by an error or an interrupt, no thread keeps working.
            coming.cancel()
            wait([coming])


def _stack(array: NDArray[Any], steps: int, size: int) -> NDArray[Any]:
    """Reshape batches to (steps, size, ...), padded with zeros."""
    if missing := steps * size - len(array):
        zeros = np.zeros((missing, *array.shape[1:]), array.dtype)
        array = np.concatenate([array, zeros])
    return array.reshape(steps, size, *array.shape[1:])
