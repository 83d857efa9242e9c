"""Train the bundled digit classifier and write its file.

    SKMNIST_DATA=... python examples/train_pretrained.py --epochs 250 --save

MNIST's writers were Americans around 1990. To recognize the digits of other people, the
network is trained on MNIST's training images and on

* copies of them with another stroke width and softness;
* ones with a flag and a foot, sevens with a bar and zeros with a slash, drawn onto
  MNIST's;
* scikit-learn's bundled digits in MNIST's format, except those by the last four
  writers, which are the test set.

All of them are augmented in each epoch. Without SKMNIST_DATA, one epoch on the bundled
digits alone shows that the script runs.
"""

import argparse
import os
import time

import numpy as np
from best_accuracy import best_pipeline, hold_out
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss

from skmnist import fetch_mnist, to_mnist_format, to_sklearn
from skmnist.pretrained import FILE, load_pretrained

SIDE = 28
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
# Bundled digits to train on: those of the first ten writers. The digits are ordered by
# writer, about 130 by each.
N_BUNDLED = 1287
# Copies of each bundled digit, with different darkness of the ink.
REPEATS = 6


def redraw(image, rng, finer=4):
    """Return a digit with another stroke width and softness."""
    places = (np.arange(finer * SIDE) + 0.5) / finer - 0.5
    enlarge = np.array(
        [np.interp(places, np.arange(SIDE), row) for row in np.eye(SIDE)]
    )
    large = enlarge.T @ image @ enlarge
    depth, middle = depths(large > large.max() / 2)
    grow = rng.uniform(0.9, 2.4) - np.median(depth[middle]) / finer
    grown = depth / finer + np.clip(grow, -0.8, 1.2)
    fine = np.clip(grown / rng.uniform(0.3, 1.6) + 0.5, 0, 1)
    drawn = fine.reshape(SIDE, finer, SIDE, finer).mean(axis=(1, 3))
    return np.rint(255 * drawn / drawn.max()).astype(np.uint8)


def depths(ink):
    """Return signed distances to the edge of the ink, and a mask of stroke centres."""
    inside, outside = map(ndimage.distance_transform_edt, (ink, ~ink))
    return inside - outside, ink & (inside == ndimage.maximum_filter(inside, 3))


class Sheet:
    """A digit to draw strokes on, as wide as its own."""

    def __init__(self, image, rng):
        self.image = image
        self.top, self.bottom = np.flatnonzero((image > 127).any(axis=1))[[0, -1]]
        self.left, self.right = np.flatnonzero((image > 127).any(axis=0))[[0, -1]]
        self.height = self.bottom - self.top
        depth, middle = depths(image > 127)
        width = np.clip(2 * depth[middle].mean() - 0.5, 1.5, 4.5)
        self.width = width * rng.uniform(0.8, 1.1)

    def stem(self, row):
        """Return the mean column of the ink at a row."""
        return np.average(COLUMNS, weights=self.image * np.exp(-((ROWS - row) ** 2.0)))

    def draw(self, row, column, down, across):
        """Draw a line from a start point by an offset."""
        along = (ROWS - row) * down + (COLUMNS - column) * across
        along = np.clip(along / (down**2 + across**2), 0, 1)
        away = np.hypot(ROWS - row - along * down, COLUMNS - column - along * across)
        ink = 255 * np.clip(self.width / 2 + 0.5 - away, 0, 1)
        self.image = np.maximum(self.image, ink.astype(np.uint8))

    def bar(self, row, length, slope):
        """Draw a line across the stem of the digit."""
        column = self.stem(row) - length / 2
        self.draw(row - slope * length / 2, column, slope * length, length)


def write_one(sheet, rng):
    """Draw a flag and a foot onto a 1."""
    top = sheet.top + sheet.width / 3
    flag, foot = sheet.stem(top), sheet.bottom - sheet.width / 3
    if rng.random() < 0.4:
        sheet.bar(foot, sheet.height * rng.uniform(0.3, 0.8), rng.uniform(-0.1, 0.1))
    if rng.random() < 0.9:
        across = sheet.height * rng.uniform(0.12, 0.5)
        sheet.draw(top, flag, across * rng.uniform(0.55, 1.6), -across)


def write_seven(sheet, rng):
    """Draw a bar onto a 7."""
    row = sheet.top + sheet.height * rng.uniform(0.4, 0.62)
    sheet.bar(row, sheet.height * rng.uniform(0.3, 0.64), -rng.uniform(-0.1, 0.4))


def write_zero(sheet, rng):
    """Draw a slash onto a 0."""
    beyond = sheet.height * rng.uniform(-0.1, 0.15)
    row, column = sheet.bottom + beyond, sheet.left - beyond
    sheet.draw(row, column, sheet.top - beyond - row, sheet.right + beyond - column)


# For each digit, the function that draws strokes onto it, and the fraction of MNIST's
# images that it is applied to.
STROKES = {0: (write_zero, 0.2), 1: (write_one, 1.0), 7: (write_seven, 1.0)}


def write_otherwise(X, y, rng):
    """Draw strokes onto some of the ones, sevens and zeros."""
    images, labels = [], []
    for digit, (write, share) in STROKES.items():
        for image in X[(y == digit) & (rng.random(len(y)) < share)]:
            sheet = Sheet(image, rng)
            write(sheet, rng)
            images.append(to_mnist_format(sheet.image))
            labels.append(digit)
    return np.array(images), np.array(labels, dtype=np.uint8)


def bundled_digits(rng):
    """Return training and test set of the bundled digits, in MNIST's format."""
    digits = load_digits()
    X, y = digits.images / 16, digits.target.astype(np.uint8)
    pressures = rng.uniform(0.6, 1.6, (REPEATS, N_BUNDLED))
    train = [X[i] ** power for row in pressures for i, power in enumerate(row)]
    train, test = (
        np.array([to_mnist_format(image) for image in images])
        for images in (train, X[N_BUNDLED:])
    )
    return (train, np.tile(y[:N_BUNDLED], REPEATS)), (test, y[N_BUNDLED:])


def training_images(X, y, bundled, rng):
    """Return MNIST's images, the bundled digits and the modified copies of both."""
    others, their_labels = write_otherwise(X, y, rng)
    images = np.concatenate([X, bundled[0], others])
    labels = np.concatenate([y, bundled[1], their_labels])
    redrawn = np.array([redraw(image, rng) for image in images])
    # The ones, sevens and zeros with strokes are used only as redrawn copies.
    as_they_are = slice(len(X) + len(bundled[0]))
    return (
        np.concatenate([images[as_they_are], redrawn]),
        np.concatenate([labels[as_they_are], labels]),
    )


def write_layers(file, coefs, intercepts, **arrays):
    """Write weights as float16, and other arrays as they are, to an .npz file."""
    for n, (weights, biases) in enumerate(zip(coefs, intercepts, strict=True), start=1):
        arrays[f"coefs_{n}"] = weights.astype(np.float16)
        arrays[f"intercepts_{n}"] = biases.astype(np.float16)
    np.savez(file, **arrays)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--held-out", action="store_true", help="do not use the test images"
    )
    parser.add_argument("--save", action="store_true", help=f"write {FILE.name}")
    args = parser.parse_args()
    start = time.perf_counter()
    rng = np.random.default_rng(args.seed)
    bundled, bundled_test = bundled_digits(rng)
    train, tests = bundled, {"bundled digits": bundled_test}
    if os.environ.get("SKMNIST_DATA"):
        train, test = fetch_mnist()
        if args.held_out:
            train, test = hold_out(*train, args.seed)
        tests["held-out MNIST" if args.held_out else "MNIST"] = test
    elif args.save:
        parser.error("--save needs MNIST: set SKMNIST_DATA")
    X, y = training_images(*train, bundled, rng)
    print(
        f"{len(X):,} images, created in {time.perf_counter() - start:.0f} s", flush=True
    )

    pipe = best_pipeline(len(X), args.epochs, args.seed)
    pipe = to_sklearn(pipe.set_params(classifier__verbose=2).fit(X, y))
    print(f"trained after {(time.perf_counter() - start) / 60:.0f} minutes")
    if args.save:
        mlp = pipe["classifier"]
        losses = np.asarray(mlp.loss_curve_, dtype=np.float32)
        arrays = {"classes": mlp.classes_, "loss_curve": losses}
        write_layers(FILE, mlp.coefs_, mlp.intercepts_, **arrays)
        pipe = load_pretrained()
    for name, (images, labels) in tests.items():
        loss = log_loss(labels, pipe.predict_proba(images))
        print(f"{name}: accuracy {pipe.score(images, labels):.4f}, log loss {loss:.4f}")


if __name__ == "__main__":
    main()
