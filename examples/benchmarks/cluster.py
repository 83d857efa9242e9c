"""Measure the overhead of a Dask cluster of two workers on this machine.

python examples/benchmarks/cluster.py --repeats 3
"""

import argparse
import contextlib
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import joblib
import numpy as np
from distributed import Client
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV
from speed import describe_machine, resident_memory, spread

from skmnist import fetch_mnist, flatten_and_scale

TASKS = 60


@contextlib.contextmanager
def timed(name, results, scale=1):
    start = time.perf_counter()
    yield
    results.setdefault(name, []).append((time.perf_counter() - start) * scale)


def import_all():
    import skmnist.classifier  # noqa: F401


def fit_once(X, y):
    from skmnist import make_pipeline

    make_pipeline(epochs=1).fit(X, y)


def search_dummy():
    """Run a search of 60 fits of a classifier that takes almost no time."""
    grid = {"random_state": range(TASKS // 3)}
    search = GridSearchCV(DummyClassifier(), grid, cv=3, refit=False)
    search.fit(np.zeros((300, 1)), np.arange(300) % 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    (X, y), _ = fetch_mnist()
    rows = flatten_and_scale(X)
    results = {}
    for _ in range(repeats):
        with contextlib.ExitStack() as stack:
            with timed("start the workers, s", results):
                client = stack.enter_context(
                    Client(n_workers=2, threads_per_worker=1, dashboard_address=":0")
                )
            with timed("import skmnist and TensorFlow in both, s", results):
                client.run(import_all)
            for name, images in ("uint8", X), ("float32", rows):
                size = round(images.nbytes / 1e6)
                with timed(f"send {size} MB ({name}) to both, s", results):
                    sent = client.scatter(images, broadcast=True)
                del sent
            with joblib.parallel_config("dask"):
                search_dummy()
                with timed("each task on the cluster, ms", results, 1e3 / TASKS):
                    search_dummy()
            with timed("each task without one, ms", results, 1e3 / TASKS):
                search_dummy()
            sent = client.scatter([X, y], broadcast=True)
            client.submit(fit_once, *sent).result()
            name = "memory of a worker that has fitted on MNIST, MB"
            results.setdefault(name, []).append(
                max(client.run(resident_memory).values())
            )
    print(describe_machine(repeats), "\n\n| | |\n| --- | --- |")
    for name, values in results.items():
        print(f"| {name} | {spread(values)} |")


# Worker processes import this file.
if __name__ == "__main__":
    main()
