"""
Fine-tune on your own handwriting
=================================

Does the bundled model read your digits better after fine-tuning on a few of them?

To run this example on your own handwriting, fill a folder with pictures of one digit
each, photographed, scanned or drawn, in a subfolder for each label, such as
``yours/7/first.jpg``. Five pictures of each digit are a good start.
"""

# %%
# The pictures
# ------------
# Without your folder, this example creates one: digits in ink on paper, by the last
# writer of scikit-learn's bundled digits, who is not in the training data of the model.
# ``load_pictures`` converts the pictures to MNIST's format.

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
# Before fine-tuning
# ------------------
# The bundled model classifies the pictures without having been trained on any.

before = load_pretrained().predict_proba(X)

# %%
# After fine-tuning
# -----------------
# The effect must be measured on pictures that were not trained on. So the model is
# fine-tuned on one half of the pictures and tested on the other half, and vice versa.
# ``trainable=True`` returns the same weights in a pipeline that can be trained: here
# for twenty epochs, with a small learning rate and data augmentation.


def learn_hand(X, y, epochs=20):
    """Fine-tune the bundled model on images of one person's digits."""
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

for name, proba in {"before fine-tuning": before, "after fine-tuning": after}.items():
    accuracy = np.mean(proba.argmax(axis=1) == y)
    loss = log_loss(y, proba, labels=range(10))
    print(f"{name}: accuracy {accuracy:.3f}, log loss {loss:.4f}")

# %%
# Picture by picture
# ------------------
# Each point is a picture, placed by the probability of its true label before and after
# fine-tuning. Above the line the probability has increased.

rows = np.arange(len(y))
figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ax.axline((0, 0), slope=1, color="grey", linewidth=1, zorder=0)
ax.scatter(before[rows, y], after[rows, y], alpha=0.6)
ax.set(
    xlabel="before fine-tuning",
    ylabel="after fine-tuning on the other half",
    aspect="equal",
)
figure.suptitle("Probability of the true label")
plt.show()
# sphinx_gallery_thumbnail_number = -1
