"""Time the augmentation of 60,000 images, Keras' layers for it, and epochs with it.

python examples/benchmarks/augmentation.py --repeats 3
"""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from speed import describe_machine, seconds, spread

from skmnist import fetch_mnist, flatten_and_scale, make_pipeline
from skmnist.training.augmentation import distort, draw

BATCH = 2048  # rows per call of the compiled loop
# The closest settings to augmentation=1.0.
LAYERS = {
    "RandomRotation": keras.layers.RandomRotation(11 / 360, fill_mode="constant"),
    "RandomZoom": keras.layers.RandomZoom(0.12, 0.12, fill_mode="constant"),
    "RandomShear": keras.layers.RandomShear(0.1, 0.1, fill_mode="constant"),
    "RandomTranslation": keras.layers.RandomTranslation(
        1.2 / 28, 1.2 / 28, fill_mode="constant"
    ),
    "RandomElasticTransform": keras.layers.RandomElasticTransform(
        factor=1.0, scale=0.8, fill_mode="constant", data_format="channels_last"
    ),
}


def batches(X):
    return [X[i : i + BATCH] for i in range(0, len(X), BATCH)]


def with_numpy(X):
    rng = np.random.default_rng(0)
    for batch in batches(X):
        distort(batch, draw(rng, len(batch)), 1.0)


def with_keras(layer, X):
    images = X.reshape(-1, 28, 28, 1)
    for batch in batches(images):
        layer(batch, training=True)


def compiles(layer, X):
    """Return whether XLA compiles a layer."""
    call = tf.function(lambda x: layer(x, training=True), jit_compile=True)
    try:
        call(tf.constant(X[:32].reshape(-1, 28, 28, 1)))
    except (tf.errors.OpError, ValueError, TypeError):
        return False
    return True


def seconds_of_an_epoch(X, y, batch_size, augmentation):
    """Return the time of one more epoch, without compilation."""
    pipe = make_pipeline(
        batch_size=batch_size, augmentation=augmentation, random_state=0
    )
    times = []
    for epochs in 1, 1, 3:
        pipe.set_params(classifier__epochs=epochs)
        times.append(seconds(pipe.fit, X, y))
    return (times[2] - times[1]) / 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    (images, y), _ = fetch_mnist()
    X = flatten_and_scale(images)
    results = {}
    for repeat in range(repeats):
        found = {"skmnist.training.augmentation, all in one": seconds(with_numpy, X)}
        for name, layer in LAYERS.items():
            found[f"keras.layers.{name}"] = seconds(with_keras, layer, X)
        for size in 32, 128:
            for strength in 0.0, 1.0:
                name = f"an epoch, batch_size={size}, augmentation={strength}"
                found[name] = seconds_of_an_epoch(images, y, size, strength)
        for name, taken in found.items():
            results.setdefault(name, []).append(taken)
        print(f"run {repeat + 1} of {repeats}", file=sys.stderr)
    print(describe_machine(repeats), "\n\n| | seconds | XLA |\n| --- | --- | --- |")
    for name, values in results.items():
        layer = LAYERS.get(name.removeprefix("keras.layers."))
        compiled = "" if layer is None else "yes" if compiles(layer, X) else "no"
        print(f"| {name} | {spread(values, digits=2)} | {compiled} |")


if __name__ == "__main__":
    main()
