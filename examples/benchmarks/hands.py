"""Measure the gain of fine-tuning on one writer, for the writers with most errors.

    SKMNIST_DATA=... python examples/benchmarks/hands.py FOLDER

The folder has a labels.csv with the columns file, kind, label and source. In addition
to its sources, there are the four writers of scikit-learn's bundled digits that the
bundled model was not trained on. The model is fine-tuned on one half of the pictures of
a source and tested on the held-out half, for both halves of five random splits. The
accuracy on MNIST's test images shows how much the model forgets.
"""

import argparse
import csv
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

from skmnist import fetch_mnist, load_pretrained, to_mnist_format

EPOCHS = 20
REPEATS = 5
# Minimum number of pictures of a source. Each label must occur twice.
FEWEST = 20
# Index of the first bundled digit of each of the last four writers.
WRITERS = {1287: "writer 11", 1415: "writer 12", 1545: "writer 13", 1667: "writer 14"}


def read_folder(folder):
    """Return images, labels and sources of the pictures of a single digit."""
    with open(folder / "labels.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] != "multi"]
    X = [to_mnist_format(folder / row["file"]) for row in rows]
    labels = [int(row["label"]) for row in rows]
    return X, labels, [f"source {row['source']}" for row in rows]


def read_bundled():
    """Return images, labels and writers of the last four writers' bundled digits."""
    digits, begin = load_digits(), min(WRITERS)
    X = [to_mnist_format(image / 16) for image in digits.images[begin:]]
    places = np.searchsorted(
        list(WRITERS), np.arange(begin, len(digits.images)), "right"
    )
    writers = [list(WRITERS.values())[place - 1] for place in places]
    return X, digits.target[begin:], writers


def learn_hand(X, y):
    """Fine-tune the bundled model, as examples/plot_own_hand.py does."""
    pipe = load_pretrained(trainable=True)
    X = pipe["preprocess"].transform(X)
    for _ in range(EPOCHS):
        pipe["classifier"].partial_fit(X, y)
    return pipe


def log_losses(pipe, X, y):
    """Return the log loss of each image, and whether its label is wrong."""
    proba = pipe.predict_proba(X)
    right = proba[np.arange(len(y)), y]
    return np.array([-np.log(np.maximum(right, 1e-7)), proba.argmax(axis=1) != y])


def learn_halves(X, y, test):
    """Return loss and errors on held-out halves, and the accuracy on test images."""
    measured, kept = [], []
    for seed in range(REPEATS):
        halves = StratifiedKFold(2, shuffle=True, random_state=seed)
        for learned, held_out in halves.split(X, y):
            pipe = learn_hand(X[learned], y[learned])
            measured.append(log_losses(pipe, X[held_out], y[held_out]))
            kept.append(pipe.score(*test))
    return np.concatenate(measured, axis=1).mean(axis=1), np.mean(kept)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sources", type=int, default=6, help="the worst so many")
    args = parser.parse_args()
    parts = zip(read_folder(args.folder), read_bundled(), strict=True)
    X, y, sources = (np.concatenate(part) for part in parts)
    _, test = fetch_mnist()
    pipe = load_pretrained()
    before = log_losses(pipe, X, y)
    print(f"MNIST's test images: {pipe.score(*test):.4f}")
    labels = {source: Counter(y[sources == source]) for source in set(sources)}
    large = [
        source
        for source, counts in labels.items()
        if counts.total() >= FEWEST and min(counts.values()) > 1
    ]
    worst = sorted(large, key=lambda source: -before[0, sources == source].mean())
    for source in worst[: args.sources]:
        own = sources == source
        loss, errors = before[:, own].mean(axis=1)
        (new_loss, new_errors), kept = learn_halves(X[own], y[own], test)
        print(
            f"{source}, {own.sum()} pictures:"
            f" accuracy {1 - errors:.3f} -> {1 - new_errors:.3f},"
            f" log loss {loss:.4f} -> {new_loss:.4f}, MNIST {kept:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
