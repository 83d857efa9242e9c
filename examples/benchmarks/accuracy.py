"""Compare test accuracies with those of Keras' own loop, seed by seed.

python examples/benchmarks/accuracy.py --seeds 5
"""

import argparse
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from speed import KerasAlone

from skmnist import fetch_mnist, make_pipeline


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    (X, y), (X_test, y_test) = fetch_mnist()
    accuracies = {"skmnist": [], "Keras": []}
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        for system, model in [
            ("Keras", KerasAlone(epochs=5)),
            ("skmnist", make_pipeline(random_state=seed)),
        ]:
            found = np.mean(model.fit(X, y).predict(X_test) == y_test)
            accuracies[system].append(float(found))
    for system, found in accuracies.items():
        each = " ".join(f"{accuracy:.4f}" for accuracy in found)
        print(f"{system:8s} mean {statistics.mean(found):.4f}: {each}")


if __name__ == "__main__":
    main()
