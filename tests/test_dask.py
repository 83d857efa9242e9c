"""Tests of searches on a Dask cluster of two worker processes."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import joblib
import numpy as np
import pytest
from estimators import small_pipeline
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.process

GRID = {"classifier__units": [8, 16], "classifier__epochs": [1, 2]}


@pytest.fixture(scope="module")
def client():
    # Port 0 is any free port. With None, Dask still listens on 8787, and warns if it is
    # in use.
    with (
        # LocalCluster sets the number of threads in os.environ and does not reset it.
        patch.dict(os.environ),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        # The active memory manager would drop the second copy of scattered data.
        client.amm.stop()
        yield client


@pytest.fixture(scope="module")
def serial(digits):
    """Return the same search, fitted in this process."""
    folds = list(StratifiedKFold(3).split(*digits[0]))
    search = GridSearchCV(
        small_pipeline(), GRID, cv=folds, refit=False, error_score="raise"
    )
    return search.fit(*digits[0])


def assert_same_results(search, serial):
    assert search.cv_results_["params"] == serial.cv_results_["params"]
    for fold in range(3):
        name = f"split{fold}_test_score"
        np.testing.assert_array_equal(
            search.cv_results_[name], serial.cv_results_[name]
        )
    assert search.best_params_ == serial.best_params_


def test_grid_search_on_two_workers_equals_serial_search(client, digits, serial):
    search = clone(serial).set_params(cv=3)
    with joblib.parallel_config("dask"):
        search.fit(*digits[0])
    assert_same_results(search, serial)


class Arrivals(distributed.WorkerPlugin):
    """Record the shapes of the data that arrive in a worker's memory."""

    def setup(self, worker):
        self.data = worker.data
        self.shapes = []

    def transition(self, key, start, finish, **kwargs):
        if finish == "memory":
            self.shapes.append(getattr(self.data[key], "shape", None))


def test_grid_search_scattered_images_arrive_once_per_worker(client, digits, serial):
    # A shape that other tests do not use.
    X, y = digits[0][0][:240], digits[0][1][:240]
    client.register_plugin(Arrivals(), name="arrivals")
    with joblib.parallel_config("dask", scatter=[X, y]):
        for _ in range(3):
            clone(serial).set_params(cv=2).fit(X, y)
    shapes = client.run(lambda dask_worker: dask_worker.plugins["arrivals"].shapes)
    client.unregister_worker_plugin("arrivals")
    assert [each.count(X.shape) for each in shapes.values()] == [1, 1]


def kill_fitting_worker(client):
    """Kill the process of the first worker found in a fit."""
    pids = client.run(os.getpid)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for worker, tasks in client.call_stack().items():
            if any("in _fit_and_score" in "".join(stack) for stack in tasks.values()):
                os.kill(pids[worker], signal.SIGKILL)
                return
    raise TimeoutError("No worker was found in a fit.")


def test_grid_search_killed_worker_gives_the_same_results(client, digits, serial):
    X, y = digits[0]
    search = clone(serial)
    # Else joblib scatters the folds to one worker only, and its death would lose them.
    folds = [rows for fold in search.cv for rows in fold]
    with ThreadPoolExecutor() as pool:
        killing = pool.submit(kill_fitting_worker, client)
        with joblib.parallel_config("dask", scatter=[X, y, *folds]):
            search.fit(X, y)
    killing.result()
    # Dask counts the tasks that were on a worker when it died.
    suspicious = client.run_on_scheduler(
        lambda dask_scheduler: sum(
            prefix.suspicious
            for name, prefix in dask_scheduler.task_prefixes.items()
            if "fit_and_score" in name
        )
    )
    assert suspicious > 0
    assert_same_results(search, serial)
