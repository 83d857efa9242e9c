"""Search a grid of layer widths and epochs on a Dask cluster.

Uses scikit-learn's bundled digits. An argument is the address of a scheduler; without
it, the script starts two worker processes.
"""

import logging
import sys

import joblib
from distributed import Client
from sklearn.model_selection import GridSearchCV, StratifiedKFold

import skmnist


def main():
    (X_train, y_train), (X_test, y_test) = skmnist.load_digits_28x28(random_state=0)
    folds = list(StratifiedKFold(3).split(X_train, y_train))
    grid = {"classifier__units": [32, 128, (128, 64)], "classifier__epochs": [2, 5]}
    search = GridSearchCV(skmnist.make_pipeline(random_state=0), grid, cv=folds)
    with connect() as client:
        # Each worker gets a copy of all data and keeps it, so that the search continues
        # if a worker dies.
        client.amm.stop()
        data = [X_train, y_train, *(rows for fold in folds for rows in fold)]
        with joblib.parallel_config("dask", scatter=data):
            search.fit(X_train, y_train)

    results = search.cv_results_
    for i in results["rank_test_score"].argsort():
        mean, std = results["mean_test_score"][i], results["std_test_score"][i]
        print(f"{mean:.4f} +- {std:.4f}  {results['params'][i]}")
    print(f"test accuracy of the best: {search.score(X_test, y_test):.4f}")


def connect():
    if len(sys.argv) > 1:
        return Client(sys.argv[1])
    return Client(
        n_workers=2,
        threads_per_worker=1,
        # Without these, TensorFlow starts a thread for each core in each worker.
        env={"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
        dashboard_address=":0",  # any free port
        # Dask warns that processes with TensorFlow take seconds to end.
        silence_logs=logging.ERROR,
    )


# Worker processes import this file.
if __name__ == "__main__":
    main()
