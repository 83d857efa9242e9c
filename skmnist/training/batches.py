"""What an epoch looks at: its samples, in batches."""

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

# Rows that a chunk of batches has: few enough to stay in the processor's cache, enough
# that a call for it does not count.
CHUNK_ROWS = 2048

# Gathers batches. Kept, because a new thread may well get, and leave behind, a heap of
# its own.
_pool = ThreadPoolExecutor(thread_name_prefix="skmnist")


class Chunk(NamedTuple):
    """Successive batches, from number `first` on."""

    first: int
    number: int
    # Whether `arrays` have shape (steps, batch_size, ...), the last steps empty where
    # they exceed `number`; otherwise they are a single batch.
    stacked: bool
    arrays: tuple[Any, ...]


@dataclass(eq=False, repr=False)
class Batches(keras.utils.PyDataset):
    """The batches of an epoch, whose randomness only seed and epoch decide.

    Parameters
    ----------
    arrays : tuple of ndarray of shape (n_samples, ...)
        Features, targets and, optionally, sample weights. They are not copied.
    rows : ndarray of int, optional
        The samples to use, in order; by default all.
    batch_size : int, default=32
        Samples in a batch; the last one of an epoch may have fewer.
    seed : int, optional
        Shuffles the samples anew for each epoch, and decides their augmentation. By
        default they stay as they are, in order.
    shuffle : bool, default=True
        False keeps them in order, with a seed too.
    augmentation : float, default=0.0
        Strength by which the features, images, are distorted anew for each epoch.
    """

    arrays: Arrays
    rows: NDArray[np.intp] | None = None
    batch_size: int = 32
    seed: int | None = None
    shuffle: bool = True
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
            self.order = np.random.default_rng([self.seed, epoch]).permutation(
                self.samples
            )

    def __len__(self) -> int:
        return math.ceil(len(self.samples) / self.batch_size)

    def __getitem__(self, index: int) -> Arrays:
        return self.take(index, 1)

    def take(self, first: int, number: int) -> Arrays:
        """Return a number of successive batches as one."""
        rows = self.order[first * self.batch_size :][: number * self.batch_size]
        X, *others = (array[rows] for array in self.arrays)
        if self.seed is not None and self.augmentation:
            # A generator for each batch, since Keras looks at the first one twice. They
            # count from 1: with a 0 at its end, a seed is the one of the epoch's order.
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
        """Yield all batches, the next ones gathered while the last ones are used.

        Parameters
        ----------
        least : int
            If there are as many full batches, they come in stacks of always the same
            shape, and otherwise one by one. A last batch that is smaller comes alone.
        convert : callable
            Applied to each array, in the thread that gathers.
        """
        full = len(self.samples) // self.batch_size
        stacked = full if full >= least else 0
        steps = max(1, CHUNK_ROWS // self.batch_size)
        starts = [*range(0, stacked, steps), *range(stacked, len(self))]

        def gather(first: int) -> Chunk:
            if first >= stacked:
                arrays, number = self.take(first, 1), 1
            else:
                number = min(steps, stacked - first)
                arrays = tuple(
                    _stack(array, steps, self.batch_size)
                    for array in self.take(first, number)
                )
            return Chunk(first, number, first < stacked, tuple(map(convert, arrays)))

        coming = _pool.submit(gather, starts[0])
        try:
            for first in starts[1:]:
                chunk, coming = coming, _pool.submit(gather, first)
                yield chunk.result()
            yield coming.result()
        finally:
            # Closed early, by an error or an interruption, it leaves no work behind.
            coming.cancel()
            wait([coming])


def _stack(array: NDArray[Any], steps: int, size: int) -> NDArray[Any]:
    """Stack batches to shape (steps, size, ...), the last ones empty if need be."""
    if len(array) < steps * size:
        filled = np.zeros((steps * size, *array.shape[1:]), array.dtype)
        filled[: len(array)] = array
        array = filled
    return array.reshape(steps, size, *array.shape[1:])
