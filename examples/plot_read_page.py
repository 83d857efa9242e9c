"""
Read a page of handwriting
==========================

How does one get from a photo of a page to the numbers on it?

A network of the first lesson takes one digit at a time, white on black, in the middle
of 28x28 pixels. A photo is neither: ``find_digits`` makes the one of the other.
"""

# %%
# A page
# ------
# To have one here, digits are written in blue ink onto paper, a little askew, and a
# shadow falls on it. They are by writers whom the network does not know. A photo of
# your own would do as well: wherever ``page`` is used below, its path may stand.

import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits

from skmnist import DigitsDisplay, PictureDisplay, find_digits, load_pretrained


def write_page(lines, height=560, width=960, seed=7):
    """Return a picture of lines of digits, in blue ink on paper with a shadow."""
    rng = np.random.default_rng(seed)
    digits = load_digits()
    images, labels = digits.images[1287:] / 16, digits.target[1287:]
    ink = np.zeros((height, width, 1))
    for row, line in enumerate(lines):
        for column, label in enumerate(line):
            image = np.pad(images[rng.choice(np.flatnonzero(labels == int(label)))], 1)
            stroke = ndimage.zoom(image, 10.8, order=3)
            # With steeper edges, it looks like the stroke of a pen.
            stroke = np.clip(5 * stroke - 1.6, 0, 1)
            stroke = ndimage.rotate(stroke, rng.uniform(-6, 6), reshape=False, order=1)
            top = 25 + 128 * row + 2 * column + rng.integers(-6, 7)
            left = 60 + 104 * column + rng.integers(-8, 9)
            part = ink[top : top + len(stroke), left : left + len(stroke), 0]
            np.maximum(part, stroke, out=part)
    y, x = np.mgrid[:height, :width, :1][:2]
    paper = np.array([0.97, 0.95, 0.88]) + rng.normal(0, 0.015, ink.shape)
    shadow = 1 - 0.4 / (1 + np.exp((800 - x - 0.6 * y) / 30))
    page = paper * (1 - ink * [0.8, 0.7, 0.35]) * shadow
    return np.uint8(255 * np.clip(page, 0, 1))


page = write_page(["31415926", "2718281", "161803", "14142"])
figure, ax = plt.subplots(figsize=(7, 4.8), layout="constrained")
ax.imshow(page)
ax.set_axis_off()
figure.suptitle("A page of digits, a shadow across it")
plt.show()

# %%
# Its digits
# ----------
# ``find_digits`` tells ink from paper and shadow, and gives every digit as MNIST would
# have it, where it was, and which line of writing it is on.

digits = find_digits(page)
print("images:", digits.images.shape, digits.images.dtype)
print("the first box:", digits.boxes[0])
print("lines:", digits.lines)

display = DigitsDisplay(digits.images).plot(n_images=len(digits))
display.figure_.suptitle("Each digit as the network sees it")
plt.show()

# %%
# Read
# ----
# The network that comes with the package reads them at once.

network = load_pretrained()
labels = network.predict(digits.images)
for line in range(digits.lines.max() + 1):
    print(*labels[digits.lines == line], sep="")

# %%
# ``PictureDisplay`` does all of this and shows it on the picture, which tells whether a
# number that came out wrong was cut out badly or read badly.

display = PictureDisplay.from_estimator(network, page)
display.figure_.suptitle("What was read, and where")
plt.show()
# sphinx_gallery_thumbnail_number = -1
