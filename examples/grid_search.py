"""Search a grid of layer widths and epochs with three-fold cross-validation.

On 3,000 images of MNIST if SKMNIST_DATA says where it is, else on scikit-learn's
bundled digits.
"""

import os

from sklearn.model_selection import GridSearchCV

from skmnist import fetch_mnist, load_digits_28x28, make_pipeline

if os.environ.get("SKMNIST_DATA"):
    (X_train, y_train), (X_test, y_test) = fetch_mnist()
    X_train, y_train = X_train[:3000], y_train[:3000]  # MNIST comes shuffled
else:
    (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)

search = GridSearchCV(
    make_pipeline(random_state=0),
    {
        "classifier__units": [32, 128, (128, 64)],  # (128, 64): unequal layers
        "classifier__epochs": [2, 5],
    },
    cv=3,
)
search.fit(X_train, y_train)

results = search.cv_results_
for i in results["rank_test_score"].argsort():
    mean, std = results["mean_test_score"][i], results["std_test_score"][i]
    print(f"{mean:.4f} +- {std:.4f}  {results['params'][i]}")
print(f"test accuracy of the best: {search.score(X_test, y_test):.4f}")
