"""Tests of processes that are forked."""

import subprocess
import sys

import pytest

FORK = """
import multiprocessing, pickle, sys
from pathlib import Path
import joblib, keras
import numpy as np
from skmnist import load_digits_28x28, load_pretrained, make_pipeline, to_sklearn
from skmnist import load_pipeline, save_pipeline

before, file = sys.argv[1], Path(sys.argv[2])
(X, y), (A, b) = load_digits_28x28(random_state=0)
pipe = make_pipeline(16, 1, random_state=0)
if before == "used":
    pipe.fit(X, y)
    save_pipeline(pipe, file)
elif before == "loaded":
    pipe = load_pipeline(file)
elif before == "used by Keras":
    keras.ops.matmul(np.eye(9), np.eye(9))

def partial_fit(X, y):
    clf = pipe["classifier"]
    clf.partial_fit(pipe["preprocess"].transform(X), y)

calls = {"fit": pipe.fit}
if before in ("used", "loaded"):
    calls |= {
        "score": pipe.score,
        "predict": lambda X, y: pipe.predict(X),
        "predict one": lambda X, y: pipe.predict(X[:1]),
        "predict_proba": lambda X, y: pipe.predict_proba(X),
        "partial_fit": partial_fit,
        "load": lambda X, y: load_pipeline(file).predict(X),
        "load, export": lambda X, y: to_sklearn(joblib.load(file)),
        "load_pretrained": lambda X, y: load_pretrained(trainable=True),
        "exported": to_sklearn(pipe).score,
        "export": lambda X, y: to_sklearn(pipe).score(X, y),
        "pickle": lambda X, y: len(pickle.dumps(pickle.loads(pickle.dumps(pipe)))),
    }

class Call:
    # Sent by name, so that what is called is what the fork has.
    def __init__(self, name):
        self.name = name
    def __call__(self):
        return calls[self.name](A, b)

sent = {"sent pipeline": pipe.score} if before == "used" else {}
for name, call in [*((name, Call(name)) for name in calls), *sent.items()]:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        args = () if isinstance(call, Call) else (A, b)
        try:
            result = pool.apply_async(call, args).get(timeout=120)
        except RuntimeError as error:
            result = error
    print(name, type(result).__name__, "spawn" in str(result), sep=", ")
if before in ("used", "loaded"):
    print(pipe.score(A, b) > 0.1)
"""
FITTED = [
    "fit, RuntimeError, True",
    "score, RuntimeError, True",
    "predict, RuntimeError, True",
    "predict one, RuntimeError, True",
    "predict_proba, RuntimeError, True",
    "partial_fit, RuntimeError, True",
    "load, RuntimeError, True",
    "load, export, RuntimeError, True",
    "load_pretrained, RuntimeError, True",
    "exported, float, False",
    "export, float, False",
    "pickle, int, False",
]


@pytest.fixture(scope="module")
def fork(tmp_path_factory):
    """Return what runs calls in forks of a process, and lists what each came to."""
    file = tmp_path_factory.mktemp("forks") / "model.joblib"

    def run(before):
        process = subprocess.run(
            [sys.executable, "-c", FORK, before, file], capture_output=True, text=True
        )
        assert process.returncode == 0, process.stderr
        return process.stdout.splitlines()

    return run


@pytest.mark.skipif(sys.platform != "linux", reason="TensorFlow and forks, on Linux")
def test_a_forked_process_answers_or_says_why_not(fork):
    assert fork("used") == [*FITTED, "sent pipeline, RuntimeError, True", "True"]
    assert fork("loaded") == [*FITTED, "True"]
    assert fork("used by Keras") == ["fit, RuntimeError, True"]
    assert fork("not used") == ["fit, Pipeline, False"]
