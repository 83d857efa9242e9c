"""
What the units see
==================

A network is a heap of numbers. Can one see in them what it has learned?

Each unit of the first layer has a weight for every pixel. It adds up the pixels, each
times its weight, so its weights are an image, too: of what it looks for.
"""

import matplotlib.pyplot as plt
import numpy as np

from skmnist import DigitsDisplay, load_digits_28x28, load_pretrained

weights = load_pretrained()["classifier"].coefs_[0]
print("pixels and units:", weights.shape)

# %%
# Look at them
# ------------
# Of the network that comes with the package, these are the units with the largest
# weights. Ink where it is blue excites a unit, ink where it is red quiets it. Most look
# for a stroke at one place and for none beside it: the edge of a digit, or a gap that
# tells a 3 from an 8. Along the border, where there is never any ink, there is nothing
# to see.

strongest = np.argsort(-np.linalg.norm(weights, axis=0))[:24]
display = DigitsDisplay(weights[:, strongest].T, strongest).plot(cmap="RdBu")
limit = np.abs(weights[:, strongest]).max()
for ax in display.axes_:
    ax.images[0].set_clim(-limit, limit)
display.figure_.suptitle("What 24 units of the first layer look for")
plt.show()

# %%
# What makes them answer
# ----------------------
# A unit's answer to an image is that sum (and its bias), where it is above 0. Here are
# the three units whose answers differ most between images, and the seven of
# scikit-learn's digits that each answers loudest. What the seven have in common is what
# the unit looks for; mostly, a place without ink.

_, (X, y) = load_digits_28x28(random_state=0)
answers = X.reshape(len(X), -1) / 255 @ weights
figure, axes = plt.subplots(3, 8, figsize=(8, 3.8), layout="constrained")
for row, unit in zip(axes, np.argsort(-answers.std(axis=0))[:3], strict=True):
    limit = np.abs(weights[:, unit]).max()
    image = weights[:, unit].reshape(28, 28)
    row[0].imshow(image, cmap="RdBu", vmin=-limit, vmax=limit)
    row[0].set_title(f"unit {unit}", fontsize="small")
    loudest = np.argsort(-answers[:, unit])[:7]
    for ax, i in zip(row[1:], loudest, strict=True):
        ax.imshow(X[i], cmap="gray_r")
        ax.set_title(y[i], fontsize="small")
for ax in axes.flat:
    ax.set_axis_off()
figure.suptitle("Three units, and the digits that each answers loudest")
plt.show()
# sphinx_gallery_thumbnail_number = 1
