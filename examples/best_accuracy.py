r"""Train the default network with data augmentation to its best accuracy.

More epochs take longer and are more accurate. Uses MNIST if SKMNIST_DATA is set, else
scikit-learn's bundled digits, to show that it runs.

    python examples/best_accuracy.py --epochs 50 --seeds 0 1 2

Compare other recipes on a held-out sixth of the training images, another one for each
seed:

    python examples/best_accuracy.py --held-out \
        --set '{"classifier__augmentation": 0.5}'
"""

import argparse
import json
import math
import os
import statistics
import time

import keras
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from skmnist import fetch_mnist, load_digits_28x28, make_pipeline

BATCH_SIZE = 128


def best_pipeline(n_images, epochs, seed):
    steps = epochs * math.ceil(n_images / BATCH_SIZE)
    return make_pipeline(
        epochs=epochs,
        batch_size=BATCH_SIZE,
        augmentation=1.0,
        optimizer="adamw",
        optimizer__weight_decay=0.05,
        # Cosine schedule over all epochs, down to a fifth of the initial value.
        optimizer__learning_rate=keras.optimizers.schedules.CosineDecay,
        optimizer__learning_rate__initial_learning_rate=2e-3,
        optimizer__learning_rate__alpha=0.2,
        # Weight averaging over about the last eighth of the steps.
        optimizer__use_ema=True,
        optimizer__ema_momentum=1 - 8 / steps,
        random_state=seed,
    )


def hold_out(X, y, seed):
    """Hold out a sixth of the training images as test set, another for each seed."""
    sixths = StratifiedKFold(6, shuffle=True, random_state=0).split(X, y)
    kept, held_out = list(sixths)[seed % 6]
    return (X[kept], y[kept]), (X[held_out], y[held_out])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--held-out", action="store_true", help="do not use the test images"
    )
    parser.add_argument(
        "--set",
        metavar="JSON",
        type=json.loads,
        default={},
        help="parameters to replace those of the recipe",
    )
    args = parser.parse_args()
    if os.environ.get("SKMNIST_DATA"):
        data = fetch_mnist()
    else:
        data = load_digits_28x28(random_state=0)

    accuracies = []
    for seed in args.seeds:
        train, test = hold_out(*data[0], seed) if args.held_out else data
        start = time.perf_counter()
        pipe = best_pipeline(len(train[0]), args.epochs, seed).set_params(**args.set)
        pipe.set_params(classifier__verbose=2).fit(*train)
        seconds = time.perf_counter() - start
        accuracies.append(pipe.score(*test))
        loss = log_loss(test[1], pipe.predict_proba(test[0]))
        print(
            f"seed {seed}: {'held-out' if args.held_out else 'test'} accuracy"
            f" {accuracies[-1]:.4f}, log loss {loss:.5f}, {seconds:.0f} s"
        )
    print(
        f"mean {statistics.mean(accuracies):.4f},"
        f" from {min(accuracies):.4f} to {max(accuracies):.4f}"
    )


if __name__ == "__main__":
    main()
