"""
Search a grid, and see it
=========================

How wide should the layers be, and how long should one train?

The pipeline is scikit-learn's, so ``GridSearchCV`` answers. What it answers is easier
to see than to read.
"""

import matplotlib.pyplot as plt
from sklearn.model_selection import GridSearchCV

from skmnist import load_digits_28x28, make_pipeline

(X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)

# %%
# Search
# ------
# Each of the twelve pairs is trained and tested three times, on another two thirds of
# the images each. ``units`` may be a number, the width of both layers, or a sequence;
# (128, 64) is a wide layer and a narrower one.

units = [16, 64, (128, 64), 256]
epochs = [2, 5, 10]
search = GridSearchCV(
    make_pipeline(random_state=0),
    {"classifier__units": units, "classifier__epochs": epochs},
    cv=3,
    verbose=1,
)
search.fit(X_train, y_train)
print("best:", search.best_params_)
print(f"its accuracy on the test images: {search.score(X_test, y_test):.4f}")

# %%
# See
# ---
# One field for each pair: the mean accuracy of its three folds, and how far they are
# from each other. Two fields that differ by less than that are not known to differ.

results = search.cv_results_
means, stds = (
    results[name].reshape(len(epochs), len(units))
    for name in ("mean_test_score", "std_test_score")
)
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
image = ax.imshow(means, cmap="Blues", aspect="auto")
for row, column in [(i, j) for i in range(len(epochs)) for j in range(len(units))]:
    ax.text(
        column,
        row,
        f"{means[row, column]:.3f}\n± {stds[row, column]:.3f}",
        ha="center",
        va="center",
        color="white" if image.norm(means[row, column]) > 0.6 else "black",
    )
ax.set(
    xlabel="units",
    ylabel="epochs",
    xticks=range(len(units)),
    xticklabels=[str(width) for width in units],
    yticks=range(len(epochs)),
    yticklabels=epochs,
)
figure.suptitle("Accuracy by width and epochs, three folds")
plt.show()
