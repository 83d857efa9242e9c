"""Tests of what an epoch looks at."""

import time

import numpy as np

from skmnist.training.batches import Batches


def test_batches_cover_each_sample_once_in_an_order_of_their_own():
    batches = Batches((np.arange(70),), seed=3)
    orders = []
    for epoch in (0, 1, 0):
        batches.start_epoch(epoch)
        orders.append(np.concatenate([batches[i][0] for i in range(len(batches))]))
        assert sorted(orders[-1]) == list(range(70))
    assert [len(batches[i][0]) for i in range(len(batches))] == [32, 32, 6]
    assert (orders[0] != orders[1]).any()
    assert (orders[0] == orders[2]).all()


def test_batches_without_a_seed_stay_in_the_order_of_their_rows():
    batches = Batches((np.arange(10),), np.array([7, 2, 5]), batch_size=2)
    batches.start_epoch(1)
    assert [batches[i][0].tolist() for i in range(2)] == [[7, 2], [5]]


def test_closed_early_it_leaves_no_work_behind():
    gathered = []

    def slowly(array):
        time.sleep(0.05)
        gathered.append(array)
        return array

    chunks = Batches((np.arange(9),), batch_size=2).chunks(least=9, convert=slowly)
    next(chunks)
    chunks.close()
    n_gathered = len(gathered)
    time.sleep(0.2)
    assert len(gathered) == n_gathered <= 2
