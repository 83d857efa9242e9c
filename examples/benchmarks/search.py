"""Time a grid search over units and epochs, and loading the saved result.

The grid (units 64, 128, 256; 2, 4, 8 epochs; 3 folds of 12,000 images of MNIST: 27 fits
and the final one) is searched in several ways in turn, each in its own process, and
repeated. The time includes the start of workers, but not the import of TensorFlow in
the first process.

    python examples/benchmarks/search.py --repeats 3
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import joblib
import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from speed import (
    behind_preprocessing,
    describe_machine,
    in_a_process,
    keras_network,
    print_json,
    resident_memory,
    seconds,
    spread,
)

from skmnist import fetch_mnist, to_sklearn

UNITS, EPOCHS, IMAGES = [64, 128, 256], [2, 4, 8], 12000
# In the ways with a star, TensorFlow uses one thread per process instead of one per
# core.
WAYS = {
    # Name: library, joblib backend, whether epochs are cached.
    "scikeras": ("scikeras", "sequential", False),
    "scikeras, 2 processes": ("scikeras", "loky", False),
    "scikeras, 2 processes*": ("scikeras", "loky", False),
    "skmnist": ("skmnist", "sequential", False),
    "skmnist, 2 threads": ("skmnist", "threading", False),
    "skmnist, 2 threads*": ("skmnist", "threading", False),
    "skmnist, 2 processes": ("skmnist", "loky", False),
    "skmnist, 2 processes*": ("skmnist", "loky", False),
    "skmnist, 2 Dask workers": ("skmnist", "dask", False),
    "skmnist, 2 Dask workers*": ("skmnist", "dask", False),
    "skmnist, epoch_cache": ("skmnist", "sequential", True),
    "skmnist, epoch_cache, 2 threads": ("skmnist", "threading", True),
    "skmnist, epoch_cache, 2 threads*": ("skmnist", "threading", True),
}
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def make(library):
    """Return a pipeline to search over, and the name of its units."""
    if library == "skmnist":
        from skmnist import make_pipeline

        return make_pipeline(random_state=0), "classifier__units"
    from scikeras.wrappers import KerasClassifier

    classifier = KerasClassifier(
        keras_network,
        units=64,
        loss="categorical_crossentropy",
        batch_size=32,
        epochs=1,
        verbose=0,
    )
    pipe = behind_preprocessing(classifier)
    return pipe, f"{pipe.steps[-1][0]}__model__units"


def search(library, images, memory):
    (X, y), _ = fetch_mnist()
    pipe, units = make(library)
    if memory:
        pipe.set_params(classifier__epoch_cache=memory)
    grid = {
        units: UNITS,
        units.replace("model__", "").replace("units", "epochs"): EPOCHS,
    }
    grid_search = GridSearchCV(pipe, grid, cv=StratifiedKFold(3), error_score="raise")
    return grid_search.fit(X[:images], y[:images].astype(np.int64))


@contextlib.contextmanager
def memory_folder(wanted):
    if wanted:
        with tempfile.TemporaryDirectory() as folder:
            yield folder
    else:
        yield None


@contextlib.contextmanager
def workers(backend):
    if backend == "dask":
        from distributed import Client

        with (
            Client(n_workers=2, threads_per_worker=1, dashboard_address=":0"),
            joblib.parallel_config("dask"),
        ):
            yield
    else:
        with joblib.parallel_config(backend, n_jobs=2):
            yield


def run_way(way, images):
    """Search the grid in one way."""
    library, backend, remember = WAYS[way]
    if way.endswith("*"):
        os.environ.update(ONE_THREAD)
    make(library)  # imports what it needs
    start = time.perf_counter()
    with memory_folder(remember) as memory, workers(backend):
        found = search(library, images, memory)
        taken = time.perf_counter() - start
    return {
        "seconds": taken,
        "scores": found.cv_results_["mean_test_score"].tolist(),
        "best": [found.best_params_[name] for name in sorted(found.best_params_)],
    }


def run_epochs():
    """Compare fits over all epochs, with epoch_cache, with the longest one alone."""
    from skmnist import make_pipeline

    (X, y), _ = fetch_mnist()
    X, y = X[: IMAGES * 2 // 3], y[: IMAGES * 2 // 3]
    ratios = {}
    for units in UNITS:
        pipe = make_pipeline(units, random_state=0)

        def fit(epochs, pipe=pipe):
            pipe.set_params(classifier__epochs=epochs).fit(X, y)

        fit(1)  # compiles
        alone = seconds(fit, max(EPOCHS), repeats=3)
        together = []
        for _ in range(3):
            with memory_folder(True) as memory:
                pipe.set_params(classifier__epoch_cache=memory)
                together.append(sum(seconds(fit, epochs) for epochs in EPOCHS))
        ratios[str(units)] = statistics.median(together) / alone
    return ratios


def run_growth():
    """Return by how many MB a search grows from its 9th to its 54th fit."""
    from skmnist import make_pipeline

    (X, y), _ = fetch_mnist()
    after = []

    def score(pipe, X, y):
        after.append(resident_memory())
        return pipe.score(X, y)

    grid = {"classifier__units": UNITS, "classifier__epochs": [1, 2, 3] * 2}
    GridSearchCV(
        make_pipeline(random_state=0), grid, cv=3, scoring=score, refit=False
    ).fit(X[:IMAGES], y[:IMAGES])
    assert len(after) == 54
    return {"MB": after[-1] - after[8]}


# File: code with which a new process loads the file and classifies the image.
FORMATS = {
    "Keras, joblib": "import joblib; y = joblib.load(file).predict(X)",
    "exported, joblib": "import joblib; y = joblib.load(file).predict(X)",
    "exported, skops": """
import skops.io
trusted = ["skmnist.preprocessing.flatten_and_scale"]
y = skops.io.load(file, trusted=trusted).predict(X)""",
    "exported, ONNX": """
import onnxruntime
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
y, _ = session.run(None, {"X": X.reshape(len(X), -1).astype("float32") / 255})""",
}
PROCESS = """
import sys, time
start = time.perf_counter()
import numpy as np
file, X = sys.argv[1], np.load(sys.argv[2])
{predict}
print(time.perf_counter() - start)
"""


def run_shipping():
    """Time fresh processes that load a file and predict one image."""
    import skops.io
    from skl2onnx import to_onnx

    from skmnist import make_pipeline

    (X, y), _ = fetch_mnist()
    pipe = make_pipeline(epochs=1, random_state=0).fit(X[:5000], y[:5000])
    exported = to_sklearn(pipe)
    row = exported["preprocess"].transform(X[:1])
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image.npy")
        np.save(image, X[:1])
        files = {name: Path(folder, name) for name in FORMATS}
        joblib.dump(pipe, files["Keras, joblib"])
        joblib.dump(exported, files["exported, joblib"])
        skops.io.dump(exported, files["exported, skops"])
        onnx = to_onnx(exported["classifier"], row, options={"zipmap": False})
        files["exported, ONNX"].write_bytes(onnx.SerializeToString())
        for name, file in files.items():
            code = PROCESS.format(predict=FORMATS[name])
            command = [sys.executable, "-c", code, file, image]
            for _ in range(2):  # the first one fills the system's cache
                process = subprocess.run(command, capture_output=True, check=True)
            found[name] = float(process.stdout), file.stat().st_size / 1e6
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parts = [*WAYS, *OTHERS]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--images", type=int, default=IMAGES, help="to search on")
    parser.add_argument("--run", choices=parts, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        warnings.simplefilter("ignore")  # scikeras'
        if args.run in OTHERS:
            print_json(OTHERS[args.run]())
        else:
            print_json(run_way(args.run, args.images))
        return
    results = {part: [] for part in args.parts}
    for repeat in range(args.repeats):
        for part, found in results.items():
            options = "--images", str(args.images)
            found.append(in_a_process(__file__, part, *options))
            print(f"run {repeat + 1} of {args.repeats}: {part}", file=sys.stderr)
    report(results, args.repeats)


def report(results, repeats):
    def median(way):
        return statistics.median(one["seconds"] for one in results[way])

    print(describe_machine(repeats))
    if ways := [way for way in results if way in WAYS]:
        peers = [median(way) for way in ways if WAYS[way][0] == "scikeras"]
        print("x: how many times faster than scikeras at its best")
        print("*: TensorFlow limited to one thread a process\n")
        print("| search | seconds | x |\n| --- | --- | --- |")
        for way in ways:
            times = [one["seconds"] for one in results[way]]
            faster = f"{min(peers) / median(way):.1f}" if peers else ""
            print(f"| {way} | {spread(times)} | {faster} |")
        print()
        # One thread adds in another order than two.
        for star in False, True:
            outcomes = {
                str((one["scores"], one["best"]))
                for way in ways
                if WAYS[way][0] == "skmnist" and way.endswith("*") == star
                for one in results[way]
            }
            print(f"different outcomes of skmnist{'*' * star}: {len(outcomes)}")
    for found in results.get("epochs", [])[:1]:
        for units in found:
            ratios = [one[units] for one in results["epochs"]]
            print(
                f"{units} units: the fits over all epochs, with epoch_cache, take"
                f" {spread(ratios, digits=2)} times the longest alone"
            )
    if growth := [one["MB"] for one in results.get("growth", [])]:
        print(f"growth of memory, 9th to 54th fit: {spread(growth, digits=0)} MB")
    for found in results.get("shipping", [])[:1]:
        print("\n| file | size, MB | first label, s |\n| --- | --- | --- |")
        for name, (_, size) in found.items():
            times = [one[name][0] for one in results["shipping"]]
            print(f"| {name} | {size:.2f} | {spread(times, digits=2)} |")


OTHERS = {"epochs": run_epochs, "growth": run_growth, "shipping": run_shipping}


if __name__ == "__main__":
    main()
