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
from train_pretrained import bundled_digits, training_images, write_layers

from skmnist import fetch_mnist
from skmnist.pictures.detection import FILE

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
    (80, 3, (1, 1), 1),
    (80, 3, (1, 1), (1, 2)),
    (80, 3, (1, 1), (1, 2)),
]
N_OUTPUTS = 11 + 4
# Names of layers that Adam trains.
FIRST, LAST = "first", "last"
# Second views of chunks that are kept.
N_KEPT = 20


class Convolution(layers.Layer):
    """A convolution, whose kernel is a matrix: so the optimizer Muon serves it.

    Where input and output have the same shape, the input is added (a residual network,
    He et al. 2016).
    """

    def __init__(self, filters, size, strides=1, dilation=1, name=None):
        super().__init__(name=name)
        self.filters, self.size = filters, size
        self.strides, self.dilation = strides, dilation

    def build(self, shape):
        self.kernel_shape = self.size, self.size, shape[-1], self.filters
        self.residual = shape[-1] == self.filters
        scale = 0.5 if self.residual else 2.0
        self.kernel = self.add_weight(
            (self.size**2 * shape[-1], self.filters),
            keras.initializers.VarianceScaling(scale),
        )
        self.bias = self.add_weight((self.filters,), "zeros")

    def call(self, x):
        kernel = ops.reshape(self.kernel, self.kernel_shape)
        y = ops.conv(x, kernel, self.strides, "same", dilation_rate=self.dilation)
        y = y + self.bias
        if self.name == LAST:
            return y
        return x + ops.relu(y) if self.residual else ops.relu(y)


def make_network():
    """Build the network for strips; its weights serve ink of any size."""
    x = inputs = keras.Input((HEIGHT, WIDTH, 1))
    for i, (filters, *options) in enumerate(CONVOLUTIONS):
        x = Convolution(filters, *options, name=None if i else FIRST)(x)
    x = Convolution(96, 1)(x)
    # Two cells side by side from each place.
    x = Convolution(2 * N_OUTPUTS, 1, name=LAST)(x)
    shape = HEIGHT // 4, WIDTH // 2, N_OUTPUTS
    return keras.Model(inputs, layers.Reshape(shape)(x))


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
    """Yield chunks of strips and targets, drawn by another process meanwhile.

    Another view of the same pages follows after others. The first chunk is for tests.
    """
    rng, kept = np.random.default_rng(seed), []
    with ProcessPoolExecutor(1, get_context("spawn"), _start_worker, (bank,)) as pool:
        ahead = [pool.submit(_make, size, (seed, i)) for i in range(min(n_chunks, 4))]
        for i in range(n_chunks):
            first, second = ahead.pop(0).result()
            if i + 4 < n_chunks:
                ahead.append(pool.submit(_make, size, (seed, i + 4)))
            yield as_arrays(*first)
            if i:
                kept.append(as_arrays(*second))
            if len(kept) > N_KEPT:
                yield kept.pop(rng.integers(len(kept)))
    rng.shuffle(kept)
    yield from kept


def as_arrays(ink, classes, sides):
    """Return the input and the targets of the network."""
    targets = np.concatenate([classes[..., None], sides], -1, dtype=np.float16)
    return (ink[..., None] / 255).astype(np.float16), targets


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
    parser.add_argument("--chunks", type=int, default=180, help="of 2,048 strips each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=5e-3, help="peak learning rate")
    parser.add_argument("--start", help="weights to start from, .weights.h5")
    parser.add_argument("--stop", type=int, help="stop after so many chunks were seen")
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
    steps = 2 * n_chunks * size // BATCH_SIZE
    warmup = min(100, steps // 2)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, 0.01, warmup_target=args.rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.Muon(
        rate, weight_decay=0.0, adam_weight_decay=0.0, exclude_layers=[FIRST, LAST]
    )
    network.compile(optimizer, loss=strip_loss, jit_compile=True)
    drawn = chunks(bank, n_chunks + 1, size, args.seed)
    test = next(drawn)
    for i, (strips, targets) in enumerate(drawn, start=1):
        loss = network.fit(strips, targets, BATCH_SIZE, verbose=0).history["loss"][0]
        last = i in (args.stop, 2 * n_chunks)
        if i % 10 == 0 or last:
            minutes = (time.perf_counter() - start) / 60
            print(f"{i}: loss {loss:.4f}, {minutes:.0f} min; test strips:", end=" ")
            print(describe(network, *test), flush=True)
            if args.weights:
                network.save_weights(args.weights)
        if last:
            break
    if args.save:
        kernels = [
            layer.kernel.numpy().reshape(layer.kernel_shape)
            for layer in network.layers
            if isinstance(layer, Convolution)
        ]
        biases = [x for x in network.get_weights() if x.ndim == 1]
        write_layers(FILE, kernels, biases)


if __name__ == "__main__":
    main()
