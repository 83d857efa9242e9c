"""Teach the network that comes with the package one's own hand.

    python examples/own_hand.py FOLDER

The folder holds pictures of one digit each, photographed, scanned or drawn, in a
subfolder for each label: FOLDER/7/first.jpg. Five of each digit are a good start. What
that gains is measured on pictures that were held back. Without a folder, one is filled
with bundled digits by a single writer whom the network does not know.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from skmnist import load_pictures, load_pretrained

EPOCHS = 20


def learn_hand(X, y, epochs=EPOCHS):
    """Let the trained network go on with images of one's own digits."""
    pipe = load_pretrained(trainable=True)
    X = pipe["preprocess"].transform(X)
    for _ in range(epochs):
        pipe["classifier"].partial_fit(X, y)
    return pipe


def read_held_out(X, y, seed=0):
    """Read each half of the images after learning the other; return probabilities."""
    proba = np.empty((len(X), 10), dtype=np.float32)
    halves = StratifiedKFold(2, shuffle=True, random_state=seed)
    for learned, held_out in halves.split(X, y):
        pipe = learn_hand(X[learned], y[learned])
        proba[held_out] = pipe.predict_proba(X[held_out])
    return proba


def write_pictures(folder):
    """Write the digits of the last writer in scikit-learn's set, in ink on paper."""
    digits = load_digits()
    for number in range(1667, 1797):
        grey = np.uint8(digits.images[number] * (255 / 16))
        ink = Image.fromarray(grey).resize((120, 120), Image.Resampling.BICUBIC)
        paper = Image.new("RGB", (200, 200), "ivory")
        paper.paste("navy", (40, 40), mask=ink)
        file = Path(folder, str(digits.target[number]), f"{number}.png")
        file.parent.mkdir(exist_ok=True)
        paper.save(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as drawn:
        if args.folder is None:
            write_pictures(drawn)
        X, y = load_pictures(args.folder or drawn)
    y = y.astype(np.uint8)
    print(f"{len(X)} pictures")
    for name, proba in {
        "as it comes": load_pretrained().predict_proba(X),
        "having learned the other half": read_held_out(X, y),
    }.items():
        right = np.mean(proba.argmax(axis=1) == y)
        loss = log_loss(y, proba, labels=range(10))
        print(f"{name}: accuracy {right:.3f}, log loss {loss:.4f}")


if __name__ == "__main__":
    main()
