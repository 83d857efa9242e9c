"""
Look at the mistakes
====================

Which digits are confused with each other, and are they hard to read for people, too?
"""

import matplotlib.pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay

from skmnist import DigitsDisplay, load_digits_28x28, make_pipeline

(X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
pipe = make_pipeline(random_state=0).fit(X_train, y_train)
wrong = pipe.predict(X_test) != y_test
print(f"{wrong.sum()} mistakes in {len(y_test)} images")

# %%
# Confusion matrix
# ----------------
# scikit-learn's confusion matrix has a row for each digit and a column for each
# predicted label. Everything off the diagonal is a mistake.

figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ConfusionMatrixDisplay.from_estimator(
    pipe, X_test, y_test, ax=ax, cmap="Blues", colorbar=False
)
figure.suptitle("True digits (rows) and predicted digits (columns)")
plt.show()

# %%
# The images
# ----------
# ``DigitsDisplay`` shows the misclassified images first, in decreasing order of
# confidence, then the correctly classified ones in increasing order. If people would
# make the same mistake, the images should be better. If not, more training images of
# that kind or a better network may help.

display = DigitsDisplay.from_estimator(pipe, X_test, y_test)
display.figure_.suptitle("The most confident mistakes first")
plt.show()

# %%
# ``indices`` has their positions in ``X_test``.

print("most confident mistakes:", display.indices[:3])
# sphinx_gallery_thumbnail_number = -1
