"""
Teach it your own hand
======================

A network that thousands of strangers' digits were shown: does it read yours better once
it has seen a few of them?

With a folder of your own pictures, this page is about you. It is to hold pictures of
one digit each, photographed, scanned or drawn, in a subfolder for each label, such as
``yours/7/first.jpg``. Five of each digit are a good start.
"""

# %%
# The pictures
# ------------
# Without a folder, one is filled here: digits in ink on paper, by the last of the
# writers in scikit-learn's set, whom the network does not know. ``load_pictures``
# brings what is in it into MNIST's format.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from skmnist import DigitsDisplay, load_pictures, load_pretrained

YOURS = None  # put the path of your folder here


def write_pictures(folder):
    """Write the digits of the last writer in scikit-learn's set, in ink on paper."""
    digits = load_digits()
    for number in range(1667, 1797):
        grey = np.uint8(digits.images[number] * (255 / 16))
        ink = Image.fromarray(grey).resize((120, 120), Image.Resampling.BICUBIC)
        paper = Image.new("RGB", (200, 200), "ivory")
        paper.paste("navy", (40, 40), mask=ink)
        file = Path(folder, str(digits.target[number]), f"{number}.png")
        file.parent.mkdir(exist_ok=True)
        paper.save(file)


with tempfile.TemporaryDirectory() as folder:
    if YOURS is None:
        write_pictures(folder)
    X, y = load_pictures(YOURS or folder)
y = y.astype(np.uint8)
print(len(X), "pictures")

some = np.linspace(0, len(X) - 1, 16).astype(int)
display = DigitsDisplay(X[some], y[some]).plot()
display.figure_.suptitle("One writer's digits, in MNIST's format")
plt.show()

# %%
# As it comes
# -----------
# The network that comes with the package reads them without having seen any.

before = load_pretrained().predict_proba(X)

# %%
# Having learned the other half
# -----------------------------
# What it gains has to be measured on pictures that it did not learn. So it learns one
# half of them and reads the other, and the other way round. ``trainable=True`` gives
# the same weights in a pipeline that goes on training: twenty epochs, with a small
# learning rate, on images that are distorted anew in every epoch.


def learn_hand(X, y, epochs=20):
    """Let the trained network go on with images of one's own digits."""
    pipe = load_pretrained(trainable=True)
    X = pipe["preprocess"].transform(X)
    for _ in range(epochs):
        pipe["classifier"].partial_fit(X, y)
    return pipe


after = np.empty_like(before)
halves = StratifiedKFold(2, shuffle=True, random_state=0)
for learned, held_out in halves.split(X, y):
    pipe = learn_hand(X[learned], y[learned])
    after[held_out] = pipe.predict_proba(X[held_out])

for name, proba in {"as it comes": before, "having learned half": after}.items():
    right = np.mean(proba.argmax(axis=1) == y)
    loss = log_loss(y, proba, labels=range(10))
    print(f"{name}: accuracy {right:.3f}, log loss {loss:.4f}")

# %%
# Picture by picture
# ------------------
# Each point is a picture: how probable its true label was before, and is now. Above the
# line are those that it has become surer of.

rows = np.arange(len(y))
figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ax.axline((0, 0), slope=1, color="grey", linewidth=1, zorder=0)
ax.scatter(before[rows, y], after[rows, y], alpha=0.6)
ax.set(
    xlabel="as it comes",
    ylabel="having learned the other half",
    aspect="equal",
)
figure.suptitle("Probability of the true label")
plt.show()
# sphinx_gallery_thumbnail_number = -1
