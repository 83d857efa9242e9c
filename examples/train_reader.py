"""Train the network that detects and classifies the digits of a page.

    SKMNIST_DATA=... python examples/train_reader.py --fonts FOLDER --save

A small convolutional network (a space displacement network, LeCun et al. 1998, section
VII) sees strips of ink that `reader_data.py` draws. For each cell of 4x2 pixels it
learns whether a digit is centred there, which one, and how far away its sides are.
`--fonts` names a folder for the fonts, which npm installs there. Without SKMNIST_DATA,
a few strips of the bundled digits show that it runs.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import keras
import numpy as np
from keras import layers, ops
from reader_data import HEIGHT, IGNORED, NONE, WIDTH, Bank, install_fonts, make_pages
from train_pretrained import bundled_digits, training_images

from skmnist import fetch_mnist
from skmnist.pictures.detection import FILE, save_network

BATCH_SIZE = 32
# MNIST's training images that are used. The others are for experiments.
N_TRAIN = 55_000
# Filters, kernel, strides and dilation of each convolution.
CONVOLUTIONS = [
    (16, 5, (2, 2), 1),
    (32, 3, (2, 1), 1),
    (64, 3, (1, 1), 1),
    (80, 3, (1, 2), 1),
    (80, 3, (1, 1), 1),
    (80, 3, (1, 1), (1, 2)),
    (80, 3, (1, 1), (1, 2)),
]
N_OUTPUTS = 11 + 4


def make_network():
    """Build the network for strips; its weights serve ink of any size."""
    options = {"activation": "relu", "kernel_initializer": "he_normal"}
    x = inputs = keras.Input((HEIGHT, WIDTH, 1))
    for filters, kernel, strides, dilation in CONVOLUTIONS:
        x = layers.Conv2D(
            filters, kernel, strides, "same", dilation_rate=dilation, **options
        )(x)
    x = layers.Conv2D(96, 1, **options)(x)
    # Two cells side by side from each place.
    x = layers.Conv2D(2 * N_OUTPUTS, 1)(x)
    x = layers.Reshape((HEIGHT // 4, WIDTH // 2, N_OUTPUTS))(x)
    return keras.Model(inputs, x)


def strip_loss(targets, outputs):
    """Return the loss of each strip: of the classes, and of the sides of digits."""
    labels, sides = ops.cast(targets[..., 0], "int32"), targets[..., 1:]
    logits, found = outputs[..., :11], outputs[..., 11:]
    digit = ops.cast(labels < NONE, "float32")
    weights = ops.cast(labels != IGNORED, "float32") * (1 + digit)
    known = ops.one_hot(ops.where(labels == IGNORED, NONE, labels), 11)
    of_classes = ops.sum(known * -ops.log_softmax(logits), axis=-1)
    away = ops.abs(found - sides)
    huber = ops.where(away < 0.2, away**2 / 0.4, away - 0.1)
    of_sides = digit * ops.sum(huber, axis=-1)
    return ops.sum(weights * of_classes, (1, 2)) / 40 + ops.sum(of_sides, (1, 2)) / 80


_bank = None


def _start_worker(bank):
    global _bank
    _bank = bank


def _make(n, seed):
    return make_pages(_bank, n, seed)


def chunks(bank, n_chunks, size, seed):
    """Yield chunks of strips and targets, drawn by another process meanwhile."""
    with ProcessPoolExecutor(1, get_context("spawn"), _start_worker, (bank,)) as pool:
        ahead = [pool.submit(_make, size, (seed, i)) for i in range(min(n_chunks, 4))]
        for i in range(n_chunks):
            ink, classes, sides = ahead.pop(0).result()
            if i + 4 < n_chunks:
                ahead.append(pool.submit(_make, size, (seed, i + 4)))
            targets = np.concatenate([classes[..., None], sides], -1, dtype=np.float32)
            yield ink[..., None].astype(np.float32) / 255, targets


def describe(network, strips, targets):
    """Return how many cells are classified correctly."""
    best = network.predict(strips, 64, verbose=0)[..., :11].argmax(axis=-1)
    labels = targets[..., 0]
    digit = labels < NONE
    invented = ((best < NONE) & (labels == NONE)).sum() / digit.sum()
    return (
        f"loss {network.evaluate(strips, targets, 64, verbose=0):.4f}, digit cells"
        f" {(best == labels)[digit].mean():.4f}, invented {invented:.4f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fonts", default="fonts", help="folder for the fonts")
    parser.add_argument("--chunks", type=int, default=130, help="of 2,048 strips each")
    parser.add_argument("--stop", type=int, help="stop after so many chunks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--start", help="weights to start from")
    parser.add_argument("--weights", help="file for the weights, .weights.h5")
    parser.add_argument("--save", action="store_true", help=f"write {FILE.name}")
    args = parser.parse_args()
    start = time.perf_counter()
    rng = np.random.default_rng(0)
    bundled, _ = bundled_digits(rng)
    n_chunks, size, (X, y) = 1, 64, bundled
    fonts = [""], [""]  # Pillow's own
    if os.environ.get("SKMNIST_DATA"):
        n_chunks, size = args.chunks, 2048
        (X, y), _ = fetch_mnist()
        X, y = training_images(X[:N_TRAIN], y[:N_TRAIN], bundled, rng)
        fonts = install_fonts(args.fonts)
    elif args.save:
        parser.error("--save needs MNIST: set SKMNIST_DATA")
    bank = Bank(X, y, *fonts)
    keras.utils.set_random_seed(args.seed)
    network = make_network()
    if args.start:
        network.load_weights(args.start)
    steps = n_chunks * size // BATCH_SIZE
    warmup = min(100, steps // 2)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, 0.01, warmup_target=args.rate, warmup_steps=warmup
    )
    network.compile(keras.optimizers.Adam(rate, clipnorm=5.0), loss=strip_loss)
    test = None
    for i, (strips, targets) in enumerate(chunks(bank, n_chunks + 1, size, args.seed)):
        if test is None:
            test = strips, targets
            continue
        loss = network.fit(strips, targets, BATCH_SIZE, verbose=0).history["loss"][0]
        last = i == n_chunks or i == args.stop
        if i % 10 == 0 or last:
            minutes = (time.perf_counter() - start) / 60
            print(f"{i}: loss {loss:.4f}, {minutes:.0f} min; test strips:", end=" ")
            print(describe(network, *test), flush=True)
            if args.weights:
                network.save_weights(args.weights)
        if last:
            break
    if args.save:
        weights = network.get_weights()
        save_network(weights[::2], weights[1::2])


if __name__ == "__main__":
    main()
