"""Tests of the batches of an epoch."""

import numpy as np
import pytest

from skmnist.training.batches import Batches


def test_batches_have_each_sample_once_in_an_order_per_epoch():
    batches = Batches((np.arange(70),), seed=3)
    orders = []
    for epoch in (0, 1, 0):
        batches.start_epoch(epoch)
        orders.append(np.concatenate([batches[i][0] for i in range(len(batches))]))
        assert sorted(orders[-1]) == list(range(70))
    assert [len(batches[i][0]) for i in range(len(batches))] == [32, 32, 6]
    assert (orders[0] != orders[1]).any()
    assert (orders[0] == orders[2]).all()


def test_batches_without_seed_keep_the_order_of_rows():
    batches = Batches((np.arange(10),), np.array([7, 2, 5]), batch_size=2)
    batches.start_epoch(1)
    assert [batches[i][0].tolist() for i in range(2)] == [[7, 2], [5]]


@pytest.mark.parametrize(("n_samples", "least"), [(5003, 32), (4096, 1), (50, 32)])
def test_chunks_have_the_samples_of_the_batches(n_samples, least):
    batches = Batches((np.arange(n_samples),), seed=0)
    batches.start_epoch(1)
    samples = []
    for chunk in batches.chunks(least, np.copy):
        (array,) = chunk.arrays
        assert chunk.first * 32 == sum(map(len, samples))
        if chunk.stacked:
            assert array.shape == (64, 32)
            array = array[: chunk.number].ravel()
        samples.append(array)
    np.testing.assert_array_equal(np.concatenate(samples), batches.order)


def test_chunks_closed_early_stops_gathering():
    gathered = []
    chunks = Batches((np.arange(9),), batch_size=2).chunks(9, gathered.append)
    next(chunks)
    chunks.close()
    # Closing waits for the batch being gathered, so no other thread appends now.
    assert len(gathered) <= 2
