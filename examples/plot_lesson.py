"""
The first lesson
================

Can a program learn to read digits, without being told what a 7 looks like?

It is shown images, and which digit each is. From these alone it finds 669,706 numbers,
the weights of a network, that turn an image into ten probabilities.
"""

# %%
# The images
# ----------
# scikit-learn's bundled digits in MNIST's format: 28x28 grey levels, 255 where the ink
# is. ``fetch_mnist()`` in the place of ``load_digits_28x28(random_state=0)`` gives the
# 60,000 images of MNIST, and everything else stays as it is.

import matplotlib.pyplot as plt

from skmnist import DigitsDisplay, HistoryDisplay, load_digits_28x28, make_pipeline

(X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
print("to train on:", X_train.shape, X_train.dtype, " to test with:", X_test.shape)

display = DigitsDisplay(X_train, y_train).plot(n_images=10)
display.figure_.suptitle("Ten images to train on, and their labels")
plt.show()

# %%
# The network
# -----------
# Two hidden layers of 512 units and a softmax of ten: the pipeline flattens and scales
# the images, and the classifier encodes the labels, builds, compiles and trains. It
# goes through the images five times, and after each of these epochs looks at a tenth of
# them that it does not train on. ``verbose=2`` prints a line for each.

pipe = make_pipeline(
    units=512, epochs=5, validation_split=0.1, random_state=0, verbose=2
)
pipe.fit(X_train, y_train)
print(f"{pipe['classifier'].model_.count_params():,} weights")

# %%
# New images
# ----------
# The test images it has never seen.

print("predicted:", pipe.predict(X_test[:10]))
print("labels:   ", y_test[:10])
print(f"test accuracy: {pipe.score(X_test, y_test):.4f}")

# %%
# How it learned
# --------------
# The loss says how far the probabilities are from the labels. Training makes it small;
# that of validation tells whether what was learned holds for other images too. Where
# it stops falling while that of training goes on, the network has begun to learn its
# images by heart.

display = HistoryDisplay.from_estimator(pipe)
display.figure_.suptitle("Loss and accuracy of each epoch")
plt.show()
# sphinx_gallery_thumbnail_number = -1
