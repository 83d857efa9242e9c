"""Score the default pipeline and the best recipe on modified test images.

python examples/benchmarks/robustness.py --epochs 50
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from best_accuracy import best_pipeline
from scipy import ndimage

from skmnist import fetch_mnist, make_pipeline

EIGHT_WAYS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
CENTRE = np.array([13.5, 13.5])
CROSS = ndimage.generate_binary_structure(2, 1)[np.newaxis]


def shift(images, pixels):
    """Shift each eighth of the images in another direction."""
    shifted = np.empty_like(images)
    for way, direction in enumerate(EIGHT_WAYS):
        offset = (0, *(pixels * step for step in direction))
        shifted[way::8] = ndimage.shift(images[way::8], offset, order=1)
    return shifted


def transform(images, matrix):
    """Apply an inverse matrix about the centre of each image."""
    offset = CENTRE - matrix @ CENTRE
    changed = [ndimage.affine_transform(i, matrix, offset, order=1) for i in images]
    return np.array(changed)


def rotate(images, degrees):
    """Rotate every other image clockwise, the rest counterclockwise."""
    rotated = np.empty_like(images)
    for first, sign in (0, 1), (1, -1):
        angle = np.radians(sign * degrees)
        cos, sin = np.cos(angle), np.sin(angle)
        matrix = np.array([[cos, -sin], [sin, cos]])
        rotated[first::2] = transform(images[first::2], matrix)
    return rotated


def scale(images, factor):
    return transform(images, np.eye(2) / factor)


def thicken(images, _):
    return ndimage.grey_dilation(images, footprint=CROSS)


def thin(images, _):
    return ndimage.grey_erosion(images, footprint=CROSS)


def add_noise(images, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, images.shape)
    return np.clip(images + noise, 0, 255)


CHANGES = [
    ("none", lambda images, _: images, ""),
    *(("shifted, pixels", shift, pixels) for pixels in (1, 2, 3, 4)),
    *(("rotated, degrees", rotate, degrees) for degrees in (5, 10, 15, 20, 25, 30)),
    *(("scaled by", scale, factor) for factor in (0.8, 0.9, 1.1, 1.2)),
    ("thickened by a pixel", thicken, ""),
    ("thinned by a pixel", thin, ""),
    *(("noise, standard deviation", add_noise, grey) for grey in (25, 50, 75)),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=50, help="of the best recipe")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    (X, y), (X_test, y_test) = fetch_mnist()
    plain = make_pipeline(random_state=args.seed).fit(X, y)
    best = best_pipeline(len(X), args.epochs, args.seed).fit(X, y)
    print("| test images | | default | best recipe |\n| --- | --- | --- | --- |")
    for name, change, degree in CHANGES:
        images = change(X_test.astype(np.float32), degree)
        scores = [f"{pipe.score(images, y_test):.4f}" for pipe in (plain, best)]
        print(f"| {name} | {degree} | {' | '.join(scores)} |")


if __name__ == "__main__":
    main()
