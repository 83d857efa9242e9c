"""
Read a page of handwriting
==========================

How does one get from a photo of a page to the numbers on it?

A network trained on MNIST classifies one digit at a time, white on black, centred in
28x28 pixels. ``read_digits`` finds the digits of a photo, converts them to this format
and classifies them.
"""

# %%
# A page
# ------
# This example draws a page: digits in blue ink on paper, slightly rotated and partly in
# shadow, by writers who are not in the training data of the bundled model. To use a
# photo of your own, replace ``page`` by its path.

import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits

from skmnist import DigitsDisplay, PictureDisplay, read_digits


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
            # Steeper edges look like the stroke of a pen.
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
figure.suptitle("A page of digits, partly in shadow")
plt.show()

# %%
# The text
# --------
# One call reads the page with the bundled model.

reading = read_digits(page)
print(reading)

# %%
# The digits
# ----------
# The reading also has the text line, the place and the confidence of each digit, and
# its image in MNIST's format.

print("lines:", reading.lines)
print("first box:", reading.boxes[0])
print("lowest confidence:", reading.confidence.min())

display = DigitsDisplay(reading.images, reading.labels).plot(n_images=len(reading))
display.figure_.suptitle("The digits in MNIST's format, and their labels")
plt.show()

# %%
# Check the result
# ----------------
# ``PictureDisplay`` draws the boxes and labels on the picture. If a number is wrong, it
# shows whether a digit was segmented or classified incorrectly.

display = PictureDisplay.from_reading(reading, page)
display.figure_.suptitle("Digits found and read")
plt.show()
# sphinx_gallery_thumbnail_number = -1
