"""Train the network of the first lesson, then classify images it has never seen.

On MNIST if SKMNIST_DATA says where it is, else on scikit-learn's bundled digits.
"""

import os

from skmnist import fetch_mnist, load_digits_28x28, make_pipeline

if os.environ.get("SKMNIST_DATA"):
    (X_train, y_train), (X_test, y_test) = fetch_mnist()
else:
    (X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)

pipe = make_pipeline(units=512, epochs=5, validation_split=0.1, random_state=0)
pipe.fit(X_train, y_train)

history = pipe["classifier"].history_
for epoch, (accuracy, val_accuracy) in enumerate(
    zip(history["accuracy"], history["val_accuracy"], strict=True), start=1
):
    print(f"epoch {epoch}: accuracy {accuracy:.4f}, validation {val_accuracy:.4f}")
print(f"test accuracy: {pipe.score(X_test, y_test):.4f}")
print("predicted:", pipe.predict(X_test[:10]))
print("labels:   ", y_test[:10])
