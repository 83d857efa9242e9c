"""Write page.jpg and page_read.png, the README's page of digits and what was read.

The digits are by writers of scikit-learn's bundled set whom the trained network was not
trained on, enlarged from 8x8 pixels and inked onto a sheet under a lamp.

    python docs/images/make_page.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage
from sklearn.datasets import load_digits

from skmnist import PictureDisplay, find_digits, load_pretrained

HERE = Path(__file__).parent
LINES = ("31415926", "271828", "16180339")
HEIGHT, WIDTH = 640, 1000
SIZE, STEP = 118, 108
INK = np.array([0.75, 0.62, 0.25])  # what blue ink takes of red, green and blue


def write(rng):
    """Return the strength of ink on each pixel of the sheet."""
    digits = load_digits()
    ink = np.zeros((HEIGHT, WIDTH))
    for row, line in enumerate(LINES):
        left = 70 + 12 * row
        for place, digit in enumerate(line):
            # The last four of the writers.
            known = np.flatnonzero(digits.target[1287:] == int(digit)) + 1287
            image = np.pad(digits.images[rng.choice(known)] / 16, 1)
            drawn = ndimage.zoom(image, SIZE / 10, order=3)
            drawn = np.clip((drawn - 0.5) * 5 + 0.5, 0, 1)
            drawn = ndimage.rotate(drawn, rng.uniform(-5, 5), reshape=False, order=1)
            top = 70 + 185 * row + 1.5 * place + rng.integers(-6, 7)
            part = np.s_[int(top) : int(top) + len(drawn), left : left + len(drawn)]
            ink[part] = np.maximum(ink[part], drawn)
            left += STEP + rng.integers(-8, 9)
    return ink


def photograph(ink, rng):
    """Return the sheet as a camera sees it: squared paper, a lamp, a shadow, noise."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    paper = np.full((HEIGHT, WIDTH, 3), [0.96, 0.94, 0.88])
    squares = (y % 48 < 2) | (x % 48 < 2)
    paper[squares] *= [0.86, 0.92, 0.97]
    light = 1.05 - 0.45 * np.hypot((x - 250) / WIDTH, (y - 120) / HEIGHT)
    shadow = ndimage.gaussian_filter(np.where(x + 0.7 * y > 1130, 0.72, 1.0), 14)
    ink = ink * (0.9 + 0.1 * rng.random(ink.shape))
    seen = paper * (1 - ink[..., np.newaxis] * INK) * (light * shadow)[..., np.newaxis]
    seen += rng.normal(scale=0.015, size=seen.shape)
    image = Image.fromarray(np.uint8(np.clip(seen, 0, 1) * 255))
    return image.filter(ImageFilter.GaussianBlur(0.8))


def main():
    rng = np.random.default_rng(1)
    photograph(write(rng), rng).save(HERE / "page.jpg", quality=85)
    reader = load_pretrained()
    PictureDisplay.from_estimator(reader, HERE / "page.jpg")
    plt.savefig(HERE / "page_read.png", dpi=80)
    digits = find_digits(HERE / "page.jpg", estimator=reader)
    labels = reader.predict(digits.images)
    read = ["".join(map(str, labels[digits.lines == n])) for n in range(len(LINES))]
    print(*read, sep="\n")
    assert tuple(read) == LINES


if __name__ == "__main__":
    main()
