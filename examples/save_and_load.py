"""Save a fitted pipeline with joblib, load it in another process, and train on.

On scikit-learn's bundled digits.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import numpy as np

from skmnist import load_digits_28x28, make_pipeline

(X_train, y_train), (X_test, y_test) = load_digits_28x28(random_state=0)
pipe = make_pipeline(units=128, random_state=0).fit(X_train, y_train)

LOAD = """
import sys, joblib, numpy
pipe = joblib.load(sys.argv[1])
numpy.save(sys.argv[3], pipe.predict_proba(numpy.load(sys.argv[2])))
"""
with tempfile.TemporaryDirectory() as folder:
    model, images, proba = (
        Path(folder, name) for name in ("m.joblib", "x.npy", "p.npy")
    )
    joblib.dump(pipe, model)
    print(f"saved: {model.stat().st_size:,} bytes")
    np.save(images, X_test)
    subprocess.run([sys.executable, "-c", LOAD, model, images, proba], check=True)
    same = np.array_equal(np.load(proba), pipe.predict_proba(X_test))
    print(f"the other process predicts the same to the bit: {same}")
    loaded = joblib.load(model)  # runs code from the file: load only what you trust

# The optimizer's state was saved too, so one more epoch has the same result.
for each in (pipe, loaded):
    each["classifier"].partial_fit(each["preprocess"].transform(X_train), y_train)
same = np.array_equal(loaded.predict_proba(X_test), pipe.predict_proba(X_test))
print(f"one more epoch on both, the same to the bit: {same}")
