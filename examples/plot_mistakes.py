"""
Look at the mistakes
====================

An accuracy of 95 % says how often a network errs. Which digits does it take for which,
and would you have known better?
"""

import matplotlib.pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay

from skmnist import DigitsDisplay, load_digits_28x28, make_pipeline

(X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
pipe = make_pipeline(random_state=0).fit(X_train, y_train)
wrong = pipe.predict(X_test) != y_test
print(f"{wrong.sum()} mistakes in {len(y_test)} images")

# %%
# Which for which
# ---------------
# scikit-learn's confusion matrix has a row for each digit, and a column for what it was
# read as. Whatever is off the diagonal is a mistake.

figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ConfusionMatrixDisplay.from_estimator(
    pipe, X_test, y_test, ax=ax, cmap="Blues", colorbar=False
)
figure.suptitle("How often each digit is read as each")
plt.show()

# %%
# The images
# ----------
# ``DigitsDisplay`` puts the mistakes first, and of these the ones that the network was
# surest of. After them come the images that it read rightly and with the least
# confidence. A mistake that anyone would make asks for better images; one that nobody
# would make, for more images of that kind, or for a better network.

display = DigitsDisplay.from_estimator(pipe, X_test, y_test)
display.figure_.suptitle("The surest mistakes first")
plt.show()

# %%
# ``indices`` says where they were in ``X_test``, to look at them more closely.

print("the surest mistakes:", display.indices[:3])
# sphinx_gallery_thumbnail_number = -1
