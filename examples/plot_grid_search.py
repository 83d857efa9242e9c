"""
Search a grid and plot the scores
=================================

How many units should the layers have, and how many epochs should they be trained for?

``make_pipeline`` returns a scikit-learn pipeline, so ``GridSearchCV`` answers the
question. A heat map of the scores is easier to read than a table.
"""

import matplotlib.pyplot as plt
from sklearn.model_selection import GridSearchCV

from skmnist import load_digits_28x28, make_pipeline

(X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)

# %%
# Search
# ------
# Each of the twelve candidates is cross-validated with three folds. ``units`` is a
# number (the width of both layers) or a sequence: (128, 64) is a layer of 128 units and
# one of 64.

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
print(f"test accuracy: {search.score(X_test, y_test):.4f}")

# %%
# Plot the scores
# ---------------
# Each field shows the mean accuracy of a candidate and its standard deviation over the
# folds. Differences smaller than the standard deviation may be due to chance.

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
figure.suptitle("Accuracy by units and epochs, mean of three folds")
plt.show()
