"""
Ship what was learned
=====================

A network is trained once and used for years, often where there is no TensorFlow. In
which file should it go there?
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import skops.io
from skl2onnx import to_onnx

from skmnist import load_digits_28x28, make_pipeline, to_sklearn

(X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
pipe = make_pipeline(random_state=0).fit(X_train, y_train)

# %%
# To predict
# ----------
# ``to_sklearn`` gives the same pipeline in scikit-learn alone. skops saves it in a file
# that runs nothing you have not agreed to, and ONNX is for where there is no
# scikit-learn, or no Python. (``skmnist fit --save digits.skops`` does it all at once.)

folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
exported = to_sklearn(pipe)
same = np.array_equal(exported.predict(X_test), pipe.predict(X_test))
print("the same labels:", same)

skops.io.dump(exported, path / "sklearn.skops")
rows = exported["preprocess"].transform(X_test[:1])
network = to_onnx(exported["classifier"], rows, options={"zipmap": False})
(path / "network.onnx").write_bytes(network.SerializeToString())

# %%
# To train on
# -----------
# joblib keeps all of it, the optimizer's state too. What is loaded goes on as if it had
# never been away: one more epoch on both, and they are the same to the bit. But reading
# such a file runs whatever code is in it: it is for your own machines.

joblib.dump(exported, path / "sklearn.joblib")
joblib.dump(pipe, path / "keras.joblib")
loaded = joblib.load(path / "keras.joblib")  # runs code: load only what you trust
for each in (pipe, loaded):
    each["classifier"].partial_fit(each["preprocess"].transform(X_train), y_train)
proba = pipe.predict_proba(X_test)
print("the same to the bit:", np.array_equal(loaded.predict_proba(X_test), proba))

# %%
# What each costs
# ---------------
# The same image is read from each file, in a process of its own. Time passes mostly
# with importing what the file needs.

np.save(path / "image.npy", X_test[:1])
READ = {
    "sklearn.skops": """
import skops.io
trusted = ["skmnist.preprocessing.flatten_and_scale"]
print(skops.io.load(file, trusted=trusted).predict(X))
""",
    "network.onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(file)
print(session.run(None, {"X": X.reshape(1, -1).astype("float32") / 255})[0])
""",
    "sklearn.joblib": "import joblib; print(joblib.load(file).predict(X))",
    "keras.joblib": "import joblib; print(joblib.load(file).predict(X))",
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
    print(f"{name:15} read as {read.stdout.strip()}, {megabytes[name]:.2f} MB")
print("it is a", y_test[0])

# %%
# The seconds are this machine's, while it was building these pages; what counts is
# which bar is how much longer.

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
figure.suptitle("One image, from the start of a process, by file")
plt.show()
folder.cleanup()
