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
# shadow falls on it. They are by a writer whom the network does not know. A photo of
# your own would do as well: wherever ``page`` is used below, its path may stand.

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from skmnist import DigitsDisplay, PictureDisplay, find_digits, load_pretrained


def write_page(lines, width=900, height=600, seed=3):
    """Return a picture of lines of digits, in ink on paper with a shadow."""
    rng = np.random.default_rng(seed)
    digits = load_digits()
    last = np.arange(1667, 1797)
    own = [last[digits.target[last] == label] for label in range(10)]
    ink = Image.new("L", (width, height))
    for row, line in enumerate(lines):
        for column, label in enumerate(line):
            grey = np.uint8(digits.images[rng.choice(own[int(label)])] * 15.9)
            size = rng.integers(76, 92)
            glyph = Image.fromarray(np.pad(grey, 2))
            glyph = glyph.resize((size * 3 // 2,) * 2, Image.Resampling.BICUBIC)
            glyph = glyph.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC)
            # With steeper edges, it looks like the stroke of a pen.
            glyph = glyph.point(lambda level: min(255, max(0, 2 * level - 120)))
            left = 70 + 104 * column + rng.integers(-6, 6)
            top = 30 + 135 * row + rng.integers(-6, 6) + 2 * column
            ink.paste(glyph, (left, top), mask=glyph)
    strength = np.asarray(ink)[..., np.newaxis] / 255
    paper = np.array([0.97, 0.95, 0.88]) + rng.normal(0, 0.012, (height, width, 1))
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    light = 1 - 0.5 / (1 + np.exp((y + 0.5 * x - 0.9) / -0.06)) - 0.12 * (1 - x)
    page = paper * (1 - strength) + np.array([0.1, 0.15, 0.45]) * strength
    return np.uint8(255 * np.clip(page * light[..., np.newaxis], 0, 1))


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
