"""Train the network that tells digits apart that touch, and write its file.

    SKMNIST_DATA=... python examples/train_touching.py --sets 120 --save

It sees the left end of ink in which up to three digits touch, one of them perhaps left
over from a digit before that was taken off, and learns which of the ink is the leftmost
digit's, and whether there is another. `skmnist.pictures.splitting` says what for.

The digits are those that `train_pretrained.py` trains on, distorted, but for a sixth of
MNIST's training images, with which it is tested. They are moved together until, where
they come nearest, one's ink lies some pixels over the other's. Without SKMNIST_DATA,
one small set of the bundled digits shows that it runs.
"""

import argparse
import os
import time

import joblib
import keras
import numpy as np
from best_accuracy import hold_out
from keras import layers, ops
from train_pretrained import bundled_digits, training_images

from skmnist import fetch_mnist
from skmnist.pictures.splitting import FILE, HEIGHT, MARGIN, REACH, WIDTH
from skmnist.pretrained import write_layers
from skmnist.training.augmentation import distort, draw

SIDE = 28
# Of each example: the digit before, which was taken off, the leftmost, and two more.
SLOTS = 4
# Digits are moved up and down by so many pixels at most.
UP = 4
# As far away as nothing is.
FAR = 10_000
# The loss of as much ink, in pixels, counts as much as whether a digit is alone, twice.
INK = 30
EPOCHS = 3  # with the same set
BATCH_SIZE = 512


def choose_digits(X, n, rng):
    """Return digits, (n, SLOTS, 28, 28), all 0 where there is none."""
    count = rng.choice([1, 2, 3], size=n, p=[0.15, 0.5, 0.35])
    there = np.arange(SLOTS) <= count[:, np.newaxis]
    there[:, 0] = rng.random(n) < 0.35
    chosen = X[rng.integers(len(X), size=there.sum())].reshape(-1, SIDE**2)
    digits = np.zeros((n, SLOTS, SIDE, SIDE), dtype=np.float32)
    distorted = distort(chosen / np.float32(255), draw(rng, len(chosen)))
    distorted /= distorted.max(axis=1, keepdims=True)
    digits[there] = distorted.reshape(-1, SIDE, SIDE)
    return digits


def push_together(digits, rng):
    """Return the row and the column of each digit, and profiles of their ink.

    A profile has the columns of the first and of the last ink in each row.
    """
    n = len(digits)
    rows = np.rint(rng.normal(0, 1.2, (n, SLOTS))).clip(-UP, UP).astype(int) + UP
    rows[rng.random(n) < 0.5] = UP
    ink = digits > 0.5
    left = np.where(ink.any(axis=3), ink.argmax(axis=3), FAR)
    right = np.where(ink.any(axis=3), SIDE - 1 - ink[..., ::-1].argmax(axis=3), -FAR)
    profiles = []
    for profile, nothing in (left, FAR), (right, -FAR):
        padded = np.full((n, SLOTS, SIDE + 2 * UP), nothing)
        place = rows[:, :, np.newaxis] + np.arange(SIDE)
        np.put_along_axis(padded, place, profile, axis=2)
        profiles.append(padded)
    left, right = profiles
    depths = rng.integers(1, 4, (n, SLOTS))
    columns = np.zeros((n, SLOTS), dtype=int)
    end = np.full((n, SIDE + 2 * UP), -FAR)  # in each row, the last ink so far
    for slot in range(SLOTS):
        free = (left[:, slot] - end).min(axis=1)
        beside = free < FAR / 2  # both are there
        columns[beside, slot] = (1 - depths[:, slot] - free)[beside]
        end = np.maximum(end, right[:, slot] + columns[:, slot, np.newaxis])
    return rows, columns, left, right


def triangles(places, width):
    """Return the weights with which places between pixels see them, (..., SIDE)."""
    places, width = (a.astype(np.float32) for a in (places[..., np.newaxis], width))
    weights = 1 - np.abs(places - np.arange(SIDE, dtype=np.float32)) / width
    return np.maximum(weights, 0) / width


def make_examples(X, n, rng):
    """Return what the network sees, (n, HEIGHT * WIDTH), and what it has to answer.

    The answer is 255 if there is one digit alone, then the leftmost digit's ink, then
    that of others, HEIGHT * REACH pixels each.
    """
    digits = choose_digits(X, n, rng)
    rows, columns, left, right = push_together(digits, rng)
    there = digits.any(axis=(2, 3))
    alone = there[:, 1:].sum(axis=1) == 1

    # The box around the digits, not around the one that was taken off.
    filled = (right[:, 1:] > -FAR).any(axis=1)
    top = filled.argmax(axis=1)
    height = filled.shape[1] - filled[:, ::-1].argmax(axis=1) - top
    start = np.where(there, columns + left.min(axis=2), FAR)[:, 1:].min(axis=1)
    # It is not known exactly, neither is the place from which the ink is looked at.
    height = height * rng.normal(1, 0.03, n)
    top = top + rng.normal(0, 0.3, n)
    start = start + rng.uniform(-1.5, 1.5, n)

    scale = (height / HEIGHT)[:, np.newaxis]
    blur = np.maximum(scale, 1)[..., np.newaxis, np.newaxis]
    y = top[:, np.newaxis] + (np.arange(HEIGHT) + 0.5) * scale - 0.5
    x = start[:, np.newaxis] + (np.arange(WIDTH) - MARGIN + 0.5) * scale - 0.5

    def see(digits, rows, columns):
        down = triangles(y[:, np.newaxis] - rows[..., np.newaxis], blur)
        across = triangles(x[:, np.newaxis] - columns[..., np.newaxis], blur)
        return down @ digits @ across.swapaxes(2, 3)

    seen = see(digits, rows, columns)
    contrast = rng.uniform(1, 2.5, (n, 1, 1, 1)).astype(np.float32)
    seen = np.clip((seen - 0.5) * contrast + 0.5, 0, 1) * np.clip(8 * seen, 0, 1)
    # What was taken off went with some ink of others, and left some of its own.
    misplaced = columns[:, :1] + rng.normal(0, 0.7, (n, 1))
    off = see(digits[:, :1], rows[:, :1], misplaced)[:, 0]
    share = rng.uniform(0.6, 1.5, (n, 1, 1)).astype(np.float32)
    seen *= ((off == 0) | (off <= share * seen[:, 1:].max(axis=1)))[:, np.newaxis]

    ink = seen.max(axis=1)
    own = seen[:, 1, :, :REACH]
    others = seen[:, [0, 2, 3], :, :REACH].max(axis=1)
    own = ink[..., :REACH] * own / np.maximum(own + others, 1e-6)
    others = ink[..., :REACH] - own
    ink, alone, own, others = (
        np.rint(255 * a).astype(np.uint8).reshape(n, -1)
        for a in (ink, alone, own, others)
    )
    return ink, np.hstack([alone, own, others])


def make_set(X, n, rng, chunk=500):
    """Return n examples, made on all cores."""
    made = joblib.Parallel(n_jobs=-1)(
        joblib.delayed(make_examples)(X, chunk, part) for part in rng.spawn(n // chunk)
    )
    return [np.concatenate(arrays) for arrays in zip(*made, strict=True)]


def surprise(answers, logits):
    """Return the cross-entropy of the pixels, by their ink, and of one digit alone."""
    alone, own, others = ops.split(answers / 255, [1, 1 + HEIGHT * REACH], axis=1)
    of_alone, of_pixels = logits[:, :1], logits[:, 1:]
    pixels = own * ops.softplus(-of_pixels) + others * ops.softplus(of_pixels)
    digits = alone * ops.softplus(-of_alone) + (1 - alone) * ops.softplus(of_alone)
    return ops.sum(pixels, axis=1) / INK + digits[:, 0] / 2


def make_network(n_steps, seed):
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input((HEIGHT * WIDTH,)),
            layers.Rescaling(1 / 255),
            layers.Dense(512, "relu"),
            layers.Dense(512, "relu"),
            layers.Dense(1 + HEIGHT * REACH),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, n_steps, warmup_target=1.5e-3, warmup_steps=min(200, n_steps // 2)
    )
    network.compile(keras.optimizers.Adam(rate), loss=surprise)
    return network


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=1, help="of 50,000 examples each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help=f"write {FILE.name}")
    args = parser.parse_args()
    start = time.perf_counter()
    rng = np.random.default_rng(args.seed)
    bundled, (X_test, _) = bundled_digits(rng)
    train, size = bundled, 2_000
    if os.environ.get("SKMNIST_DATA"):
        train, _ = fetch_mnist()
        train, (X_test, _) = hold_out(*train, args.seed)
        size = 50_000
    elif args.save:
        parser.error("--save needs MNIST: set SKMNIST_DATA")
    X, _ = training_images(*train, bundled, rng)
    seen_test, answers_test = make_set(X_test, 5_000, rng)
    print(f"{len(X):,} digits after {time.perf_counter() - start:.0f} s", flush=True)

    network = make_network(args.sets * EPOCHS * -(-size // BATCH_SIZE), args.seed)
    for number in range(args.sets):
        seen, answers = make_set(X, size, rng)
        network.fit(seen, answers, BATCH_SIZE, EPOCHS, verbose=0)
        if number % 10 == 0 or number == args.sets - 1:
            loss = network.evaluate(seen_test, answers_test, BATCH_SIZE, verbose=0)
            minutes = (time.perf_counter() - start) / 60
            print(f"set {number + 1}: loss {loss:.4f}, {minutes:.0f} min", flush=True)
    if args.save:
        weights = network.get_weights()
        write_layers(FILE, weights[::2], weights[1::2])
    logits = network.predict(seen_test, BATCH_SIZE, verbose=0)
    own, others = np.split(answers_test[:, 1:].astype(int), 2, axis=1)
    clear = np.abs(own - others) > 127
    right = (logits[:, 1:] > 0) == (own > others)
    count = (logits[:, 0] > 0) == (answers_test[:, 0] > 0)
    print(f"whose ink: {right[clear].mean():.4f}, one alone: {count.mean():.4f}")


if __name__ == "__main__":
    main()
