"""Importing Keras, and processes that are forked after TensorFlow was used."""

import sys

import pytest
from processes import run_python

FORKS = """
import multiprocessing, pickle, sys
import joblib
from skmnist import load_digits_28x28, load_pretrained, make_pipeline, to_sklearn

file = sys.argv[1]
(X, y), (A, b) = load_digits_28x28(random_state=0)
pipe = make_pipeline(16, 1, random_state=0)

def in_a_fork(name, call):
    global work  # found by the child without pickling
    work = call
    with multiprocessing.get_context("fork").Pool(1) as pool:
        try:
            result = type(pool.apply_async(run).get(timeout=120)).__name__
        except RuntimeError as error:
            result = "error" if "spawn" in str(error) else str(error)
    print(name, result)

def run():
    return work()

if sys.argv[2] == "fitted":
    in_a_fork("before", lambda: pipe.fit(X, y).score(A, b))
    pipe.fit(X, y)
    joblib.dump(pipe, file)
else:
    pipe = joblib.load(file)
clf, rows = pipe["classifier"], pipe["preprocess"].transform(A)
exported, pickled = to_sklearn(pipe), pickle.dumps(pipe)
in_a_fork("fit", lambda: pipe.fit(A, b))
in_a_fork("partial_fit", lambda: clf.partial_fit(rows, b))
in_a_fork("predict", lambda: pipe.predict(A))
in_a_fork("predict_one", lambda: pipe.predict(A[:1]))
in_a_fork("load_predict", lambda: joblib.load(file).predict(A))
in_a_fork("load_pretrained", lambda: load_pretrained(trainable=True))
in_a_fork("load_export", lambda: to_sklearn(joblib.load(file)).score(A, b))
in_a_fork("export", lambda: to_sklearn(pipe).score(A, b))
in_a_fork("exported", lambda: exported.score(A, b))
in_a_fork("pickle", lambda: pickle.dumps(pickle.loads(pickle.dumps(pipe))))
assert pipe.score(A, b) > 0.1
"""
RESULTS = """\
fit error
partial_fit error
predict error
predict_one error
load_predict error
load_pretrained error
load_export error
export float
exported float
pickle bytes
"""


@pytest.mark.process
@pytest.mark.parametrize(("level", "expected"), [(None, "1"), ("0", "0")])
def test_import_sets_log_level_only_if_unset(level, expected):
    code = """
import os
from skmnist import make_pipeline

print(os.environ["TF_CPP_MIN_LOG_LEVEL"])
"""
    done = run_python(code, TF_CPP_MIN_LOG_LEVEL=level)
    assert done.stdout == f"{expected}\n"
    assert level == "0" or "This TensorFlow binary is optimized" not in done.stderr


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="TensorFlow and forks, on Linux")
def test_forked_process_raises_where_tensorflow_would_hang(tmp_path):
    file = tmp_path / "model.joblib"
    done = run_python(FORKS, file, "fitted")
    assert done.stdout == "before float\n" + RESULTS
    assert run_python(FORKS, file, "loaded").stdout == RESULTS
