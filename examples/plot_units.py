"""
Plot the weights of the first layer
===================================

Can one see in the weights of a network how it recognizes digits?

Each unit of the first layer has a weight for each pixel and computes a weighted sum of
the pixels. Its weights therefore form an image of the strokes that it responds to.
"""

import matplotlib.pyplot as plt
import numpy as np

from skmnist import DigitsDisplay, load_digits_28x28, load_pretrained

weights = load_pretrained()["classifier"].coefs_[0]
print("pixels and units:", weights.shape)

# %%
# The weights as images
# ---------------------
# These are the units of the bundled model with the largest weights. Ink in blue areas
# increases the output of a unit, ink in red areas decreases it. Most units respond to a
# stroke at one place and to its absence next to it: the edge of a digit, or a gap that
# distinguishes a 3 from an 8. The border has no pattern, because there is never any
# ink.

strongest = np.argsort(-np.linalg.norm(weights, axis=0))[:24]
display = DigitsDisplay(weights[:, strongest].T, strongest).plot(cmap="RdBu")
limit = np.abs(weights[:, strongest]).max()
for ax in display.axes_:
    ax.images[0].set_clim(-limit, limit)
display.figure_.suptitle("Weights of 24 units of the first layer")
plt.show()

# %%
# Images with the largest output
# ------------------------------
# The output of a unit is the weighted sum plus its bias, or 0 if this is negative.
# These are the three units whose sums vary most between images, each with the seven of
# scikit-learn's digits that have the largest sum. The unit responds to the common
# feature of the seven; often this is an area without ink.

_, (X, y) = load_digits_28x28(random_state=0)
outputs = X.reshape(len(X), -1) / 255 @ weights
figure, axes = plt.subplots(3, 8, figsize=(8, 3.8), layout="constrained")
for row, unit in zip(axes, np.argsort(-outputs.std(axis=0))[:3], strict=True):
    limit = np.abs(weights[:, unit]).max()
    image = weights[:, unit].reshape(28, 28)
    row[0].imshow(image, cmap="RdBu", vmin=-limit, vmax=limit)
    row[0].set_title(f"unit {unit}", fontsize="small")
    largest = np.argsort(-outputs[:, unit])[:7]
    for ax, i in zip(row[1:], largest, strict=True):
        ax.imshow(X[i], cmap="gray_r")
        ax.set_title(y[i], fontsize="small")
for ax in axes.flat:
    ax.set_axis_off()
figure.suptitle("Three units and the digits with their largest outputs")
plt.show()
# sphinx_gallery_thumbnail_number = 1
