"""
Train a network
===============

How does a neural network learn to classify handwritten digits?

It is given images and their labels. From these it learns 669,706 weights that convert
an image to ten probabilities, one for each digit.
"""

# %%
# The images
# ----------
# ``load_digits_28x28`` returns scikit-learn's bundled digits in MNIST's format: 28x28
# grey levels, ink 255 on 0. Replace it by ``fetch_mnist()`` to train on the 60,000
# images of MNIST; everything else stays the same.

import matplotlib.pyplot as plt

from skmnist import DigitsDisplay, HistoryDisplay, load_digits_28x28, make_pipeline

(X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
print("training:", X_train.shape, X_train.dtype, " test:", X_test.shape)

display = DigitsDisplay(X_train, y_train).plot(n_images=10)
display.figure_.suptitle("Ten training images and their labels")
plt.show()

# %%
# The network
# -----------
# The pipeline flattens and scales the images. The classifier one-hot encodes the
# labels, builds and compiles a network with two hidden layers of 512 units and a
# softmax, and trains it for five epochs. After each epoch, it is evaluated on a
# held-out tenth of the images. ``verbose=2`` prints a line for each epoch.

pipe = make_pipeline(
    units=512, epochs=5, validation_split=0.1, random_state=0, verbose=2
)
pipe.fit(X_train, y_train)
print(f"{pipe['classifier'].model_.count_params():,} weights")

# %%
# New images
# ----------
# The test images were not used for training.

print("predicted:", pipe.predict(X_test[:10]))
print("labels:   ", y_test[:10])
print(f"test accuracy: {pipe.score(X_test, y_test):.4f}")

# %%
# The training history
# --------------------
# The loss measures the difference between probabilities and labels. Training minimizes
# it; the validation loss shows whether the network also works for other images. If only
# the training loss continues to fall, the network is overfitting.

display = HistoryDisplay.from_estimator(pipe)
display.figure_.suptitle("Loss and accuracy of each epoch")
plt.show()
# sphinx_gallery_thumbnail_number = -1
