"""
Choose a file format for production
===================================

A network is trained once and used for years, often on machines without TensorFlow.
Which file format is small, fast to load and safe?
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np

from skmnist import (
    load_digits_28x28,
    load_pipeline,
    make_pipeline,
    save_pipeline,
    to_sklearn,
)

(X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
pipe = make_pipeline(random_state=0).fit(X_train, y_train)

# %%
# Files to predict with
# ---------------------
# ``save_pipeline`` writes the format of the file's ending. A ``.skops`` file contains
# the pipeline as scikit-learn's own estimators, an ``.onnx`` file only the network, for
# machines without scikit-learn or without Python. Loading them runs no code. (``skmnist
# fit --save digits.skops`` does the same from the command line.)

folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
save_pipeline(pipe, path / "digits.skops")
save_pipeline(pipe, path / "digits.onnx")
labels = pipe.predict(X_test)
for name in ("digits.skops", "digits.onnx"):
    loaded = load_pipeline(path / name)
    print(name, "same labels:", np.array_equal(loaded.predict(X_test), labels))

# %%
# Files to continue training
# --------------------------
# A ``.joblib`` file contains everything, including the state of the optimizer: one more
# epoch gives the original and the loaded pipeline identical weights. But loading such a
# file runs the code in it, so load only your own files.

save_pipeline(pipe, path / "digits.joblib")
loaded = load_pipeline(path / "digits.joblib")
for each in (pipe, loaded):
    each["classifier"].partial_fit(each["preprocess"].transform(X_train), y_train)
proba = pipe.predict_proba(X_test)
print("identical probabilities:", np.array_equal(loaded.predict_proba(X_test), proba))

# %%
# ``to_sklearn`` returns the pipeline of the ``.skops`` file, which can be saved with
# joblib, too.

joblib.dump(to_sklearn(pipe), path / "exported.joblib")

# %%
# Size and loading time
# ---------------------
# A new process loads each file and classifies the same image. Most of its time is spent
# on imports.

np.save(path / "image.npy", X_test[:1])
LOAD = "from skmnist import load_pipeline; print(load_pipeline(file).predict(X))"
READ = {
    "digits.onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(file)
print(session.run(None, {"X": X.reshape(1, -1).astype("float32") / 255})[0])
""",
    "digits.skops": LOAD,
    "exported.joblib": LOAD,
    "digits.joblib": LOAD,
}
seconds, megabytes = {}, {}
for name, code in READ.items():
    start = f"import numpy; file = {name!r}; X = numpy.load('image.npy')\n"
    began = time.perf_counter()
    read = subprocess.run(
        [sys.executable, "-c", start + code],
        cwd=path,
        check=True,
        capture_output=True,
        text=True,
    )
    seconds[name] = time.perf_counter() - began
    megabytes[name] = (path / name).stat().st_size / 1e6
    print(f"{name:15} predicts {read.stdout.strip()}, {megabytes[name]:.2f} MB")
print("true label:", y_test[0])

# %%
# The times depend on the machine that built this page; compare the bars with each
# other.

figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True, layout="constrained")
for ax, values, label in zip(
    axes, (seconds, megabytes), ("seconds to the first label", "megabytes"), strict=True
):
    bars = ax.barh(list(values), list(values.values()), color="#2b83c6")
    ax.bar_label(bars, fmt="%.1f", padding=3)
    ax.set_xlabel(label)
    ax.margins(x=0.15)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].invert_yaxis()
figure.suptitle("From the start of a process to the first label")
plt.show()
folder.cleanup()
